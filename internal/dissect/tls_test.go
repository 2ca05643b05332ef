package dissect

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	ctls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wirelake/internal/spi"
)

// flight is what one side wrote at once.
type flight struct {
	dir Dir
	b   []byte
}

type tapConn struct {
	net.Conn
	dir Dir
	mu  *sync.Mutex
	log *[]flight
}

func (c tapConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	*c.log = append(*c.log, flight{c.dir, append([]byte(nil), b...)})
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// handshake is a real handshake of crypto/tls with a certificate of its own making.
func handshake(t testing.TB, version uint16) []flight {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(0x4711), Subject: pkix.Name{CommonName: "WWW.example.org", Organization: []string{"Example"}},
		NotBefore: time.Unix(1_700_000_000, 0), NotAfter: time.Unix(1_700_864_000, 0), DNSNames: []string{"www.example.org", "*.example.org"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	var log []flight
	var mu sync.Mutex
	server := ctls.Server(tapConn{b, Server, &mu, &log}, &ctls.Config{Certificates: []ctls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MaxVersion: version, NextProtos: []string{"h2"}})
	client := ctls.Client(tapConn{a, Client, &mu, &log}, &ctls.Config{ServerName: "www.example.org", InsecureSkipVerify: true, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}}) //nolint:gosec // the certificate is of this test
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	return log
}

func streamDocument(set *Set, flights []flight) string {
	s := newTestSession(set, TCP, 40000, 443)
	s.IPProtocol, s.First = 6, 1_700_000_000e9
	for _, f := range flights {
		s.Stream(f.dir, f.b)
	}
	s.End(true)
	return string(s.Doc.AppendJSON(nil, nil))
}

func TestTLSHandshake(t *testing.T) {
	set := New()
	for _, tt := range []struct {
		name    string
		version uint16
		want    []string
	}{
		{"1.2 shows its certificate", ctls.VersionTLS12, []string{`"version":["TLSv1.2"]`, `"alt":["www.example.org","*.example.org"]`, `"serial":"4711"`, `"subjectCN":["www.example.org"]`,
			`"validDays":10`, `"remainingSeconds":864000`, `"publicAlgorithm":"id-ecPublicKey"`, `"curve":"prime256v1"`, `"cert:self-signed"`, `"ja4":["t12d`}},
		{"1.3 shows its version", ctls.VersionTLS13, []string{`"version":["TLSv1.3"]`, `"cipher":["TLS_AES_128_GCM_SHA256"]`, `"ja4":["t13d`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flights := handshake(t, tt.version)
			got := streamDocument(set, flights)
			for _, want := range append(tt.want, `"host":["www.example.org"]`, `"supported_protocols":["h2","http/1.1"]`, `"protocol":["tls"]`, `"ja3":["`, `"ja3s":["`) {
				if !strings.Contains(got, want) {
					t.Errorf("got %s\nwant %s in it", got, want)
				}
			}
			var bytewise []flight
			for _, f := range flights {
				for i := range f.b {
					bytewise = append(bytewise, flight{f.dir, f.b[i : i+1]})
				}
			}
			if slow := streamDocument(set, bytewise); slow != got {
				t.Errorf("byte by byte\n got %s\nwant %s", slow, got)
			}
		})
	}
}

// The lists, and the hashes wanted, are the example of JA4's technical details.
// TestTLSSplitHello spreads a client's hello over records of one byte, as those do who hide names from filters.
func TestTLSSplitHello(t *testing.T) {
	flights := handshake(t, ctls.VersionTLS13)
	hello := flights[0].b
	var split []byte
	for _, c := range hello[tlsRecordHeader:] {
		split = append(split, tlsHandshake, 3, 1, 0, 1, c)
	}
	got := streamDocument(allProtocols(), []flight{{Client, split}})
	if !strings.Contains(got, `"www.example.org"`) || !strings.Contains(got, `"ja4"`) {
		t.Errorf("a hello over many records: %s", got)
	}
}

// TestTLSSides holds that the reference tells of the server's certificates whoever opened the connection or was captured
// first: who says hello how decides.
func TestTLSSides(t *testing.T) {
	flights := handshake(t, ctls.VersionTLS12)
	for _, c := range []struct {
		name   string
		turned bool // the server opened the connection, or was captured first
		sides  []Dir
	}{
		{"a client opens", false, []Dir{Client, Server}},
		{"a server opens", true, []Dir{Client, Server}},
		{"the server alone, as destination", false, []Dir{Server}},
		{"the server alone, as source", true, []Dir{Server}},
	} {
		s := newTestSession(allProtocols(), TCP, 40000, 443)
		s.Reference = true
		for _, f := range flights {
			dir := f.dir
			if c.turned {
				dir = dir.Other()
			}
			if slices.Contains(c.sides, f.dir) {
				s.Stream(dir, f.b)
			}
		}
		s.End(true)
		if got := stringsOf(s, "cert.serial"); !slices.Equal(got, []string{"4711"}) {
			t.Errorf("%s: certificates %q, want 4711", c.name, got)
		}
	}
}

// TestTLSWarning has a server that does not know the name warn of it, and go on.
func TestTLSWarning(t *testing.T) {
	flights := handshake(t, ctls.VersionTLS12)
	want := streamDocument(allProtocols(), flights)
	for i, f := range flights {
		if f.dir == Server {
			flights[i].b = append([]byte("\x15\x03\x03\x00\x02\x01\x70"), f.b...)
			break
		}
	}
	got := streamDocument(allProtocols(), flights)
	if !strings.Contains(got, `"ja3s"`) || !strings.Contains(got, `"4711"`) {
		t.Errorf("without a warning\n%s\nwith one\n%s", want, got)
	}
}

func TestJA4(t *testing.T) {
	h := clientHello{version: 0x0303, hasSNI: true, alpn: []string{"h2", "http/1.1"}, versions: []uint16{0x0304, 0x0303},
		ciphers:    []uint16{0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035},
		extensions: []uint16{0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015},
		signatures: []uint16{0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601}}
	if got, _ := h.ja4('t'); got != "t13d1516h2_8daaf6152771_e5627efa2ab1" {
		t.Errorf("got %s, want t13d1516h2_8daaf6152771_e5627efa2ab1", got)
	}
	for alpn, want := range map[string]string{"h2": "h2", "h": "hh", "\xab": "ab", "\x30\xab": "3b", "http/1.1": "h1"} {
		if got := ja4ALPN([]string{alpn}); got != want {
			t.Errorf("ALPN %q: got %s, want %s", alpn, got, want)
		}
	}
}

// The text and its MD5 are the example of JA3's README.
func TestJA3(t *testing.T) {
	h := clientHello{version: 769, ciphers: []uint16{47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4}, extensions: []uint16{0, 10, 11}, groups: []uint16{23, 24, 25}, formats: []byte{0}}
	if got := md5Hex(h.ja3()); got != "ada70206e40642a3e4461f35503241d5" {
		t.Errorf("%s: got %s, want ada70206e40642a3e4461f35503241d5", h.ja3(), got)
	}
}

// TestSSLV2 reads the hello of SSL 2.0 that asks for TLS 1.0 (RFC 5246 appendix E.2), the answer to which is TLS's, and one of
// SSL 2.0 itself.
func TestSSLV2(t *testing.T) {
	challenge := strings.Repeat("c", 16)
	hello := func(version int, specs, id string) string {
		body := "\x01" + u16be(version) + u16be(len(specs)) + u16be(len(id)) + u16be(16) + specs + id + challenge
		return u16be(0x8000|len(body)) + body
	}
	serverHello := "\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01" + strings.Repeat("r", 32) + "\x00\x00\x2f\x00"
	for n := range 2 {
		s := newTestSession(New(), TCP, 40000, 443)
		text := hello(0x0301, "\x00\x00\x2f\x00\x00\x05\x01\x00\x80", strings.Repeat("i", 16))
		cut := len(text) - n*7
		s.Stream(Client, []byte(text[:cut]))
		s.Stream(Client, []byte(text[cut:]))
		s.Stream(Server, []byte(serverHello))
		wantStrings(t, s, "protocol", "tls")
		wantStrings(t, s, "tls.ja3string", "769,47-5,,,")
		wantStrings(t, s, "tls.srcSessionId", strings.Repeat("69", 16))
		wantStrings(t, s, "tls.version", "TLSv1")
		wantStrings(t, s, "tls.cipher", "TLS_RSA_WITH_AES_128_CBC_SHA")
	}
	s := newTestSession(New(), TCP, 40000, 443)
	s.Stream(Client, []byte(hello(2, "\x01\x00\x80", "")))
	body := "\x04\x00\x01\x00\x02" + u16be(3) + u16be(3) + u16be(16) + "\x30\x01\x00" + "\x01\x00\x80" + strings.Repeat("i", 16)
	s.Stream(Server, []byte(u16be(0x8000|len(body))+body))
	wantStrings(t, s, "tls.version", "SSLv2")
	wantStrings(t, s, "tls.ja3string", "2,,,,")
	reference := newTestSession(New(), TCP, 40000, 443)
	reference.Reference = true
	reference.Stream(Client, []byte(hello(0x0301, "\x00\x00\x2f", "")))
	wantStrings(t, reference, "protocol")
}

// TestTLSEndlessRecord holds that a message that never ends is given up.
func TestTLSEndlessRecord(t *testing.T) {
	var s Session
	set := New()
	s.Begin(set, DefaultLimits(), set.Registry().NewDocument())
	s.Transport, s.SrcPort, s.DstPort = TCP, 40000, 443
	record := append([]byte{22, 3, 3, 0x40, 0}, make([]byte, 1<<14)...)
	record[5] = tlsClientHello
	record[6] = 0xff // a message of 16 MiB
	for range 64 {
		s.Stream(Client, record)
	}
	if s.Wants(Client) || s.Buffered() > 0 {
		t.Error("a ClientHello of 16 MiB is still waited for")
	}
}

func FuzzTLS(f *testing.F) {
	set := New()
	for _, v := range []uint16{ctls.VersionTLS12, ctls.VersionTLS13} {
		for _, fl := range handshake(f, v) {
			f.Add(uint8(fl.dir), fl.b)
		}
	}
	f.Fuzz(func(_ *testing.T, dir uint8, b []byte) {
		streamDocument(set, []flight{{Dir(dir & 1), b}, {Dir(dir & 1), b}})
	})
}

func FuzzCertificate(f *testing.F) {
	set := New()
	f.Add([]byte("\x30\x03\x30\x01\x00"))
	f.Fuzz(func(_ *testing.T, der []byte) {
		reg := spi.NewRegistry()
		c := newCertFields(reg)
		var s Session
		s.Begin(set, DefaultLimits(), reg.NewDocument())
		c.add(&s, der)
	})
}

func BenchmarkTLS(b *testing.B) {
	set := New()
	flights := handshake(b, ctls.VersionTLS12)
	doc := set.Registry().NewDocument()
	var s Session
	b.ReportAllocs()
	for b.Loop() {
		doc.Reset()
		s.Begin(set, DefaultLimits(), doc)
		s.Transport, s.SrcPort, s.DstPort = TCP, 40000, 443
		for _, f := range flights {
			s.Stream(f.dir, f.b)
		}
		s.End(true)
	}
}

// TestEncryptedName holds that a session whose client encrypts the name it asks for is tagged, by the extension.
func TestEncryptedName(t *testing.T) {
	for extension, tag := range map[string]string{"\xfe\x0d": "tls:has_ech", "\xff\xce": "tls:has_esni"} {
		body := "\x03\x03" + strings.Repeat("r", tlsRandom) + "\x00\x00\x02\x13\x01\x01\x00\x00\x04" + extension + "\x00\x00"
		hello := "\x01\x00\x00" + string(rune(len(body))) + body
		s := newTestSession(New(), TCP, 40000, 443)
		s.Stream(Client, []byte("\x16\x03\x01\x00"+string(rune(len(hello)))+hello))
		wantStrings(t, s, "tags", tag)
	}
}
