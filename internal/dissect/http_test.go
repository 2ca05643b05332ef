package dissect

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"wirelake/internal/spi"
)

// httpSession feeds client and server bytes in turn, in parts of n bytes.
func httpSession(n int, texts ...string) *Session {
	s := newTestSession(allProtocols(), TCP, 40000, 80)
	for i, text := range texts {
		for len(text) > 0 {
			m := min(n, len(text))
			s.Stream(Dir(i%2), []byte(text[:m]))
			text = text[m:]
		}
	}
	return s
}

const (
	md5Hello    = "5d41402abc4b2a76b9719d911017c592" // of "hello", RFC 1321's tool
	sha256Hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHTTP(t *testing.T) {
	request := "GET /a/b?q=caf%C3%A9&empty=&flag HTTP/1.1\r\nHost: www.Example.org:8080\r\nUser-Agent: t/1\r\nCookie: a=1; b=2\r\n" +
		"Authorization: Basic dXNlcjpwYXNz\r\nX-Forwarded-For: 192.0.2.1, 2001:db8::1\r\nAccept: */*\r\nReferer: http://r/\r\n\r\n"
	for _, c := range []struct {
		name  string
		texts []string
		want  map[string][]string
	}{
		{"a request with everything", []string{request}, map[string][]string{
			"http.method": {"GET"}, "http.uri": {"www.Example.org:8080/a/b?q=caf%C3%A9&empty=&flag"}, "http.path": {"/a/b"},
			"http.host": {"www.example.org:8080", "www.example.org"}, "http.key": {"q", "empty", "flag"}, "http.value": {"café"},
			"http.cookieKey": {"a", "b"}, "http.cookieValue": {"1", "2"}, "http.authType": {"basic"}, "http.user": {"user"},
			"http.xffIp": {"192.0.2.1", "2001:db8::1"}, "http.useragent": {"t/1"}, "http.request-referer": {"http://r/"},
			"http.requestHeaderField": {"cookie", "accept"}, "http.requestHeaderValue": {"a=1; b=2", "*/*"},
			"http.requestHeader": {"host", "user-agent", "cookie", "authorization", "x-forwarded-for", "accept", "referer"},
			"http.clientVersion": {"1.1"}, "protocol": {"http"},
		}},
		{"a body of known length", []string{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"}, map[string][]string{
			"http.md5": {md5Hello}, "http.sha256": {sha256Hello}, "http.serverVersion": {"1.1"},
		}},
		{"a chunked body with extension and trailer", []string{"GET / HTTP/1.1\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: 1\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"}, map[string][]string{
			"http.md5": {md5Hello}, "http.responseHeader": {"transfer-encoding", "content-length"},
		}},
		{"a body until the end of the connection", []string{"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nhello"}, map[string][]string{
			"http.md5": {md5Hello},
		}},
		{"an unfinished body has no hash", []string{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html"}, map[string][]string{
			"http.md5": nil, "http.bodyMagic": {"text/html"},
		}},
		{"pipelined requests, a HEAD among them", []string{"HEAD /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET /3 HTTP/1.1\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 304 OK\r\nContent-Length: 9\r\n\r\n"}, map[string][]string{
			"http.method": {"HEAD", "POST", "GET"}, "http.path": {"/1", "/2", "/3"}, "http.requestBody": {"hello"}, "http.md5": {md5Hello},
		}},
		{"a gzip body", []string{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzipped(t, "hello")}, map[string][]string{
			"http.bodyMagic": {"application/x-gzip"}, "http.decodedMd5": {md5Hello}, "http.decodedSha256": {sha256Hello},
		}},
		{"a page in gzip", []string{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzipped(t, "<!DOCTYPE html><p>")}, map[string][]string{
			"http.bodyMagic": {"application/x-gzip"}, "http.decodedMagic": {"text/html"},
		}},
		{"a body that is not the gzip it says", []string{"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"}, map[string][]string{
			"http.md5": {md5Hello}, "http.decodedMd5": nil,
		}},
		{"a proxy's absolute target", []string{"GET http://example.org/x?y HTTP/1.1\r\nHost: example.org\r\n\r\n"}, map[string][]string{
			"http.uri": {"example.org/x?y"}, "http.path": {"/x"}, "http.host": {"example.org"},
		}},
		{"a tunnel's bytes are classified", []string{"CONNECT h:22 HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x\r\n"}, map[string][]string{
			"protocol": {"http", "ssh"}, "http.uri": {"h:22"},
		}},
		{"headers over several lines", []string{"GET / HTTP/1.1\r\nHost: a\r\nX-Long: one\r\n two:\r\n\t three\r\nAccept: b\r\n\r\n"}, map[string][]string{
			"http.requestHeader": {"host", "x-long", "accept"}, "http.requestHeaderValue": {"one two: three", "b"},
		}},
		{"users of digests and of padless credentials", []string{"GET / HTTP/1.1\r\nAuthorization: Digest realm=\"a, b\", username=\"Mufasa, J\", uri=\"/\"\r\n\r\n" +
			"GET / HTTP/1.1\r\nAuthorization: Digest username=bare, uri=\"/\"\r\n\r\nGET / HTTP/1.1\r\nAuthorization: basic dTpw\r\n\r\nGET / HTTP/1.1\r\nAuthorization: Basic dXNlcjpwdw\r\n\r\n"}, map[string][]string{
			"http.user": {"Mufasa, J", "bare", "u", "user"}, "http.authType": {"digest", "basic"},
		}},
		{"the user of a proxy", []string{"CONNECT h:443 HTTP/1.1\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"}, map[string][]string{
			"http.user": {"user"}, "http.authType": {"basic"}, "http.request-authorization": nil,
		}},
		{"line ends without CR", []string{"GET /lf HTTP/1.1\nHost: a\n\n"}, map[string][]string{
			"http.uri": {"a/lf"},
		}},
		{"what is not HTTP ends it", []string{"GET / nonsense\r\nHost: x\r\n\r\n"}, map[string][]string{
			"http.host": nil, "protocol": {"http"},
		}},
	} {
		for _, n := range []int{1 << 20, 7, 1} {
			s := httpSession(n, c.texts...)
			s.End(true)
			for path, want := range c.want {
				if path == "protocol" && n == 1 {
					continue
				}
				if got := stringsOf(s, path); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s, %d bytes at a time: %s: got %q, want %q", c.name, n, path, got, want)
				}
			}
			wantStrings(t, s, "tags")
		}
	}
}

// TestHTTPMethods holds that each method of RFC 9110 and 5789 is counted in a field of its own.
func TestHTTPMethods(t *testing.T) {
	counted, others := httpMethods()
	for _, method := range append(counted, others...) {
		if method == "PRI" || strings.HasPrefix(method, "RPC_") {
			continue // of other protocols
		}
		request := method + " /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
		s := httpSession(1<<20, request, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", request)
		s.End(true)
		wantStrings(t, s, "http.method", method)
		if got := intsOf(s, "http.method-"+method); slices.Contains(counted, method) != (len(got) == 1 && got[0] == 2) {
			t.Errorf("%s: counted %d", method, got)
		}
	}
}

// TestHTTPUpgradeCounts holds that requests are counted on connections that other protocols take over; the reference
// forgets them there, save those of tunnels.
func TestHTTPUpgradeCounts(t *testing.T) {
	for _, c := range []struct{ request, response, method string }{
		{"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n\r\n", "GET"},
		{"CONNECT h:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "CONNECT"},
	} {
		for _, reference := range []bool{false, true} {
			s := newTestSession(allProtocols(), TCP, 40000, 80)
			s.Reference = reference
			s.Stream(Client, []byte(c.request))
			s.Stream(Server, []byte(c.response))
			s.End(false)
			s.End(true)
			want := []int64{1}
			if reference && c.method == "GET" {
				want = nil
			}
			if got := intsOf(s, "http.method-"+c.method); !slices.Equal(got, want) {
				t.Errorf("%s, reference %v: counted %d, want %d", c.method, reference, got, want)
			}
		}
	}
}

func TestHTTPGap(t *testing.T) {
	s := httpSession(100, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel")
	s.Gap(Server, 7)
	s.Stream(Server, []byte("HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nhello"))
	s.Gap(Server, 1000)
	s.Stream(Server, []byte("the middle of something"))
	s.End(true)
	wantStrings(t, s, "http.md5", md5Hello)
	wantStrings(t, s, "tags")
}

// TestHTTPCut holds that of a request whose headers were not captured to their end what there is can be found.
func TestHTTPCut(t *testing.T) {
	const head = "GET /a?k=v HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: curl/8.0\r\nAccept"
	gap := httpSession(100, head)
	gap.Gap(Client, 200)
	for what, s := range map[string]*Session{"cut by a gap": gap, "cut by the end": httpSession(100, head)} {
		s.End(true)
		t.Log(what)
		wantStrings(t, s, "http.host", "www.example.org")
		wantStrings(t, s, "http.uri", "www.example.org/a?k=v")
		wantStrings(t, s, "http.path", "/a")
		wantStrings(t, s, "http.method", "GET")
	}
}

// TestHTTPHostile holds that bad messages cost little: memory within the limit, no tag, no time.
func TestHTTPHostile(t *testing.T) {
	for name, text := range map[string]string{
		"a million headers":      "GET / HTTP/1.1\r\n" + strings.Repeat("X-A: b\r\n", 1_000_000),
		"a header without end":   "GET / HTTP/1.1\r\nX: " + strings.Repeat("a", 4<<20),
		"a million requests":     strings.Repeat("GET /x HTTP/1.1\r\n\r\n", 200_000),
		"a chunk size too large": "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
		"a length too large":     "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nx",
		"a negative length":      "POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\nx",
	} {
		s := newTestSession(New(), TCP, 40000, 80)
		for b := []byte(text); len(b) > 0; {
			n := min(len(b), 1460)
			s.Stream(Client, b[:n])
			b = b[n:]
			if s.Buffered() > 128<<10 {
				t.Fatalf("%s: %d bytes held", name, s.Buffered())
			}
		}
		s.End(true)
		wantStrings(t, s, "tags")
	}
}

// TestHTTPBomb holds that a compressed body that expands without bound is left alone.
func TestHTTPBomb(t *testing.T) {
	bomb := gzipped(t, strings.Repeat("\x00", 64<<20))
	s := httpSession(1<<20, "GET / HTTP/1.1\r\n\r\n", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(bomb), bomb))
	s.End(true)
	wantStrings(t, s, "http.decodedMd5")
	if got := stringsOf(s, "http.md5"); len(got) != 1 {
		t.Errorf("got %d hashes of the transferred body, want 1", len(got))
	}
}

// TestHTTPHeld holds that compressed bodies count towards the session's limit and
// are let go of at their end.
func TestHTTPHeld(t *testing.T) {
	body := strings.Repeat("x", 100<<10) // no gzip, but not known before its end
	s := httpSession(1<<20, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 204800\r\n\r\n"+body)
	if got := s.Buffered(); got != len(body) {
		t.Errorf("within the body %d bytes are held, want %d", got, len(body))
	}
	s.Stream(Server, []byte(body))
	if got := s.Buffered(); got != 0 {
		t.Errorf("after the body %d bytes are held, want 0", got)
	}
	s.Stream(Server, []byte("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"+body))
	s.End(true)
	if got := s.Buffered(); got != 0 {
		t.Errorf("after the end %d bytes are held, want 0", got)
	}
}

func TestMagic(t *testing.T) {
	for text, want := range map[string]string{
		"\x1f\x8b\x08": "application/x-gzip", "PK\x03\x04": "application/zip", "GIF89a": "image/gif",
		"  <!DOCTYPE HTML>": "text/html", "\xef\xbb\xbf<html>": "text/html", "<?xml version": "text/xml",
		`{"a":1}`: "application/json", "[ {": "application/json", "{ not": "", "hello": "", "": "",
		"G" + strings.Repeat("x", 187) + "G": "video/mp2t", "<s:Envelope/>": "",
	} {
		if got := magic([]byte(text)); got != want {
			t.Errorf("%.20q: got %q, want %q", text, got, want)
		}
	}
}

// FuzzHTTP cuts the input at every seventh byte for one side and gives the whole
// to the other: the parser must not panic nor hold more than its limits.
func FuzzHTTP(f *testing.F) {
	f.Add([]byte("POST /a?b=c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), []byte("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n"))
	set := New()
	f.Fuzz(func(t *testing.T, client, server []byte) {
		s := newTestSession(set, TCP, 40000, 80)
		s.Reference = len(server)%2 == 1
		for len(client) > 0 {
			n := min(7, len(client))
			s.Stream(Client, client[:n])
			client = client[n:]
		}
		s.Stream(Server, server)
		s.Gap(Server, 10)
		s.Stream(Server, server)
		s.End(true)
		for _, tag := range stringsOf(s, "tags") {
			if strings.HasPrefix(tag, "dissector-panic") {
				t.Fatal(tag)
			}
		}
	})
}

func BenchmarkHTTP(b *testing.B) {
	set := New()
	request := []byte("GET /index.html?q=1 HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nAccept-Language: en\r\n\r\n")
	response := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nServer: bench\r\nContent-Length: 1200\r\n\r\n" + strings.Repeat("x", 1200))
	s := newTestSession(set, TCP, 40000, 80)
	b.ReportAllocs()
	b.SetBytes(int64(len(request) + len(response)))
	for b.Loop() {
		s.Stream(Client, request)
		s.Stream(Server, response)
	}
}

// TestNTLM reads the messages of MS-NLMP section 4.2.4 in HTTP's headers.
func TestNTLM(t *testing.T) {
	wide := func(s string) string {
		var out []byte
		for _, c := range s {
			out = append(out, byte(c), 0)
		}
		return string(out)
	}
	u16 := func(n int) string { return string([]byte{byte(n), byte(n >> 8)}) }
	field := func(text string, at int) string { return u16(len(text)) + u16(len(text)) + u16(at) + "\x00\x00" }
	domain, user, host := wide("Domain"), wide("User"), wide("COMPUTER")
	version := "\x06\x01\xb0\x1d\x00\x00\x00\x0f" // 6.1.7600
	at := 72
	authenticate := ntlmSignature + "\x03\x00\x00\x00" + field("", 0) + field("", 0) + field(domain, at) + field(user, at+len(domain)) +
		field(host, at+len(domain)+len(user)) + field("", 0) + "\x01\x00\x00\x02" + version + domain + user + host
	target := wide("Server")
	challenge := ntlmSignature + "\x02\x00\x00\x00" + field(target, 56) + "\x01\x00\x00\x02" + "01234567" + "\x00\x00\x00\x00\x00\x00\x00\x00" + field("", 0) + version + target
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	s := httpSession(1<<20, "GET / HTTP/1.1\r\nAuthorization: NTLM "+encode(authenticate)+"\r\n\r\n",
		"HTTP/1.1 401 No\r\nWWW-Authenticate: Negotiate "+encode("\x60\x10spnego"+challenge)+"\r\nContent-Length: 0\r\n\r\n")
	for path, want := range map[string]string{"ntlm.domain": "Domain", "ntlm.host": "COMPUTER", "ntlm.targetName": "Server", "ntlm.version": "6.1.7600", "user": "user"} {
		wantStrings(t, s, path, want)
	}
	r := spi.NewRegistry()
	p := declareNTLM(r)
	cut := Session{Doc: r.NewDocument()}
	for i := range len(authenticate) {
		p.find(&cut, []byte(authenticate[:i])) // none may panic
	}
}
