package dissect

import "testing"

func TestSOCKS(t *testing.T) {
	const get, ok = "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	for _, c := range []struct {
		name  string
		texts []string
		want  map[string][]string
		port  int64
	}{
		{"version 4", []string{"\x04\x01\x00\x50\xc0\x00\x02\x01me\x00", "\x00\x5a\x00\x00\x00\x00\x00\x00", get, ok}, map[string][]string{
			"socks.ip": {"192.0.2.1"}, "socks.user": {"me"}, "http.md5": {md5Hello}, "protocol": {"socks", "http"},
		}, 80},
		{"version 4a", []string{"\x04\x01\x00\x50\x00\x00\x00\x01\x00www.Example.org\x00", "\x00\x5a\x00\x00\x00\x00\x00\x00", get, ok}, map[string][]string{
			"socks.host": {"www.example.org"}, "http.md5": {md5Hello},
		}, 80},
		{"version 5", []string{"\x05\x01\x00", "\x05\x00", "\x05\x01\x00\x03\x07example\x01\xbb", "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", get, ok}, map[string][]string{
			"socks.host": {"example"}, "http.md5": {md5Hello}, "tags": nil,
		}, 443},
		{"version 5 with password, refused", []string{"\x05\x02\x00\x02", "\x05\x02", "\x01\x04user\x04pass", "\x01\x00", "\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x50", "\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"}, map[string][]string{
			"socks.ip": {"2001:db8::1"}, "socks.user": {"user"}, "tags": {"socks:password"}, "protocol": {"socks"},
		}, 80},
	} {
		for _, n := range []int{1000, 1} {
			if n == 1 && len(c.texts[0]) < 100 {
				// The greeting is recognized whole; only what follows comes byte by byte.
				s := newTestSession(New(), TCP, 40000, 1080)
				s.Stream(Client, []byte(c.texts[0]))
				for i, text := range c.texts[1:] {
					for j := range text {
						s.Stream(Dir((i+1)%2), []byte(text[j:j+1]))
					}
				}
				checkSOCKS(t, c.name+", byte by byte", s, c.want, c.port)
				continue
			}
			checkSOCKS(t, c.name, httpSession(n, c.texts...), c.want, c.port)
		}
	}
}

func checkSOCKS(t *testing.T, name string, s *Session, want map[string][]string, port int64) {
	t.Helper()
	s.End(true)
	t.Log(name)
	for path, values := range want {
		wantStrings(t, s, path, values...)
	}
	f, _ := s.Doc.Registry().ByPath("socks.port")
	if got, _ := s.Doc.Int(f.ID); got != port {
		t.Errorf("%s: port %d, want %d", name, got, port)
	}
}

func FuzzSOCKS(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x03\x07example\x01\xbbrest"), []byte("\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00rest"))
	f.Add([]byte("\x04\x01\x00\x50\xc0\x00\x02\x01me\x00"), []byte("\x00\x5a\x00\x00\x00\x00\x00\x00"))
	set := New()
	f.Fuzz(func(t *testing.T, client, server []byte) {
		s := newTestSession(set, TCP, 40000, 1080)
		s.Attach("socks")
		s.Stream(Client, client)
		for len(server) > 0 {
			n := min(3, len(server))
			s.Stream(Server, server[:n])
			server = server[n:]
		}
		s.End(true)
		for _, tag := range stringsOf(s, "tags") {
			if tag == "dissector-panic:socks" || tag == "dissector-limit:socks" {
				t.Fatal(tag)
			}
		}
	})
}
