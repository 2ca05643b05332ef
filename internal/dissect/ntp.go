package dissect

import (
	"net/netip"

	"wirelake/internal/spi"
)

// ntp reads the header of the Network Time Protocol (RFC 5905 section 7.3).
type ntp struct {
	Base
	version, mode, stratum, refID spi.FieldID
}

// ntpMode returns the name of an association mode, of 3 bits (RFC 5905 figure 10).
func ntpMode(n byte) string {
	return [8]string{"reserved", "symmetric-active", "symmetric-passive", "client", "server", "broadcast", "control", "private"}[n&7]
}

const ntpHeader = 48

func newNTP(r *spi.Registry) Protocol {
	p := &ntp{
		version: r.Declare(spi.Field{Path: "ntp.version", Type: spi.Integer, List: true, Exprs: []string{"ntp.version"}, Name: "Version", Help: "protocol version"}),
		mode:    r.Declare(spi.Field{Path: "ntp.mode", Type: spi.Term, List: true, Exprs: []string{"ntp.mode"}, Name: "Mode", Help: "association mode"}),
		stratum: r.Declare(spi.Field{Path: "ntp.stratum", Type: spi.Term, List: true, Exprs: []string{"ntp.stratum"}, Name: "Stratum", Help: "stratum, by name"}),
		refID:   r.Declare(spi.Field{Path: "ntp.refId", Type: spi.Term, List: true, Exprs: []string{"ntp.ref-id"}, Name: "Reference id", Help: "source of time: a clock's name, or the address of a server"}),
	}
	return Protocol{
		Name:     "ntp",
		Matchers: []Matcher{{On: UDP, Port: 123, MinLen: 8, Func: func(s *Session, _ Dir, b []byte) bool { return ntpVersionOK(s, b) }}},
		New:      func(*Session) Parser { return p },
	}
}

// ntpVersionOK accepts versions 1 to 4, and the bytes that the mode needs at least: control messages have 12 (RFC 9327
// section 2), private ones 8. The reference wants a whole header of all, and a stratum that exists.
func ntpVersionOK(s *Session, b []byte) bool {
	const control, private, unsynchronized = 6, 7, 16
	least := ntpHeader
	if s.Reference && (len(b) < least || b[1] > unsynchronized) {
		return false
	}
	switch b[0] & 7 {
	case control:
		least = 12
	case private:
		least = 8
	}
	v := b[0] >> 3 & 7
	return v >= 1 && v <= 4 && len(b) >= least
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *ntp) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) == 0 || !ntpVersionOK(s, b) {
		return More
	}
	mode, stratum := b[0]&7, b[1]
	s.Doc.AddInt(p.version, int64(b[0]>>3&7))
	s.Doc.AddString(p.mode, ntpMode(mode))
	if mode > 5 {
		return More // control and private messages have no stratum
	}
	s.Doc.AddString(p.stratum, ntpStratum(stratum))
	ref := b[12:16]
	switch {
	case stratum >= 2 && stratum < 16:
		s.Doc.AddString(p.refID, netip.AddrFrom4([4]byte(ref)).String()) // of IPv6, a hash in the shape of an address
	case ref[0] != 0: // a clock's name, or a kiss code
		n := len(ref)
		for n > 0 && ref[n-1] == 0 {
			n--
		}
		for _, c := range ref[:n] {
			if c < 0x20 || c > 0x7e {
				return More
			}
		}
		s.Doc.AddBytes(p.refID, ref[:n])
	}
	return More
}

// ntpStratum returns the name of a stratum (RFC 5905 figure 11).
func ntpStratum(n byte) string {
	switch {
	case n == 0:
		return "unspecified"
	case n == 1:
		return "primary"
	case n < 16:
		return "secondary"
	case n == 16:
		return "unsynchronized"
	}
	return "reserved"
}
