package dissect

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"

	"wirelake/internal/spi"
)

// ftp reads the control connection of FTP (RFC 959, 2428, 3659), tells the lane of its data connections (ftpdata.go),
// and hands over to TLS after AUTH (RFC 4217), from which it may come back.
type ftp struct {
	Base
	f        *ftpFields
	banner   bool // the greeting has passed
	auth     bool // the client asked for TLS
	id       string
	prepared *ftpTransfer // a data connection is agreed on, and not what for
	running  *ftpTransfer // the transfer whose reply has not come
	restart  bool         // REST asked for a part
	passive  bool         // the reply to PASV or EPSV has not come
}

type ftpFields struct {
	banner, command, code, filename spi.FieldID
	control, direction              spi.FieldID
	files                           *fileFields
}

// ftpTransfer is what the control connection tells of a data connection.
type ftpTransfer struct {
	Control string `json:"control"` // Community ID
	Command string `json:"command,omitempty"`
	Name    string `json:"name,omitempty"`
	Part    bool   `json:"part,omitempty"` // not from the file's beginning
	Failed  bool   `json:"failed,omitempty"`
	Over    bool   `json:"over,omitempty"` // the reply that ends it has come
}

func (t *ftpTransfer) untold() bool { return !t.Over }

const ftpMaxLine = 4096

func declareFTP(r *spi.Registry) *ftpFields {
	term := func(path, name, help string, hot bool) spi.FieldID {
		return r.Declare(spi.Field{Path: "ftp." + path, Type: spi.Term, List: true, Exprs: []string{"ftp." + path}, Name: name, Help: help, Hot: hot})
	}
	return &ftpFields{
		banner:    term("banner", "Banner", "greeting of the server", false),
		command:   r.Declare(spi.Field{Path: "ftp.command", Type: spi.UpTerm, List: true, Exprs: []string{"ftp.command"}, Name: "Commands", Help: "commands sent"}),
		code:      r.Declare(spi.Field{Path: "ftp.responseCode", Type: spi.Integer, List: true, Exprs: []string{"ftp.responseCode"}, Name: "Reply codes", Help: "reply codes"}),
		filename:  term("filename", "File name", "files and directories that commands name", true),
		control:   term("control", "Control session", "Community ID of the control connection that a data connection belongs to", true),
		direction: term("direction", "Direction", "what a data connection is for: download, upload or list", false),
		files:     declareFiles(r),
	}
}

func newFTP(r *spi.Registry) Protocol {
	f := declareFTP(r)
	return Protocol{
		Name: "ftp",
		Matchers: []Matcher{
			{On: TCP, Port: 21, Func: prefixes("220 ", "220-", "USER ")},
			{On: TCP, Bytes: "220", MinLen: 8, Func: ftpGreeting},
		},
		New: func(s *Session) Parser { return &ftp{f: f, id: s.CommunityID()} },
	}
}

// ftpGreeting accepts a greeting on another port than FTP's, if it names FTP.
func ftpGreeting(s *Session, _ Dir, b []byte) bool {
	return !s.OnPort(21) && bytes.Contains(b, []byte("FTP")) && !bytes.Contains(b, []byte("SMTP"))
}

// Parse implements Parser.
func (p *ftp) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for {
		line, used := nextLine(b[n:])
		if used == 0 {
			if len(b)-n > ftpMaxLine {
				return n, Done
			}
			return n, More
		}
		n += used
		if len(line) >= 4 && isDigits(line[:3]) && (line[3] == ' ' || line[3] == '-') {
			if p.reply(s, dir, line) {
				return n, Done
			}
			continue
		}
		p.request(s, dir, line)
	}
}

// Gap implements Parser: lines begin anew behind a gap, and which transfer a reply belongs to is not known.
func (p *ftp) Gap(*Session, Dir, int) Status {
	p.running, p.prepared, p.passive = nil, nil, false
	return More
}

// reply reads a line of the server. It returns true when TLS begins behind it.
func (p *ftp) reply(s *Session, dir Dir, line []byte) bool {
	code := int64(line[0]-'0')*100 + int64(line[1]-'0')*10 + int64(line[2]-'0')
	s.Doc.AddInt(p.f.code, code)
	if code == 220 && !p.banner {
		if text := bytes.TrimSpace(line[4:]); len(text) > 0 {
			s.Doc.AddBytes(p.f.banner, text)
		}
		p.banner = line[3] == ' '
	}
	if line[3] != ' ' {
		return false
	}
	switch {
	case code == 234 && p.auth:
		s.Handover("tls")
		return true
	case code == 227 && p.passive:
		if end, ok := ftpHostPort(line[4:]); ok {
			p.expect(s, end, s.Addr(dir))
		}
	case code == 229 && p.passive:
		if end, ok := ftpExtended(line[4:]); ok {
			p.expect(s, netip.AddrPortFrom(s.Addr(dir), end.Port()), s.Addr(dir))
		}
	case p.running != nil && code >= 200:
		p.running.Failed, p.running.Over = code >= 400, true
		p.running = nil
	}
	if code >= 200 && code != 350 {
		p.passive = false
	}
	return false
}

// afterTLS implements tlsStarter: the server does not greet again (RFC 4217 section 4).
func (p *ftp) afterTLS() Parser { return &ftp{f: p.f, id: p.id, banner: true} }

// behindTLS implements tlsLeaver.
func (p *ftp) behindTLS() Parser { return &ftpCleared{ftp: ftp{f: p.f, id: p.id, banner: true}} }

// ftpCleared is a control connection that began TLS: behind CCC and its reply (RFC 4217 section 12.3), which are encrypted
// too, it goes on in clear. Until then it passes over the records of TLS.
type ftpCleared struct {
	ftp
	clear bool   // of either direction
	skip  [2]int // bytes left of a record
}

// Parse implements Parser.
func (p *ftpCleared) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for n < len(b) {
		if p.skip[dir] == 0 {
			if b[n] < tlsChangeCipher || b[n] > tlsHeartbeat { // no line begins like a record
				break
			}
			if len(b)-n < tlsRecordHeader {
				return n, More
			}
			size := int(binary.BigEndian.Uint16(b[n+3:]))
			if b[n+1] != 3 || size > maxTLSRecord {
				return n, Done
			}
			p.skip[dir] = tlsRecordHeader + size
		}
		m := min(p.skip[dir], len(b)-n)
		p.skip[dir] -= m
		n += m
	}
	if n == len(b) {
		return n, More
	}
	if !p.clear && !isAlnum(b[n]) {
		return n, Done // no TLS, and no line
	}
	p.clear = true
	m, st := p.ftp.Parse(s, dir, b[n:])
	return n + m, st
}

// Gap implements Parser: where the records behind it begin cannot be told.
func (p *ftpCleared) Gap(s *Session, dir Dir, missing int) Status {
	if !p.clear {
		return Done
	}
	p.skip[dir] = 0
	return p.ftp.Gap(s, dir, missing)
}

func (p *ftp) request(s *Session, dir Dir, line []byte) {
	verb, arg, _ := bytes.Cut(line, []byte(" "))
	if len(verb) < 3 || len(verb) > 4 || !isLetters(verb) {
		return // a line of a reply of several, or not a command
	}
	p.banner = true
	s.Doc.AddBytes(p.f.command, verb)
	arg = bytes.TrimSpace(arg)
	switch string(bytes.ToUpper(verb)) {
	case "USER":
		s.AddUser(arg)
	case "PASS":
		s.AddTag("ftp:password")
	case "AUTH":
		p.auth = true
	case "PASV", "EPSV":
		p.passive = true
	case "PORT":
		if end, ok := ftpHostPort(arg); ok {
			p.expect(s, end, s.Addr(dir))
		}
	case "EPRT":
		if end, ok := ftpExtended(arg); ok {
			p.expect(s, end, s.Addr(dir))
		}
	case "REST":
		p.restart = string(arg) != "0"
	case "RETR", "STOR", "STOU", "APPE":
		p.filename(s, arg)
		p.transfer(string(bytes.ToUpper(verb)), arg)
	case "LIST", "NLST", "MLSD":
		p.transfer(string(bytes.ToUpper(verb)), nil)
	case "DELE", "RNFR", "RNTO", "MKD", "XMKD", "RMD", "XRMD", "CWD", "XCWD", "SIZE", "MDTM", "MLST":
		p.filename(s, arg)
	}
}

func (p *ftp) filename(s *Session, name []byte) {
	if len(name) > 0 {
		s.Doc.AddBytes(p.f.filename, name[:min(len(name), maxFileName)])
	}
}

// expect tells the lane of a data connection to the end. Behind address translation the address told is not the one
// used: the connection may go to the sender as well.
func (p *ftp) expect(s *Session, end netip.AddrPort, sender netip.Addr) {
	p.prepared = &ftpTransfer{Control: p.id}
	s.Expect(end, TCP, "ftp-data", true, p.prepared)
	if end.Addr() != sender.Unmap() {
		s.Expect(netip.AddrPortFrom(sender, end.Port()), TCP, "ftp-data", true, p.prepared)
	}
}

// transfer says what the data connection agreed on is for.
func (p *ftp) transfer(command string, name []byte) {
	part := p.restart || command == "APPE"
	p.running, p.prepared, p.restart = p.prepared, nil, false
	t := p.running
	if t == nil {
		return // without an address agreed on, as where the capture begins later
	}
	t.Command, t.Part = command, part
	t.Name = string(name[:min(len(name), maxFileName)])
}

// ftpHostPort reads "h1,h2,h3,h4,p1,p2" (RFC 959 section 4.1.2), which may stand within a text.
func ftpHostPort(b []byte) (netip.AddrPort, bool) {
	for len(b) > 0 && (b[0] < '0' || b[0] > '9') {
		b = b[1:]
	}
	var n [6]byte
	for i := range n {
		end := 0
		for end < len(b) && b[end] >= '0' && b[end] <= '9' {
			end++
		}
		v, err := strconv.ParseUint(string(b[:end]), 10, 8)
		if err != nil || i < 5 && (end == len(b) || b[end] != ',') {
			return netip.AddrPort{}, false
		}
		n[i] = byte(v)
		b = b[min(end+1, len(b)):]
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(n[:4])), uint16(n[4])<<8|uint16(n[5])), true
}

// ftpExtended reads "<d>family<d>address<d>port<d>" of EPRT, and "(<d><d><d>port<d>)" of the reply to EPSV (RFC 2428),
// which has no address.
func ftpExtended(b []byte) (netip.AddrPort, bool) {
	if i := bytes.IndexByte(b, '('); i >= 0 {
		b = b[i+1:]
	}
	if len(b) < 5 || b[0] < 33 || b[0] > 126 {
		return netip.AddrPort{}, false
	}
	parts := bytes.Split(b[1:], b[:1])
	if len(parts) < 4 {
		return netip.AddrPort{}, false
	}
	port, err := strconv.ParseUint(string(parts[2]), 10, 16)
	if err != nil {
		return netip.AddrPort{}, false
	}
	addr, err := netip.ParseAddr(string(parts[1]))
	if err != nil && len(parts[1]) > 0 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), true
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

func isLetters(b []byte) bool {
	for _, c := range b {
		if c |= 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return len(b) > 0
}
