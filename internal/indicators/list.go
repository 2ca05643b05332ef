package indicators

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// MaxEntries is the most entries of all lists together.
const MaxEntries = 10_000_000

// List is the entries of one list. It never changes.
type List struct {
	Entries int       // different ones
	Bad     int       // lines that are no entries
	First   BadLine   // the first of them
	Stamp   Stamp     // of the file it was read from
	classes classes   // of its entries
	len4    uint64    // bit n: there is an IPv4 prefix of n bits
	len6    [3]uint64 // the same for IPv6
	table   table
}

// BadLine is a line that is no entry.
type BadLine struct {
	Line   int // from 1
	Reason string
}

// MemoryBytes returns how much memory the entries take.
func (l *List) MemoryBytes() int { return l.table.bytes() }

// listBuilder makes a List out of entries.
type listBuilder struct {
	kind   Kind
	list   List
	b      builder
	second int // hashes of entries that have one already
}

func (b *listBuilder) finish() *List {
	l := b.list
	l.table = b.b.table()
	l.Entries = len(l.table.keys) - b.second
	return &l
}

func (b *listBuilder) put(c class, k uint64) {
	b.list.classes |= 1 << c
	b.b.add(k)
}

// add adds an entry. It does not keep text.
func (b *listBuilder) add(text []byte) error {
	switch b.kind {
	case Any:
		return b.addAny(text)
	case IP:
		return b.addAddr(text)
	case Domain:
		return b.addDomain(text)
	case JA4:
		if !isJA4(text) {
			return notA(text, "JA4 fingerprint")
		}
		b.addText(classJA4, text)
		return nil
	}
	digits := hexDigits(text)
	switch {
	case digits == 32 && (b.kind == MD5 || b.kind == Hash), digits == 40 && (b.kind == SHA1 || b.kind == Hash), digits == 64 && (b.kind == SHA256 || b.kind == Hash):
		b.addHex(classHash, text)
	case digits == 32 && b.kind == JA3:
		b.addHex(classJA3, text)
	case digits == 32 && b.kind == JA3S:
		b.addHex(classJA3S, text)
	case digits == 32 && b.kind == HASSH:
		b.addHex(classHASSH, text)
	default:
		return notA(text, "hexadecimal "+string(b.kind))
	}
	return nil
}

// addAny adds an entry of the kind that it looks like.
func (b *listBuilder) addAny(text []byte) error {
	switch hexDigits(text) {
	case 32:
		b.addHex(classHex32, text)
		return nil
	case 40, 64:
		b.addHex(classHash, text)
		return nil
	}
	if isJA4(text) {
		b.addText(classJA4, text)
		return nil
	}
	if looksLikeAddr(text) {
		return b.addAddr(text)
	}
	if err := b.addDomain(text); err != nil {
		return notA(text, "address, domain, hash or fingerprint")
	}
	return nil
}

// looksLikeAddr reports whether text can only be meant as an address or prefix: no other entry has
// colons, or nothing but digits, dots and a slash.
func looksLikeAddr(text []byte) bool {
	return bytes.IndexByte(text, ':') >= 0 || len(bytes.Trim(text, "0123456789./")) == 0
}

func (b *listBuilder) addAddr(text []byte) error {
	s := string(text)
	var p netip.Prefix
	if strings.IndexByte(s, '/') >= 0 {
		var err error
		if p, err = netip.ParsePrefix(s); err != nil {
			return notA(text, "prefix")
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		p = p.Masked()
	} else {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return notA(text, "address")
		}
		a = a.Unmap()
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Bits() == 0 {
		return fmt.Errorf("%s is every address", s)
	}
	if p.Addr().Is4() {
		b.list.len4 |= 1 << p.Bits()
	} else {
		b.list.len6[p.Bits()/64] |= 1 << (p.Bits() % 64)
	}
	b.put(classAddr, addrKey(p))
	return nil
}

// maxName is the longest domain name in text (RFC 1035 section 3.1: 255 bytes on the wire).
const maxName = 253

func (b *listBuilder) addDomain(text []byte) error {
	c, name := classDomain, text
	switch {
	case len(name) > 0 && name[0] == '=':
		c, name = classExact, name[1:]
	case len(name) > 1 && name[0] == '*' && name[1] == '.':
		name = name[2:]
	case len(name) > 0 && name[0] == '.':
		name = name[1:]
	}
	if n := len(name); n > 0 && name[n-1] == '.' {
		name = name[:n-1]
	}
	if len(name) == len(text) && bytes.IndexByte(name, '.') < 0 {
		// More likely the heading of a column than a top-level domain, which would tag everything
		// below it: that is written as ".onion".
		return notA(text, "domain")
	}
	var buf [maxName]byte
	if len(name) > maxName {
		return notA(text, "domain")
	}
	lower := lowerInto(buf[:0], name)
	ascii := true
	for _, b := range lower {
		ascii = ascii && b < utf8.RuneSelf
	}
	if ascii {
		if !isDomain(lower) {
			return notA(text, "domain")
		}
		b.addText(c, lower)
		return nil
	}
	// Names are seen in both forms: as sent (RFC 5891) and as people write them.
	puny, err := idna.Lookup.ToASCII(string(name))
	if err != nil || !isDomain([]byte(puny)) {
		return notA(text, "domain")
	}
	b.addText(c, []byte(puny))
	b.addText(c, []byte(strings.ToLower(string(name))))
	b.second++
	return nil
}

// isDomain reports whether name, in lower case, consists of labels of letters, digits, - and _
// (which names of services have), and does not end as an address does.
func isDomain(name []byte) bool {
	label, digits := 0, true // of the label so far: its length, and whether it has digits only
	for _, c := range name {
		switch {
		case c == '.':
			if label == 0 {
				return false
			}
			label, digits = 0, true
			continue
		case c >= 'a' && c <= 'z', c == '-', c == '_':
			digits = false
		case c >= '0' && c <= '9':
		default:
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return label > 0 && !digits
}

func (b *listBuilder) addText(c class, text []byte) { b.put(c, textKey(c, text)) }

func (b *listBuilder) addHex(c class, text []byte) {
	var buf [maxHex]byte
	b.addText(c, hexInto(buf[:0], text))
}

// maxHex is the digits of the longest hash, SHA-256.
const maxHex = 64

// hexDigits returns how many hexadecimal digits text consists of, colons between bytes left
// out; 0 when it has anything else or is longer than a hash.
func hexDigits(text []byte) int {
	n := 0
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			n++
		case c == ':' && n%2 == 0 && i%3 == 2:
		default:
			return 0
		}
	}
	if n > maxHex || len(text) != n && len(text) != n+n/2-1 {
		return 0
	}
	return n
}

// hexInto appends the digits of text in lower case to buf. Text passed hexDigits.
func hexInto(buf, text []byte) []byte {
	for _, c := range text {
		if c != ':' {
			buf = append(buf, c|0x20) // leaves digits as they are
		}
	}
	return buf
}

// isJA4 reports whether text is a JA4 fingerprint: transport, version, SNI, counts and ALPN, then two
// hashes (FoxIO, JA4: TLS Client Fingerprinting).
func isJA4(text []byte) bool {
	if len(text) != 36 || text[10] != '_' || text[23] != '_' {
		return false
	}
	for i, c := range text {
		lower := c >= 'a' && c <= 'z'
		digit := c >= '0' && c <= '9'
		switch {
		case i == 10 || i == 23:
		case i > 10 && !digit && (c < 'a' || c > 'f'), !lower && !digit && (i < 8 || i > 9 || c < 'A' || c > 'Z'):
			return false
		}
	}
	return strings.IndexByte("tqd", text[0]) >= 0 && (text[3] == 'd' || text[3] == 'i')
}

// lowerInto appends text to buf, ASCII letters in lower case.
func lowerInto(buf, text []byte) []byte {
	for _, c := range text {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		buf = append(buf, c)
	}
	return buf
}

// notA is the error for an entry that is not of its kind.
func notA(text []byte, what string) error {
	const most = 80 // of the text, in a message
	s := strings.ToValidUTF8(string(text), "\uFFFD")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return fmt.Errorf("%q is no %s", s, what)
}

// errTooMany ends the reading of a list.
var errTooMany = errors.New("too many entries")
