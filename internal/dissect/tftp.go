package dissect

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"

	"wirelake/internal/spi"
)

// tftp reads the Trivial File Transfer Protocol (RFC 1350, 2347, 2348): the file named in a request, the operations seen,
// and the file itself, which comes from another port of the server: the session with it is told to the lane.
type tftp struct {
	filename, opcode, failure spi.FieldID
	files                     *fileFields
}

func declareTFTP(r *spi.Registry) *tftp {
	return &tftp{
		filename: r.Declare(spi.Field{Path: "tftp.filename", Type: spi.Term, List: true, Exprs: []string{"tftp.filename"}, Hot: true, Name: "Filename", Help: "file asked for"}),
		opcode:   r.Declare(spi.Field{Path: "tftp.opcode", Type: spi.Term, List: true, Exprs: []string{"tftp.opcode"}, Name: "Operation", Help: "operation by name"}),
		failure:  r.Declare(spi.Field{Path: "tftp.error", Type: spi.Term, List: true, Exprs: []string{"tftp.error"}, Name: "Error", Help: "texts of errors"}),
		files:    declareFiles(r),
	}
}

func newTFTP(r *spi.Registry) Protocol {
	t := declareTFTP(r)
	return Protocol{
		Name: "tftp",
		Matchers: []Matcher{
			{On: UDP, Port: 69, MinLen: 4, Func: func(_ *Session, _ Dir, b []byte) bool { return tftpOpcode(b) != "" }},
			{On: UDP, Bytes: "\x00\x01", MinLen: 9, Func: tftpRequest},
			{On: UDP, Bytes: "\x00\x02", MinLen: 9, Func: tftpRequest},
		},
		New: func(*Session) Parser { return &tftpParser{tftp: t} },
	}
}

// newTFTPData is the session that carries what a request asked for.
func newTFTPData(r *spi.Registry) Protocol {
	t := declareTFTP(r)
	return Protocol{Name: "tftp-data", Quiet: true, New: func(s *Session) Parser {
		request, ok := s.Announced().(*tftpAsked)
		if !ok {
			return nil
		}
		s.AddProtocol("tftp")
		return &tftpParser{tftp: t, asked: request}
	}}
}

// tftpAsked is what a request asked for.
type tftpAsked struct {
	name string
	long bool // blocks of other than 512 bytes
}

type tftpParser struct {
	Base
	*tftp
	asked *tftpAsked // nil: no request was seen
	hash  *fileHash
	block int // length of a block, 0: not known yet
	next  uint16
	whole bool
}

const tftpBlock = 512 // without options

// tftpOpcode returns the operation of a message (RFC 1350 section 5, RFC 2347), "" for others.
func tftpOpcode(b []byte) string {
	names := [...]string{1: "rrq", 2: "wrq", 3: "data", 4: "ack", 5: "error", 6: "oack"}
	if op := binary.BigEndian.Uint16(b); int(op) < len(names) {
		return names[op]
	}
	return ""
}

// tftpRequest accepts a request on any port, by its name and mode. The reference looks at the port.
func tftpRequest(s *Session, _ Dir, b []byte) bool {
	w := wire{b: b[2:]}
	name, mode := w.cstring(), w.cstring()
	if len(name) == 0 || s.Reference {
		return false
	}
	for _, c := range name {
		if c < ' ' {
			return false
		}
	}
	return bytes.EqualFold(mode, []byte("octet")) || bytes.EqualFold(mode, []byte("netascii")) || bytes.EqualFold(mode, []byte("mail"))
}

// Datagram implements Parser.
func (p *tftpParser) Datagram(s *Session, dir Dir, b []byte) Status {
	if len(b) < 4 || tftpOpcode(b) == "" {
		return Done
	}
	op := tftpOpcode(b)
	s.Doc.AddString(p.opcode, op)
	switch op {
	case "rrq", "wrq":
		p.request(s, dir, b[2:])
	case "oack":
		p.options(b[2:], func(name, value []byte) {
			if n, err := strconv.ParseUint(string(value), 10, 16); err == nil && bytes.EqualFold(name, []byte("blksize")) {
				p.block = int(n)
			}
		})
	case "data":
		if !s.Reference {
			p.data(s, binary.BigEndian.Uint16(b[2:]), b[4:])
		}
	case "error":
		w := wire{b: b[4:]}
		addText(s, p.failure, w.cstring())
	}
	return More
}

func (p *tftpParser) request(s *Session, dir Dir, b []byte) {
	name, _, ok := bytes.Cut(b, []byte{0})
	if !ok || len(name) == 0 {
		return
	}
	s.Doc.AddBytes(p.filename, name)
	if s.Reference { // whose sessions know nothing of one another
		return
	}
	p.finish(s)
	p.asked = &tftpAsked{name: string(name[:min(len(name), maxFileName)])}
	w := wire{b: b[len(name)+1:]}
	w.cstring() // mode
	p.options(w.b, func(name, _ []byte) { p.asked.long = p.asked.long || bytes.EqualFold(name, []byte("blksize")) })
	s.Expect(netip.AddrPortFrom(s.Addr(dir), s.Port(dir)), UDP, "tftp-data", true, p.asked)
}

// options calls f for the options of a request or of their acknowledgement (RFC 2347).
func (p *tftpParser) options(b []byte, f func(name, value []byte)) {
	for w := (wire{b: b}); len(w.b) > 0; {
		name, value := w.cstring(), w.cstring()
		if w.bad {
			return
		}
		f(name, value)
	}
}

// data takes a block. Blocks come in order, and again when an acknowledgement was lost; the last is a short one.
func (p *tftpParser) data(s *Session, number uint16, b []byte) {
	if p.whole || p.hash != nil && number == p.next-1 {
		return
	}
	if p.hash == nil {
		if !s.Hold(fileHashBytes) {
			return
		}
		p.hash, p.next = newFileHash(), 1
		if p.block == 0 {
			p.block = tftpBlock
			if len(b) > tftpBlock || p.asked != nil && p.asked.long && len(b) != tftpBlock {
				p.block = len(b) // what was agreed on was not seen
			}
		}
	}
	if number != p.next {
		p.hash.lost = true
	}
	p.next = number + 1
	p.hash.write(b, fileHeadBytes)
	p.whole = len(b) < p.block
}

// finish notes the file.
func (p *tftpParser) finish(s *Session) {
	if p.hash == nil {
		return
	}
	name := ""
	if p.asked != nil {
		name = p.asked.name
	}
	p.files.add(s, "tftp", name, p.hash, p.whole)
	s.Hold(-fileHashBytes)
	p.hash, p.whole, p.block = nil, false, 0
}

// End implements Parser.
func (p *tftpParser) End(s *Session, final bool) {
	if p.asked != nil && !s.Reference {
		s.Doc.AddString(p.filename, p.asked.name)
	}
	if final {
		p.finish(s)
	}
}
