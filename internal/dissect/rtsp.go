package dissect

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"

	"wirelake/internal/spi"
)

// rtsp reads the heads of RTSP messages, versions 1 (RFC 2326) and 2 (RFC 7826), tells the lane of the streams that they
// set up, and knows those that are interleaved.
type rtsp struct {
	f    *rtspFields
	dirs [2]rtspDir
	rtp  *rtpFields
}

type rtspFields struct {
	method, uri, userAgent, server, status, user spi.FieldID
}

// rtspDir is the state of a direction.
type rtspDir struct {
	head bool // within a head
	size int  // of the body behind it
	skip int  // bytes of a body, or of interleaved data, that are to come
	sdp  bool
	read bool // the body is waited for, to be read
}

const (
	rtspMaxLine = 8 << 10
	rtspMaxBody = 8 << 10 // of a session description that is read
)

func newRTSP(r *spi.Registry) Protocol {
	g := fieldGroup{r, "rtsp"}
	f := &rtspFields{
		method:    g.list(spi.Term, "method", "Method", "request methods"),
		uri:       r.Declare(spi.Field{Path: "rtsp.uri", Type: spi.Term, List: true, Exprs: []string{"rtsp.uri"}, Hot: true, Name: "URI", Help: "URIs asked for"}),
		userAgent: g.list(spi.Term, "useragent", "User agent", "User-Agent headers"),
		server:    g.list(spi.Term, "server", "Server", "Server headers"),
		status:    g.list(spi.Integer, "statuscode", "Status", "response codes"),
		user:      g.list(spi.Term, "user", "User", "users of authentication"),
	}
	media := declareRTP(r)
	return Protocol{
		Name:     "rtsp",
		Matchers: []Matcher{{On: TCP, MinLen: 16, Func: rtspStart}},
		New: func(s *Session) Parser {
			if s.Reference {
				return nil // it only names the protocol
			}
			return &rtsp{f: f, rtp: media}
		},
	}
}

// rtspStart accepts a status line, and a request line with a URI of the scheme or the version behind it.
func rtspStart(s *Session, _ Dir, b []byte) bool {
	if s.Reference {
		return at(0, "RTSP/1.0 ", "OPTIONS rtsp://", "DESCRIBE rtsp://", "SETUP rtsp://", "PLAY rtsp://")(nil, 0, b)
	}
	if bytes.HasPrefix(b, []byte("RTSP/")) {
		return true
	}
	method, rest, ok := bytes.Cut(b[:min(len(b), 32)], []byte(" "))
	if !ok || len(method) < 4 || !isToken(method) {
		return false
	}
	if hasPrefixFold(rest, "rtsp://") || hasPrefixFold(rest, "rtsps://") || hasPrefixFold(rest, "rtspu://") {
		return true
	}
	line, _ := nextLine(b)
	return bytes.HasSuffix(line, []byte(" RTSP/1.0")) || bytes.HasSuffix(line, []byte(" RTSP/2.0"))
}

// Parse implements Parser.
func (p *rtsp) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	d := &p.dirs[dir]
	n := 0
	for {
		if d.read {
			if len(b)-n < d.skip {
				return n, More
			}
			expectMedia(s, b[n:n+d.skip], "")
			d.read = false
		}
		m := min(d.skip, len(b)-n)
		d.skip -= m
		n += m
		if n == len(b) {
			return n, More
		}
		if !d.head && b[n] == '$' {
			const head = 4
			if len(b)-n < head {
				return n, More
			}
			size := head + int(binary.BigEndian.Uint16(b[n+2:]))
			if len(b)-n < min(size, head+rtpHeader) {
				return n, More
			}
			d.skip = size
			p.interleaved(s, b[n:min(len(b), n+size)])
			continue
		}
		line, used := nextLine(b[n:])
		if used == 0 {
			if len(b)-n > rtspMaxLine {
				return n, Done
			}
			return n, More
		}
		n += used
		if !p.line(s, dir, d, line) {
			return n, Done
		}
	}
}

// line reads one line of a head, or one between messages, and reports whether it is one.
func (p *rtsp) line(s *Session, dir Dir, d *rtspDir, line []byte) bool {
	switch {
	case len(line) == 0:
		if d.head {
			d.head, d.skip = false, d.size
			d.read = d.sdp && d.size > 0 && d.size <= rtspMaxBody
		}
	case d.head:
		p.header(s, dir, d, line)
	default:
		d.head, d.size, d.sdp = true, 0, false
		return p.start(s, line)
	}
	return true
}

func (p *rtsp) start(s *Session, line []byte) bool {
	first, rest, ok := bytes.Cut(line, []byte(" "))
	if bytes.HasPrefix(first, []byte("RTSP/")) {
		code, err := strconv.Atoi(string(rest[:min(3, len(rest))]))
		if err != nil || code < 100 {
			return false
		}
		s.Doc.AddInt(p.f.status, int64(code))
		return true
	}
	uri, version, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || !bytes.HasPrefix(version, []byte("RTSP/")) || !isToken(first) {
		return false
	}
	s.Doc.AddBytes(p.f.method, first)
	if len(uri) > 1 { // not "*"
		addText(s, p.f.uri, uri)
	}
	return true
}

func (p *rtsp) header(s *Session, dir Dir, d *rtspDir, line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimSpace(value)
	is := func(text string) bool { return bytes.EqualFold(name, []byte(text)) }
	switch {
	case len(value) == 0:
	case is("Content-Length"):
		if n, err := strconv.Atoi(string(value)); err == nil && n >= 0 {
			d.size = n
		}
	case is("Content-Type"):
		d.sdp = hasPrefixFold(value, "application/sdp")
	case is("User-Agent"):
		addText(s, p.f.userAgent, value)
	case is("Server"):
		addText(s, p.f.server, value)
	case is("Authorization"):
		if _, rest, ok := bytes.Cut(value, []byte("username=\"")); ok {
			user, _, _ := bytes.Cut(rest, []byte("\""))
			addText(s, p.f.user, user)
			s.addOwnUser(user)
		}
	case is("Transport") && dir == Server: // as the server settled it
		p.transport(s, value)
	}
}

// transport tells the lane of the ports that a stream uses (RFC 2326 section 12.39).
func (p *rtsp) transport(s *Session, value []byte) {
	for part := range bytes.SplitSeq(value, []byte(";")) {
		name, ports, _ := bytes.Cut(bytes.TrimSpace(part), []byte("="))
		var host netip.Addr
		switch string(name) {
		case "client_port":
			host = s.Src
		case "server_port":
			host = s.Dst
		default:
			continue
		}
		first, last, _ := bytes.Cut(ports, []byte("-"))
		for _, text := range [2][]byte{first, last} {
			if port, err := strconv.ParseUint(string(text), 10, 16); err == nil {
				s.Expect(netip.AddrPortFrom(host, uint16(port)), UDP, "rtp", false, &rtpMedia{})
			}
		}
	}
}

// interleaved notes the source and kind of a packet within the stream (RFC 2326 section 10.12).
func (p *rtsp) interleaved(s *Session, b []byte) {
	const at = 4
	if len(b) < at+rtpHeader || b[at]>>6 != 2 {
		return
	}
	packet := b[at:]
	if packet[1] >= rtcpFirst && packet[1] <= 207 {
		s.AddProtocol("rtcp")
		return
	}
	s.AddProtocol("rtp")
	p.rtp.source(s, packet)
}

// Gap implements Parser: data of known length survives it.
func (p *rtsp) Gap(_ *Session, dir Dir, missing int) Status {
	d := &p.dirs[dir]
	if missing > d.skip {
		return Done
	}
	d.skip -= missing
	d.read = false
	return More
}

// Datagram implements Parser.
func (p *rtsp) Datagram(*Session, Dir, []byte) Status { return Done }

// End implements Parser.
func (p *rtsp) End(*Session, bool) {}
