package dissect

import (
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"wirelake/internal/spi"
)

// Limits of reading HTTP/2. Headers are compressed with state, so that all of them
// must be read: past a limit the direction is given up.
const (
	http2MaxBlock   = 256 << 10 // header block with its continuations; browsers and servers take 8 to 256 KiB
	http2MaxTable   = 64 << 10  // dynamic table of a decoder
	http2MaxStreams = 64        // streams of a direction whose bodies are hashed at a time
	http2MaxAsked   = 256       // streams without a response that are known; servers allow 100 to 250
	http2MaxPath    = 128       // bytes that are kept of what they ask for
)

// The frame types that matter here (RFC 9113 section 6), and flags.
const (
	http2Data         = 0
	http2Headers      = 1
	http2Reset        = 3
	http2Settings     = 4
	http2Push         = 5
	http2Continuation = 9

	http2EndStream  = 0x1
	http2EndHeaders = 0x4
	http2Padded     = 0x8
	http2Priority   = 0x20
)

const (
	http2FrameHeader = 9
	http2Preface     = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" // RFC 9113 section 3.4
	http2Rest        = "SM\r\n\r\n"                       // what HTTP/1's parser leaves of it
)

// http2 reads HTTP/2 in clear (RFC 9113), to which HTTP/1 hands over at the
// preface or after an upgrade. Its requests and responses fill HTTP's fields.
type http2 struct {
	Base
	p     *httpProtocol
	grpc  *grpc
	dirs  [2]http2Dir
	asked map[uint32]string // last parts of the paths of GET requests without a response
}

// http2Dir is the state of one direction.
type http2Dir struct {
	begun   bool // the preface is behind
	hpack   *hpack.Decoder
	block   []byte // header block that waits for its continuation
	stream  uint32 // of the block, or of the DATA frame at hand
	end     bool   // the block's frame ends its stream
	inBlock bool
	promise uint32 // stream that the block promises, 0: it is its own stream's
	data    int    // bytes left of a DATA frame
	padding int    // bytes left to skip
	finish  bool
	bodies  map[uint32]*httpBody
	message http2Message
}

// http2Message is the message whose headers are being read.
type http2Message struct {
	method, path, authority string
	status                  int
	content                 httpContent
	grpc                    bool
}

func newHTTP2(r *spi.Registry) Protocol {
	p, g := declareHTTP(r), declareGRPC(r)
	return Protocol{Name: "http2", New: func(s *Session) Parser {
		h := &http2{p: p, grpc: g}
		for i := range s.parsers { // the request that asked for the upgrade is stream 1's (RFC 7540 section 3.2)
			if before, ok := s.parsers[i].parser.(*http); ok && before.request.method == "GET" {
				h.ask(s, 1, string(before.request.target))
			}
		}
		return h
	}}
}

// ask keeps the path that a stream asks for.
func (h *http2) ask(s *Session, stream uint32, path string) {
	if h.asked == nil {
		h.asked = make(map[uint32]string)
	}
	path, _, _ = strings.Cut(path, "?")
	path = path[strings.LastIndexByte(path, '/')+1:]
	if len(path) <= http2MaxPath && len(h.asked) < http2MaxAsked {
		h.asked[stream] = "/" + path
	}
}

// answer returns the path that a stream asked for, and forgets it.
func (h *http2) answer(stream uint32) string {
	path := h.asked[stream]
	delete(h.asked, stream)
	return path
}

// Parse implements Parser.
func (h *http2) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	d := &h.dirs[dir]
	n := 0
	if !d.begun {
		for _, preface := range []string{http2Preface, http2Rest} {
			if m := min(len(b), len(preface)); string(b[:m]) == preface[:m] {
				if m < len(preface) {
					return 0, More
				}
				n = m
				break
			}
		}
		d.begun = true
	}
	for {
		if d.data > 0 {
			m := min(d.data, len(b)-n)
			if body := d.bodies[d.stream]; body != nil {
				body.write(s, b[n:n+m])
			}
			d.data -= m
			n += m
		}
		if d.data == 0 && d.padding > 0 {
			m := min(d.padding, len(b)-n)
			d.padding -= m
			n += m
		}
		if d.data > 0 || d.padding > 0 {
			return n, More
		}
		if d.finish {
			h.endBody(s, d, d.stream, true)
			d.finish = false
		}
		used, ok := h.frame(s, dir, b[n:])
		if !ok {
			return n, Done
		}
		if used == 0 {
			return n, More
		}
		n += used
	}
}

// frame reads a frame, or the head of one whose rest may be skipped or streamed.
// It returns 0 when it needs more, and false when this is not HTTP/2 or past the limits.
func (h *http2) frame(s *Session, dir Dir, b []byte) (int, bool) {
	if len(b) < http2FrameHeader {
		return 0, true
	}
	size := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	typ, flags := b[3], b[4]
	stream := binary.BigEndian.Uint32(b[5:]) &^ (1 << 31)
	d := &h.dirs[dir]
	if d.inBlock && (typ != http2Continuation || stream != d.stream) {
		return 0, false // nothing may come between (RFC 9113 section 6.10)
	}
	switch typ {
	case http2Data:
		pad := 0
		head := http2FrameHeader
		if flags&http2Padded != 0 {
			if size < 1 {
				return 0, false
			}
			if len(b) < head+1 {
				return 0, true
			}
			pad = int(b[head])
			head, size = head+1, size-1
			if pad > size {
				return 0, false
			}
		}
		d.stream, d.data, d.padding = stream, size-pad, pad
		d.finish = flags&http2EndStream != 0
		return head, true
	case http2Headers, http2Push, http2Continuation, http2Settings:
		if size > http2MaxBlock {
			return 0, false
		}
		if len(b) < http2FrameHeader+size {
			return 0, true
		}
		payload := b[http2FrameHeader : http2FrameHeader+size]
		if typ == http2Settings {
			h.settings(dir, flags, payload)
			return http2FrameHeader + size, true
		}
		return http2FrameHeader + size, h.headers(s, dir, typ, flags, stream, payload)
	}
	if typ == http2Reset { // of the other side more may be under way, which is whole if it ends
		h.answer(stream)
		h.endBody(s, d, stream, false)
		if body := h.dirs[dir.Other()].bodies[stream]; body != nil {
			body.stopped = true
		}
	}
	d.padding = size // all others are skipped
	return http2FrameHeader, true
}

// settings follows the size of the table that the other side's encoder may use.
func (h *http2) settings(dir Dir, flags byte, b []byte) {
	const ack, headerTableSize = 1, 1
	if flags&ack != 0 {
		return
	}
	for ; len(b) >= 6; b = b[6:] {
		if binary.BigEndian.Uint16(b) == headerTableSize {
			h.decoder(dir.Other()).SetAllowedMaxDynamicTableSize(min(binary.BigEndian.Uint32(b[2:]), http2MaxTable))
		}
	}
}

func (h *http2) decoder(dir Dir) *hpack.Decoder {
	d := &h.dirs[dir]
	if d.hpack == nil {
		const table = 4096 // until settings say otherwise (RFC 9113 section 6.5.2)
		d.hpack = hpack.NewDecoder(table, nil)
		d.hpack.SetMaxStringLength(httpMaxLine)
	}
	return d.hpack
}

// headers takes a frame with a part of a header block.
func (h *http2) headers(s *Session, dir Dir, typ, flags byte, stream uint32, b []byte) bool {
	d := &h.dirs[dir]
	if typ == http2Continuation {
		if !d.inBlock {
			return false
		}
	} else {
		if flags&http2Padded != 0 {
			if len(b) < 1 || len(b) < 1+int(b[0]) {
				return false
			}
			b = b[1 : len(b)-int(b[0])]
		}
		skip := 0
		d.promise = 0
		switch {
		case typ == http2Push:
			if len(b) >= 4 {
				d.promise = binary.BigEndian.Uint32(b) &^ (1 << 31)
			}
			skip = 4
		case flags&http2Priority != 0:
			skip = 5
		}
		if len(b) < skip {
			return false
		}
		b = b[skip:]
		d.block, d.stream, d.inBlock = d.block[:0], stream, true
		d.end = typ == http2Headers && flags&http2EndStream != 0
	}
	if len(d.block)+len(b) > http2MaxBlock {
		return false
	}
	d.block = append(d.block, b...)
	if flags&http2EndHeaders == 0 {
		return true
	}
	d.inBlock = false
	return h.message(s, dir)
}

// message reads a complete header block: a request, a response or trailers.
func (h *http2) message(s *Session, dir Dir) bool {
	d := &h.dirs[dir]
	d.message = http2Message{}
	count := 0
	dec := h.decoder(dir)
	dec.SetEmitFunc(func(f hpack.HeaderField) {
		if count++; count <= httpMaxHeaders {
			h.field(s, dir, f)
		}
	})
	if _, err := dec.Write(d.block); err != nil {
		return false
	}
	if dec.Close() != nil {
		return false
	}
	h.head(s, d)
	return true
}

// head files the message whose fields were read, and goes on with its body.
func (h *http2) head(s *Session, d *http2Dir) {
	m := &d.message
	if m.method != "" {
		s.Doc.AddString(h.p.method, m.method)
		if f, ok := h.p.methods[m.method]; ok && !s.Reference {
			s.Doc.AddCount(f, 1)
		}
		var host []byte
		if m.authority != "" {
			host = []byte(m.authority)
		}
		if m.path != "" {
			h.p.noteTarget(s, host, []byte(m.path))
		}
		if m.grpc {
			h.grpc.call(s, m.path)
		}
	}
	h.beginBody(s, d)
}

// beginBody goes on with the body of the message whose head was read.
func (h *http2) beginBody(s *Session, d *http2Dir) {
	m := &d.message
	switch {
	case d.promise != 0: // what the server will answer though nobody asked (RFC 9113 section 8.4)
		if m.method == "GET" {
			h.ask(s, d.promise, m.path)
		}
		return
	case m.method == "" && m.status == 0: // trailers
		if d.end {
			h.endBody(s, d, d.stream, true)
		}
		return
	case m.status/100 == 1: // an interim response
		return
	case m.method == "GET":
		h.ask(s, d.stream, m.path)
	}
	m.content.request, m.content.two = m.status == 0, true
	if !m.content.request {
		if path := h.answer(d.stream); m.status/100 == 2 {
			m.content.path = path
		}
		m.content.partial = m.content.partial || m.status == 206
	}
	h.endBody(s, d, d.stream, false)
	if d.end {
		return
	}
	if len(d.bodies) >= http2MaxStreams {
		h.endStopped(s, d)
	}
	if len(d.bodies) >= http2MaxStreams || !s.Hold(fileHashBytes) {
		return
	}
	if d.bodies == nil {
		d.bodies = make(map[uint32]*httpBody)
	}
	body := new(httpBody)
	body.begin(s, h.p, m.content)
	d.bodies[d.stream] = body
}

// endStopped ends the bodies whose streams were reset and of which nothing more came.
func (h *http2) endStopped(s *Session, d *http2Dir) {
	for _, stream := range slices.Sorted(maps.Keys(d.bodies)) {
		if d.bodies[stream].stopped {
			h.endBody(s, d, stream, false)
		}
	}
}

// field notes a header field.
func (h *http2) field(s *Session, dir Dir, f hpack.HeaderField) {
	m := &h.dirs[dir].message
	switch f.Name {
	case ":method":
		m.method = f.Value
		return
	case ":path":
		m.path = f.Value
		return
	case ":authority":
		m.authority = f.Value
		return
	case ":status":
		if code, err := strconv.Atoi(f.Value); err == nil && code >= 100 && code <= 999 {
			m.status = code
			s.Doc.AddInt(h.p.status, int64(code))
		}
		return
	}
	if f.Name == "" || f.Name[0] == ':' || len(f.Name) > 256 {
		return
	}
	value := []byte(f.Value)
	const referenceMax = 1024 // where it ends values
	if s.Reference {
		value = value[:min(len(value), referenceMax)]
	}
	use := h.p.noteHeader(s, dir, []byte(f.Name), value)
	m.content.header(use, []byte(f.Value))
	if use == useHost {
		m.authority = f.Value
	}
	if f.Name == "content-type" && isGRPC(f.Value) {
		m.grpc = true
	}
	h.grpc.trailer(s, f.Name, f.Value)
}

func (h *http2) endBody(s *Session, d *http2Dir, stream uint32, complete bool) {
	if body := d.bodies[stream]; body != nil {
		body.end(s, h.p, complete)
		s.Hold(-fileHashBytes)
		delete(d.bodies, stream)
	}
}

// End implements Parser: bodies that have not ended have no hash.
func (h *http2) End(s *Session, final bool) {
	if !final {
		return
	}
	for dir := range h.dirs {
		d := &h.dirs[dir]
		for _, stream := range slices.Sorted(maps.Keys(d.bodies)) {
			h.endBody(s, d, stream, false)
		}
	}
}
