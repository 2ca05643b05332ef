package dissect

import (
	"bytes"
	"encoding/binary"

	"wirelake/internal/spi"
)

// tftp reads the Trivial File Transfer Protocol (RFC 1350): the file named in
// the request, and the operations seen.
type tftp struct {
	Base
	filename, opcode spi.FieldID
}

func newTFTP(r *spi.Registry) Protocol {
	t := &tftp{
		filename: r.Declare(spi.Field{Path: "tftp.filename", Type: spi.Term, List: true, Exprs: []string{"tftp.filename"}, Hot: true, Name: "Filename", Help: "file asked for"}),
		opcode:   r.Declare(spi.Field{Path: "tftp.opcode", Type: spi.Term, List: true, Exprs: []string{"tftp.opcode"}, Name: "Operation", Help: "operation by name"}),
	}
	return Protocol{
		Name: "tftp",
		// Requests go to port 69; the answers come from another port, a session of its own.
		Matchers: []Matcher{{On: UDP, Port: 69, MinLen: 4, Func: func(_ *Session, _ Dir, b []byte) bool {
			return tftpOpcode(b) != ""
		}}},
		New: func(*Session) Parser { return t },
	}
}

// tftpOpcode returns the operation of a message (RFC 1350 section 5, RFC 2347), "" for others.
func tftpOpcode(b []byte) string {
	names := [...]string{1: "rrq", 2: "wrq", 3: "data", 4: "ack", 5: "error", 6: "oack"}
	if op := binary.BigEndian.Uint16(b); int(op) < len(names) {
		return names[op]
	}
	return ""
}

// Datagram implements Parser. t has no state, and is shared by all sessions.
func (t *tftp) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) < 4 || tftpOpcode(b) == "" {
		return Done
	}
	op := tftpOpcode(b)
	s.Doc.AddString(t.opcode, op)
	if op == "rrq" || op == "wrq" {
		if name, _, ok := bytes.Cut(b[2:], []byte{0}); ok && len(name) > 0 {
			s.Doc.AddBytes(t.filename, name)
		}
	}
	return More
}
