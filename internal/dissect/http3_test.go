package dissect

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"wirelake/internal/keylog"
)

// TestQUICProtection opens the packet of RFC 9001 appendix A.5, and completes the packet number of RFC 9000 appendix A.3.
func TestQUICProtection(t *testing.T) {
	suite, _ := tlsSuiteOf(0x1303)
	secret := hexBytes(t, "9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b")
	l := quicLevel{keys: newQUICKeys(suite, "quic", secret), secret: secret, next: 654360560}
	var d quicDecryption
	got, ok := d.open(&l, hexBytes(t, "4cfe4189655e5cd55c41f69080575d7999c25a5bfb"), 1, false)
	if !ok || !bytes.Equal(got, []byte{quicPing}) || l.next != 654360565 {
		t.Errorf("%x, %v, next number %d", got, ok, l.next)
	}
	for _, tt := range []struct {
		expected, held uint64
		size           int
		want           uint64
	}{{0xa82f30eb, 0x9b32, 2, 0xa82f9b32}, {0, 5, 1, 5}, {256, 255, 1, 255}, {255, 1, 1, 257}, {0x1ff, 0, 1, 0x200}} {
		if got := quicNumber(tt.expected, tt.held, tt.size); got != tt.want {
			t.Errorf("%#x, expected %#x: %#x, want %#x", tt.held, tt.expected, got, tt.want)
		}
	}
}

// TestQUICRandom finds the ClientHello's random however the message is cut within a packet, and none in other packets.
func TestQUICRandom(t *testing.T) {
	stream, id := hexBytes(t, rfc9001Crypto)[4:], hexBytes(t, rfc9001ID)
	n := len(stream)
	for name, frames := range map[string][]byte{
		"whole":     cryptoFrame(stream, 0, n),
		"in pieces": slices.Concat(cryptoFrame(stream, 30, n), cryptoFrame(stream, 0, 10), []byte{quicPing}, cryptoFrame(stream, 8, 31)),
	} {
		if got, ok := QUICRandom(quicPacket(1, Client, id, 0, frames, 1200)); !ok || !bytes.Equal(got[:], stream[6:38]) {
			t.Errorf("%s: %x, %v", name, got, ok)
		}
	}
	for name, b := range map[string][]byte{
		"a part":         quicPacket(1, Client, id, 0, cryptoFrame(stream, 20, n), 1200),
		"a hole":         quicPacket(1, Client, id, 0, slices.Concat(cryptoFrame(stream, 0, 20), cryptoFrame(stream, 21, n)), 1200),
		"the server's":   hexBytes(t, rfc9001Server),
		"another packet": []byte("\x40 some bytes of something else"),
		"nothing":        nil,
	} {
		if got, ok := QUICRandom(b); ok {
			t.Errorf("%s: %x", name, got)
		}
	}
}

// quicTalk is the peers of the handshake of RFC 9001 appendix A, with secrets of their own.
type quicTalk struct {
	hello []byte // the client's Initial packet
	keys  []byte // a key log
	level map[string]quicLevel
	pn    uint32
}

func newQUICTalk(t testing.TB) *quicTalk {
	t.Helper()
	q := &quicTalk{level: make(map[string]quicLevel)}
	q.hello = quicPacket(1, Client, hexBytes(t, rfc9001ID), 2, bytes.Replace(hexBytes(t, rfc9001Crypto), []byte("alpn"), []byte("h3-2"), 1), 1200)
	suite, _ := tlsSuiteOf(0x1301)
	for i, label := range []string{"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "CLIENT_EARLY_TRAFFIC_SECRET"} {
		secret := bytes.Repeat([]byte{byte(i + 1)}, 32)
		q.keys = fmt.Appendf(q.keys, "%s ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c %x\n", label, secret)
		q.level[label] = quicLevel{keys: newQUICKeys(suite, "quic", secret), secret: secret}
	}
	return q
}

// short returns a packet of application data.
func (q *quicTalk) short(sender Dir, frames ...[]byte) []byte {
	l := q.level[[2]string{"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"}[sender]]
	head := []byte{0x43 | l.phase<<2}
	if sender == Client { // under the connection id that the server chose; the client's has no bytes
		head = append(head, "\xf0\x67\xa5\x50\x2a\x42\x62\xb5"...)
	}
	return q.seal(&l, head, frames...)
}

// long returns a packet with a long header of a type.
func (q *quicTalk) long(label string, kind byte, frames ...[]byte) []byte {
	l := q.level[label]
	payload := slices.Concat(frames...)
	head := []byte{0xc3 | kind<<4, 0, 0, 0, 1, 0, 8, 0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5}
	if strings.HasPrefix(label, "CLIENT") {
		head = []byte{0xc3 | kind<<4, 0, 0, 0, 1, 8, 0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5, 0}
	}
	return q.seal(&l, binary.BigEndian.AppendUint16(head, uint16(0x4000|4+max(len(payload), 4)+16)), frames...)
}

func (q *quicTalk) seal(l *quicLevel, head []byte, frames ...[]byte) []byte {
	payload := slices.Concat(frames...)
	for len(payload) < 4 {
		payload = append(payload, quicPadding)
	}
	q.pn++
	return l.keys.seal(binary.BigEndian.AppendUint32(head, q.pn), payload)
}

// update has the side's packets under its next keys.
func (q *quicTalk) update(label string) {
	l := q.level[label]
	suite, _ := tlsSuiteOf(0x1301)
	before := l.keys
	l.secret = expandLabel(suite.hash, l.secret, "quic ku", len(l.secret))
	l.keys = newQUICKeys(suite, "quic", l.secret)
	l.keys.hp, l.phase = before.hp, l.phase^1
	q.level[label] = l
}

// session returns a session with the handshake behind it.
func (q *quicTalk) session(t testing.TB, set *Set) *Session {
	t.Helper()
	s := newTestSession(set, UDP, 40000, 443)
	s.Keys = keylog.New()
	s.Keys.Add(q.keys)
	s.Datagram(Client, 0, q.hello)
	s.Datagram(Server, 0, hexBytes(t, rfc9001Server))
	return s
}

// quicVarint appends an integer in the shortest form.
func quicVarint(b []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(b, byte(v))
	case v < 1<<14:
		return binary.BigEndian.AppendUint16(b, uint16(v)|0x4000)
	case v < 1<<30:
		return binary.BigEndian.AppendUint32(b, uint32(v)|0x80000000)
	}
	return binary.BigEndian.AppendUint64(b, v|0xc000000000000000)
}

// streamFrame returns a STREAM frame with the part [from, to) of a stream, and its end with the last byte.
func streamFrame(id uint64, stream []byte, from, to int, fin bool) []byte {
	kind := byte(quicStream | 6)
	if fin && to == len(stream) {
		kind |= 1
	}
	b := quicVarint(quicVarint(quicVarint([]byte{kind}, id), uint64(from)), uint64(to-from))
	return append(b, stream[from:to]...)
}

func wholeStream(id uint64, stream []byte) []byte {
	return streamFrame(id, stream, 0, len(stream), true)
}

// http3Frame returns a frame of HTTP/3.
func http3Frame(kind uint64, payload []byte) []byte {
	return append(quicVarint(quicVarint(nil, kind), uint64(len(payload))), payload...)
}

// qpackSection returns a section of literals.
func qpackSection(pairs ...string) []byte {
	b := []byte{0, 0}
	text := func(first byte, prefix int, s string) {
		most := 1<<prefix - 1
		if len(s) < most {
			b = append(append(b, first|byte(len(s))), s...)
			return
		}
		b = append(b, first|byte(most))
		n := len(s) - most
		for ; n >= 0x80; n >>= 7 {
			b = append(b, byte(n)|0x80)
		}
		b = append(append(b, byte(n)), s...)
	}
	for i := 0; i < len(pairs); i += 2 {
		text(0x20, 3, pairs[i])
		text(0, 7, pairs[i+1])
	}
	return b
}

func http3Request(path string) []byte {
	return http3Frame(http3Headers, qpackSection(":method", "GET", ":scheme", "https", ":authority", "secret.example.org", ":path", path, "user-agent", "hidden/3"))
}

// wantHTTP3 wants these paths of a session that has ended.
func wantHTTP3(t *testing.T, name string, s *Session, want ...string) {
	t.Helper()
	if got := s.Buffered(); got > DefaultLimits().Buffer {
		t.Errorf("%s: %d bytes are held", name, got)
	}
	s.End(true)
	if got := stringsOf(s, "http.path"); !slices.Equal(got, want) {
		t.Errorf("%s: paths %q, want %q; tags %q", name, got, want, stringsOf(s, "tags"))
	}
}

// TestHTTP3 reads requests and responses, whole and in any pieces, in order and not.
func TestHTTP3(t *testing.T) {
	set := New()
	body := strings.Repeat("a page\n", 100)
	request := http3Request("/a?b=c")
	response := slices.Concat(http3Frame(0x21, []byte("of no meaning")), http3Frame(http3Headers, qpackSection(":status", "103")),
		http3Frame(http3Headers, qpackSection(":status", "200", "content-type", "text/plain", "server", "s")),
		http3Frame(http3Data, []byte(body[:300])), http3Frame(http3Data, []byte(body[300:])), http3Frame(http3Headers, qpackSection("trailer", "last")))
	parts := func(sender Dir, q *quicTalk, stream []byte, size int, order func([][]byte)) (packets [][]byte) {
		for from := 0; from < len(stream); from += size {
			packets = append(packets, q.short(sender, streamFrame(0, stream, from, min(from+size, len(stream)), true)))
		}
		order(packets)
		return packets
	}
	for name, order := range map[string]func([][]byte){
		"in order":  func([][]byte) {},
		"backwards": func(p [][]byte) { slices.Reverse(p) },
		"in pairs": func(p [][]byte) {
			for i := 0; i+1 < len(p); i += 2 {
				p[i], p[i+1] = p[i+1], p[i]
			}
		},
	} {
		for _, size := range []int{16, 100, 1200} {
			q := newQUICTalk(t)
			s := q.session(t, set)
			for sender, stream := range [][]byte{request, response} {
				for _, p := range parts(Dir(sender), q, stream, size, order) {
					s.Datagram(Dir(sender), 0, p)
					s.Datagram(Dir(sender), 0, p) // again
				}
			}
			if s.Buffered() != 0 {
				t.Errorf("%s: %d bytes are still held", name, s.Buffered())
			}
			wantHTTP3(t, name, s, "/a")
			wantStrings(t, s, "protocol", "quic", "http", "http3")
			wantStrings(t, s, "tags", "tls:decrypted")
			wantStrings(t, s, "http.method", "GET")
			wantStrings(t, s, "http.uri", "secret.example.org/a?b=c")
			wantStrings(t, s, "http.useragent", "hidden/3")
			wantStrings(t, s, "http.md5", md5Hex(body))
			if f, ok := s.Doc.Registry().ByPath("http.statuscode"); !ok || !s.Doc.Has(f.ID) {
				t.Errorf("%s by %d bytes: no status code", name, size)
			}
		}
	}
}

// TestQUICPhases holds the levels of encryption: the handshake, early data, packets before their keys, and key updates.
func TestQUICPhases(t *testing.T) {
	set := New()
	q := newQUICTalk(t)
	s := newTestSession(set, UDP, 40000, 443)
	s.Keys = keylog.New()
	s.Keys.Add(q.keys)
	early := q.long("CLIENT_EARLY_TRAFFIC_SECRET", quicZeroRTT, wholeStream(0, http3Request("/early")))
	s.Datagram(Client, 0, q.hello)
	s.Datagram(Client, 0, early)
	s.Datagram(Client, 0, q.short(Client, wholeStream(4, http3Request("/before"))))
	extensions := []byte{tlsEncryptedExts, 0, 0, 11, 0, 9, 0, 16, 0, 5, 0, 3, 2, 'h', '3'}
	certificate := certificateMessage(t, "quic.example.org")
	certificate = slices.Concat([]byte{tlsCertificate}, uint24(len(certificate)), certificate)
	flight := slices.Concat(extensions, certificate, []byte{tlsFinished, 0, 0, 1, 0})
	half := len(flight) / 2
	s.Datagram(Server, 0, slices.Concat(hexBytes(t, rfc9001Server), q.long("SERVER_HANDSHAKE_TRAFFIC_SECRET", quicHandshake, cryptoFrame(flight, half, len(flight)))))
	s.Datagram(Server, 0, slices.Concat(q.long("SERVER_HANDSHAKE_TRAFFIC_SECRET", quicHandshake, []byte{quicAck, 0, 0, 0, 0}, cryptoFrame(flight, 0, half)),
		q.short(Server, []byte{quicDone, quicNewToken, 1, 'x', 0x10, 1, 0x11, 1, 1, 0x12, 1, quicNewID, 1, 0, 2, 'i', 'd', 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
			wholeStream(0, http3Frame(http3Headers, qpackSection(":status", "200", "server", "behind the frames"))))))
	late := q.short(Client, wholeStream(8, http3Request("/late")))
	q.update("CLIENT_TRAFFIC_SECRET_0")
	s.Datagram(Client, 0, q.short(Client, wholeStream(12, http3Request("/updated"))))
	s.Datagram(Client, 0, late)
	q.update("CLIENT_TRAFFIC_SECRET_0")
	s.Datagram(Client, 0, q.short(Client, []byte{quicPathChallenge, 1, 2, 3, 4, 5, 6, 7, 8, quicDatagramSized, 1, 1, quicStopSending, 0, 0, quicResetStream, 8, 0, 0},
		wholeStream(16, http3Request("/again"))))
	if s.Buffered() != 0 {
		t.Errorf("%d bytes are still held", s.Buffered())
	}
	wantHTTP3(t, "phases", s, "/early", "/before", "/updated", "/late", "/again")
	wantStrings(t, s, "tls.next_protocol", "h3")
	wantStrings(t, s, "cert.subjectCN", "quic.example.org")

	// Nothing without keys, for the reference, or where another protocol was chosen.
	extensions[13], extensions[14] = 'd', 'q'
	for name, prepare := range map[string]func(s *Session){
		"without keys": func(s *Session) { s.Keys = keylog.New() },
		"reference":    func(s *Session) { s.Reference = true },
		"another":      func(*Session) {},
	} {
		q := newQUICTalk(t)
		s := newTestSession(set, UDP, 40000, 443)
		s.Keys = keylog.New()
		s.Keys.Add(q.keys)
		prepare(s)
		s.Datagram(Client, 0, q.hello)
		s.Datagram(Server, 0, hexBytes(t, rfc9001Server))
		s.Datagram(Server, 0, q.long("SERVER_HANDSHAKE_TRAFFIC_SECRET", quicHandshake, cryptoFrame(extensions, 0, len(extensions))))
		s.Datagram(Client, 0, q.short(Client, wholeStream(0, http3Request("/none"))))
		wantHTTP3(t, name, s)
	}
}

// TestHTTP3Table holds that a section waits for the entries that it names, on streams of their own, and for the settings that
// allow them; other streams go on.
func TestHTTP3Table(t *testing.T) {
	insert := hexBytes(t, "02"+"3fbd01c00f7777772e6578616d706c652e636f6dc10c2f73616d706c652f70617468") // RFC 9204 appendix B.2
	section := slices.Concat(hexBytes(t, "03811011"), qpackSection(":method", "GET")[2:])
	settings := slices.Concat([]byte{http3Control}, http3Frame(http3Settings, []byte{http3TableCapacity, 0x40, 220, 7, 16}))
	for _, order := range [][]string{{"request", "insert", "settings"}, {"insert", "request", "settings"}, {"settings", "request", "insert"}, {"request", "settings", "insert", "request"}} {
		q := newQUICTalk(t)
		s := q.session(t, New())
		for _, what := range order {
			switch what {
			case "request":
				s.Datagram(Client, 0, q.short(Client, wholeStream(0, http3Frame(http3Headers, section))))
				s.Datagram(Client, 0, q.short(Client, wholeStream(4, http3Request("/other"))))
			case "insert":
				s.Datagram(Client, 0, q.short(Client, streamFrame(2, insert, 0, len(insert), false)))
			case "settings":
				s.Datagram(Server, 0, q.short(Server, streamFrame(3, settings, 0, len(settings), false)))
			}
		}
		if s.Buffered() != 0 {
			t.Errorf("%q: %d bytes are still held", order, s.Buffered())
		}
		s.End(true)
		got := stringsOf(s, "http.uri")
		slices.Sort(got)
		if !slices.Equal(got, []string{"secret.example.org/other", "www.example.com/sample/path"}) {
			t.Errorf("%q: %q", order, got)
		}
	}
}

// TestHTTP3Hostile holds that what peers may do costs no memory beyond the limits, and the streams behind it nothing.
func TestHTTP3Hostile(t *testing.T) {
	set := New()
	big := make([]byte, 1000)
	for name, frames := range map[string]func(i int) []byte{
		"streams that do not begin": func(i int) []byte { return streamFrame(uint64(i)*4, big, 500, 1000, false) },
		"a stream with holes":       func(i int) []byte { return streamFrame(0, make([]byte, 60000), 20+i*20, 30+i*20, false) },
		"a section without end": func(i int) []byte {
			return streamFrame(0, append([]byte{http3Headers, 0x80, 0, 0xf0, 0}, make([]byte, 100000)...), i*60, i*60+60, false)
		},
		"sections that wait for ever": func(i int) []byte {
			return streamFrame(uint64(i)*4, append(http3Frame(http3Headers, hexBytes(t, "0500")), big...), 0, 500, false)
		},
		"an encoder that fills": func(i int) []byte {
			return streamFrame(2, append([]byte{2, 0x3f, 0xe1, 0xff, 3}, bytes.Repeat([]byte{0x41, 'a', 1, 'b'}, 20000)...), i*80, i*80+80, false)
		},
		"a stream at the end of all": func(i int) []byte {
			return append(quicVarint(quicVarint(quicVarint([]byte{quicStream | 6}, 0), 1<<62-1), 4), big[:4]...)
		},
		"acknowledgements": func(int) []byte { return []byte{quicAck, 0, 0, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff} },
		"requests without end": func(i int) []byte {
			r := append(http3Request("/p"), http3Frame(http3Data, []byte("body"))...)
			return streamFrame(uint64(i)*4, r, 0, len(r), false)
		},
	} {
		q := newQUICTalk(t)
		s := q.session(t, set)
		for i := range 1000 {
			s.Datagram(Client, 0, q.short(Client, frames(i)))
			if got := s.Buffered(); got > DefaultLimits().Buffer {
				t.Fatalf("%s: %d bytes are held", name, got)
			}
		}
		s.Datagram(Client, 0, q.short(Client, wholeStream(1<<20, http3Request("/behind"))))
		if got := stringsOf(s, "http.path"); !slices.Contains(got, "/behind") {
			t.Errorf("%s: paths %.100q, tags %q", name, got, stringsOf(s, "tags"))
		}
		s.End(true)
	}
	// Packets that open under no key, before and behind the ServerHello.
	q := newQUICTalk(t)
	s := newTestSession(set, UDP, 40000, 443)
	s.Keys = keylog.New()
	s.Keys.Add(q.keys)
	s.Datagram(Client, 0, q.hello)
	for range 100 {
		s.Datagram(Client, 0, append([]byte{0x40}, big...))
	}
	if got := s.Buffered(); got == 0 || got > maxQUICWaiting {
		t.Errorf("%d bytes of packets wait", got)
	}
	s.Datagram(Server, 0, hexBytes(t, rfc9001Server))
	for range 1000 {
		s.Datagram(Client, 0, append([]byte{0x44}, big...))
	}
	s.Datagram(Client, 0, q.short(Client, wholeStream(0, http3Request("/still"))))
	if s.Buffered() != 0 {
		t.Errorf("%d bytes are still held", s.Buffered())
	}
	wantHTTP3(t, "noise", s, "/still")
}

// FuzzHTTP3 seals the input as frames of application data, and as what a stream of HTTP/3 has.
func FuzzHTTP3(f *testing.F) {
	settings := slices.Concat([]byte{http3Control}, http3Frame(http3Settings, []byte{http3TableCapacity, 0x40, 220}))
	insert := hexBytes(f, "02"+"3fbd01c00f7777772e6578616d706c652e636f6dc10c2f73616d706c652f70617468")
	f.Add(wholeStream(0, http3Request("/a")), wholeStream(0, http3Frame(http3Headers, qpackSection(":status", "200"))), http3Request("/b"))
	f.Add(streamFrame(2, insert, 0, len(insert), false), streamFrame(3, settings, 0, len(settings), false), http3Frame(http3Headers, hexBytes(f, "03811011")))
	f.Add(cryptoFrame(make([]byte, 20), 0, 20), []byte{quicDone, quicResetStream, 0, 0, 0, quicNewID}, append(http3Request("/c"), http3Frame(http3Data, []byte("abc"))...))
	set := New()
	q := newQUICTalk(f)
	f.Fuzz(func(t *testing.T, client, server, stream []byte) {
		if len(client)+len(server)+len(stream) > 8000 {
			return
		}
		s := q.session(t, set)
		QUICRandom(client)
		QUICRandom(quicPacket(1, Client, []byte(rfc9001ID[:8]), 0, client, 1200))
		q.pn = 0
		s.Datagram(Client, 0, q.short(Client, client))
		s.Datagram(Server, 0, q.short(Server, server))
		s.Datagram(Server, 0, q.long("SERVER_HANDSHAKE_TRAFFIC_SECRET", quicHandshake, server))
		for i, id := range []uint64{400, 402, 403} {
			cut := len(stream) * i / 3
			for _, sender := range []Dir{Client, Server} {
				s.Datagram(sender, 0, q.short(sender, streamFrame(id, stream, cut, len(stream), true)))
				s.Datagram(sender, 0, q.short(sender, streamFrame(id, stream, 0, cut, true)))
			}
		}
		if s.Buffered() > DefaultLimits().Buffer {
			t.Fatalf("%d bytes are held", s.Buffered())
		}
		s.End(true)
		for _, tag := range stringsOf(s, "tags") {
			if strings.HasPrefix(tag, "dissector-panic") {
				t.Fatalf("%s: %s", tag, hex.EncodeToString(stream))
			}
		}
	})
}
