package dissect

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// dtlsRecord puts fragments into a record of epoch 0.
func dtlsRecord(version uint16, fragments ...[]byte) []byte {
	body := slices.Concat(fragments...)
	b := binary.BigEndian.AppendUint16([]byte{tlsHandshake}, version)
	b = append(b, make([]byte, 8)...) // epoch and sequence number
	return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
}

// dtlsFragment returns the part [from, to) of a handshake message.
func dtlsFragment(kind byte, number uint16, body []byte, from, to int) []byte {
	u24 := func(b []byte, n int) []byte { return append(b, byte(n>>16), byte(n>>8), byte(n)) }
	b := u24([]byte{kind}, len(body))
	b = binary.BigEndian.AppendUint16(b, number)
	b = u24(u24(b, from), to-from)
	return append(b, body[from:to]...)
}

// dtlsHello is the ClientHello of RFC 6347 section 4.2.1 with a cookie and extensions.
func dtlsHello(versions ...uint16) []byte {
	b := append([]byte{0xfe, 0xfd}, make([]byte, tlsRandom)...)
	b = append(b, 0)                            // session id
	b = append(b, 4, 'c', 'o', 'o', 'k')        // cookie
	b = append(b, 0, 4, 0xc0, 0x2b, 0x13, 0x01) // cipher suites
	b = append(b, 1, 0)
	name := "dtls.example.org"
	sni := append([]byte{0, 0, 0, byte(len(name) + 5), 0, byte(len(name) + 3), 0, 0, byte(len(name))}, name...)
	ext := append(sni, 0, 43, 0, byte(1+2*len(versions)), byte(2*len(versions)))
	for _, v := range versions {
		ext = binary.BigEndian.AppendUint16(ext, v)
	}
	return append(binary.BigEndian.AppendUint16(b, uint16(len(ext))), ext...)
}

func dtlsServerHello(extensions ...byte) []byte {
	b := append([]byte{0xfe, 0xfd}, make([]byte, tlsRandom)...)
	b = append(b, 2, 0xab, 0xcd, 0x13, 0x01, 0)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(extensions))), extensions...)
}

func testCertificate(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(0x4711), Subject: pkix.Name{CommonName: "dtls.example.org"}, NotBefore: time.Unix(1_700_000_000, 0), NotAfter: time.Unix(1_700_864_000, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestDTLS(t *testing.T) {
	const v12 = 0xfefd
	hello := dtlsHello(0xfefc, v12)
	der := testCertificate(t)
	u24 := func(n int) []byte { return []byte{byte(n >> 16), byte(n >> 8), byte(n)} }
	cert := slices.Concat(u24(len(der)+3), u24(len(der)), der)
	n, c := len(hello), len(cert)
	whole := [][2][]byte{
		{dtlsRecord(v12, dtlsFragment(tlsClientHello, 0, hello, 0, n))},
		{nil, dtlsRecord(v12, dtlsFragment(tlsServerHello, 1, dtlsServerHello(0, 43, 0, 2, 0xfe, 0xfc), 0, len(dtlsServerHello(0, 43, 0, 2, 0xfe, 0xfc))), dtlsFragment(tlsCertificate, 2, cert, 0, c))},
	}
	server := dtlsServerHello(0, 43, 0, 2, 0xfe, 0xfc)
	fragments := [][2][]byte{
		{dtlsRecord(v12, dtlsFragment(tlsClientHello, 1, hello, 60, n))},
		{dtlsRecord(v12, dtlsFragment(tlsClientHello, 1, hello, 0, 40))},
		{dtlsRecord(v12, dtlsFragment(tlsClientHello, 1, hello, 0, 40))},
		{nil, dtlsRecord(v12, dtlsFragment(tlsCertificate, 2, cert, 100, c))},
		{dtlsRecord(v12, dtlsFragment(tlsClientHello, 1, hello, 30, 70))},
		{nil, append(dtlsRecord(v12, dtlsFragment(tlsServerHello, 1, server, 0, 20), dtlsFragment(tlsServerHello, 1, server, 20, len(server))), dtlsRecord(v12, dtlsFragment(tlsCertificate, 2, cert, 0, 120))...)},
	}
	for name, datagrams := range map[string][][2][]byte{"whole": whole, "in fragments, out of order, some twice": fragments} {
		for _, reference := range []bool{false, true} {
			if reference && len(datagrams[0][Client]) < 100 {
				continue // which the reference passes over
			}
			s := newTestSession(New(), UDP, 40000, 5684)
			s.Reference = reference
			for _, d := range datagrams {
				for dir, b := range d {
					if b != nil {
						s.Datagram(Dir(dir), 0, b)
					}
				}
			}
			s.End(true)
			t.Log(name, reference)
			wantStrings(t, s, "protocol", "dtls")
			wantStrings(t, s, "tls.client.server_name", "dtls.example.org")
			wantStrings(t, s, "tls.ja4_r", "dd3d020200_1301,c02b_002b")
			wantStrings(t, s, "tags", "cert:self-signed")
			wantStrings(t, s, "cert.subjectCN", "dtls.example.org")
			if s.Buffered() != 0 {
				t.Errorf("%d bytes are still held", s.Buffered())
			}
			if reference {
				wantStrings(t, s, "tls.version")
				continue
			}
			wantStrings(t, s, "tls.version", "DTLSv1.3")
			wantStrings(t, s, "tls.cipher", "TLS_AES_128_GCM_SHA256")
			wantStrings(t, s, "http.host", "dtls.example.org")
		}
	}
}

// TestDTLSBeginning holds that any handshake message is recognized; by the reference long hellos of clients.
func TestDTLSBeginning(t *testing.T) {
	hello, server := dtlsHello(0xfefd), append(dtlsServerHello(), make([]byte, 64)...)
	short := make([]byte, 2+tlsRandom+8)
	for name, c := range map[string]struct {
		record []byte
		theirs []string
	}{
		"a client's hello":          {dtlsRecord(0xfefd, dtlsFragment(tlsClientHello, 0, hello, 0, len(hello))), []string{"dtls"}},
		"of the drafts":             {dtlsRecord(0x0100, dtlsFragment(tlsClientHello, 0, hello, 0, len(hello))), []string{"dtls"}},
		"of under a hundred bytes":  {dtlsRecord(0xfefd, dtlsFragment(tlsClientHello, 0, short, 0, len(short))), nil},
		"short, of the drafts":      {dtlsRecord(0x0100, dtlsFragment(tlsClientHello, 0, short, 0, len(short))), nil},
		"a server's hello at first": {dtlsRecord(0xfefd, dtlsFragment(tlsServerHello, 0, server, 0, len(server))), nil},
		"the middle of a handshake": {dtlsRecord(0xfefd, dtlsFragment(tlsCertificate, 2, make([]byte, 200), 0, 200)), nil},
	} {
		for _, reference := range []bool{false, true} {
			s := newTestSession(New(), UDP, 40000, 5684)
			s.Reference = reference
			s.Datagram(Client, 0, c.record)
			want := []string{"dtls"}
			if reference {
				want = c.theirs
			}
			t.Log(name, reference)
			wantStrings(t, s, "protocol", want...)
		}
	}
}

// TestDTLSHoards holds that messages which never become whole are let go of.
func TestDTLSHoards(t *testing.T) {
	s := newTestSession(New(), UDP, 40000, 5684)
	big := make([]byte, 200<<10)
	for i := range 300 {
		from := (i / maxDTLSMessages) * 1200
		s.Datagram(Client, 0, dtlsRecord(0xfefd, dtlsFragment(tlsCertificate, uint16(i%maxDTLSMessages), big, from+1, from+1200)))
		if s.Buffered() > DefaultLimits().Buffer {
			t.Fatalf("%d bytes are held", s.Buffered())
		}
	}
	if s.Buffered() != 0 {
		t.Errorf("%d bytes are held in the end", s.Buffered())
	}
}

func FuzzDTLS(f *testing.F) {
	hello := dtlsHello(0xfefc)
	f.Add(dtlsRecord(0xfefd, dtlsFragment(tlsClientHello, 0, hello, 0, len(hello))), dtlsRecord(0xfeff, dtlsFragment(tlsServerHello, 0, dtlsServerHello(), 0, 42)))
	f.Add(dtlsRecord(0xfefd, dtlsFragment(tlsCertificate, 3, hello, 10, 20), dtlsFragment(tlsCertificate, 3, hello, 0, 15)), []byte("\x16\xfe\xff"))
	set := New()
	f.Fuzz(func(t *testing.T, client, server []byte) {
		s := newTestSession(set, UDP, 40000, 5684)
		s.Attach("dtls")
		for range 2 {
			s.Datagram(Client, 0, client)
			s.Datagram(Server, 0, server)
		}
		s.End(true)
		for _, tag := range stringsOf(s, "tags") {
			if strings.HasPrefix(tag, "dissector-panic") {
				t.Fatal(tag)
			}
		}
	})
}

// TestDTLSBehindSTUN holds that the handshake of WebRTC is read, whose port STUN
// uses first (RFC 7983).
func TestDTLSBehindSTUN(t *testing.T) {
	hello := dtlsHello(0xfefd)
	binding := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)
	s := newTestSession(New(), UDP, 40000, 40001)
	for _, b := range [][]byte{binding, dtlsRecord(0xfefd, dtlsFragment(tlsClientHello, 0, hello, 0, len(hello))), {0x80, 0x60, 0, 1}, binding} {
		s.Datagram(Client, 0, b)
	}
	s.End(true)
	wantStrings(t, s, "protocol", "stun", "dtls")
	wantStrings(t, s, "stun.type", "Binding Request")
	wantStrings(t, s, "tls.client.server_name", "dtls.example.org")
}
