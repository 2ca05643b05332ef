package dissect

import (
	"encoding/binary"

	"wirelake/internal/spi"
)

// webSocket reads the frames of WebSocket (RFC 6455 section 5), to which HTTP
// hands over after the upgrade. Compressed messages (RFC 7692) are counted and not read.
// Binary messages, one behind the other, are the stream of what is spoken within:
// MQTT, AMQP, VNC and others.
type webSocket struct {
	Base
	f       *webSocketFields
	dirs    [2]webSocketDir
	inner   *nested
	scratch []byte
}

type webSocketFields struct {
	frames, masked, bytes, opcode, text, closeCode, closeReason spi.FieldID
}

// webSocketDir is the state of one direction.
type webSocketDir struct {
	remaining  uint64 // payload bytes of the frame at hand that are to be skipped
	inner      bool   // or that belong to the stream within
	mask       [4]byte
	maskAt     int
	message    string // opcode of the message that continuation frames go on with
	compressed bool   // that message is
}

const (
	webSocketSample  = 256 // bytes kept of a text frame
	webSocketSamples = 100 // text frames of a session that are kept
)

func newWebSocket(r *spi.Registry) Protocol {
	count := func(path, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: path, Type: spi.Integer, Exprs: []string{expr}, Name: name, Help: help})
	}
	f := &webSocketFields{
		frames:      count("websocket.frameCnt", "websocket.frameCnt", "Frames", "number of frames"),
		masked:      count("websocket.maskedFromClient", "websocket.maskedFromClient", "Masked frames", "number of masked frames"),
		bytes:       count("websocket.payloadBytes", "websocket.payloadBytes", "Payload bytes", "payload bytes in frames"),
		opcode:      r.Declare(spi.Field{Path: "websocket.opcode", Type: spi.Term, List: true, Exprs: []string{"websocket.opcode"}, Name: "Opcodes", Help: "frame opcodes by name"}),
		text:        r.Declare(spi.Field{Path: "websocket.textSample", Type: spi.Term, List: true, Exprs: []string{"websocket.textSample"}, Name: "Text", Help: "start of text frames"}),
		closeCode:   r.Declare(spi.Field{Path: "websocket.closeCode", Type: spi.Integer, List: true, Exprs: []string{"websocket.closeCode"}, Name: "Close code", Help: "status in a close frame"}),
		closeReason: r.Declare(spi.Field{Path: "websocket.closeReason", Type: spi.Term, List: true, Exprs: []string{"websocket.closeReason"}, Name: "Close reason", Help: "text in a close frame"}),
	}
	return Protocol{Name: "websocket", New: func(*Session) Parser { return &webSocket{f: f} }}
}

// webSocketOpcode returns the name of an opcode (RFC 6455 section 11.8), "" for those reserved.
func webSocketOpcode(n byte) string {
	return [16]string{0: "Continuation", 1: "Text", 2: "Binary", 8: "Close", 9: "Ping", 10: "Pong"}[n&15]
}

// Parse implements Parser.
func (w *webSocket) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	d := &w.dirs[dir]
	n := 0
	for {
		if d.remaining > 0 {
			skip := min(d.remaining, uint64(len(b)-n))
			if d.inner {
				w.within(s, dir, b[n:n+int(skip)])
			}
			d.remaining -= skip
			n += int(skip)
		}
		used, ok := w.frame(s, d, b[n:])
		if !ok {
			return n, Done
		}
		if used == 0 {
			return n, More
		}
		n += used
	}
}

// frame reads the header of a frame and the part of its payload that is kept. It
// returns the bytes it is finished with, 0 when more are needed, and false for
// what is no frame.
func (w *webSocket) frame(s *Session, d *webSocketDir, b []byte) (int, bool) {
	if len(b) < 2 {
		return 0, true
	}
	opcode := b[0] & 15
	name := webSocketOpcode(opcode)
	if name == "" || b[0]&0x30 != 0 {
		return 0, false
	}
	size, head := uint64(b[1]&0x7f), 2
	switch size {
	case 126:
		head = 4
	case 127:
		head = 10
	}
	masked := b[1]&0x80 != 0
	if masked {
		head += 4
	}
	if len(b) < head {
		return 0, true
	}
	switch size {
	case 126:
		size = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		size = binary.BigEndian.Uint64(b[2:])
	}
	if size>>63 != 0 || opcode >= 8 && size > 125 {
		return 0, false
	}
	compressed := b[0]&0x40 != 0
	if opcode == 0 && d.message != "" {
		name, compressed = d.message, d.compressed // the first frame tells of all (RFC 7692 section 6)
	} else if opcode == 1 || opcode == 2 {
		d.message, d.compressed = name, compressed
	}
	sample := 0
	if name == "Text" && !compressed || name == "Close" {
		sample = int(min(size, webSocketSample))
	}
	if len(b) < head+sample {
		return 0, true
	}
	text := append([]byte{}, b[head:head+sample]...)
	if masked {
		for i := range text {
			text[i] ^= b[head-4+i%4]
		}
		s.Doc.AddCount(w.f.masked, 1)
	}
	s.Doc.AddCount(w.f.frames, 1)
	s.Doc.AddCount(w.f.bytes, int64(size))
	s.Doc.AddString(w.f.opcode, name)
	switch {
	case name == "Close":
		if len(text) >= 2 {
			s.Doc.AddInt(w.f.closeCode, int64(binary.BigEndian.Uint16(text)))
			if len(text) > 2 {
				s.Doc.AddBytes(w.f.closeReason, text[2:])
			}
		}
	case sample > 0:
		if n, _ := s.Doc.Int(w.f.frames); n <= webSocketSamples {
			s.Doc.AddBytes(w.f.text, text)
		}
	}
	d.remaining = size - uint64(sample)
	if d.inner = name == "Binary" && !compressed && !s.Reference; d.inner {
		d.mask, d.maskAt = [4]byte{}, 0
		if masked {
			copy(d.mask[:], b[head-4:head])
		}
	}
	return head + sample, true
}

// within gives bytes of binary messages to the stream within, unmasked.
func (w *webSocket) within(s *Session, dir Dir, b []byte) {
	const most = 1024 // bytes at a time
	if s.nesting >= maxNesting || len(b) == 0 {
		return
	}
	if w.inner == nil {
		w.inner = newNested(s)
	}
	d := &w.dirs[dir]
	for len(b) > 0 && w.inner.s.Wants(dir) {
		w.scratch = append(w.scratch[:0], b[:min(len(b), most)]...)
		for i := range w.scratch {
			w.scratch[i] ^= d.mask[(d.maskAt+i)%4]
		}
		d.maskAt += len(w.scratch)
		b = b[len(w.scratch):]
		if !w.inner.stream(s, dir, w.scratch) {
			w.inner.gap(s, dir)
			return
		}
	}
}

// End implements Parser.
func (w *webSocket) End(s *Session, final bool) {
	if w.inner != nil {
		w.inner.end(s, final)
	}
}

// Gap implements Parser: a frame of known length survives it.
func (w *webSocket) Gap(s *Session, dir Dir, missing int) Status {
	d := &w.dirs[dir]
	if uint64(missing) > d.remaining {
		return Done
	}
	d.remaining -= uint64(missing)
	if d.inner && w.inner != nil {
		w.inner.gap(s, dir)
		d.maskAt += missing
	}
	return More
}
