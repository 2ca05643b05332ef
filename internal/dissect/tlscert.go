package dissect

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // certificates are known by their SHA-1
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"

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
	in := tlsReader{b: b}
	list := tlsReader{b: in.take(in.uint24())}
	for range maxCertificates {
		der := list.take(list.uint24())
		if len(der) == 0 {
			return
		}
		c.add(s, der)
	}
}

// chain13 reads a Certificate message of TLS 1.3 (RFC 8446 section 4.4.2), whose
// certificates have extensions each.
func (c *certFields) chain13(s *Session, b []byte) {
	in := tlsReader{b: b}
	in.vector8() // request context
	list := tlsReader{b: in.take(in.uint24())}
	for range maxCertificates {
		der := list.take(list.uint24())
		if len(der) == 0 {
			return
		}
		c.add(s, der)
		list.vector16()
	}
}

// certName is the parts of a distinguished name that are filed.
type certName struct{ cn, on, ou []string }

// add files one certificate, once a session. What does not parse is left out.
func (c *certFields) add(s *Session, der []byte) {
	sum := sha1.Sum(der) //nolint:gosec // an identity, not a signature
	hash := colonHex(sum[:])
	first := !s.Doc.Has(c.hash)
	for v := range s.Doc.Each(c.hash) {
		if v.Str == hash {
			return
		}
	}
	in := berReader{der}
	outer := berReader{in.take(berSequence)}
	tbs := berReader{outer.take(berSequence)}
	tbs.take(berContext | berConstructed) // version
	serial := tbs.take(berInteger)
	tbs.take(berSequence) // algorithm of the signature
	issuer := tbs.take(berSequence)
	validity := berReader{tbs.take(berSequence)}
	notBefore, ok1 := readTime(&validity)
	notAfter, ok2 := readTime(&validity)
	subject := tbs.take(berSequence)
	if !ok1 || !ok2 || len(serial) == 0 || subject == nil {
		return
	}
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
	c.key(d, o, tbs.take(berSequence))
	selfSigned := bytes.Equal(issuer, subject)
	if s.Reference {
		selfSigned = first && sameOwner(&from, &is)
	}
	switch signs := c.extensions(d, o, tbs); {
	case signs:
		s.AddTag("cert:certificate-authority")
	case selfSigned:
		s.AddTag("cert:self-signed")
	}
}

// sameOwner is how the reference tells a self-signed certificate, of the first one of a session alone: by one common
// name and the organization, whatever else the names hold.
func sameOwner(issuer, subject *certName) bool {
	return len(issuer.cn) == 1 && len(subject.cn) == 1 && strings.EqualFold(issuer.cn[0], subject.cn[0]) && slices.Equal(issuer.on, subject.on)
}

// key files the algorithm of a SubjectPublicKeyInfo (RFC 3279, 5480, 8410).
func (c *certFields) key(d *spi.Document, o spi.ObjectID, info []byte) {
	in := berReader{info}
	algorithm := berReader{in.take(berSequence)}
	oid := algorithm.take(berOIDTag)
	if oid == nil {
		return
	}
	name := keyAlgorithm(string(oid))
	d.SetStringIn(o, c.alg, name)
	if name != "id-ecPublicKey" {
		return
	}
	curve := algorithm.take(berOIDTag)
	if curve == nil {
		// Parameters written out instead of a name: CVE-2020-0601 is done with them.
		d.SetStringIn(o, c.curve, "corrupt")
		return
	}
	d.SetStringIn(o, c.curve, curveName(string(curve)))
}

// extensions files the alternative names, and reports whether the key may sign
// certificates (RFC 5280 sections 4.2.1.3 and 4.2.1.6).
func (c *certFields) extensions(d *spi.Document, o spi.ObjectID, tbs berReader) (signs bool) {
	tbs.take(berContext | 1) // unique identifiers
	tbs.take(berContext | 2)
	outer := berReader{tbs.take(berContext | berConstructed | 3)}
	for list := (berReader{outer.take(berSequence)}); len(list.b) > 0; {
		ext := berReader{list.take(berSequence)}
		oid := ext.take(berOIDTag)
		ext.take(berBoolean) // critical
		value := berReader{ext.take(berOctets)}
		switch string(oid) {
		case "": // none: the list ends
			return signs
		case "\x55\x1d\x0f": // keyUsage
			if bits := value.take(berBits); len(bits) >= 2 && bits[1]&0x04 != 0 {
				signs = true
			}
		case "\x55\x1d\x11": // subjectAltName
			c.altNames(d, o, value.take(berSequence))
		}
	}
	return signs
}

func (c *certFields) altNames(d *spi.Document, o spi.ObjectID, names []byte) {
	for range maxAltNames {
		tag, name, rest, ok := berNext(names)
		if !ok {
			return
		}
		names = rest
		switch tag {
		case berContext | 2: // dNSName
			d.AddBytesIn(o, c.alt, name)
		case berContext | 7: // iPAddress
			if a, ok := netip.AddrFromSlice(name); ok {
				d.AddStringIn(o, c.alt, a.String())
			}
		}
	}
}

// readName reads a Name (RFC 5280 section 4.1.2.4).
func readName(b []byte) (n certName) {
	for in := (berReader{b}); len(in.b) > 0; {
		set := berReader{in.take(berSet)}
		if set.b == nil {
			return n
		}
		for len(set.b) > 0 {
			attribute := berReader{set.take(berSequence)}
			oid := attribute.take(berOIDTag)
			tag, value, _, ok := berNext(attribute.b)
			if oid == nil || !ok {
				return n
			}
			text := string(value)
			if tag == berBMPString { // UTF-16
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
func readTime(in *berReader) (time.Time, bool) {
	layouts := []string{"060102150405Z0700", "0601021504Z0700"}
	text := in.take(berUTCTime)
	short := text != nil
	if !short {
		text = in.take(berGeneralizedTime)
		layouts = []string{"20060102150405Z0700", "200601021504Z0700"}
	}
	for _, layout := range layouts {
		t, err := time.Parse(layout, string(text))
		if err != nil {
			continue
		}
		if short && t.Year() >= 2050 {
			t = t.AddDate(-100, 0, 0) // RFC 5280 section 4.1.2.5.1
		}
		return t.UTC(), true
	}
	return time.Time{}, false
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
