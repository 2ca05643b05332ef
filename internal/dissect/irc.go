package dissect

import (
	"bytes"

	"wirelake/internal/spi"
)

// irc reads the names and channels of Internet Relay Chat (RFC 1459).
type irc struct {
	Base
	nick, channel spi.FieldID
}

const ircMaxLine = 8192 + 512 // with IRCv3's tags

func newIRC(r *spi.Registry) Protocol {
	p := &irc{
		nick:    r.Declare(spi.Field{Path: "irc.nick", Type: spi.Term, List: true, Exprs: []string{"irc.nick"}, Hot: true, Name: "Nickname", Help: "nicknames taken"}),
		channel: r.Declare(spi.Field{Path: "irc.channel", Type: spi.Term, List: true, Exprs: []string{"irc.channel"}, Hot: true, Name: "Channel", Help: "channels joined"}),
	}
	return Protocol{
		Name: "irc",
		Matchers: []Matcher{
			{On: TCP, Bytes: "NICK "},
			{On: TCP, Bytes: "CAP LS"},
			{On: TCP, Bytes: "CAP REQ"},
			{On: TCP, Bytes: "PASS ", Func: func(s *Session, _ Dir, b []byte) bool { return bytes.Contains(b, []byte("\nNICK ")) || ircPort(s) }},
			{On: TCP, Bytes: "JOIN ", Func: func(s *Session, _ Dir, _ []byte) bool { return ircPort(s) }},
			{On: TCP, Bytes: "PRIVMSG ", Func: func(_ *Session, _ Dir, b []byte) bool { return bytes.Contains(b, []byte(" :")) }},
			{On: TCP, Bytes: "NOTICE AUTH :"},
			{On: TCP, Bytes: ":", Func: ircServer},
			{On: TCP, Bytes: "USER ", Func: func(_ *Session, _ Dir, b []byte) bool { return bytes.Contains(b, []byte(" :")) }},
		},
		New: func(*Session) Parser { return p },
	}
}

// ircPort reports whether one end's port is one that servers of IRC use (RFC 7194, and custom): a log-in in pieces
// begins as that of other protocols does, and a capture may begin later.
func ircPort(s *Session) bool {
	for _, port := range [2]uint16{s.SrcPort, s.DstPort} {
		if port >= 6660 && port <= 6669 || port == 7000 {
			return !s.Reference
		}
	}
	return false
}

// ircServer accepts what a server says first: a notice, or the welcome, behind its name (RFC 2812 sections 2.3 and 5.1); or
// what another user says.
func ircServer(s *Session, _ Dir, b []byte) bool {
	name, rest, ok := bytes.Cut(b[1:min(len(b), 128)], []byte(" "))
	if user, host, isUser := bytes.Cut(name, []byte("@")); isUser && !s.Reference && len(host) > 0 && bytes.IndexByte(user, '!') > 0 {
		return bytes.HasPrefix(rest, []byte("PRIVMSG ")) || bytes.HasPrefix(rest, []byte("JOIN ")) || bytes.HasPrefix(rest, []byte("QUIT "))
	}
	return ok && len(name) > 0 && (bytes.HasPrefix(rest, []byte("NOTICE ")) || bytes.HasPrefix(rest, []byte("001 ")) || bytes.HasPrefix(name, []byte("irc.")))
}

// Parse implements Parser. p has no state, and is shared by all sessions.
func (p *irc) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	if dir == Server {
		return len(b), DirDone
	}
	n := 0
	for {
		line, used := nextLine(b[n:])
		if used == 0 {
			if len(b)-n > ircMaxLine {
				return n, Done
			}
			return n, More
		}
		n += used
		command, arg, _ := bytes.Cut(line, []byte(" "))
		arg, _, _ = bytes.Cut(bytes.TrimSpace(arg), []byte(" "))
		if !s.Reference { // which keeps it
			arg = bytes.TrimPrefix(arg, []byte(":"))
		}
		if len(arg) == 0 {
			continue
		}
		switch {
		case bytes.EqualFold(command, []byte("NICK")):
			s.Doc.AddBytes(p.nick, arg)
		case bytes.EqualFold(command, []byte("JOIN")):
			if s.Reference { // which keeps a list as it is
				s.Doc.AddBytes(p.channel, arg)
				continue
			}
			for channel := range bytes.SplitSeq(arg, []byte(",")) { // RFC 2812 section 3.2.1
				addText(s, p.channel, channel)
			}
		}
	}
}

// Gap implements Parser: lines begin anew behind a gap.
func (p *irc) Gap(*Session, Dir, int) Status { return More }
