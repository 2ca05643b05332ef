package dissect

import (
	"bytes"

	"wirelake/internal/spi"
)

// rlogin reads what the first bytes of BSD's remote commands say in clear: rlogin (RFC 1282), rsh and rexec (rcmd(3),
// rexec(3)). Passwords pass.
type rlogin struct {
	Base
	f    *rloginFields
	kind rloginKind
	seen int // texts that came
}

type rloginFields struct {
	user, local, terminal, command spi.FieldID
}

// rloginKind is a service, by its name and what its texts are.
type rloginKind struct {
	name  string
	port  uint16
	texts [4]rloginText
}

type rloginText uint8

const (
	rloginSkip rloginText = iota
	rloginLocal
	rloginUser
	rloginTerminal
	rloginCommand
)

const rloginLongest = 4 << 10 // of a text

// rloginKinds lists the services: of rlogin the first text is empty, of the others it is the port for errors.
func rloginKinds() [3]rloginKind {
	return [3]rloginKind{
		{"rexec", 512, [4]rloginText{rloginSkip, rloginUser, rloginSkip, rloginCommand}},
		{"rlogin", 513, [4]rloginText{rloginSkip, rloginLocal, rloginUser, rloginTerminal}},
		{"rsh", 514, [4]rloginText{rloginSkip, rloginLocal, rloginUser, rloginCommand}},
	}
}

func newRlogin(r *spi.Registry) Protocol {
	g := fieldGroup{r, "rlogin"}
	f := &rloginFields{
		user:     g.list(spi.Term, "user", "User", "users on the server"),
		local:    g.list(spi.Term, "localUser", "Local user", "users on the client"),
		terminal: g.list(spi.Term, "terminal", "Terminal", "kinds of terminals and their speed"),
		command:  g.list(spi.Term, "command", "Command", "commands to run"),
	}
	p := Protocol{
		Name:  "rlogin",
		Quiet: true, // it has three names
		New: func(s *Session) Parser {
			kinds := rloginKinds()
			kind := kinds[1]
			for _, k := range kinds {
				if s.DstPort == k.port {
					kind = k
				}
			}
			s.AddProtocol(kind.name)
			return &rlogin{f: f, kind: kind}
		},
	}
	for _, k := range rloginKinds() {
		p.Matchers = append(p.Matchers, Matcher{On: TCP, Port: k.port, MinLen: 8, Func: func(s *Session, dir Dir, b []byte) bool {
			return !s.Reference && dir == Client && s.DstPort == k.port && rloginStart(k.name == "rlogin", b)
		}})
	}
	return p
}

// rloginStart accepts an empty text, or else a port, and behind it a name of printable bytes that ends with a zero.
func rloginStart(empty bool, b []byte) bool {
	port, rest, ok := bytes.Cut(b, []byte{0})
	if !ok || len(port) > 5 || len(port) > 0 && (empty || !isDigits(port)) {
		return false
	}
	name, _, ok := bytes.Cut(rest, []byte{0})
	return ok && len(name) > 0 && len(name) <= 64 && isPrintable(name)
}

// Parse implements Parser.
func (p *rlogin) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	if dir == Server {
		return len(b), DirDone
	}
	n := 0
	for p.seen < len(p.kind.texts) {
		text, _, ok := bytes.Cut(b[n:], []byte{0})
		if !ok {
			if len(b)-n > rloginLongest {
				return n, Done
			}
			return n, More
		}
		n += len(text) + 1
		switch p.kind.texts[p.seen] {
		case rloginLocal:
			addText(s, p.f.local, text)
		case rloginUser:
			addText(s, p.f.user, text)
			s.addOwnUser(text)
		case rloginTerminal:
			addText(s, p.f.terminal, text)
		case rloginCommand:
			addText(s, p.f.command, text)
		}
		p.seen++
	}
	return n, Done
}
