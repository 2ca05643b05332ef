package dissect

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"wirelake/internal/spi"
)

// memcached reads memcached's protocols: text and meta (protocol.txt), over TCP and UDP, and binary
// (BinaryProtocolRevamped): commands, keys, users. Values pass.
type memcached struct {
	Base
	f      *memcachedFields
	binary bool
	begun  bool
	frames frames
	skip   [2]int
}

type memcachedFields struct {
	command, key, version, user, failure spi.FieldID
}

const (
	memcachedMaxLine = 4096
	memcachedHeader  = 24 // binary
	memcachedMaxRead = 1024
)

func newMemcached(r *spi.Registry) Protocol {
	g := fieldGroup{r, "memcached"}
	f := &memcachedFields{
		command: g.list(spi.LoTerm, "command", "Commands", "commands sent"),
		key:     g.list(spi.Term, "key", "Keys", "keys that commands name"),
		version: g.list(spi.Term, "version", "Version", "versions that servers tell"),
		user:    g.list(spi.Term, "user", "User", "user names of log-ins"),
		failure: g.list(spi.Term, "error", "Errors", "errors by name or number"),
	}
	text := prefixes("get ", "set ", "gets ", "gat ", "gats ", "add ", "replace ", "append ", "prepend ", "cas ", "delete ", "incr ", "decr ", "touch ", "mg ", "ms ",
		"md ", "ma ", "mn\r\n", "stats", "version\r\n", "flush_all", "VALUE ", "VERSION ")
	return Protocol{
		Name: "memcached",
		Matchers: []Matcher{
			{On: TCP, Port: 11211, Func: text},
			{On: TCP, MinLen: 12, Func: memcachedStore},
			{On: TCP, Bytes: "VERSION ", Func: memcachedVersion},
			{On: TCP, Bytes: "VALUE ", Func: memcachedValue},
			{On: TCP, Bytes: "\x80", MinLen: memcachedHeader, Func: memcachedPacket},
			{On: TCP, Bytes: "\x81", MinLen: memcachedHeader, Func: memcachedPacket},
			{On: UDP, Port: 11211, MinLen: 10, Func: func(s *Session, d Dir, b []byte) bool {
				return b[6]|b[7] == 0 && (text(s, d, b[8:]) || at(8, "STAT ", "ERROR", "END")(s, d, b))
			}},
			{On: UDP, Port: 11211, MinLen: memcachedFrame + 2, Func: func(s *Session, d Dir, b []byte) bool {
				m := b[memcachedFrame:]
				return !s.Reference && memcachedFirst(b) && (text(s, d, m) || prefixes("STAT ", "ERROR\r", "END\r", "STORED\r", "NOT_", "DELETED\r", "EXISTS\r")(s, d, m) ||
					m[0]|1 == 0x81 && len(m) >= memcachedHeader && memcachedPacketSize(m) == len(m))
			}},
		},
		New: func(*Session) Parser { return &memcached{f: f} },
	}
}

// memcachedStore accepts a command that stores, on any port: key, flags, expiry and length of the value.
func memcachedStore(_ *Session, _ Dir, b []byte) bool {
	if !prefixes("set ", "add ", "replace ", "cas ")(nil, Client, b) {
		return false
	}
	line, n := nextLine(b[:min(len(b), 300)])
	words := bytes.Fields(line)
	return n > 0 && len(words) >= 5 && isDigits(words[2]) && isDigits(words[4]) && bytes.HasSuffix(b[:n], []byte("\r\n"))
}

// memcachedVersion accepts the answer to "version", on any port.
func memcachedVersion(_ *Session, _ Dir, b []byte) bool {
	line, n := nextLine(b[:min(len(b), 64)])
	return n == len(b) && len(line) > 8 && line[8] >= '0' && line[8] <= '9' && bytes.IndexByte(line, '.') > 0
}

// memcachedValue accepts a value that a server sends, on any port: key, flags and length.
func memcachedValue(_ *Session, _ Dir, b []byte) bool {
	line, n := nextLine(b[:min(len(b), 300)])
	words := bytes.Fields(line)
	return n > 0 && (len(words) == 4 || len(words) == 5) && isDigits(words[2]) && isDigits(words[3]) && bytes.HasSuffix(b[:n], []byte("\r\n"))
}

// memcachedPacket accepts a first message of the binary protocol, on any port: one that is whole, and whose parts add up.
func memcachedPacket(s *Session, _ Dir, b []byte) bool {
	if s.OnPort(11211) {
		return true
	}
	key, extras, size := int(binary.BigEndian.Uint16(b[2:])), int(b[4]), int(binary.BigEndian.Uint32(b[8:]))
	return b[1] <= 0x22 && key <= 250 && extras <= 20 && b[5] == 0 && key+extras <= size && memcachedHeader+size <= len(b) &&
		(b[0] == 0x81 || binary.BigEndian.Uint16(b[6:]) < 1024)
}

// memcachedFrame is the length of the header of a datagram: an id, a number, how many there are, and two bytes that are
// to be zero, which some clients do not care for.
const memcachedFrame = 8

// memcachedFirst reports whether a datagram is the first of its message.
func memcachedFirst(b []byte) bool { return b[2]|b[3] == 0 && b[4] == 0 && b[5] != 0 }

// memcachedPacketSize returns the length of a message of the binary protocol, 0 for what is none.
func memcachedPacketSize(h []byte) int {
	if n := binary.BigEndian.Uint32(h[8:]); h[0]|1 == 0x81 && n <= 1<<27 {
		return memcachedHeader + int(n)
	}
	return 0
}

// Parse implements Parser.
func (p *memcached) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	if !p.begun {
		p.begun, p.binary = true, b[0] >= 0x80
	}
	if p.binary {
		return p.frames.each(dir, b, memcachedHeader, memcachedMaxRead, memcachedPacketSize, func(m []byte) bool {
			p.packet(s, m)
			return true
		})
	}
	n := 0
	for {
		m := min(p.skip[dir], len(b)-n)
		p.skip[dir] -= m
		n += m
		line, used := nextLine(b[n:])
		if used == 0 {
			if len(b)-n > memcachedMaxLine {
				return n, Done
			}
			return n, More
		}
		n += used
		p.skip[dir] = p.line(s, dir, line)
	}
}

// Gap implements Parser.
func (p *memcached) Gap(_ *Session, dir Dir, missing int) Status {
	if p.binary {
		return p.frames.gap(dir, missing)
	}
	p.skip[dir] = max(0, p.skip[dir]-missing) // lines begin anew behind a gap
	return More
}

// Datagram implements Parser: messages, text or binary, behind a header.
func (p *memcached) Datagram(s *Session, dir Dir, b []byte) Status {
	if len(b) < memcachedFrame+2 || !memcachedFirst(b) {
		return More
	}
	b = b[memcachedFrame:]
	if b[0]|1 == 0x81 {
		for len(b) >= memcachedHeader {
			size := memcachedPacketSize(b)
			if size == 0 || size > len(b) {
				break
			}
			p.packet(s, b[:size])
			b = b[size:]
		}
		return More
	}
	for len(b) > 0 {
		line, n := nextLine(b)
		if n == 0 {
			break
		}
		b = b[n:]
		b = b[min(len(b), p.line(s, dir, line)):]
	}
	return More
}

// line reads a line of the text protocol, and returns the length of the value behind it with its line end.
func (p *memcached) line(s *Session, dir Dir, line []byte) int {
	words := bytes.Fields(line)
	if len(words) == 0 {
		return 0
	}
	length := func(i int) int {
		if i >= len(words) {
			return 0
		}
		n, err := strconv.ParseUint(string(words[i]), 10, 30)
		if err != nil {
			return 0
		}
		return int(n) + 2
	}
	if dir == Server {
		switch string(words[0]) {
		case "VALUE":
			return length(3)
		case "VA":
			return length(1)
		case "VERSION":
			if len(words) > 1 {
				addText(s, p.f.version, words[1])
			}
		case "ERROR", "CLIENT_ERROR", "SERVER_ERROR":
			addText(s, p.f.failure, words[0])
		}
		return 0
	}
	name := string(words[0])
	keys, value := 0, 0
	switch name {
	case "get", "gets":
		keys = len(words) - 1
	case "gat", "gats":
		words = words[1:] // the expiry is in front
		keys = len(words) - 1
	case "set", "add", "replace", "append", "prepend", "cas":
		keys, value = 1, length(4)
	case "delete", "incr", "decr", "touch", "mg", "md", "ma", "me":
		keys = 1
	case "ms":
		keys, value = 1, length(2)
	case "mn", "stats", "version", "verbosity", "flush_all", "quit", "slabs", "lru", "lru_crawler", "watch", "shutdown", "cache_memlimit", "misbehave":
	default:
		return 0
	}
	s.Doc.AddString(p.f.command, name)
	for i := 1; i <= keys && i < len(words) && i <= 16; i++ {
		addText(s, p.f.key, words[i])
	}
	return value
}

// packet reads a message of the binary protocol.
func (p *memcached) packet(s *Session, m []byte) {
	name := nameOf([]string{
		"get", "set", "add", "replace", "delete", "increment", "decrement", "quit", "flush", "getq", "noop", "version", "getk", "getkq", "append", "prepend",
		"stat", "setq", "addq", "replaceq", "deleteq", "incrementq", "decrementq", "quitq", "flushq", "appendq", "prependq", "verbosity", "touch", "gat", "gatq",
		"", "sasl-list", "sasl-auth", "sasl-step",
	}, m[1])
	if name == "" {
		return
	}
	w := wire{b: m[memcachedHeader:]}
	w.take(int(m[4]))
	key := w.take(int(binary.BigEndian.Uint16(m[2:])))
	if m[0] == 0x81 {
		if name == "version" {
			addText(s, p.f.version, w.b)
		}
		if status := binary.BigEndian.Uint16(m[6:]); status != 0 {
			s.Doc.AddString(p.f.failure, strconv.Itoa(int(status)))
		}
		return
	}
	s.Doc.AddString(p.f.command, name)
	if name != "sasl-auth" {
		addText(s, p.f.key, key)
	} else if parts := bytes.Split(w.b, []byte{0}); string(key) == "PLAIN" && len(parts) == 3 {
		addText(s, p.f.user, parts[1])
		s.addOwnUser(parts[1])
	}
}
