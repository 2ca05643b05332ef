package dissect

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"time"

	"wirelake/internal/packet"
)

// Expected is what sessions tell of sessions to come, as FTP does of its data connections: it links them. It
// belongs to one lane, whose sensor keeps all sessions of two addresses together. The zero Expected is ready; it is
// not safe for concurrent use.
type Expected struct {
	ends  map[netip.AddrPort][]*expectation // of an end oldest first: ports are used again
	queue []*expectation                    // oldest first
}

// expectation is a session to come, known by one of its ends.
type expectation struct {
	end       netip.AddrPort
	transport Transport
	protocol  string // whose parser it gets
	only      bool   // no other's
	announced int64  // ns since 1970
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
		announced: s.Now, note: note,
	})
}

// Announced returns what another session told of this one, nil for nothing.
func (s *Session) Announced() any {
	if s.expectation == nil {
		return nil
	}
	return s.expectation.note
}

// told is what is kept of an expectation that came true, across a restart.
type told struct {
	End netip.AddrPort `json:"end"`
	FTP *ftpTransfer   `json:"ftp"`
}

// Told returns what another session told of this one, for [Expected.Restore]: nil for nothing, and of protocols whose parsers
// hardly need it.
func (s *Session) Told() []byte {
	t, ok := s.Announced().(*ftpTransfer)
	if !ok {
		return nil
	}
	b, err := json.Marshal(told{End: s.expectation.end, FTP: t})
	if err != nil {
		return nil // of no text and number that can be in it
	}
	return b
}

// Restore tells again what was told of a session whose first packet came at the time: the session that told it may have ended. If
// it has not, and tells it again, that counts.
func (x *Expected) Restore(first int64, b []byte) error {
	var t told
	if err := json.Unmarshal(b, &t); err != nil {
		return err
	}
	if t.FTP == nil {
		return errors.New("nothing known is told of the session")
	}
	x.add(&expectation{end: t.End, transport: TCP, protocol: "ftp-data", only: true, announced: first - expectedFor.Nanoseconds(), note: t.FTP})
	return nil
}

// Untold reports whether what another session tells of this one is still to come.
func (s *Session) Untold() bool {
	note, ok := s.Announced().(interface{ untold() bool })
	return ok && note.untold()
}

func (x *Expected) add(e *expectation) {
	if x.ends == nil {
		x.ends = make(map[netip.AddrPort][]*expectation)
	}
	if len(x.queue) >= maxExpected {
		x.remove(x.queue[0])
		x.queue[0] = nil
		x.queue = x.queue[1:]
	}
	x.ends[e.end] = append(x.ends[e.end], e)
	x.queue = append(x.queue, e)
}

// remove forgets an expectation that came true or is too old. It may be forgotten already.
func (x *Expected) remove(e *expectation) {
	list := slices.DeleteFunc(x.ends[e.end], func(o *expectation) bool { return o == e })
	if len(list) == 0 {
		delete(x.ends, e.end)
	} else {
		x.ends[e.end] = list
	}
}

// find returns what was told of a session with the end whose first packet came at the time: what was told last before
// it. A lane's flows may come one after the other: announcements of later sessions may be known too.
func (x *Expected) find(end netip.AddrPort, on Transport, first int64) (found *expectation) {
	for _, e := range x.ends[end] {
		if e.transport != on || first > e.announced+expectedFor.Nanoseconds() || first < e.announced-expectedBefore.Nanoseconds() {
			continue
		}
		if found == nil || e.announced <= first {
			found = e
		}
	}
	return found
}

// expected takes what another session told of this one, when it has its first payload.
func (s *Session) expected() {
	if s.Expected == nil || len(s.Expected.ends) == 0 || s.expectation != nil || s.Transport != TCP && s.Transport != UDP {
		return
	}
	for _, end := range [2]netip.AddrPort{netip.AddrPortFrom(s.Dst.Unmap(), s.DstPort), netip.AddrPortFrom(s.Src.Unmap(), s.SrcPort)} {
		e := s.Expected.find(end, s.Transport, s.First)
		if e == nil {
			continue
		}
		s.expectation = e
		s.attach(s.set.byName[e.protocol])
		if e.only { // a connection of its own
			s.Expected.remove(e)
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
