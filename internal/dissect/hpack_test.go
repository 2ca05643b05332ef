package dissect

import (
	"slices"
	"strings"
	"testing"
)

// TestHPACKExamples reads the requests and responses of RFC 7541 appendix C.4 and
// C.6, whose header blocks follow one another on a connection: Huffman codes, the
// dynamic table, and evictions from one of 256 bytes.
func TestHPACKExamples(t *testing.T) {
	c, s := newH2(), newH2()
	c.out.WriteString(http2Preface)
	c.frame(http2Settings, 0, 0, []byte{0, 1, 0, 0, 1, 0}) // the server's encoder has a table of 256 bytes
	for i, block := range []string{
		"828684418cf1e3c2e5f23a6ba0ab90f4ff",
		"828684be5886a8eb10649cbf",
		"828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
	} {
		c.frame(http2Headers, http2EndHeaders|http2EndStream, uint32(2*i+1), hexBytes(t, block))
	}
	s.frame(http2Settings, 0, 0, nil)
	for i, block := range []string{
		"488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
		"4883640effc1c0bf",
		"88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
	} {
		if i == 0 {
			block = "3fe101" + block // the table's size, which the examples set beforehand (section 6.3)
		}
		s.frame(http2Headers, http2EndHeaders|http2EndStream, uint32(2*i+1), hexBytes(t, block))
	}
	x := httpSession(1<<20, c.out.String(), s.out.String())
	x.End(true)
	for path, want := range map[string][]string{
		"http.host":                {"www.example.com"},
		"http.path":                {"/", "/index.html"},
		"http.requestHeader":       {"cache-control", "custom-key"},
		"http.requestHeaderValue":  {"no-cache", "custom-value"},
		"http.response-location":   {"https://www.example.com"},
		"http.responseHeader":      {"cache-control", "content-encoding", "date", "location", "set-cookie"},
		"http.responseHeaderValue": {"private", "mon, 21 oct 2013 20:13:21 gmt", "mon, 21 oct 2013 20:13:22 gmt", "gzip", "foo=asdjkhqkbzxoqweopiuaxqweoiu; max-age=3600; version=1"},
		"tags":                     nil,
	} {
		got := slices.Sorted(slices.Values(stringsOf(x, path)))
		got = slices.DeleteFunc(got, func(v string) bool { return v == "*" })
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestHTTP2Upgrade holds that an upgrade from HTTP/1.1 is followed (RFC 7540 section
// 3.2), also when the server's frames come before the client's preface.
func TestHTTP2Upgrade(t *testing.T) {
	request := "GET /first HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
	c, sv := newH2(), newH2()
	c.out.WriteString(http2Preface)
	c.frame(http2Settings, 0, 0, nil)
	c.frame(http2Headers, http2EndHeaders|http2EndStream, 3, c.block(":method", "GET", ":scheme", "http", ":path", "/second", ":authority", "h"))
	sv.frame(http2Settings, 0, 0, nil)
	sv.frame(http2Headers, http2EndHeaders, 1, sv.block(":status", "203", "server", "x"))
	sv.frame(http2Data, http2EndStream, 1, []byte("hello"))
	for _, n := range []int{1 << 20, 5} {
		s := httpSession(n, request, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"+sv.out.String(), c.out.String())
		s.End(true)
		wantStrings(t, s, "http.path", "/first", "/second")
		wantStrings(t, s, "http.md5", md5Hello)
		if !s.HasProtocol("http2") {
			t.Errorf("protocols %q", stringsOf(s, "protocol"))
		}
	}
}

func TestGRPC(t *testing.T) {
	c, sv := newH2(), newH2()
	c.out.WriteString(http2Preface)
	c.frame(http2Headers, http2EndHeaders, 1, c.block(":method", "POST", ":scheme", "http", ":path", "/pkg.v1.Users/Find", ":authority", "h", "content-type", "application/grpc+proto", "te", "trailers"))
	sv.frame(http2Headers, http2EndHeaders, 1, sv.block(":status", "200", "content-type", "application/grpc+proto"))
	sv.frame(http2Headers, http2EndHeaders|http2EndStream, 1, sv.block("grpc-status", "5", "grpc-message", "no such user"))
	s := httpSession(7, c.out.String(), sv.out.String())
	s.End(true)
	wantStrings(t, s, "grpc.service", "pkg.v1.Users")
	wantStrings(t, s, "grpc.method", "Find")
	wantStrings(t, s, "grpc.message", "no such user")
	if f, _ := s.Doc.Registry().ByPath("grpc.status"); !s.Doc.Has(f.ID) {
		t.Error("no status")
	}
}

// TestEncryptedDNS holds that DNS over HTTPS and TLS is marked.
func TestEncryptedDNS(t *testing.T) {
	s := httpSession(1<<20, "POST /dns-query HTTP/1.1\r\nHost: dns.example\r\nContent-Type: application/dns-message\r\nContent-Length: 0\r\n\r\n", "")
	s.End(true)
	wantStrings(t, s, "protocol", "http", "doh")

	for _, tt := range []struct {
		port uint16
		alpn string
		want []string
	}{{853, "", []string{"tls", "dot"}}, {8853, "dot", []string{"tls", "dot"}}, {853, "h2", []string{"tls"}}} {
		hello := strings.Join([]string{"\x03\x03", strings.Repeat("r", 32), "\x00", "\x00\x02\x13\x01", "\x01\x00"}, "")
		if tt.alpn != "" {
			n := byte(len(tt.alpn))
			hello += string([]byte{0, n + 7, 0, extALPN, 0, n + 3, 0, n + 1, n}) + tt.alpn
		}
		message := string([]byte{tlsClientHello, 0, 0, byte(len(hello))}) + hello
		s := newTestSession(New(), TCP, 40000, tt.port)
		s.Stream(Client, []byte(string([]byte{tlsHandshake, 3, 1, 0, byte(len(message))})+message))
		s.End(true)
		wantStrings(t, s, "protocol", tt.want...)
	}
}
