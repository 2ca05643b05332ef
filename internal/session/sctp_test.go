package session

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"wirelake/internal/packet"
	"wirelake/internal/spi"
)

const sctpWhole = sctpBegins | sctpEnds

// messagesOf feeds chunks and returns the messages delivered, with their payload protocol ids.
func messagesOf(st *sctpStream, chunks ...sctpChunk) string {
	var out []string
	for _, c := range chunks {
		st.add(c, func(ppid uint32, b []byte) { out = append(out, fmt.Sprintf("%s/%d", b, ppid)) })
	}
	return strings.Join(out, " ")
}

// TestSCTPOrder holds that messages come once, whole, and in the order of their numbers (RFC 9260 section 6.9).
func TestSCTPOrder(t *testing.T) {
	chunk := func(tsn uint32, stream, number uint16, flags byte, text string) sctpChunk {
		return sctpChunk{tsn: tsn, key: uint32(stream)<<16 | uint32(number), ppid: 3, flags: flags, data: []byte(text)}
	}
	for _, tt := range []struct {
		name   string
		chunks []sctpChunk
		want   string
	}{
		{"in order", []sctpChunk{chunk(1, 0, 0, sctpWhole, "a"), chunk(2, 0, 1, sctpWhole, "b")}, "a/3 b/3"},
		{"sent again", []sctpChunk{chunk(1, 0, 0, sctpWhole, "a"), chunk(1, 0, 0, sctpWhole, "a"), chunk(2, 0, 1, sctpWhole, "b"), chunk(1, 0, 0, sctpWhole, "a")}, "a/3 b/3"},
		{"out of order", []sctpChunk{chunk(1, 0, 0, sctpWhole, "a"), chunk(3, 0, 2, sctpWhole, "c"), chunk(3, 0, 2, sctpWhole, "c"), chunk(2, 0, 1, sctpWhole, "b")}, "a/3 b/3 c/3"},
		{"fragments", []sctpChunk{chunk(1, 0, 0, sctpBegins, "a"), chunk(2, 0, 0, 0, "b"), chunk(3, 0, 0, sctpEnds, "c"), chunk(4, 0, 1, sctpWhole, "d")}, "abc/3 d/3"},
		{"fragments out of order", []sctpChunk{chunk(1, 0, 0, sctpBegins, "a"), chunk(3, 0, 0, sctpEnds, "c"), chunk(2, 0, 0, 0, "b")}, "abc/3"},
		{"a message of another stream between fragments", []sctpChunk{chunk(1, 1, 0, sctpBegins, "a"), chunk(2, 2, 0, sctpWhole, "x"), chunk(3, 1, 0, sctpEnds, "b")}, "ab/3 x/3"},
		{"numbers wrap", []sctpChunk{chunk(0xffffffff, 0, 0, sctpWhole, "a"), chunk(1, 0, 2, sctpWhole, "c"), chunk(0, 0, 1, sctpWhole, "b")}, "a/3 b/3 c/3"},
		{"a message whose beginning was not captured", []sctpChunk{chunk(5, 0, 0, sctpEnds, "x"), chunk(6, 0, 1, sctpWhole, "b")}, "b/3"},
	} {
		if got := messagesOf(new(sctpStream), tt.chunks...); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	var lossy sctpStream
	chunks := []sctpChunk{chunk(1, 0, 0, sctpWhole, "a")}
	for i := range uint32(sctpMaxQueued + 1) {
		chunks = append(chunks, chunk(3+i, 0, uint16(i), sctpWhole, "b")) //nolint:gosec // a few hundred
	}
	if got := strings.Count(messagesOf(&lossy, chunks...), "b"); got != sctpMaxQueued+1 || lossy.held != 0 {
		t.Errorf("behind a loss %d messages came, want %d; %d bytes are held", got, sctpMaxQueued+1, lossy.held)
	}
	var huge sctpStream
	for i := range uint32(100) {
		messagesOf(&huge, chunk(1+i, 0, 0, map[bool]byte{true: sctpBegins}[i == 0], strings.Repeat("x", 1400)))
		if huge.held > sctpMaxHeld {
			t.Fatalf("%d bytes are held", huge.held)
		}
	}
}

// sctpFrame returns a frame with chunks.
func sctpFrame(at int64, src, dst uint16, chunks ...string) frame {
	return ipFrame(at, src, dst, packet.ProtoSCTP, []byte("\x0b\x59\x0b\x59\x00\x00\x00\x01\x00\x00\x00\x00"+strings.Join(chunks, "")))
}

func sctpChunkBytesOf(typ, flags byte, body string) string {
	b := binary.BigEndian.AppendUint16([]byte{typ, flags}, uint16(4+len(body))) //nolint:gosec // a test's own
	return string(b) + body + strings.Repeat("\x00", (4-len(body)%4)%4)
}

// TestSCTPSession holds that an association's messages are put in order from its first number on, that a sender may give up
// some (RFC 3758), and that another association may follow on the same ports.
func TestSCTPSession(t *testing.T) {
	initChunk := func(typ byte, tsn string) string {
		return sctpChunkBytesOf(typ, 0, "\x00\x00\x00\x01\x00\x00\xff\xff\x00\x04\x00\x04\x00\x00\x00"+tsn)
	}
	data := func(tsn, flags byte, text string) string {
		return sctpChunkBytesOf(sctpData, flags, "\x00\x00\x00"+string([]byte{tsn})+"\x00\x00\x00\x00\x00\x00\x00\x2e"+text)
	}
	forward := func(tsn string) string { return sctpChunkBytesOf(sctpForwardTSN, 0, "\x00\x00\x00"+tsn) }
	for _, tt := range []struct {
		name   string
		frames []frame
		want   string
	}{
		{"the first number is the handshake's", []frame{sctpFrame(0, 1, 2, initChunk(sctpInit, "\x0a")), sctpFrame(1, 1, 2, data(11, sctpWhole, "BBBB")), sctpFrame(2, 1, 2, data(10, sctpWhole, "AAAA"))}, "4141414142424242"},
		{"bundled chunks", []frame{sctpFrame(0, 1, 2, data(1, sctpBegins, "AAA"), data(2, sctpEnds, "BBB"), data(3, sctpWhole, "CC"))}, "4141414242424343"},
		{"chunks that are given up", []frame{sctpFrame(0, 1, 2, initChunk(sctpInit, "\x0a")), sctpFrame(1, 1, 2, data(12, sctpWhole, "CCCCCCCC")), sctpFrame(2, 1, 2, forward("\x0b"))}, "4343434343434343"},
		{"what waits at the end", []frame{sctpFrame(0, 1, 2, initChunk(sctpInit, "\x0a")), sctpFrame(1, 1, 2, data(12, sctpWhole, "CCCCCCCC"))}, "4343434343434343"},
		{"another association", []frame{sctpFrame(0, 1, 2, data(200, sctpWhole, "AAAA")), sctpFrame(1, 1, 2, initChunk(sctpInit, "\x0a")), sctpFrame(2, 1, 2, data(10, sctpWhole, "BBBB"))}, "4141414142424242"},
	} {
		doc := documentOf(t, true, tt.frames)
		if got := doc.String(spi.SourcePayload8); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
		if f, _ := doc.Registry().ByPath("sctp.protoId"); f != nil {
			if n, _ := doc.Int(f.ID); n != 46 {
				t.Errorf("%s: payload protocol id %d, want 46", tt.name, n)
			}
		}
	}
}

// TestSCTPInterleaved holds that the fragments of messages that are sent in between one another come together (RFC 8260), and
// that the reference does not read them.
func TestSCTPInterleaved(t *testing.T) {
	chunk := func(tsn, flags, stream, message byte, last, text string) string {
		return sctpChunkBytesOf(sctpIData, flags, "\x00\x00\x00"+string([]byte{tsn, 0, stream, 0, 0, 0, 0, 0, message})+"\x00\x00\x00"+last+text)
	}
	frames := []frame{sctpFrame(0, 1, 2,
		chunk(1, sctpBegins, 1, 0, "\x2e", "AAA"), chunk(2, sctpWhole, 2, 0, "\x2e", "xy"), chunk(3, sctpEnds, 1, 0, "\x01", "BBB"))}
	for reference, want := range map[bool]string{false: "4141414242427879", true: ""} {
		doc := documentOf(t, reference, frames)
		if got := doc.String(spi.SourcePayload8); got != want {
			t.Errorf("reference %v: got %s, want %s", reference, got, want)
		}
	}
}

// FuzzSCTP holds that chunks of any kind cost bounded memory, and that nothing waits behind the end.
func FuzzSCTP(f *testing.F) {
	f.Add([]byte{1, sctpWhole, 3, sctpBegins, 4, sctpEnds, 2, sctpWhole})
	f.Fuzz(func(t *testing.T, b []byte) {
		var st sctpStream
		delivered := 0
		deliver := func(_ uint32, b []byte) { delivered += len(b) }
		sent := 0
		for ; len(b) >= 2; b = b[2:] {
			c := sctpChunk{tsn: uint32(int8(b[0])), key: uint32(b[1] >> 4), flags: b[1] & 7, data: make([]byte, 512)}
			if b[1]&8 != 0 {
				st.advance(c.tsn, deliver)
				continue
			}
			sent += len(c.data)
			st.add(c, deliver)
			if st.held > sctpMaxHeld || len(st.queue) > sctpMaxQueued {
				t.Fatalf("%d chunks with %d bytes wait", len(st.queue), st.held)
			}
		}
		st.flush(deliver)
		if st.held != 0 || len(st.queue) != 0 || delivered > sent {
			t.Fatalf("behind the end %d bytes wait; %d bytes of %d were delivered", st.held, delivered, sent)
		}
	})
}
