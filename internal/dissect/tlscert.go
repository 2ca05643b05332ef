package dissect

import (
	"crypto/sha1" //nolint:gosec // certificates are known by their SHA-1
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"wirelake/internal/spi"
)

// certFields files X.509 certificates (RFC 5280), each an object of the cert list.
type certFields struct {
	list                                                      spi.ListID
	hash, serial, alg, curve                                  spi.FieldID
	notBefore, notAfter                                       spi.FieldID
	validDays, validSeconds, remainingDays, remainingSeconds  spi.FieldID
	issuerCN, issuerON, issuerOU, subjectCN, subjectON, subOU spi.FieldID
	alt                                                       spi.FieldID
}

const (
	maxCertificates = 32 // of a chain
	maxAltNames     = 1000
)

func newCertFields(r *spi.Registry) *certFields {
	field := func(path string, t spi.Type, list bool, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: path, Type: t, List: list, Exprs: []string{expr}, Name: name, Help: help, Group: "cert",
			Hot: path == "cert.alt" || path == "cert.hash" || path == "cert.subjectCN" || path == "cert.issuerCN", Bloom: path == "cert.alt" || path == "cert.hash"})
	}
	return &certFields{
		list:             r.Objects("cert"),
		alt:              field("cert.alt", spi.LoTerm, true, "cert.alt", "Alt name", "subject alternative names"),
		curve:            field("cert.curve", spi.Term, false, "cert.curve", "Curve", "named curve of an EC key"),
		hash:             field("cert.hash", spi.LoTerm, false, "cert.hash", "Hash", "SHA-1 of the DER bytes, colon-separated hex"),
		issuerCN:         field("cert.issuerCN", spi.LoTerm, true, "cert.issuer.cn", "Issuer CN", "issuer common name"),
		issuerON:         field("cert.issuerON", spi.Term, true, "cert.issuer.on", "Issuer ON", "issuer organization"),
		issuerOU:         field("cert.issuerOU", spi.Term, true, "cert.issuer.ou", "Issuer OU", "issuer organizational unit"),
		notAfter:         field("cert.notAfter", spi.Date, false, "cert.notafter", "Not after", "end of validity"),
		notBefore:        field("cert.notBefore", spi.Date, false, "cert.notbefore", "Not before", "start of validity"),
		alg:              field("cert.publicAlgorithm", spi.Term, false, "cert.publicAlgorithm", "Public key algorithm", "algorithm of the public key"),
		remainingDays:    field("cert.remainingDays", spi.Integer, false, "cert.remainingDays", "Days remaining", "days of validity left at the session's first packet"),
		remainingSeconds: field("cert.remainingSeconds", spi.Integer, false, "cert.remainingSeconds", "Seconds remaining", "seconds of validity left at the session's first packet"),
		serial:           field("cert.serial", spi.LoTerm, false, "cert.serial", "Serial number", "serial number, hex"),
		subjectCN:        field("cert.subjectCN", spi.LoTerm, true, "cert.subject.cn", "Subject CN", "subject common name"),
		subjectON:        field("cert.subjectON", spi.Term, true, "cert.subject.on", "Subject ON", "subject organization"),
		subOU:            field("cert.subjectOU", spi.Term, true, "cert.subject.ou", "Subject OU", "subject organizational unit"),
		validDays:        field("cert.validDays", spi.Integer, false, "cert.validfor", "Days valid", "length of the validity period in days"),
		validSeconds:     field("cert.validSeconds", spi.Integer, false, "cert.validforSeconds", "Seconds valid", "length of the validity period in seconds"),
	}
}

// chain reads a Certificate message of TLS up to 1.2 (RFC 5246 section 7.4.2).
func (c *certFields) chain(s *Session, b []byte) {
	in := cryptobyte.String(b)
	var list cryptobyte.String
	if !in.ReadUint24LengthPrefixed(&list) {
		return
	}
	for range maxCertificates {
		var der cryptobyte.String
		if list.Empty() || !list.ReadUint24LengthPrefixed(&der) {
			return
		}
		c.add(s, der)
	}
}

// certName is the parts of a distinguished name that are filed.
type certName struct{ cn, on, ou []string }

// add files one certificate, once a session. What does not parse is left out.
func (c *certFields) add(s *Session, der []byte) {
	sum := sha1.Sum(der) //nolint:gosec // an identity, not a signature
	hash := colonHex(sum[:])
	for v := range s.Doc.Each(c.hash) {
		if v.Str == hash {
			return
		}
	}
	in := cryptobyte.String(der)
	var cert, tbs, serial, skipped, issuer, subject, validity, key cryptobyte.String
	var notBefore, notAfter time.Time
	if !in.ReadASN1(&cert, asn1.SEQUENCE) || !cert.ReadASN1(&tbs, asn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(asn1.Tag(0).Constructed().ContextSpecific()) ||
		!tbs.ReadASN1(&serial, asn1.INTEGER) || !tbs.ReadASN1(&skipped, asn1.SEQUENCE) ||
		!tbs.ReadASN1(&issuer, asn1.SEQUENCE) || !tbs.ReadASN1(&validity, asn1.SEQUENCE) ||
		!readTime(&validity, &notBefore) || !readTime(&validity, &notAfter) ||
		!tbs.ReadASN1(&subject, asn1.SEQUENCE) {
		return
	}
	rawIssuer, rawSubject := string(issuer), string(subject)
	o, ok := s.Doc.NewObject(c.list, spi.Root)
	if !ok {
		return
	}
	d := s.Doc
	d.SetStringIn(o, c.hash, hash)
	d.SetStringIn(o, c.serial, hex.EncodeToString(serial))
	from, is := readName(issuer), readName(subject)
	addAll := func(f spi.FieldID, values []string) {
		for _, v := range values {
			d.AddStringIn(o, f, v)
		}
	}
	addAll(c.issuerCN, from.cn)
	addAll(c.issuerON, from.on)
	addAll(c.issuerOU, from.ou)
	addAll(c.subjectCN, is.cn)
	addAll(c.subjectON, is.on)
	addAll(c.subOU, is.ou)
	d.SetIntIn(o, c.notBefore, notBefore.UnixMilli())
	d.SetIntIn(o, c.notAfter, notAfter.UnixMilli())
	valid := notAfter.Unix() - notBefore.Unix()
	left := notAfter.Unix() - s.First/int64(time.Second)
	d.SetIntIn(o, c.validSeconds, valid)
	d.SetIntIn(o, c.validDays, valid/86400)
	d.SetIntIn(o, c.remainingSeconds, left)
	d.SetIntIn(o, c.remainingDays, left/86400)
	if tbs.ReadASN1(&key, asn1.SEQUENCE) {
		c.key(d, o, key)
	}
	signs := c.extensions(d, o, tbs)
	switch {
	case signs:
		s.AddTag("cert:certificate-authority")
	case rawIssuer == rawSubject:
		s.AddTag("cert:self-signed")
	}
}

// key files the algorithm of a SubjectPublicKeyInfo (RFC 3279, 5480, 8410).
func (c *certFields) key(d *spi.Document, o spi.ObjectID, info cryptobyte.String) {
	var algorithm, oid cryptobyte.String
	if !info.ReadASN1(&algorithm, asn1.SEQUENCE) || !algorithm.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) {
		return
	}
	name := keyAlgorithm(string(oid))
	d.SetStringIn(o, c.alg, name)
	if name != "id-ecPublicKey" {
		return
	}
	var curve cryptobyte.String
	if !algorithm.ReadASN1(&curve, asn1.OBJECT_IDENTIFIER) {
		// Parameters written out instead of a name: CVE-2020-0601 is done with them.
		d.SetStringIn(o, c.curve, "corrupt")
		return
	}
	d.SetStringIn(o, c.curve, curveName(string(curve)))
}

// extensions files the alternative names, and reports whether the key may sign
// certificates (RFC 5280 sections 4.2.1.3 and 4.2.1.6).
func (c *certFields) extensions(d *spi.Document, o spi.ObjectID, tbs cryptobyte.String) (signs bool) {
	for _, tag := range []uint8{1, 2} { // unique identifiers
		if !tbs.SkipOptionalASN1(asn1.Tag(tag).ContextSpecific()) {
			return false
		}
	}
	var outer, list cryptobyte.String
	var present bool
	if !tbs.ReadOptionalASN1(&outer, &present, asn1.Tag(3).Constructed().ContextSpecific()) || !present || !outer.ReadASN1(&list, asn1.SEQUENCE) {
		return false
	}
	for !list.Empty() {
		var ext, oid, value cryptobyte.String
		if !list.ReadASN1(&ext, asn1.SEQUENCE) || !ext.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) ||
			!ext.SkipOptionalASN1(asn1.BOOLEAN) || !ext.ReadASN1(&value, asn1.OCTET_STRING) {
			return signs
		}
		switch string(oid) {
		case "\x55\x1d\x0f": // keyUsage
			var bits cryptobyte.String
			if value.ReadASN1(&bits, asn1.BIT_STRING) && len(bits) >= 2 && bits[1]&0x04 != 0 {
				signs = true
			}
		case "\x55\x1d\x11": // subjectAltName
			c.altNames(d, o, value)
		}
	}
	return signs
}

func (c *certFields) altNames(d *spi.Document, o spi.ObjectID, value cryptobyte.String) {
	var names cryptobyte.String
	if !value.ReadASN1(&names, asn1.SEQUENCE) {
		return
	}
	for range maxAltNames {
		var name cryptobyte.String
		var tag asn1.Tag
		if names.Empty() || !names.ReadAnyASN1(&name, &tag) {
			return
		}
		switch tag {
		case asn1.Tag(2).ContextSpecific(): // dNSName
			d.AddStringIn(o, c.alt, string(name))
		case asn1.Tag(7).ContextSpecific(): // iPAddress
			if a, ok := netip.AddrFromSlice(name); ok {
				d.AddStringIn(o, c.alt, a.String())
			}
		}
	}
}

// readName reads a Name (RFC 5280 section 4.1.2.4).
func readName(in cryptobyte.String) (n certName) {
	for !in.Empty() {
		var set, attribute, oid, value cryptobyte.String
		var tag asn1.Tag
		if !in.ReadASN1(&set, asn1.SET) {
			return n
		}
		for !set.Empty() {
			if !set.ReadASN1(&attribute, asn1.SEQUENCE) || !attribute.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) || !attribute.ReadAnyASN1(&value, &tag) {
				return n
			}
			text := string(value)
			if tag == asn1.Tag(30) { // BMPString: UTF-16
				text = utf16Text(value)
			}
			switch string(oid) {
			case "\x55\x04\x03":
				n.cn = append(n.cn, text)
			case "\x55\x04\x0a":
				n.on = append(n.on, text)
			case "\x55\x04\x0b":
				n.ou = append(n.ou, text)
			}
		}
	}
	return n
}

// utf16Text decodes big-endian UTF-16 of the basic plane.
func utf16Text(b []byte) string {
	var out strings.Builder
	for ; len(b) >= 2; b = b[2:] {
		out.WriteRune(rune(b[0])<<8 | rune(b[1]))
	}
	return out.String()
}

// readTime reads UTCTime or GeneralizedTime; zones other than Z, which RFC 5280
// forbids, are seen and taken.
func readTime(in *cryptobyte.String, t *time.Time) bool {
	var text cryptobyte.String
	var tag asn1.Tag
	if !in.ReadAnyASN1(&text, &tag) {
		return false
	}
	layouts := []string{"060102150405Z0700", "0601021504Z0700"}
	if tag == asn1.GeneralizedTime {
		layouts = []string{"20060102150405Z0700", "200601021504Z0700"}
	} else if tag != asn1.UTCTime {
		return false
	}
	for _, layout := range layouts {
		parsed, err := time.Parse(layout, string(text))
		if err != nil {
			continue
		}
		if tag == asn1.UTCTime && parsed.Year() >= 2050 {
			parsed = parsed.AddDate(-100, 0, 0) // RFC 5280 section 4.1.2.5.1
		}
		*t = parsed.UTC()
		return true
	}
	return false
}

func keyAlgorithm(oid string) string {
	switch oid {
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01":
		return "rsaEncryption"
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a":
		return "rsassaPss"
	case "\x2a\x86\x48\xce\x3d\x02\x01":
		return "id-ecPublicKey"
	case "\x2a\x86\x48\xce\x38\x04\x01":
		return "dsaEncryption"
	case "\x2a\x86\x48\xce\x3e\x02\x01":
		return "dhpublicnumber"
	case "\x2b\x65\x70":
		return "ED25519"
	case "\x2b\x65\x71":
		return "ED448"
	}
	return "oid:" + hex.EncodeToString([]byte(oid))
}

func curveName(oid string) string {
	switch oid {
	case "\x2a\x86\x48\xce\x3d\x03\x01\x07":
		return "prime256v1"
	case "\x2b\x81\x04\x00\x0a":
		return "secp256k1"
	case "\x2b\x81\x04\x00\x21":
		return "secp224r1"
	case "\x2b\x81\x04\x00\x22":
		return "secp384r1"
	case "\x2b\x81\x04\x00\x23":
		return "secp521r1"
	case "\x2b\x24\x03\x03\x02\x08\x01\x01\x07":
		return "brainpoolP256r1"
	case "\x2b\x24\x03\x03\x02\x08\x01\x01\x0b":
		return "brainpoolP384r1"
	case "\x2b\x24\x03\x03\x02\x08\x01\x01\x0d":
		return "brainpoolP512r1"
	}
	return "oid:" + hex.EncodeToString([]byte(oid))
}

func colonHex(b []byte) string {
	out := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 {
			out = append(out, ':')
		}
		out = hex.AppendEncode(out, []byte{c})
	}
	return string(out)
}
