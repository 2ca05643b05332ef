package dissect

import (
	"net/netip"
	"time"

	"wirelake/internal/packet"
)

// Expected is what sessions tell of sessions to come, as FTP does of its data connections: it links them. It
// belongs to one lane, whose sensor keeps all sessions of two addresses together. The zero Expected is ready; it is
// not safe for concurrent use.
type Expected struct {
	ends  map[netip.AddrPort]*expectation
	queue []*expectation // oldest first
}

// expectation is a session to come, known by one of its ends.
type expectation struct {
	end       netip.AddrPort
	transport Transport
	protocol  string // whose parser it gets
	only      bool   // no other's
	expires   int64  // ns since 1970
	note      any    // for the parser
}

const (
	maxExpected    = 4096            // of a lane; past it the oldest is forgotten
	expectedFor    = 5 * time.Minute // from the announcement to the first packet
	expectedBefore = 10 * time.Second
)

// Expect says that a session with the end will be one of the protocol. With only, its bytes are not classified.
// The parser finds note in [Session.Announced].
func (s *Session) Expect(end netip.AddrPort, on Transport, protocol string, only bool, note any) {
	if s.Expected == nil || !end.IsValid() || end.Port() == 0 || end.Addr().IsUnspecified() {
		return
	}
	s.Expected.add(&expectation{
		end: netip.AddrPortFrom(end.Addr().Unmap().WithZone(""), end.Port()), transport: on, protocol: protocol, only: only,
		expires: s.Now + expectedFor.Nanoseconds(), note: note,
	})
}

// Announced returns what another session told of this one, nil for nothing.
func (s *Session) Announced() any {
	if s.expectation == nil {
		return nil
	}
	return s.expectation.note
}

func (x *Expected) add(e *expectation) {
	if x.ends == nil {
		x.ends = make(map[netip.AddrPort]*expectation)
	}
	if len(x.queue) >= maxExpected {
		if oldest := x.queue[0]; x.ends[oldest.end] == oldest {
			delete(x.ends, oldest.end)
		}
		x.queue[0] = nil
		x.queue = x.queue[1:]
	}
	x.ends[e.end] = e
	x.queue = append(x.queue, e)
}

// expected takes what another session told of this one, when it has its first payload.
func (s *Session) expected() {
	if s.Expected == nil || len(s.Expected.ends) == 0 || s.expectation != nil || s.Transport != TCP && s.Transport != UDP {
		return
	}
	for _, end := range [2]netip.AddrPort{netip.AddrPortFrom(s.Dst.Unmap(), s.DstPort), netip.AddrPortFrom(s.Src.Unmap(), s.SrcPort)} {
		// A lane's flows may come one after the other: the announcement may be known before its time.
		e := s.Expected.ends[end]
		if e == nil || e.transport != s.Transport || s.First > e.expires || s.First < e.expires-expectedFor.Nanoseconds()-expectedBefore.Nanoseconds() {
			continue
		}
		s.expectation = e
		s.attach(s.set.byName[e.protocol])
		if e.only { // a connection of its own
			delete(s.Expected.ends, end)
		}
		return
	}
}

// CommunityID returns the Community ID version 1 of the session, "" without IP.
func (s *Session) CommunityID() string {
	key, dir, err := packet.KeyFromAddrs(s.IPProtocol, netip.AddrPortFrom(s.Src, s.SrcPort), netip.AddrPortFrom(s.Dst, s.DstPort))
	if err != nil {
		return ""
	}
	return packet.CommunityID(&key, dir, 0, 0, 0)
}
