package dissect

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	ctls "crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime/multipart"
	"net"
	nethttp "net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wirelake/internal/keylog"
)

// tapListener logs what its connections read and write.
type tapListener struct {
	net.Listener
	mu  sync.Mutex
	log []flight
}

type tappedConn struct {
	net.Conn
	l *tapListener
}

func (l *tapListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tappedConn{c, l}, nil
}

func (c tappedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.l.note(Client, b[:n])
	return n, err
}

func (c tappedConn) Write(b []byte) (int, error) {
	c.l.note(Server, b)
	return c.Conn.Write(b)
}

func (l *tapListener) note(dir Dir, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = append(l.log, flight{dir, bytes.Clone(b)})
}

// httpsTalk has a real client get a page and post a form over TLS, and returns
// what went over the wire and the key log.
func httpsTalk(t testing.TB, version, suite uint16, h2 bool, curves ...ctls.CurveID) ([]flight, []byte) {
	t.Helper()
	config := &ctls.Config{MinVersion: version, MaxVersion: version, CipherSuites: []uint16{suite}, CurvePreferences: curves}
	page := func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		if _, err := io.WriteString(w, "<html>"+strings.Repeat("a", 40_000)); err != nil {
			t.Error(err)
		}
	}
	var requests []*nethttp.Request
	for _, body := range []string{"", "user=me&word=secret"} {
		method := map[bool]string{true: "GET", false: "POST"}[body == ""]
		requests = append(requests, newRequest(t, method, "/hidden/"+strings.ToLower(method), strings.NewReader(body)))
	}
	return overTLS(t, config, h2, page, requests...)
}

func newRequest(t testing.TB, method, path string, body io.Reader) *nethttp.Request {
	t.Helper()
	r, err := nethttp.NewRequest(method, "https://secret.example.org"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// overTLS has a real client make requests of a real server, one after the other on one connection, and returns what went over the
// wire and the key log.
func overTLS(t testing.TB, config *ctls.Config, h2 bool, handler nethttp.HandlerFunc, requests ...*nethttp.Request) ([]flight, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Unix(1_700_000_000, 0), NotAfter: time.Unix(1_900_000_000, 0), DNSNames: []string{"secret.example.org"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &tapListener{Listener: inner}
	var keys bytes.Buffer
	config.Certificates = []ctls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	config.KeyLogWriter, config.NextProtos = &keys, []string{"http/1.1"}
	if h2 {
		config.NextProtos = []string{"h2"}
	}
	server := &nethttp.Server{Handler: handler, TLSConfig: config.Clone()} // which it changes
	if !h2 {
		server.TLSNextProto = map[string]func(*nethttp.Server, *ctls.Conn, nethttp.Handler){}
	}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(l, "", "") }()
	transport := &nethttp.Transport{
		ForceAttemptHTTP2: h2,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", inner.Addr().String())
		},
		TLSClientConfig: &ctls.Config{InsecureSkipVerify: true, ServerName: "secret.example.org", MinVersion: config.MinVersion, MaxVersion: config.MaxVersion, NextProtos: config.NextProtos}, //nolint:gosec // the certificate is of this test
	}
	client := &nethttp.Client{Transport: transport, Timeout: 10 * time.Second}
	for _, req := range requests {
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	transport.CloseIdleConnections()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, nethttp.ErrServerClosed) {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log, bytes.Clone(keys.Bytes())
}

// TestDecryptedFiles holds that files which a real client downloads and uploads over TLS are named and hashed, of both versions of HTTP.
func TestDecryptedFiles(t *testing.T) {
	set := New()
	program := "MZ\x90\x00" + strings.Repeat("program ", 20_000)
	const typ = "application/vnd.microsoft.portable-executable"
	handler := func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch r.URL.Path {
		case "/dl/tool.exe":
			nethttp.ServeContent(w, r, "tool.exe", time.Time{}, strings.NewReader(program))
		case "/report":
			w.Header().Set("Content-Disposition", `attachment; filename="the report.pdf"`)
			if _, err := io.WriteString(w, "%PDF-1.7 report"); err != nil {
				t.Error(err)
			}
		default:
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Error(err)
			}
		}
	}
	for _, h2 := range []bool{false, true} {
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		part, err := w.CreateFormFile("upload", "up.exe")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(part, program); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		upload := newRequest(t, "POST", "/up", &form)
		upload.Header.Set("Content-Type", w.FormDataContentType())
		ranged := newRequest(t, "GET", "/dl/tool.exe", nil)
		ranged.Header.Set("Range", "bytes=0-99")
		flights, keys := overTLS(t, &ctls.Config{MinVersion: ctls.VersionTLS12}, h2, handler,
			newRequest(t, "GET", "/dl/tool.exe", nil), newRequest(t, "GET", "/report", nil), upload, ranged)
		s := decryptSession(set, flights, keys)
		s.End(true)
		wantFiles(t, s, wholeFile("http", "tool.exe", typ, program), wholeFile("http", "the report.pdf", "application/pdf", "%PDF-1.7 report"),
			wholeFile("http", "up.exe", typ, program), "http tool.exe 100 "+typ+" - -")
		wantStrings(t, s, "tags", "cert:self-signed", "tls:decrypted")
	}
}

func decryptSession(set *Set, flights []flight, keys []byte) *Session {
	s := newTestSession(set, TCP, 40000, 443)
	if keys != nil {
		s.Keys = keylog.New()
		s.Keys.Add(keys)
	}
	for _, f := range flights {
		s.Stream(f.dir, f.b)
	}
	return s
}

func TestTLSDecrypt(t *testing.T) {
	set := New()
	for _, tt := range []struct {
		version, suite uint16
	}{
		{ctls.VersionTLS12, ctls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		{ctls.VersionTLS12, ctls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
		{ctls.VersionTLS12, ctls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
		{ctls.VersionTLS13, 0},
	} {
		for _, h2 := range []bool{false, true} {
			if h2 && tt.suite != 0 && tt.suite != ctls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 {
				continue // HTTP/2 requires the first of them
			}
			t.Run(fmt.Sprintf("%x %x h2=%v", tt.version, tt.suite, h2), func(t *testing.T) {
				flights, keys := httpsTalk(t, tt.version, tt.suite, h2)
				var bytewise []flight
				for _, f := range flights {
					for part := range slices.Chunk(f.b, 100) {
						bytewise = append(bytewise, flight{f.dir, part})
					}
				}
				// A client whose packets overtook the server's.
				early := slices.Clone(flights)
				slices.SortStableFunc(early, func(a, b flight) int { return int(a.dir) - int(b.dir) })
				for name, order := range map[string][]flight{"as sent": flights, "in parts": bytewise, "all of the client first": early} {
					s := decryptSession(set, order, keys)
					if s.Buffered() > DefaultLimits().Buffer {
						t.Errorf("%s: %d bytes are held", name, s.Buffered())
					}
					s.End(true)
					for path, want := range map[string][]string{
						"http.method": {"GET", "POST"}, "http.path": {"/hidden/get", "/hidden/post"}, "http.requestBody": {"user=me&word=secret"},
						"http.uri": {"secret.example.org/hidden/get", "secret.example.org/hidden/post"}, "http.bodyMagic": {"text/html"},
						"cert.alt": {"secret.example.org"}, "tls.next_protocol": {map[bool]string{true: "h2", false: "http/1.1"}[h2]},
					} {
						got := stringsOf(s, path)
						slices.Sort(got)
						if got = slices.DeleteFunc(got, func(v string) bool { return v == "PRI" || v == "*" }); !slices.Equal(got, want) {
							t.Errorf("%s: %s %q, want %q", name, path, got, want)
						}
					}
					if !slices.Contains(stringsOf(s, "tags"), "tls:decrypted") || !s.HasProtocol("http") || !s.HasProtocol("tls") {
						t.Errorf("%s: tags %q, protocols %q", name, stringsOf(s, "tags"), stringsOf(s, "protocol"))
					}
				}
				other := bytes.ReplaceAll(keys, []byte(" "), []byte(" 00"))
				for name, s := range map[string]*Session{"no keys": decryptSession(set, flights, nil), "keys of others": decryptSession(set, flights, other)} {
					s.End(true)
					wantStrings(t, s, "protocol", "tls")
					wantStrings(t, s, "http.method")
					if s.Wants(Client) && name == "no keys" {
						t.Errorf("%s: the session is still read", name)
					}
				}
			})
		}
	}
}

// TestTLSRetry holds that a handshake with a HelloRetryRequest (RFC 8446 section
// 4.1.4) is followed: the server takes a curve that the client sent no share for.
func TestTLSRetry(t *testing.T) {
	flights, keys := httpsTalk(t, ctls.VersionTLS13, 0, true, ctls.CurveP521)
	sides := [2][]byte{}
	for _, f := range flights {
		sides[f.dir] = append(sides[f.dir], f.b...)
	}
	if !bytes.Contains(sides[Server], []byte(tlsRetryRandom)) {
		t.Fatal("the server asked for no retry")
	}
	for name, order := range map[string][]flight{"as sent": flights, "all of the client first": {{Client, sides[Client]}, {Server, sides[Server]}}} {
		s := decryptSession(New(), order, keys)
		s.End(true)
		if got := stringsOf(s, "http.path"); !slices.Equal(got, []string{"/hidden/get", "/hidden/post"}) {
			t.Errorf("%s: paths %q", name, got)
		}
	}
}

// TestTLSDecryptHostile holds that wrong secrets, damage, gaps and endless
// records end decryption within the session's limits.
func TestTLSDecryptHostile(t *testing.T) {
	set := New()
	flights, keys := httpsTalk(t, ctls.VersionTLS13, 0, true)
	wrong := bytes.ReplaceAll(bytes.ReplaceAll(keys, []byte("a"), []byte("b")), []byte("b"), []byte("a"))
	for i := range flights {
		damaged := slices.Clone(flights)
		damaged[i].b = bytes.Clone(damaged[i].b)
		for at := 0; at < len(damaged[i].b); at += 10 {
			damaged[i].b[at] ^= 0x55
		}
		dropped := slices.Delete(slices.Clone(flights), i, i+1)
		for _, order := range [][]flight{damaged, dropped} {
			for _, k := range [][]byte{keys, wrong} {
				s := decryptSession(set, order, k)
				s.Gap(flights[i].dir, 100)
				s.Stream(flights[i].dir, flights[i].b)
				if s.Buffered() > DefaultLimits().Buffer {
					t.Fatalf("%d bytes are held", s.Buffered())
				}
				s.End(false)
				s.End(true)
				if s.Buffered() != 0 {
					t.Fatalf("%d bytes are held in the end", s.Buffered())
				}
			}
		}
	}
}

// sealed13 is the sending side of TLS 1.3 with the secret.
type sealed13 struct{ tlsKeys }

func (k *sealed13) record(kind byte, plain []byte) []byte {
	body := append(bytes.Clone(plain), kind)
	header := []byte{tlsData, 3, 3}
	header = binary.BigEndian.AppendUint16(header, uint16(len(body)+k.aead.Overhead()))
	nonce := bytes.Clone(k.iv)
	nonce[11] ^= byte(k.seq)
	k.seq++
	return append(header, k.aead.Seal(nil, nonce, body, header)...)
}

// TestTLSPhases holds the phases of TLS 1.3 that clients of Go's library do not
// reach: early data, accepted and refused, key updates, and logs without the
// secrets of the handshake.
func TestTLSPhases(t *testing.T) {
	set := New()
	suite, _ := tlsSuiteOf(0x1303)
	secret := func(name string) []byte {
		b, err := hkdf.Expand(sha256.New, bytes.Repeat([]byte{1}, 32), name, 32)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	labels := map[string]string{
		"early": "CLIENT_EARLY_TRAFFIC_SECRET", "c hs": "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "s hs": "SERVER_HANDSHAKE_TRAFFIC_SECRET",
		"c ap": "CLIENT_TRAFFIC_SECRET_0", "s ap": "SERVER_TRAFFIC_SECRET_0",
	}
	random := bytes.Repeat([]byte{7}, 32)
	hello := slices.Concat([]byte{3, 3}, random, []byte{0, 0, 2, 0x13, 3, 1, 0, 0, 4, 0, extEarlyData, 0, 0})
	serverHello := slices.Concat([]byte{3, 3}, bytes.Repeat([]byte{8}, 32), []byte{0, 0x13, 3, 0, 0, 6, 0, extSupportedVersions, 0, 2, 3, 4})
	message := func(kind byte, body []byte) []byte { return append([]byte{kind, 0, 0, byte(len(body))}, body...) }
	clear13 := func(b []byte) []byte {
		return append([]byte{tlsHandshake, 3, 3, 0, byte(len(b))}, b...)
	}
	request := func(path string) []byte { return []byte("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n") }
	for _, tt := range []struct {
		name           string
		early, refused bool
		secrets        []string
		want           []string
	}{
		{"early data and a key update", true, false, []string{"early", "c hs", "s hs", "c ap", "s ap"}, []string{"/early", "/one", "/two"}},
		{"early data that is refused", true, true, []string{"early", "c hs", "s hs", "c ap", "s ap"}, []string{"/early", "/one", "/two"}},
		{"a log without early secret", true, true, []string{"c hs", "s hs", "c ap", "s ap"}, []string{"/one", "/two"}},
		{"a log with the secrets of application data only", false, false, []string{"c ap", "s ap"}, []string{"/one", "/two"}},
	} {
		var keys []byte
		for _, name := range tt.secrets {
			keys = fmt.Appendf(keys, "%s %x %x\n", labels[name], random, secret(name))
		}
		side := func(name string) *sealed13 { return &sealed13{suite.keys13(secret(name))} }
		early, hs, ap := side("early"), side("c hs"), side("c ap")
		var flights []flight
		send := func(dir Dir, b ...[]byte) { flights = append(flights, flight{dir, slices.Concat(b...)}) }
		send(Client, clear13(message(tlsClientHello, hello)))
		if tt.early {
			send(Client, []byte{tlsChangeCipher, 3, 3, 0, 1, 1}, early.record(tlsData, request("/early")))
		}
		send(Server, clear13(message(tlsServerHello, serverHello)), side("s hs").record(tlsHandshake, message(tlsFinished, make([]byte, 32))))
		if tt.early && !tt.refused {
			send(Client, early.record(tlsHandshake, message(tlsEndOfEarlyData, nil)))
		}
		send(Client, hs.record(tlsHandshake, message(tlsFinished, make([]byte, 32))), ap.record(tlsData, request("/one")))
		send(Client, ap.record(tlsHandshake, message(tlsKeyUpdate, []byte{0})))
		next := &sealed13{suite.keys13(expandLabel(sha256.New, secret("c ap"), "traffic upd", 32))}
		send(Client, next.record(tlsData, request("/two")))
		s := decryptSession(set, flights, keys)
		s.End(true)
		if got := stringsOf(s, "http.path"); !slices.Equal(got, tt.want) {
			t.Errorf("%s: paths %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestTLS13Keys holds the derivation with RFC 8448 section 3: the server's
// handshake traffic secret, and the key and nonce of it.
func TestTLS13Keys(t *testing.T) {
	suite, _ := tlsSuiteOf(0x1301)
	secret := hexBytes(t, "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
	k := suite.keys13(secret)
	if got := hex.EncodeToString(k.iv); got != "5d313eb2671276ee13000b30" {
		t.Errorf("iv %s", got)
	}
	if got := hex.EncodeToString(expandLabel(sha256.New, secret, "key", 16)); got != "3fce516009c21727d0f2e4e86ee403bc" {
		t.Errorf("key %s", got)
	}
}

func FuzzTLSDecrypt(f *testing.F) {
	flights, keys := httpsTalk(f, ctls.VersionTLS12, ctls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, false)
	sides := [2][]byte{}
	for _, fl := range flights {
		sides[fl.dir] = append(sides[fl.dir], fl.b...)
	}
	f.Add(sides[0], sides[1][:min(len(sides[1]), 4000)], []byte("GET / HTTP/1.1\r\n\r\n"))
	set := New()
	suite, _ := tlsSuiteOf(0x1301)
	f.Fuzz(func(t *testing.T, client, server, plain []byte) {
		s := decryptSession(set, []flight{{Client, client}, {Server, server}}, keys)
		// Any plaintext, behind a handshake that holds.
		if len(plain) < 16000 {
			d := &tlsDecryption{known: true, v13: true, suite: suite, log: s.Keys}
			k := suite.keys13(make([]byte, 32))
			d.keys[Client] = k
			sender := sealed13{k}
			record := sender.record(tlsHandshake, plain)
			if out, inner, ok := d.open(Client, tlsData, record[:tlsRecordHeader], record[tlsRecordHeader:]); !ok || inner != tlsHandshake || !bytes.Equal(out, plain) {
				t.Fatalf("a record came back as %x %d %v", out, inner, ok)
			}
		}
		if s.Buffered() > DefaultLimits().Buffer {
			t.Fatalf("%d bytes are held", s.Buffered())
		}
		s.End(true)
		for _, tag := range stringsOf(s, "tags") {
			if strings.HasPrefix(tag, "dissector-panic") {
				t.Fatal(tag)
			}
		}
	})
}
