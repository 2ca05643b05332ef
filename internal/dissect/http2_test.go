package dissect

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// h2 builds the bytes of one side of an HTTP/2 connection.
type h2 struct {
	out bytes.Buffer
	enc *hpack.Encoder
	blk bytes.Buffer
}

func newH2() *h2 {
	h := new(h2)
	h.enc = hpack.NewEncoder(&h.blk)
	return h
}

func (h *h2) frame(typ, flags byte, stream uint32, payload []byte) {
	var head [9]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(payload))<<8|uint32(typ))
	head[4] = flags
	binary.BigEndian.PutUint32(head[5:], stream)
	h.out.Write(head[:])
	h.out.Write(payload)
}

func (h *h2) block(pairs ...string) []byte {
	h.blk.Reset()
	for i := 0; i < len(pairs); i += 2 {
		if err := h.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}); err != nil {
			panic(err) // writing to a buffer cannot fail
		}
	}
	return bytes.Clone(h.blk.Bytes())
}

// http2Talk returns a request in two frames and its padded answer.
func http2Talk() (client, server []byte) {
	c, s := newH2(), newH2()
	c.out.WriteString(http2Preface)
	c.frame(http2Settings, 0, 0, []byte{0, 1, 0, 0, 32, 0})
	b := c.block(":method", "POST", ":scheme", "http", ":path", "/pkg.Service/Call?k=v", ":authority", "example.org:81", "user-agent", "t/2", "content-type", "application/grpc")
	c.frame(http2Headers, http2Priority, 1, append([]byte{0, 0, 0, 0, 1}, b[:5]...))
	c.frame(http2Continuation, http2EndHeaders, 1, b[5:])
	c.frame(8, 0, 0, []byte{0, 0, 1, 0}) // WINDOW_UPDATE
	c.frame(http2Data, 0, 1, []byte("he"))
	c.frame(http2Data, http2EndStream, 1, []byte("llo"))
	s.frame(http2Settings, 0, 0, nil)
	s.frame(http2Headers, http2EndHeaders, 1, s.block(":status", "200", "server", "t"))
	s.frame(http2Data, http2Padded|http2EndStream, 1, []byte("\x03hello\x00\x00\x00"))
	return c.out.Bytes(), s.out.Bytes()
}

func TestHTTP2(t *testing.T) {
	client, server := http2Talk()
	for _, n := range []int{1 << 20, 11, 1} {
		s := httpSession(n, string(client), string(server))
		s.End(true)
		for path, want := range map[string][]string{
			"http.method": {"PRI", "POST"}, "http.uri": {"*", "example.org:81/pkg.Service/Call?k=v"}, "http.path": {"/pkg.Service/Call"},
			"http.host": {"example.org:81", "example.org"}, "http.md5": {md5Hello}, "http.requestBody": {"hello"},
			"http.requestHeader": {"user-agent", "content-type"}, "http.responseHeaderValue": {"t"}, "tags": nil,
		} {
			wantStrings(t, s, path, want...)
		}
		if !s.HasProtocol("http2") || !s.HasProtocol("grpc") {
			t.Errorf("protocols %q, want http2 and grpc among them", stringsOf(s, "protocol"))
		}
	}
}

// TestHTTP2Hostile holds that endless headers, a table bomb and frames out of
// place end the parser within its limits.
func TestHTTP2Hostile(t *testing.T) {
	endless := newH2()
	endless.out.WriteString(http2Preface)
	endless.frame(http2Headers, 0, 1, endless.block(":method", "GET"))
	for range 2000 {
		endless.frame(http2Continuation, 0, 1, endless.block("x", strings.Repeat("y", 1000)))
	}
	many := newH2()
	many.out.WriteString(http2Preface)
	for i := range uint32(100_000) {
		many.frame(http2Headers, http2EndHeaders, 2*i+1, many.block(":method", "GET", ":path", "/"))
	}
	for name, b := range map[string][]byte{
		"headers without end":      endless.out.Bytes(),
		"streams without end":      many.out.Bytes(),
		"a frame of 16 MiB":        []byte(http2Preface + "\xff\xff\xff\x01\x04\x00\x00\x00\x01" + strings.Repeat("z", 2<<20)),
		"data within a block":      []byte(http2Preface + "\x00\x00\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01"),
		"padding beyond the frame": []byte(http2Preface + "\x00\x00\x01\x00\x08\x00\x00\x00\x01\xff"),
	} {
		s := newTestSession(New(), TCP, 40000, 80)
		for rest := b; len(rest) > 0; {
			n := min(len(rest), 1460)
			s.Stream(Client, rest[:n])
			rest = rest[n:]
			if s.Buffered() > DefaultLimits().Buffer {
				t.Fatalf("%s: %d bytes held", name, s.Buffered())
			}
		}
		s.End(true)
		wantStrings(t, s, "tags")
	}
}

func FuzzHTTP2(f *testing.F) {
	client, server := http2Talk()
	f.Add(client, server)
	set := New()
	f.Fuzz(func(t *testing.T, client, server []byte) {
		s := newTestSession(set, TCP, 40000, 80)
		s.Attach("http2")
		s.classified = [2]bool{true, true}
		for len(client) > 0 {
			n := min(13, len(client))
			s.Stream(Client, client[:n])
			client = client[n:]
		}
		s.Stream(Server, server)
		s.End(true)
		wantStrings(t, s, "tags")
	})
}

func TestWebSocket(t *testing.T) {
	frames := "\x01\x83\x01\x02\x03\x04" + "Igo" + // "Hel", masked, first part of a text (RFC 6455 section 5.7, with another key)
		"\x80\x02lo" + "\x89\x00" + "\x88\x05\x03\xe8bye"
	upgrade := "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	accept := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
	for _, n := range []int{1000, 3} {
		s := httpSession(n, upgrade, accept, frames, "\x82\x7e\x01\x00"+strings.Repeat("b", 256)+"\x81\x02ok")
		s.End(true)
		wantStrings(t, s, "websocket.opcode", "Text", "Ping", "Close", "Binary")
		wantStrings(t, s, "websocket.textSample", "Hel", "lo", "ok")
		wantStrings(t, s, "websocket.closeReason", "bye")
		wantStrings(t, s, "tags")
		for path, want := range map[string]int64{"websocket.frameCnt": 6, "websocket.payloadBytes": 268, "websocket.maskedFromClient": 1, "websocket.closeCode": 1000} {
			f, _ := s.Doc.Registry().ByPath(path)
			if got, _ := s.Doc.Int(f.ID); got != want {
				t.Errorf("%s: got %d, want %d", path, got, want)
			}
		}
	}
}

func FuzzWebSocket(f *testing.F) {
	f.Add([]byte("\x01\x83\x01\x02\x03\x04IgO\x80\x02lo\x88\x05\x03\xe8bye"))
	set := New()
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newTestSession(set, TCP, 40000, 80)
		s.Attach("websocket")
		s.classified = [2]bool{true, true}
		for len(b) > 0 {
			n := min(5, len(b))
			s.Stream(Client, b[:n])
			b = b[n:]
		}
		s.Gap(Client, 3)
		s.End(true)
		wantStrings(t, s, "tags")
	})
}
