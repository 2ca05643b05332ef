package dissect

import (
	"bytes"
	"testing"

	"wirelake/internal/spi"
)

// hello is the dissector of a protocol made up for docs/dissectors.md: lines of
// text, of which the client's first is "HELLO <name>" and the server's answers
// begin with a number of three digits.
type hello struct {
	Base
	fields *helloFields
	named  bool
}

type helloFields struct {
	name, code spi.FieldID
}

func newHello(r *spi.Registry) Protocol {
	f := &helloFields{
		name: r.Declare(spi.Field{Path: "hello.name", Type: spi.LoTerm, List: true, Exprs: []string{"hello.name"}, Hot: true, Help: "name that the client gives"}),
		code: r.Declare(spi.Field{Path: "hello.code", Type: spi.Integer, List: true, Exprs: []string{"hello.code"}, Help: "numbers of the answers"}),
	}
	return Protocol{
		Name:     "hello",
		Matchers: OnPrefixes(TCP, "HELLO "),
		New:      func(*Session) Parser { return &hello{fields: f} },
	}
}

// Parse implements Parser.
func (h *hello) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for {
		line, _, ok := bytes.Cut(b[n:], []byte("\n"))
		if !ok {
			if len(b)-n > 1024 { // no line of the protocol is so long
				return n, Done
			}
			return n, More
		}
		n += len(line) + 1
		if dir == Client && !h.named {
			h.named = true
			s.Doc.AddBytes(h.fields.name, bytes.TrimSpace(bytes.TrimPrefix(line, []byte("HELLO "))))
		}
		if dir == Server && len(line) >= 3 {
			s.Doc.AddInt(h.fields.code, int64(line[0]-'0')*100+int64(line[1]-'0')*10+int64(line[2]-'0'))
		}
	}
}

func TestExample(t *testing.T) {
	s := newTestSession(newSet([]func(*spi.Registry) Protocol{newHello}), TCP, 40000, 4000)
	s.Stream(Client, []byte("HELLO Wor"))
	s.Stream(Client, []byte("ld\nmore\n"))
	s.Stream(Server, []byte("250 fine\n"))
	wantStrings(t, s, "hello.name", "world")
	wantStrings(t, s, "protocol", "hello")
	f, _ := s.Doc.Registry().ByPath("hello.code")
	if got, _ := s.Doc.Int(f.ID); got != 250 {
		t.Errorf("code: got %d, want 250", got)
	}
}
