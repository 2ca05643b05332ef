package dissect

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func hexBytes(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of RFC 9001 appendix A: connection id, the client's CRYPTO frame,
// and the server's packet.
const (
	rfc9001ID     = "8394c8f03e515708"
	rfc9001Crypto = `060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868
04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578
616d706c652e636f6dff01000100000a00080006001d00170018001000070005
04616c706e000500050100000000003300260024001d00209370b2c9caa47fba
baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400
0d0010000e0403050306030203080408050806002d00020101001c0002400100
3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000
75300901100f088394c8f03e51570806048000ffff`
	rfc9001Server = `cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a
5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3
dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84
022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4
2158407dd074ee`
)

// seal protects an Initial packet; head ends with the packet number, of the
// length that its first byte says.
func (k *quicKeys) seal(head, payload []byte) []byte {
	size := int(head[0]&3) + 1
	pn := len(head) - size
	nonce := slices.Clone(k.iv)
	for i := range size {
		nonce[12-size+i] ^= head[pn+i]
	}
	out := k.aead.Seal(slices.Clone(head), nonce, payload, head)
	mask, ok := k.mask(out[pn+4 : pn+4+aes.BlockSize])
	if !ok {
		panic("no mask")
	}
	bits := byte(0x1f)
	if head[0]&0x80 != 0 {
		bits = 0x0f
	}
	out[0] ^= mask[0] & bits
	for i := range size {
		out[pn+i] ^= mask[1+i]
	}
	return out
}

// quicPacket returns an Initial packet of a side with the frames, of at least size bytes.
func quicPacket(version uint32, sender Dir, dcid []byte, pn uint32, frames []byte, size int) []byte {
	v, ok := quicVersionOf(version)
	if !ok {
		panic("a version that is not known")
	}
	first := byte(0xc3)
	if v.v2 {
		first = 0xd3
	}
	head := binary.BigEndian.AppendUint32([]byte{first}, version)
	if v.nibbles {
		head = append(append(head, byte(len(dcid)-3)<<4), dcid...)
	} else {
		head = append(append(head, byte(len(dcid))), dcid...)
		head = append(head, 0)
	}
	head = append(head, 0) // no token
	if pad := size - len(head) - 2 - 4 - 16 - len(frames); pad > 0 {
		frames = append(slices.Clone(frames), make([]byte, pad)...)
	}
	head = binary.BigEndian.AppendUint16(head, uint16(0x4000|len(frames)+4+16))
	head = binary.BigEndian.AppendUint32(head, pn)
	keys := newQUICInitialKeys(v, dcid)
	return keys.side[sender].seal(head, frames)
}

// cryptoFrame returns the part [from, to) of a CRYPTO stream as a frame.
func cryptoFrame(stream []byte, from, to int) []byte {
	b := []byte{quicCrypto}
	b = binary.BigEndian.AppendUint16(b, uint16(0x4000|from))
	b = binary.BigEndian.AppendUint16(b, uint16(0x4000|(to-from)))
	return append(b, stream[from:to]...)
}

func TestQUICInitialKeys(t *testing.T) {
	for _, tt := range []struct {
		name    string
		version uint32
		dir     Dir
		iv      string
	}{
		{"RFC 9001 A.1, client", 1, Client, "fa044b2f42a3fd3b46fb255c"},
		{"RFC 9001 A.1, server", 1, Server, "0ac1493ca1905853b0bba03e"},
		{"RFC 9369 A.1, client", 0x6b3343cf, Client, "91f73e2351d8fa91660e909f"},
	} {
		v, _ := quicVersionOf(tt.version)
		keys := newQUICInitialKeys(v, hexBytes(t, rfc9001ID))
		if got := hex.EncodeToString(keys.side[tt.dir].iv); got != tt.iv {
			t.Errorf("%s: iv %s, want %s", tt.name, got, tt.iv)
		}
	}
}

// TestQUICExample holds that the packets of RFC 9001 appendix A are opened: the
// client's ClientHello and the server's ServerHello.
func TestQUICExample(t *testing.T) {
	client := quicPacket(1, Client, hexBytes(t, rfc9001ID), 2, hexBytes(t, rfc9001Crypto), 1200)
	// The RFC's packet, by both of its ends.
	if head, tail := hex.EncodeToString(client[:22]), hex.EncodeToString(client[len(client)-16:]); head != "c000000001088394c8f03e5157080000449e7b9aec34" || tail != "e221af44860018ab0856972e194cd934" {
		t.Fatalf("the example's packet came out as %s…%s", head, tail)
	}
	for _, reference := range []bool{false, true} {
		s := newTestSession(New(), UDP, 40000, 443)
		s.Reference = reference
		s.Datagram(Client, 0, client)
		s.Datagram(Server, 0, hexBytes(t, rfc9001Server))
		s.End(true)
		wantStrings(t, s, "protocol", "quic")
		wantStrings(t, s, "http.host", "example.com")
		wantStrings(t, s, "tls.client.supported_protocols", "alpn")
		wantStrings(t, s, "tls.ja3string", "771,4865-4866,0-65281-10-16-5-51-43-13-45-28-57,29-23-24,")
		wantStrings(t, s, "tls.ja4_r", "q13d0211an_1301,1302_0005,000a,000d,001c,002b,002d,0033,0039,ff01_0403,0503,0603,0203,0804,0805,0806")
		if reference {
			wantStrings(t, s, "quic.version")
			continue
		}
		wantStrings(t, s, "quic.host", "example.com")
		wantStrings(t, s, "quic.version", "v1")
		wantStrings(t, s, "tls.cipher", "TLS_AES_128_GCM_SHA256")
		wantStrings(t, s, "tls.version", "TLSv1.3")
	}
}

// TestQUICServerFirst holds that what the server sent is read where it was captured before what it answers, in a session
// whose source it is then; and that packets which no key opens are kept within a bound.
func TestQUICServerFirst(t *testing.T) {
	id, crypto := hexBytes(t, rfc9001ID), hexBytes(t, rfc9001Crypto)
	client := quicPacket(1, Client, id, 2, crypto, 1200)
	second := quicPacket(1, Client, hexBytes(t, "f067a5502a4262b5"), 3, []byte{quicPing}, 1200) // of other keys
	s := newTestSession(New(), UDP, 443, 40000)
	s.Datagram(Client, 0, hexBytes(t, rfc9001Server))
	s.Datagram(Server, 0, second[:len(second)-1])
	if s.Buffered() == 0 {
		t.Error("nothing is kept")
	}
	s.Datagram(Server, 0, client)
	s.End(true)
	wantStrings(t, s, "quic.host", "example.com")
	wantStrings(t, s, "tls.cipher", "TLS_AES_128_GCM_SHA256")
	wantStrings(t, s, "tls.ja3sstring", "771,4865,51-43")
	s = newTestSession(New(), UDP, 443, 40000)
	for range maxQUICInitial {
		s.Datagram(Client, 0, hexBytes(t, rfc9001Server))
	}
	if got, most := s.Buffered(), maxQUICEarly*len(rfc9001Server)/2; got > most {
		t.Errorf("%d bytes are kept, more than %d", got, most)
	}
	// The second half of a ClientHello before the first, under the connection id that the server chose.
	stream := crypto[4:]
	s = newTestSession(New(), UDP, 40000, 443)
	v, _ := quicVersionOf(1)
	first := quicPacket(1, Client, id, 0, cryptoFrame(stream, 0, 100), 1200)
	moved := quicPacket(1, Client, []byte("server's"), 1, cryptoFrame(stream, 100, len(stream)), 1200)
	h, _ := parseQUICHeader(moved)
	other, own := newQUICInitialKeys(v, []byte("server's")), newQUICInitialKeys(v, id)
	payload, ok := other.side[Client].open(moved, h.pn)
	if !ok {
		t.Fatal("the packet does not open")
	}
	head := append(slices.Clone(moved[:h.pn]), 0, 0, 0, 1)
	head[0] = 0xc3
	s.Datagram(Client, 0, own.side[Client].seal(head, payload))
	s.Datagram(Client, 0, first)
	s.End(true)
	wantStrings(t, s, "quic.host", "example.com")
	if s.Buffered() != 0 {
		t.Errorf("%d bytes are still held", s.Buffered())
	}
}

// TestQUICOrder holds that a ClientHello is read from several packets in any
// order, whole or split within a datagram, in every version.
func TestQUICOrder(t *testing.T) {
	stream := hexBytes(t, rfc9001Crypto)[4:]
	id := hexBytes(t, rfc9001ID)
	set := New()
	for _, version := range []uint32{1, 0x6b3343cf, 0xff000011, 0xff000016, 0xff00001b, 0xff00001d, 0xff000022, 0xfaceb002, 0x54303531} {
		n := len(stream)
		var parts [][]byte
		for pn, f := range [][]byte{
			cryptoFrame(stream, 150, n),
			slices.Concat(cryptoFrame(stream, 90, 170), []byte{quicPing, quicPadding}, cryptoFrame(stream, 10, 60), []byte{quicAck, 0, 0, 0, 0}),
			slices.Concat([]byte{quicAckECN, 5, 0, 1, 0, 0, 0, 1, 2, 3}, cryptoFrame(stream, 0, 30), cryptoFrame(stream, 50, 100)),
		} {
			parts = append(parts, quicPacket(version, Client, id, uint32(pn), f, 300))
		}
		for _, datagrams := range [][][]byte{parts, {slices.Concat(parts...)}, {parts[2], parts[0], parts[0], parts[1]}} {
			s := newTestSession(set, UDP, 40000, 443)
			for _, d := range datagrams {
				s.Datagram(Client, 0, d)
			}
			s.End(true)
			wantStrings(t, s, "quic.host", "example.com")
			if s.Buffered() != 0 {
				t.Errorf("version %x: %d bytes are still held", version, s.Buffered())
			}
		}
	}
}

// TestQUICRetry holds that keys are renewed: after a Retry the client takes the
// server's connection id, and after compatible version negotiation the version changes.
func TestQUICRetry(t *testing.T) {
	stream := hexBytes(t, rfc9001Crypto)[4:]
	id, other := hexBytes(t, rfc9001ID), []byte("server's id")
	s := newTestSession(New(), UDP, 40000, 443)
	s.Datagram(Client, 0, quicPacket(1, Client, id, 0, cryptoFrame(stream, 0, 100), 1200))
	s.Datagram(Client, 0, quicPacket(1, Client, other, 1, cryptoFrame(stream, 0, 100), 1200))
	s.Datagram(Client, 0, quicPacket(0x6b3343cf, Client, other, 2, cryptoFrame(stream, 100, len(stream)), 1200))
	s.End(true)
	wantStrings(t, s, "quic.host", "example.com")
	wantStrings(t, s, "quic.version", "v2")
}

// googleHello returns a CHLO with the tags, name and value in turns.
func googleHello(pairs ...string) []byte {
	b := append([]byte("CHLO"), byte(len(pairs)/2), 0, 0, 0)
	var values []byte
	for i := 0; i < len(pairs); i += 2 {
		values = append(values, pairs[i+1]...)
		b = binary.LittleEndian.AppendUint32(append(b, pairs[i]...), uint32(len(values)))
	}
	return append(b, values...)
}

func TestGoogleQUIC(t *testing.T) {
	hello := googleHello("PAD\x00", strings.Repeat("-", 500), "SNI\x00", "www.Example.org", "VER\x00", "Q024", "UAID", "canary Chrome/44")
	n := len(hello)
	id := "\x01\x02\x03\x04\x05\x06\x07\x08"
	hash := strings.Repeat("h", googleHash)
	le := func(v int) string { return string([]byte{byte(v), byte(v >> 8)}) }
	be := func(v int) string { return string([]byte{byte(v >> 8), byte(v)}) }
	q050 := append([]byte{googleCrypto, 0}, binary.BigEndian.AppendUint16(nil, uint16(0x4000|n))...)
	set := New()
	for _, tt := range []struct {
		name, version string
		datagrams     []string
	}{
		{"Q024: private flags, little endian, a length", "Q024", []string{"\x0d" + id + "Q024\x01" + hash + "\x00\xa0\x01" + le(n) + string(hello)}},
		{"Q035: no private flags", "Q035", []string{"\x09" + id + "Q035\x01" + hash + "\xa0\x01" + le(n) + string(hello) + "\x00\x00"}},
		{"Q043: big endian, two packets in the wrong order, an ACK in front", "Q043", []string{
			"\x09" + id + "Q043\x02" + hash + "\x40\x01\x00\x00\x01\x00\xa4\x01" + be(100) + be(n-100) + string(hello[100:]),
			"\x09" + id + "Q043\x01" + hash + "\x07\x80\x01" + string(hello[:100]),
		}},
		{"Q043: four-byte packet number", "Q043", []string{"\x29" + id + "Q043\x00\x00\x00\x01" + hash + "\x80\x01" + string(hello)}},
		{"Q044: long header", "Q044", []string{"\xffQ044\x50" + id + "\x00\x00\x00\x01" + hash + "\x80\x01" + string(hello)}},
		{"Q046: long header", "Q046", []string{"\xc3Q046\x50" + id + "\x00\x00\x00\x01" + hash + "\x80\x01" + string(hello)}},
		{"Q050: encrypted", "Q050", []string{string(quicPacket(0x51303530, Client, []byte(id), 1, append(q050, hello...), 1350))}},
	} {
		s := newTestSession(set, UDP, 40000, 443)
		for _, d := range tt.datagrams {
			s.Datagram(Client, 0, []byte(d))
		}
		s.End(true)
		for path, want := range map[string]string{"protocol": "quic", "quic.version": tt.version, "quic.host": "www.example.org", "quic.useragent": "canary Chrome/44"} {
			if got := stringsOf(s, path); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %s %q, want %q", tt.name, path, got, want)
			}
		}
		if s.Buffered() != 0 {
			t.Errorf("%s: %d bytes are still held", tt.name, s.Buffered())
		}
	}
}

// TestGoogleQUICCut holds that the tags of a CHLO whose end was not captured are read.
func TestGoogleQUICCut(t *testing.T) {
	hello := googleHello("SNI\x00", "www.example.org", "PAD\x00", strings.Repeat("-", 500))
	s := newTestSession(New(), UDP, 40000, 443)
	s.Datagram(Client, 0, []byte("\x0912345678Q043\x01"+strings.Repeat("h", googleHash)+"\x80\x01"+string(hello[:100])))
	s.End(true)
	wantStrings(t, s, "quic.host", "www.example.org")
}

// TestQUICMatchAllocates holds that sessions of other protocols pay little for QUIC.
func TestQUICMatchAllocates(t *testing.T) {
	for _, first := range []byte{0x09, 0x0d, 0x01, 0xc0, 0xff} {
		b := append([]byte{first}, "some other protocol's datagram"...)
		if n := testing.AllocsPerRun(100, func() {
			if _, ok := parseGoogleHeader(b); ok || quicLong(b) {
				t.Error("taken for QUIC")
			}
		}); n != 0 {
			t.Errorf("first byte %#x: %v allocations", first, n)
		}
	}
}

func TestFBZero(t *testing.T) {
	hello := googleHello("SNI\x00", "graph.example.org", "VERS", "QTV1")
	whole := string(binary.LittleEndian.AppendUint32([]byte("1QTV0"), uint32(len(hello)))) + string(hello) + "more"
	for _, n := range []int{1, 7, 1000} {
		s := newTestSession(New(), TCP, 40000, 443)
		for b := []byte(whole); len(b) > 0; b = b[min(n, len(b)):] {
			s.Stream(Client, b[:min(n, len(b))])
		}
		s.End(true)
		wantStrings(t, s, "quic.host", "graph.example.org")
		wantStrings(t, s, "protocol", "fbzero", "quic")
	}
}

// TestSparse holds that pieces give the whole in any order, first bytes winning,
// and that the session's count of held bytes comes back to none.
func TestSparse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newTestSession(New(), UDP, 1, 2)
		s.parsers = append(s.parsers, attached{proto: &Protocol{Name: "test"}})
		n := rapid.IntRange(1, 60).Draw(t, "size")
		want, seen := make([]byte, n), make([]bool, n)
		var p sparse
		for i := range rapid.IntRange(1, 30).Draw(t, "pieces") {
			from := rapid.IntRange(0, n).Draw(t, "from")
			to := rapid.IntRange(from, n).Draw(t, "to")
			piece := bytes.Repeat([]byte{byte(i + 1)}, to-from)
			if !p.add(s, uint64(from), piece, n) {
				t.Fatal("a piece within the limit was refused")
			}
			for at := from; at < to; at++ {
				if !seen[at] {
					seen[at], want[at] = true, byte(i+1)
				}
			}
			whole := slices.Index(append(seen, false), false)
			if got := p.prefix(); !bytes.Equal(got, want[:whole]) {
				t.Fatalf("prefix %v, want %v", got, want[:whole])
			}
		}
		if p.add(s, uint64(n), []byte{1}, n) || p.add(s, 1<<63, nil, n) {
			t.Fatal("a piece past the limit was taken")
		}
		if p.release(s); s.Buffered() != 0 {
			t.Fatalf("%d bytes are still held", s.Buffered())
		}
	})
}

// FuzzQUIC seals the input as frames of two Initial packets, so that what lies
// behind the encryption is reached, and gives it in clear to Google's versions.
func FuzzQUIC(f *testing.F) {
	id := hexBytes(f, rfc9001ID)
	f.Add(hexBytes(f, rfc9001Crypto), hexBytes(f, rfc9001Crypto), uint32(1))
	f.Add(googleHello("SNI\x00", "a", "UAID", "b"), []byte("\x80\x01CHLO\xff\x00\x00\x00"), uint32(0x51303433))
	f.Add([]byte{quicCrypto, 0xc0, 0, 0, 0, 0, 0, 0xff, 0xff, 5, 1}, []byte{quicAck, 1, 1, 0xff, 0xff}, uint32(0x51303530))
	set := New()
	f.Fuzz(func(t *testing.T, client, server []byte, version uint32) {
		s := newTestSession(set, UDP, 40000, 443)
		if v, ok := quicVersionOf(version); ok && v.protected && len(client) < 8000 && len(server) < 8000 {
			early := quicPacket(version, Server, id, 1, client, 100)
			s.Datagram(Server, 0, early)
			s.Datagram(Client, 0, quicPacket(version, Client, id, 0, client, 100))
			s.Datagram(Server, 0, quicPacket(version, Server, id, 0, server, 100))
		}
		name := googleVersionName(0x51303000 | version&0x303)
		s.Datagram(Client, 0, slices.Concat([]byte("\x0912345678"+name+"\x01"+strings.Repeat("h", googleHash)), client))
		s.Datagram(Client, 0, server)
		s.End(true)
		for _, tag := range stringsOf(s, "tags") {
			if strings.HasPrefix(tag, "dissector-panic") {
				t.Fatal(tag)
			}
		}
	})
}
