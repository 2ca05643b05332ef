package dissect

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"wirelake/internal/spi"
)

// newTestSession returns a session of the set between two fixed ends.
func newTestSession(set *Set, on Transport, srcPort, dstPort uint16) *Session {
	s := newSeedSession(set, on, srcPort, dstPort)
	if testedDocuments != nil {
		*testedDocuments = append(*testedDocuments, s.Doc)
	}
	return s
}

// newSeedSession is newTestSession for bytes of which nobody looks what they say, as those of captures: they count not as a
// test of the fields that they fill.
func newSeedSession(set *Set, on Transport, srcPort, dstPort uint16) *Session {
	s := new(Session)
	s.Begin(set, DefaultLimits(), set.Registry().NewDocument())
	s.Transport = on
	s.Src, s.Dst = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	s.SrcPort, s.DstPort = srcPort, dstPort
	s.Began, s.Ended = [2]bool{true, true}, [2]bool{true, true}
	return s
}

// stringsOf returns all values of a text field, in the order they were added.
func stringsOf(s *Session, path string) []string {
	f, ok := s.Doc.Registry().ByPath(path)
	if !ok {
		return []string{"no field " + path}
	}
	var out []string
	for v := range s.Doc.Each(f.ID) {
		out = append(out, v.Str)
	}
	return out
}

func wantStrings(t *testing.T, s *Session, path string, want ...string) {
	t.Helper()
	if got := stringsOf(s, path); !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", path, got, want)
	}
}

// lines is a parser of lines, for tests: "panic" panics, "hand NAME" hands over, "done" ends.
type lines struct {
	Base
	seen *[]string
}

func (l *lines) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for {
		line, _, ok := bytes.Cut(b[n:], []byte("\n"))
		if !ok {
			return n, More
		}
		n += len(line) + 1
		*l.seen = append(*l.seen, string(line))
		if name, ok := bytes.CutPrefix(line, []byte("hand ")); ok {
			s.Handover(string(name))
			return n, Done
		}
		switch string(line) {
		case "panic":
			panic("on demand")
		case "reclassify":
			s.Handover("")
			return n, Done
		case "done":
			return n, Done
		}
	}
}

func (l *lines) Gap(_ *Session, _ Dir, missing int) Status {
	*l.seen = append(*l.seen, "gap")
	return More
}

func (l *lines) End(_ *Session, final bool) { *l.seen = append(*l.seen, "end") }

func lineSet(seen *[]string, names ...string) *Set {
	var list []func(*spi.Registry) Protocol
	for _, name := range names {
		list = append(list, func(*spi.Registry) Protocol {
			return Protocol{
				Name:     name,
				Matchers: OnPrefixes(TCP, name),
				New:      func(*Session) Parser { return &lines{seen: seen} },
			}
		})
	}
	return newSet(list)
}

func TestStream(t *testing.T) {
	for _, c := range []struct {
		name      string
		feed      func(s *Session)
		want      []string
		protocols []string
		tags      []string
	}{
		{"unconsumed bytes come again", func(s *Session) {
			s.Stream(Client, []byte("aaaa first\nsec"))
			s.Stream(Client, []byte("ond\nth"))
			s.Stream(Server, []byte("other way\n"))
			s.Stream(Client, []byte("ird\n"))
		}, []string{"aaaa first", "second", "other way", "third"}, []string{"aaaa"}, nil},
		{"a short first payload is classified with what follows", func(s *Session) {
			s.Stream(Client, []byte("aa"))
			s.Stream(Client, []byte("aa x\n"))
		}, []string{"aaaa x"}, []string{"aaaa"}, nil},
		{"a gap drops what was held", func(s *Session) {
			s.Stream(Client, []byte("aaaa 1\nlost"))
			s.Gap(Client, 10)
			s.Stream(Client, []byte("after\n"))
		}, []string{"aaaa 1", "gap", "after"}, []string{"aaaa"}, nil},
		{"a panic costs a tag", func(s *Session) {
			s.Stream(Client, []byte("aaaa\npanic\nnever\n"))
			s.Stream(Client, []byte("never\n"))
		}, []string{"aaaa", "panic"}, []string{"aaaa"}, []string{"dissector-panic:aaaa"}},
		{"handing over gives the rest of both directions", func(s *Session) {
			s.Stream(Client, []byte("aaaa\n"))
			s.Stream(Server, []byte("half "))
			s.Stream(Client, []byte("hand bbbb\nrest\n"))
			s.Stream(Server, []byte("whole\n"))
		}, []string{"aaaa", "hand bbbb", "rest", "half whole"}, []string{"aaaa", "bbbb"}, nil},
		{"reclassifying looks at the rest as a first payload", func(s *Session) {
			s.Stream(Client, []byte("aaaa\nreclassify\nbbbb rest\n"))
			s.Stream(Server, []byte("answer\n"))
		}, []string{"aaaa", "reclassify", "bbbb rest", "answer"}, []string{"aaaa", "bbbb"}, nil},
		{"handing over without end is bounded", func(s *Session) {
			s.Stream(Client, []byte("aaaa\n"+string(bytes.Repeat([]byte("hand aaaa\n"), 100))))
		}, slices.Concat([]string{"aaaa"}, slices.Repeat([]string{"hand aaaa"}, maxParsers)), []string{"aaaa"}, nil},
	} {
		var seen []string
		s := newTestSession(lineSet(&seen, "aaaa", "bbbb"), TCP, 40000, 4000)
		c.feed(s)
		if !slices.Equal(seen, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, seen, c.want)
		}
		wantStrings(t, s, "protocol", c.protocols...)
		wantStrings(t, s, "tags", c.tags...)
	}
}

func TestLimit(t *testing.T) {
	var seen []string
	s := newTestSession(lineSet(&seen, "aaaa"), TCP, 40000, 4000)
	s.Stream(Client, []byte("aaaa\n"))
	hoard := make([]byte, 64<<10)
	for range 20 {
		s.Stream(Client, hoard)
		if got := s.Buffered(); got > DefaultLimits().Buffer {
			t.Fatalf("session holds %d bytes, limit %d", got, DefaultLimits().Buffer)
		}
	}
	wantStrings(t, s, "tags", "dissector-limit:aaaa")
	if s.Wants(Client) || s.Buffered() != 0 {
		t.Errorf("after the limit: wants %v, buffered %d; want false, 0", s.Wants(Client), s.Buffered())
	}
	s.End(true)
	if want := []string{"aaaa", "end"}; !slices.Equal(seen, want) {
		t.Errorf("got %q, want %q", seen, want)
	}
}

func TestNoParserWantsNothing(t *testing.T) {
	s := newTestSession(New(), TCP, 40000, 4000)
	if !s.Wants(Client) {
		t.Error("an unclassified direction must be wanted")
	}
	s.Stream(Client, []byte("no protocol that is known"))
	if s.Wants(Client) {
		t.Error("a classified direction without parser must not be wanted")
	}
}

func TestTFTP(t *testing.T) {
	s := newTestSession(New(), UDP, 40000, 69)
	s.Datagram(Client, 0, []byte("\x00\x01firmware.bin\x00octet\x00"))
	s.Datagram(Client, 0, []byte("\x00\x03\x00\x01data"))
	wantStrings(t, s, "protocol", "tftp")
	wantStrings(t, s, "tftp.filename", "firmware.bin")
	wantStrings(t, s, "tftp.opcode", "rrq", "data")
	s.Datagram(Server, 0, []byte("\x00\x05\x00\x01File not found\x00"))
	wantStrings(t, s, "tftp.error", "File not found")
}

// TestRegistry holds that every field is described: docs and GUI show its help.
func TestRegistry(t *testing.T) {
	for _, f := range New().Registry().Fields() {
		if f.Help == "" {
			t.Errorf("field %s has no help", f.Path)
		}
	}
}
