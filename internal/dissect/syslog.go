package dissect

import (
	"bytes"
	"strconv"

	"wirelake/internal/spi"
)

// syslog reads the heads of syslog messages, of RFC 3164 and RFC 5424, over UDP (RFC 5426) and TCP (RFC 6587). Texts pass:
// they may hold anything.
type syslog struct {
	f      *syslogFields
	frames frames
}

type syslogFields struct {
	facility, severity, host, app, procID, msgID spi.FieldID
}

const syslogMaxRead = 8 << 10 // of a message

func newSyslog(r *spi.Registry) Protocol {
	g := fieldGroup{r, "syslog"}
	f := &syslogFields{
		facility: g.list(spi.Term, "facility", "Facility", "facilities by name"),
		severity: g.list(spi.Term, "severity", "Severity", "severities by name"),
		host:     r.Declare(spi.Field{Path: "syslog.host", Type: spi.LoTerm, List: true, Exprs: []string{"host.syslog", "syslog.host"}, Hot: true, Name: "Host", Help: "hosts that messages come from"}),
		app:      g.list(spi.Term, "app", "Application", "programs that messages come from"),
		procID:   g.list(spi.Term, "procId", "Process", "process ids"),
		msgID:    g.list(spi.Term, "msgId", "Message id", "kinds of messages, by the program's own names"),
	}
	return Protocol{
		Name: "syslog",
		Matchers: []Matcher{
			{On: UDP, Bytes: "<", MinLen: 8, Func: syslogStart},
			{On: TCP, Bytes: "<", MinLen: 8, Func: syslogStart},
			{On: TCP, Port: 514, MinLen: 8, Func: syslogCounted},
			{On: TCP, Port: 601, MinLen: 8, Func: syslogCounted},
		},
		New: func(*Session) Parser { return &syslog{f: f} },
	}
}

// syslogStart accepts "<PRI>", at most 191 (RFC 5424 section 6.2.1), and text behind it.
func syslogStart(_ *Session, _ Dir, b []byte) bool {
	_, rest, ok := syslogPRI(b)
	return ok && len(rest) > 0 && rest[0] >= ' ' && rest[0] < 0x7f
}

// syslogCounted accepts a message with its length in front (RFC 6587 section 3.4.1).
func syslogCounted(s *Session, d Dir, b []byte) bool {
	i := bytes.IndexByte(b[:8], ' ')
	return i > 0 && isDigits(b[:i]) && b[0] != '0' && syslogStart(s, d, b[i+1:])
}

// syslogPRI reads the number in front of a message: facility and severity.
func syslogPRI(b []byte) (pri int, rest []byte, ok bool) {
	end := bytes.IndexByte(b[:min(len(b), 5)], '>')
	if end < 2 || b[0] != '<' || !isDigits(b[1:end]) {
		return 0, nil, false
	}
	pri, err := strconv.Atoi(string(b[1:end]))
	return pri, b[end+1:], err == nil && pri <= 191
}

// Parse implements Parser: messages end with a line, or have their length in front.
func (p *syslog) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for {
		m := min(p.frames.skip[dir], len(b)-n)
		p.frames.skip[dir] -= m
		n += m
		if n == len(b) {
			return n, More
		}
		if c := b[n]; c >= '1' && c <= '9' {
			i := bytes.IndexByte(b[n:min(len(b), n+8)], ' ')
			if i < 0 && len(b)-n < 8 {
				return n, More
			}
			size, err := strconv.Atoi(string(b[n : n+max(i, 0)]))
			if err != nil {
				return n, Done
			}
			read := min(size, syslogMaxRead)
			if len(b)-n-i-1 < read {
				return n, More
			}
			p.message(s, b[n+i+1:n+i+1+read])
			n += i + 1 + read
			p.frames.skip[dir] = size - read
			continue
		}
		line, used := nextLine(b[n:])
		if used == 0 {
			if len(b)-n > syslogMaxRead {
				return n, Done
			}
			return n, More
		}
		p.message(s, line)
		n += used
	}
}

// Gap implements Parser.
func (p *syslog) Gap(_ *Session, dir Dir, missing int) Status { return p.frames.gap(dir, missing) }

// Datagram implements Parser: one message.
func (p *syslog) Datagram(s *Session, _ Dir, b []byte) Status {
	p.message(s, b[:min(len(b), syslogMaxRead)])
	return More
}

// End implements Parser.
func (p *syslog) End(*Session, bool) {}

func (p *syslog) message(s *Session, b []byte) {
	pri, rest, ok := syslogPRI(b)
	if !ok {
		return
	}
	s.Doc.AddString(p.f.facility, nameOf([]string{
		"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	}, pri>>3))
	s.Doc.AddString(p.f.severity, nameOf([]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}, pri&7))
	if new5424, ok := bytes.CutPrefix(rest, []byte("1 ")); ok {
		p.header(s, new5424)
		return
	}
	p.header3164(s, rest)
}

// header reads TIMESTAMP HOSTNAME APP-NAME PROCID MSGID (RFC 5424 section 6.2), "-" for what is not known.
func (p *syslog) header(s *Session, b []byte) {
	words := bytes.SplitN(b, []byte(" "), 6)
	for i, f := range []spi.FieldID{p.f.host, p.f.app, p.f.procID, p.f.msgID} {
		if i+1 < len(words) && string(words[i+1]) != "-" {
			addText(s, f, words[i+1])
		}
	}
}

// header3164 reads "Mmm dd hh:mm:ss HOSTNAME TAG: ..." (RFC 3164 section 4.1), as far as the message has it: hosts and
// times are often left out, and times may be written as in RFC 3339.
func (p *syslog) header3164(s *Session, b []byte) {
	const stamp = len("Oct 11 22:14:15 ")
	timed := false
	if len(b) > stamp && b[3] == ' ' && b[6] == ' ' && b[9] == ':' && b[12] == ':' && b[15] == ' ' {
		b, timed = b[stamp:], true
	} else if word, rest, ok := bytes.Cut(b, []byte(" ")); ok && len(word) >= 20 && word[4] == '-' && word[10] == 'T' {
		b, timed = rest, true
	}
	words := bytes.SplitN(b, []byte(" "), 3)
	if timed && len(words) > 1 && !bytes.ContainsAny(words[0], ":[") {
		addText(s, p.f.host, words[0])
		words = words[1:]
	}
	tag := words[0]
	name, after, ok := bytes.Cut(tag, []byte(":"))
	if !ok || len(after) > 0 && after[0] != ' ' {
		return // no tag: the text begins here
	}
	name, process, ok := bytes.Cut(name, []byte("["))
	if len(name) == 0 || len(name) > 48 || !isPrintable(name) {
		return
	}
	addText(s, p.f.app, name)
	if ok {
		addText(s, p.f.procID, bytes.TrimSuffix(process, []byte("]")))
	}
}
