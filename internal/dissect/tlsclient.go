package dissect

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Extensions that are read (IANA "TLS ExtensionType Values").
const (
	extServerName          = 0
	extSupportedGroups     = 10
	extECPointFormats      = 11
	extSignatureAlgorithms = 13
	extALPN                = 16
	extEarlyData           = 42
	extSupportedVersions   = 43
	extECH                 = 0xfe0d
	extESNI                = 0xffce // draft-ietf-tls-esni-02, before ECH
)

// clientHello is a ClientHello of TLS, DTLS or QUIC (RFC 8446 section 4.1.2).
// Lists hold all values in the order of the wire, GREASE (RFC 8701) left out.
type clientHello struct {
	version    uint16
	random     []byte
	sessionID  []byte
	ciphers    []uint16
	extensions []uint16
	groups     []uint16
	formats    []byte
	signatures []uint16
	versions   []uint16 // supported_versions
	alpn       []string
	serverName string
	hasSNI     bool
	ech        bool
	esni       bool // the name is encrypted by the drafts before ECH
	early      bool // early data follows
}

// tlsReader cuts fields off the front of b; after a field that is not there it is bad.
type tlsReader struct {
	b   []byte
	bad bool
}

func (r *tlsReader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *tlsReader) uint8() int {
	if b := r.take(1); b != nil {
		return int(b[0])
	}
	return 0
}

func (r *tlsReader) uint16() int {
	if b := r.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *tlsReader) uint24() int {
	if b := r.take(3); b != nil {
		return int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	}
	return 0
}

func (r *tlsReader) vector8() []byte  { return r.take(r.uint8()) }
func (r *tlsReader) vector16() []byte { return r.take(r.uint16()) }

// isGREASE reports whether v is a value that clients send to be ignored.
func isGREASE(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

func uint16s(b []byte) []uint16 {
	out := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		if v := binary.BigEndian.Uint16(b); !isGREASE(v) {
			out = append(out, v)
		}
	}
	return out
}

type tlsExtension struct {
	kind uint16
	data []byte
}

// tlsExtensions yields the extensions of a hello, from their length on. It ends
// at the first that is cut.
func tlsExtensions(b []byte) iter.Seq[tlsExtension] {
	return func(yield func(tlsExtension) bool) {
		outer := tlsReader{b: b}
		if len(b) < 2 {
			return
		}
		size := outer.uint16()
		r := tlsReader{b: outer.b[:min(size, len(outer.b))]}
		for len(r.b) >= 4 {
			e := tlsExtension{kind: uint16(r.uint16())} //nolint:gosec // two bytes
			e.data = r.vector16()
			if r.bad || !yield(e) {
				return
			}
		}
	}
}

// parseClientHello reads the body of a ClientHello. The strings are copies, the
// rest points into b or is decoded.
func parseClientHello(b []byte) (h clientHello, ok bool) {
	r := tlsReader{b: b}
	h.version = uint16(r.uint16()) //nolint:gosec // two bytes
	h.random = r.take(tlsRandom)
	h.sessionID = r.vector8()
	return h, h.finish(&r)
}

// finish reads what follows the session id, or DTLS's cookie.
func (h *clientHello) finish(r *tlsReader) bool {
	h.ciphers = uint16s(r.vector16())
	r.vector8() // compression methods
	if r.bad {
		return false
	}
	for e := range tlsExtensions(r.b) {
		if isGREASE(e.kind) {
			continue
		}
		h.extensions = append(h.extensions, e.kind)
		x := tlsReader{b: e.data}
		switch e.kind {
		case extServerName:
			h.hasSNI = true
			names := tlsReader{b: x.vector16()}
			if names.uint8() == 0 { // host_name
				h.serverName = strings.ToLower(strings.TrimSuffix(string(names.vector16()), "."))
			}
		case extSupportedGroups:
			h.groups = uint16s(x.vector16())
		case extECPointFormats:
			h.formats = x.vector8()
		case extSignatureAlgorithms:
			h.signatures = uint16s(x.vector16())
		case extSupportedVersions:
			h.versions = uint16s(x.vector8())
		case extALPN:
			h.alpn = append(h.alpn, tlsProtocols(e.data)...)
		case extEarlyData:
			h.early = true
		case extECH:
			h.ech = true
		case extESNI:
			h.esni = true
		}
	}
	return true
}

// tlsProtocols reads the list of an ALPN extension (RFC 7301 section 3.1).
func tlsProtocols(b []byte) (names []string) {
	r := tlsReader{b: b}
	for list := (tlsReader{b: r.vector16()}); len(list.b) > 0 && !list.bad; {
		if name := list.vector8(); len(name) > 0 {
			names = append(names, string(name))
		}
	}
	return names
}

// ja3 returns the text that JA3 is the MD5 of
// (https://github.com/salesforce/ja3): version, ciphers, extensions, groups and
// point formats in decimal.
func (h *clientHello) ja3() string {
	b := strconv.AppendUint(make([]byte, 0, 256), uint64(h.version), 10)
	for _, list := range [][]uint16{h.ciphers, h.extensions, h.groups} {
		b = append(b, ',')
		for i, v := range list {
			if i > 0 {
				b = append(b, '-')
			}
			b = strconv.AppendUint(b, uint64(v), 10)
		}
	}
	b = append(b, ',')
	for i, v := range h.formats {
		if i > 0 {
			b = append(b, '-')
		}
		b = strconv.AppendUint(b, uint64(v), 10)
	}
	return string(b)
}

// ja4 returns JA4 and its raw form (JA4 TLS client fingerprint,
// https://github.com/FoxIO-LLC/ja4, technical details). Transport is 't' for
// TCP, 'q' for QUIC, 'd' for DTLS.
func (h *clientHello) ja4(transport byte) (sum, raw string) {
	version := h.version
	if len(h.versions) > 0 {
		version = slices.MaxFunc(h.versions, func(a, b uint16) int { return cmp.Compare(tlsAge(a), tlsAge(b)) })
	}
	sni := 'i'
	if h.hasSNI {
		sni = 'd'
	}
	head := fmt.Sprintf("%c%s%c%02d%02d%s", transport, ja4Version(version), sni, min(len(h.ciphers), 99), min(len(h.extensions), 99), ja4ALPN(h.alpn))

	ciphers := ja4List(slices.Sorted(slices.Values(h.ciphers)))
	kept := slices.DeleteFunc(slices.Clone(h.extensions), func(e uint16) bool { return e == extServerName || e == extALPN })
	slices.Sort(kept)
	rest := ja4List(kept)
	if len(h.signatures) > 0 {
		rest += "_" + ja4List(h.signatures)
	}
	return head + "_" + ja4Hash(ciphers) + "_" + ja4Hash(rest), head + "_" + ciphers + "_" + rest
}

// tlsAge orders versions: those of DTLS count down.
func tlsAge(v uint16) uint16 {
	if v>>8 == 0xfe {
		return 0xff - v&0xff
	}
	return v
}

func ja4Version(v uint16) string {
	switch v {
	case 0x0002:
		return "s2"
	case 0x0300:
		return "s3"
	case 0x0301:
		return "10"
	case 0x0302:
		return "11"
	case 0x0303:
		return "12"
	case 0x0304:
		return "13"
	case 0xfeff:
		return "d1"
	case 0xfefd:
		return "d2"
	case 0xfefc:
		return "d3"
	}
	return "00"
}

// ja4ALPN is the first and the last character of the first protocol, in hex
// digits when one of them is no letter or digit.
func ja4ALPN(alpn []string) string {
	if len(alpn) == 0 {
		return "00"
	}
	first, last := alpn[0][0], alpn[0][len(alpn[0])-1]
	if isAlnum(first) && isAlnum(last) {
		return string([]byte{first, last})
	}
	digits := hex.EncodeToString([]byte{first, last})
	return digits[:1] + digits[3:]
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func ja4List(list []uint16) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 5*len(list))
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, digits[v>>12], digits[v>>8&15], digits[v>>4&15], digits[v&15])
	}
	return string(b)
}

func ja4Hash(text string) string {
	if text == "" {
		return "000000000000"
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}
