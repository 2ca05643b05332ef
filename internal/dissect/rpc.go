package dissect

import (
	"encoding/binary"
	"strconv"

	"wirelake/internal/spi"
)

// rpc reads the calls of ONC RPC (RFC 5531) over UDP, and over TCP with record marking: programs, and who calls. NFS
// and its mount protocol are read further in nfs.go.
type rpc struct {
	f      *rpcFields
	frames frames
	more   [2]bool // the next record goes on with a message
}

type rpcFields struct {
	program, version, procedure, machine, uid spi.FieldID
	nfs                                       *nfsFields
}

const (
	rpcMaxRead = 16 << 10 // of a record: names stand in front of data
	rpcHeader  = 40       // of a call, up to the lengths of its credentials
)

func newRPC(r *spi.Registry) Protocol {
	g := fieldGroup{r, "rpc"}
	f := &rpcFields{
		program:   g.list(spi.Term, "program", "Program", "programs called, by name or number"),
		version:   g.list(spi.Integer, "version", "Version", "versions of the programs called"),
		procedure: g.list(spi.Integer, "procedure", "Procedure", "numbers of the procedures called"),
		machine:   r.Declare(spi.Field{Path: "rpc.machine", Type: spi.LoTerm, List: true, Exprs: []string{"host.rpc", "rpc.machine"}, Hot: true, Name: "Machine", Help: "names that callers' machines give themselves"}),
		uid:       g.list(spi.Integer, "uid", "User id", "user ids that callers give"),
		nfs:       declareNFS(r),
	}
	return Protocol{
		Name: "rpc",
		Matchers: []Matcher{
			{On: UDP, Offset: 4, Bytes: "\x00\x00\x00\x00\x00\x00\x00\x02", MinLen: rpcHeader, Func: func(_ *Session, _ Dir, b []byte) bool { return rpcCall(b) }},
			{On: TCP, Offset: 8, Bytes: "\x00\x00\x00\x00\x00\x00\x00\x02", MinLen: 4 + rpcHeader, Func: func(_ *Session, _ Dir, b []byte) bool { return rpcCall(b[4:]) }},
		},
		New: func(*Session) Parser { return &rpc{f: f} },
	}
}

// rpcCall accepts a call with a known kind of credentials, of a program of the ranges in use (RFC 5531 section 13).
func rpcCall(b []byte) bool {
	program, flavor := binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint32(b[24:])
	return (program>>16 == 1 || program>>24 == 0x20) && (flavor <= 6 || flavor == 0x493e0) && binary.BigEndian.Uint32(b[28:]) <= 400
}

// rpcProgram returns the name of a program (IANA, "RPC Program Numbers").
func rpcProgram(n uint64) string {
	const first, last = 100000, 100232
	name := ""
	switch {
	case n >= first && n <= last:
		name = nameOf([]string{
			0: "portmapper", 1: "rstatd", 2: "rusersd", 3: "nfs", 4: "ypserv", 5: "mountd", 7: "ypbind", 8: "walld", 9: "yppasswdd", 11: "rquotad",
			17: "rexd", 21: "nlockmgr", 24: "status", 227: "nfs_acl", 232: "sadmind",
		}, int(n-first))
	case n == 150001:
		name = "pcnfsd"
	case n == 300019:
		name = "amd"
	case n == 390113:
		name = "nsrexecd"
	}
	if name != "" {
		return name
	}
	return strconv.FormatUint(n, 10)
}

// Parse implements Parser: messages come in records, of one fragment or several (RFC 5531 section 11). Only the first
// fragment of a message is read.
func (p *rpc) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	const head, last, longest = 4, 1 << 31, 16 << 20
	return p.frames.each(dir, b, head, rpcMaxRead, func(h []byte) int {
		if n := binary.BigEndian.Uint32(h) &^ last; n > 0 && n <= longest {
			return head + int(n)
		}
		return 0
	}, func(m []byte) bool {
		if !p.more[dir] {
			p.message(s, m[head:])
		}
		p.more[dir] = m[0]&0x80 == 0
		return true
	})
}

// Gap implements Parser.
func (p *rpc) Gap(_ *Session, dir Dir, missing int) Status { return p.frames.gap(dir, missing) }

// Datagram implements Parser.
func (p *rpc) Datagram(s *Session, _ Dir, b []byte) Status {
	p.message(s, b)
	return More
}

// End implements Parser.
func (p *rpc) End(*Session, bool) {}

// message reads a call.
func (p *rpc) message(s *Session, b []byte) {
	const call, version, authSys = 0, 2, 1
	w := wire{b: b}
	w.take(4)
	if kind, v := w.be(4), w.be(4); kind != call || v != version || w.bad {
		return
	}
	program, number, procedure := w.be(4), w.be(4), w.be(4)
	flavor := w.be(4)
	credentials := wire{b: w.opaque()}
	w.take(4)
	w.opaque()
	if w.bad {
		return
	}
	s.Doc.AddString(p.f.program, rpcProgram(program))
	s.Doc.AddInt(p.f.version, int64(number))
	s.Doc.AddInt(p.f.procedure, int64(procedure))
	if flavor == authSys { // stamp, machine, user (RFC 5531 appendix A)
		credentials.take(4)
		addText(s, p.f.machine, credentials.opaque())
		if uid := credentials.be(4); !credentials.bad {
			s.Doc.AddInt(p.f.uid, int64(uid))
		}
	}
	p.f.nfs.call(s, program, number, procedure, &w)
}

// opaque returns bytes of variable length in XDR (RFC 4506 section 4.10): their number in front, padded to a multiple of 4.
func (w *wire) opaque() []byte {
	n := w.be(4)
	if n > uint64(len(w.b)) {
		w.bad, w.b = true, nil
		return nil
	}
	out := w.take(int(n))
	w.take(min(len(w.b), int(-n&3)))
	return out
}
