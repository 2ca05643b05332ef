package indicators

import (
	"math/bits"
	"net/netip"
	"strings"

	"wirelake/internal/spi"
)

// Member is a list in a set, with what a match adds to the document.
type Member struct {
	Name string
	Tags []string
	List *List
}

// Set is lists ready to look documents up. It is safe for concurrent use. A nil *Set has no lists.
type Set struct {
	members []Member
	roles   []classes // of each field, by id: the classes that its values are looked up in
	filter  filter
	classes classes
	len4    uint64
	len6    [3]uint64
}

// NewSet returns a set of lists for documents of reg.
func NewSet(reg *spi.Registry, members []Member) *Set {
	s := &Set{members: members, roles: roles(reg)}
	lists := make([]*List, len(members))
	for i, m := range members {
		lists[i] = m.List
		s.classes |= m.List.classes
		s.len4 |= m.List.len4
		for j := range s.len6 {
			s.len6[j] |= m.List.len6[j]
		}
	}
	s.filter = newFilter(lists)
	return s
}

// roles returns what the values of each field are looked up as.
func roles(reg *spi.Registry) []classes {
	out := make([]classes, len(reg.Fields()))
	for _, f := range reg.ByExpr("host") {
		out[f.ID] |= hostClasses
	}
	for i := range reg.Fields() {
		f := &reg.Fields()[i]
		switch {
		case f.Type == spi.IP:
			out[i] |= 1 << classAddr
		case !f.Type.Numeric():
			for _, name := range f.Exprs {
				out[i] |= roleOf(strings.ToLower(name[strings.LastIndexByte(name, '.')+1:]))
			}
		}
	}
	return out
}

const (
	hostClasses = 1<<classDomain | 1<<classExact
	textClasses = 1<<classHash | 1<<classHex32 | 1<<classJA3 | 1<<classJA3S | 1<<classJA4 | 1<<classHASSH
)

// roleOf returns what the last part of a field's name says of its values.
func roleOf(name string) classes {
	for _, suffix := range [...]string{"md5", "sha1", "sha256"} {
		if strings.HasSuffix(name, suffix) {
			return 1<<classHash | 1<<classHex32
		}
	}
	switch name {
	case "host":
		return hostClasses
	case "hash": // of certificates; what is no hash matches none
		return 1<<classHash | 1<<classHex32
	case "ja3":
		return 1<<classJA3 | 1<<classHex32
	case "ja3s":
		return 1<<classJA3S | 1<<classHex32
	case "ja4":
		return 1 << classJA4
	case "hassh", "hasshserver":
		return 1<<classHASSH | 1<<classHex32
	}
	return 0
}

// Matcher collects what one document matches. The zero Matcher is ready for use; it
// is not safe for concurrent use.
type Matcher struct {
	hits []hit
}

// hit is a match of a value with an entry of a list.
type hit struct {
	member int32
	value  int32 // index among the document's values
	class  class
	part   int16 // of an address the bits, of a name where the entry begins
}

// maxHits bounds the matches noted of one document.
const maxHits = 100

// Find looks all values of d up and returns how many matches there are, at most 100; Apply notes them.
// It does not change d.
func (m *Matcher) Find(s *Set, d *spi.Document) int {
	m.hits = m.hits[:0]
	if s == nil || s.filter == nil {
		return 0
	}
	values := d.Values()
	for i := range values {
		v := &values[i]
		look := s.roles[v.Field] & s.classes
		if look == 0 || v.Str == "" {
			continue
		}
		switch {
		case look&(1<<classAddr) != 0:
			m.addr(s, i, v.Str)
		case look&hostClasses != 0:
			m.name(s, i, v.Str, look)
		case look&textClasses != 0:
			m.text(s, i, v.Str, look)
		}
	}
	return len(m.hits)
}

// key notes the lists that have an entry with the hash.
func (m *Matcher) key(s *Set, k uint64, value int, c class, part int) {
	if !s.filter.may(k) {
		return
	}
	for i := range s.members {
		if s.members[i].List.table.has(k) && len(m.hits) < maxHits {
			m.hits = append(m.hits, hit{int32(i), int32(value), c, int16(part)}) //nolint:gosec // small numbers, all of them
		}
	}
}

func (m *Matcher) addr(s *Set, value int, text string) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		for lens := s.len4; lens != 0; lens &= lens - 1 {
			m.prefix(s, value, a, bits.TrailingZeros64(lens))
		}
		return
	}
	for word, lens := range s.len6 {
		for ; lens != 0; lens &= lens - 1 {
			m.prefix(s, value, a, word*64+bits.TrailingZeros64(lens))
		}
	}
}

func (m *Matcher) prefix(s *Set, value int, a netip.Addr, n int) {
	if p, err := a.Prefix(n); err == nil {
		m.key(s, addrKey(p), value, classAddr, n)
	}
}

// name looks a host name up, whole and without each of its first labels.
func (m *Matcher) name(s *Set, value int, text string, look classes) {
	var buf [maxName]byte
	name, skipped := trimName(text)
	lower := buf[:0]
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		lower = append(lower, c)
	}
	if look.has(classExact) && skipped == 0 {
		m.key(s, textKey(classExact, lower), value, classExact, 0)
	}
	if !look.has(classDomain) {
		return
	}
	for i := range lower {
		if i == 0 && skipped == 0 || i > 0 && lower[i-1] == '.' || i == 0 && text[skipped-1] == '.' {
			m.key(s, textKey(classDomain, lower[i:]), value, classDomain, skipped+i)
		}
	}
}

// trimName returns the end of a name that can be a domain, without a last dot, and how much is left out before it.
func trimName(text string) (name string, skipped int) {
	name = strings.TrimSuffix(text, ".")
	if len(name) > maxName {
		skipped = len(name) - maxName
	}
	if skipped > 1<<14 {
		return "", 0 // no host name, whatever it is
	}
	return name[skipped:], skipped
}

// text looks a hash or fingerprint up.
func (m *Matcher) text(s *Set, value int, text string, look classes) {
	const longest = maxHex + maxHex/2 - 1 // with colons
	var buf, out [longest]byte
	if len(text) > longest {
		return
	}
	in := append(buf[:0], text...)
	if look.has(classJA4) && isJA4(in) {
		m.key(s, textKey(classJA4, in), value, classJA4, 0)
	}
	digits := hexDigits(in)
	if digits != 32 && digits != 40 && digits != 64 {
		return
	}
	hex := hexInto(out[:0], in)
	for _, c := range [...]class{classHash, classHex32, classJA3, classJA3S, classHASSH} {
		if look.has(c) {
			m.key(s, textKey(c, hex), value, c, 0)
		}
	}
}

// Apply adds the tags, lists and entries of the matches to d, which must be as Find had it.
func (m *Matcher) Apply(s *Set, d *spi.Document) {
	values := d.Values()
	entries := make([]string, len(m.hits))
	for i, h := range m.hits {
		entries[i] = entryOf(h, values[h.value].Str)
	}
	for i, h := range m.hits {
		member := &s.members[h.member]
		for _, tag := range member.Tags {
			d.Mark(spi.Tags, tag)
		}
		d.Mark(spi.IndicatorList, member.Name)
		d.Mark(spi.IndicatorEntry, entries[i])
	}
}

// entryOf returns the entry that a value matched, in its normal form.
func entryOf(h hit, text string) string {
	switch h.class {
	case classAddr:
		a, err := netip.ParseAddr(text)
		if err != nil {
			return text
		}
		a = a.Unmap().WithZone("")
		if int(h.part) == a.BitLen() {
			return a.String()
		}
		return netip.PrefixFrom(a, int(h.part)).Masked().String()
	case classExact:
		return "=" + strings.ToLower(strings.TrimSuffix(text, "."))
	case classDomain:
		return strings.ToLower(strings.TrimSuffix(text[h.part:], "."))
	}
	return strings.ToLower(strings.ReplaceAll(text, ":", ""))
}
