package dissect

import (
	"bytes"

	"wirelake/internal/spi"
)

// Limits of reading HTTP.
const (
	httpMaxLine     = 64 << 10 // longest start line or header line; servers take 8 to 64 KiB
	httpMaxHeaders  = 256      // headers of one message that are noted; servers take 100
	httpMaxPending  = 256      // requests whose method is kept until their response
	httpRequestBody = 2000     // bytes kept of a request's body
)

// httpState is what a direction reads next.
type httpState uint8

const (
	httpStart httpState = iota
	httpHeaders
	httpBodyLength // bytes left are in remaining
	httpBodyClose  // until the connection ends
	httpChunkSize
	httpChunkData
	httpChunkEnd // the line end behind a chunk
	httpTrailers
	httpEnded // not HTTP, or lost
)

// http is the state of one session.
type http struct {
	Base
	p       *httpProtocol
	dirs    [2]httpDir
	pending []byte // what a response must know of its request, oldest first
	upgrade bool   // a request asked for WebSocket
	counts  []httpCount
	left    bool // another protocol follows on the connection
	request httpRequest
	asks    Dir // that sent the latest request
}

// httpCount is the number of requests of a method, by its field.
type httpCount struct {
	field spi.FieldID
	n     int64
}

// What a response must know of its request.
const (
	pendingPlain   = 0
	pendingHead    = 1 // a response to HEAD has no body
	pendingConnect = 2 // a 2xx response to CONNECT starts a tunnel
)

// httpRequest is the request line at hand, until its headers are complete.
type httpRequest struct {
	method  string
	target  []byte
	host    []byte
	hasHost bool
}

// httpDir is the state of one direction.
type httpDir struct {
	state     httpState
	version   string // of the message at hand
	scanned   int    // bytes of the unfinished line that hold no line end
	remaining int64
	headers   int // of the message at hand
	length    int64
	chunked   bool
	upgrade   bool // this message has Upgrade: websocket
	status    int
	content   httpContent
	body      httpBody
}

// Parse implements Parser.
func (h *http) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	d := &h.dirs[dir]
	n := 0
	for n < len(b) {
		switch d.state {
		case httpEnded:
			return len(b), DirDone
		case httpBodyLength, httpChunkData:
			m := int(min(d.remaining, int64(len(b)-n)))
			d.body.write(s, b[n:n+m])
			n += m
			d.remaining -= int64(m)
			if d.remaining == 0 {
				if d.state == httpChunkData {
					d.state = httpChunkEnd
				} else {
					h.bodyEnd(s, dir, true)
				}
			}
			continue
		case httpBodyClose:
			d.body.write(s, b[n:])
			return len(b), More
		}
		// All else is lines.
		i := bytes.IndexByte(b[n+d.scanned:], '\n')
		if i < 0 {
			d.scanned = len(b) - n
			if d.scanned > httpMaxLine {
				d.state = httpEnded
				return len(b), DirDone
			}
			return n, More
		}
		end := n + d.scanned + i
		line := trimCR(b[n:end])
		if d.state == httpHeaders && len(line) > 0 {
			var rest int
			if line, rest = unfold(line, b[end+1:], s.Reference); rest < 0 {
				if d.scanned = end - n; len(b)-n > httpMaxLine {
					d.state = httpEnded
					return len(b), DirDone
				}
				return n, More
			}
			end += rest
		}
		d.scanned = 0
		n = end + 1
		if h.line(s, dir, line) {
			return n, Done // handed over
		}
	}
	return n, More
}

func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

// unfold returns a header's line with those in next that go on with it (RFC 9112 section 5.2), and how many bytes of next they
// take; -1 when that shows only with more bytes. With keep, the blanks that begin those lines stay as they are.
func unfold(line, next []byte, keep bool) ([]byte, int) {
	n := 0
	for {
		if n == len(next) {
			return nil, -1
		}
		if next[n] != ' ' && next[n] != '\t' {
			return line, n
		}
		end := bytes.IndexByte(next[n:], '\n')
		if end < 0 {
			return nil, -1
		}
		line = line[:len(line):len(line)]
		if keep {
			line = append(line, trimCR(next[n:n+end])...)
		} else {
			line = append(append(line, ' '), bytes.Trim(next[n:n+end], " \t\r")...)
		}
		n += end + 1
	}
}

// line reads a line of the direction's state. It returns true when the rest of
// the session is another protocol's.
func (h *http) line(s *Session, dir Dir, line []byte) bool {
	d := &h.dirs[dir]
	switch d.state {
	case httpStart:
		if len(line) == 0 {
			return false // empty lines before a message are skipped (RFC 9112 section 2.2)
		}
		if !h.startLine(s, dir, line) {
			d.state = httpEnded
		}
	case httpHeaders:
		if len(line) == 0 {
			return h.headersEnd(s, dir)
		}
		if d.headers++; d.headers <= httpMaxHeaders {
			h.header(s, dir, line)
		}
	case httpChunkSize:
		size, ok := chunkSize(line)
		switch {
		case !ok:
			d.body.lost = true
			d.state = httpEnded
		case size == 0:
			d.state = httpTrailers
		default:
			d.remaining, d.state = size, httpChunkData
		}
	case httpChunkEnd:
		d.state = httpChunkSize
		if len(line) != 0 {
			d.body.lost = true
			d.state = httpEnded
		}
	case httpTrailers:
		if len(line) == 0 {
			h.bodyEnd(s, dir, true)
		}
	}
	return false
}

// chunkSize reads the line in front of a chunk: hex digits, then extensions.
func chunkSize(line []byte) (int64, bool) {
	var n int64
	i := 0
	for ; i < len(line) && i < 15; i++ {
		c := line[i] | 0x20
		switch {
		case c >= '0' && c <= '9' && line[i] < 0x40:
			n = n<<4 | int64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | int64(c-'a'+10)
		default:
			return n, i > 0
		}
	}
	return n, i > 0 && i < 15
}

// Gap implements Parser. A body of known length survives it without its hash;
// anywhere else the place in the stream is lost.
func (h *http) Gap(s *Session, dir Dir, missing int) Status {
	d := &h.dirs[dir]
	d.scanned = 0
	d.body.lost = true
	switch {
	case (d.state == httpBodyLength || d.state == httpChunkData) && int64(missing) < d.remaining:
		d.remaining -= int64(missing)
	case d.state == httpBodyLength && int64(missing) == d.remaining:
		d.reset()
	case d.state == httpBodyClose:
	default:
		h.headersCut(s, d)
		d.state = httpStart // the next line may be a message's first; if not, the direction ends
	}
	return More
}

// Datagram implements Parser: over SCTP the messages of a direction form one stream.
func (h *http) Datagram(s *Session, dir Dir, b []byte) Status {
	if s.Transport != SCTP {
		return Done
	}
	n, st := h.Parse(s, dir, b)
	if st == More && n < len(b) {
		h.dirs[dir].scanned = 0 // lines that span messages are lost
	}
	return st
}

// End implements Parser. A body that ends with the connection ends here, and is whole if that was seen.
func (h *http) End(s *Session, final bool) {
	if !s.Reference || !h.left { // which forgets them at an upgrade
		for _, c := range h.counts {
			s.Doc.AddCount(c.field, c.n)
		}
	}
	h.counts = h.counts[:0]
	if !final {
		return
	}
	for dir := range h.dirs {
		d := &h.dirs[dir]
		h.headersCut(s, d)
		h.bodyEnd(s, Dir(dir), d.state == httpBodyClose && (s.Ended[dir] || s.Reference))
	}
}

// bodyEnd notes a body and makes the direction ready for the next message.
func (h *http) bodyEnd(s *Session, dir Dir, complete bool) {
	d := &h.dirs[dir]
	d.body.end(s, h.p, complete)
	d.reset()
}

// beginBody goes on with a body.
func (h *http) beginBody(s *Session, dir Dir, state httpState) {
	d := &h.dirs[dir]
	d.state = state
	d.content.request = h.side(s, dir) == Client
	if d.status != 0 {
		d.content.path = h.asked(d)
		d.content.partial = d.content.partial || d.status == 206
	}
	d.body.begin(s, h.p, d.content)
}

// reset makes the direction ready for the next message.
func (d *httpDir) reset() {
	*d = httpDir{body: d.body}
}
