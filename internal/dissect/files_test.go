package dissect

import (
	"crypto/md5" //nolint:gosec // an identity
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// filesOf returns the files of a session, each as "source name size type md5 sha256", "-" for what is missing.
func filesOf(s *Session) []string {
	reg := s.Doc.Registry()
	var out []string
	list, _ := reg.ByPath("files.name")
	for o := range s.Doc.Objects(list.In, 0) {
		var parts []string
		for _, path := range []string{"files.source", "files.name", "files.size", "files.type", "files.md5", "files.sha256"} {
			f, _ := reg.ByPath(path)
			text := s.Doc.StringIn(o, f.ID)
			if n, ok := s.Doc.IntIn(o, f.ID); ok && f.Type.Numeric() {
				text = strconv.FormatInt(n, 10)
			}
			if text == "" {
				text = "-"
			}
			parts = append(parts, text)
		}
		out = append(out, strings.Join(parts, " "))
	}
	return out
}

// wholeFile is what filesOf gives for a file of which all was seen.
func wholeFile(source, name, typ, content string) string {
	return fmt.Sprintf("%s %s %d %s %x %x", source, name, len(content), typ, md5.Sum([]byte(content)), sha256.Sum256([]byte(content))) //nolint:gosec // an identity
}

func wantFiles(t *testing.T, s *Session, want ...string) {
	t.Helper()
	if got := filesOf(s); !slices.Equal(got, want) {
		t.Errorf("files:\ngot  %q\nwant %q", got, want)
	}
}

func TestHTTPUpload(t *testing.T) {
	binary := "MZ\x90\x00line\nother\r\n\r\x00" + strings.Repeat("long", 20000) + "\n"
	body := "--b1\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhello\r\n--b1\r\nContent-Disposition: form-data; name=\"f\"; filename=\"C:\\up\\shell.exe\"\r\n" +
		"Content-Type: application/octet-stream\r\n\r\n" + binary + "\r\n--b1\r\nContent-Disposition: form-data; name=g; filename=two.txt\r\n\r\nhello\r\n--b1--\r\n"
	for _, n := range []int{1 << 20, 1460, 7} {
		s := httpSession(n, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b1\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body+"GET /x HTTP/1.1\r\nHost: next\r\n\r\n")
		if s.Buffered() != 0 {
			t.Errorf("%d bytes are held behind the form", s.Buffered())
		}
		s.End(true)
		wantFiles(t, s, wholeFile("http", "shell.exe", "application/vnd.microsoft.portable-executable", binary), wholeFile("http", "two.txt", "text/plain", "hello"))
		wantStrings(t, s, "http.host", "a", "next")
		wantStrings(t, s, "email.filename")
	}
}

func TestHTTPFile(t *testing.T) {
	request := "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
	response := func(headers, body string) string {
		return "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=\"a b.pdf\"\r\n" + headers + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	for _, n := range []int{1 << 20, 7} {
		s := httpSession(n, request, response("", "%PDF-1.4 x"))
		s.End(true)
		wantFiles(t, s, wholeFile("http", "a b.pdf", "application/pdf", "%PDF-1.4 x"))
		s = httpSession(n, request, response("Content-Encoding: gzip\r\n", gzipped(t, "hello")))
		s.End(true)
		wantFiles(t, s, wholeFile("http", "a b.pdf", "text/plain", "hello"))
	}
	for _, tt := range []struct{ target, status, body, want string }{
		{"/dl/tool%20x.exe?v=1", "200 OK", "MZ\x90 program", wholeFile("http", "tool x.exe", "application/vnd.microsoft.portable-executable", "MZ\x90 program")},
		{"/dl/tool.exe", "206 Partial Content", "MZ\x90 program", "http tool.exe 11 application/vnd.microsoft.portable-executable - -"},
		{"/dl/tool.exe", "404 Not Found", "MZ\x90 program", ""},
		{"/index.html", "200 OK", "<html><body>", ""},
		{"/logo.png", "200 OK", "\x89PNG\r\n\x1a\n123", ""},
		{"/api", "200 OK", "{\"a\":1}", ""},
	} {
		s := httpSession(9, "GET "+tt.target+" HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 "+tt.status+"\r\nContent-Length: "+strconv.Itoa(len(tt.body))+"\r\n\r\n"+tt.body)
		s.End(true)
		if tt.want == "" {
			wantFiles(t, s)
		} else {
			wantFiles(t, s, tt.want)
		}
	}
	if got := New().Registry().ByExpr("md5"); len(got) != 4 {
		t.Errorf("md5 stands for %d fields, want those of HTTP, transferred and decoded, of mail and of files", len(got))
	}
}

// TestHTTP2Files holds that HTTP/2 has the files that HTTP/1 has.
func TestHTTP2Files(t *testing.T) {
	const program, typ = "MZ\x90 program", "application/vnd.microsoft.portable-executable"
	form := "--b1\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nhello\r\n--b1\r\nContent-Disposition: form-data; name=\"f\"; filename=\"up.exe\"\r\n\r\n" + program + "\r\n--b1--\r\n"
	get := func(c *h2, stream uint32, path string) {
		c.frame(http2Headers, http2EndHeaders|http2EndStream, stream, c.block(":method", "GET", ":scheme", "https", ":path", path, ":authority", "a"))
	}
	answer := func(s *h2, stream uint32, body string, pairs ...string) {
		s.frame(http2Headers, http2EndHeaders, stream, s.block(pairs...))
		s.frame(http2Data, 0, stream, []byte(body[:3]))
		s.frame(http2Data, http2EndStream, stream, []byte(body[3:]))
	}
	for name, tt := range map[string]struct {
		talk func(c, s *h2)
		want []string
	}{
		"by URL": {func(c, s *h2) {
			get(c, 1, "/dl/tool%20x.exe?v=/1")
			answer(s, 1, program, ":status", "200")
		}, []string{wholeFile("http", "tool x.exe", typ, program)}},
		"by Content-Disposition": {func(c, s *h2) {
			get(c, 1, "/x")
			answer(s, 1, "%PDF-1.4 x", ":status", "200", "content-disposition", `attachment; filename="a b.pdf"`)
		}, []string{wholeFile("http", "a b.pdf", "application/pdf", "%PDF-1.4 x")}},
		"compressed": {func(c, s *h2) {
			get(c, 1, "/x")
			answer(s, 1, gzipped(t, "hello"), ":status", "200", "content-encoding", "gzip", "content-disposition", "attachment; filename=a")
		}, []string{wholeFile("http", "a", "text/plain", "hello")}},
		"streams at once": {func(c, s *h2) {
			get(c, 1, "/one.exe")
			get(c, 3, "/two.exe")
			s.frame(http2Headers, http2EndHeaders, 3, s.block(":status", "200"))
			s.frame(http2Headers, http2EndHeaders, 1, s.block(":status", "200"))
			for i := range program {
				for stream := range uint32(2) {
					flags := byte(0)
					if i == len(program)-1 {
						flags = http2EndStream
					}
					s.frame(http2Data, flags, 2*stream+1, []byte(program[i:i+1]))
				}
			}
		}, []string{wholeFile("http", "one.exe", typ, program), wholeFile("http", "two.exe", typ, program)}},
		"a range": {func(c, s *h2) {
			get(c, 1, "/a.exe")
			answer(s, 1, program, ":status", "206", "content-range", "bytes 100-110/500")
		}, []string{"http a.exe 11 " + typ + " - -"}},
		"an end by trailers": {func(c, s *h2) {
			get(c, 1, "/a.exe")
			s.frame(http2Headers, http2EndHeaders, 1, s.block(":status", "200"))
			s.frame(http2Data, 0, 1, []byte(program))
			s.frame(http2Headers, http2EndHeaders|http2EndStream, 1, s.block("x-checksum", "1"))
		}, []string{wholeFile("http", "a.exe", typ, program)}},
		"a reset": {func(c, s *h2) {
			get(c, 1, "/a.exe")
			s.frame(http2Headers, http2EndHeaders, 1, s.block(":status", "200"))
			s.frame(http2Data, 0, 1, []byte(program))
			s.frame(http2Reset, 0, 1, []byte{0, 0, 0, 8})
		}, []string{"http a.exe 11 " + typ + " - -"}},
		"an answer before the upload's end": {func(c, s *h2) {
			c.frame(http2Headers, http2EndHeaders, 1, c.block(":method", "PUT", ":path", "/up", "content-disposition", "attachment; filename=late.exe"))
			s.frame(http2Headers, http2EndHeaders|http2EndStream, 1, s.block(":status", "200"))
			s.frame(http2Reset, 0, 1, []byte{0, 0, 0, 0})
			c.frame(http2Data, http2EndStream, 1, []byte(program))
		}, []string{wholeFile("http", "late.exe", typ, program)}},
		"a push": {func(c, s *h2) {
			get(c, 1, "/index.html")
			s.frame(http2Headers, http2EndHeaders, 1, s.block(":status", "200"))
			s.frame(http2Push, http2EndHeaders, 1, append([]byte{0, 0, 0, 2}, s.block(":method", "GET", ":path", "/pushed.exe", ":authority", "a", ":scheme", "https")...))
			s.frame(http2Data, http2EndStream, 1, []byte("<html><body>"))
			answer(s, 2, program, ":status", "200")
		}, []string{wholeFile("http", "pushed.exe", typ, program)}},
		"a form": {func(c, s *h2) {
			c.frame(http2Headers, http2EndHeaders, 1, c.block(":method", "POST", ":path", "/up", "content-type", "multipart/form-data; boundary=b1"))
			c.frame(http2Data, http2EndStream, 1, []byte(form))
			answer(s, 1, program, ":status", "200")
		}, []string{wholeFile("http", "up.exe", typ, program)}},
		"not found": {func(c, s *h2) {
			get(c, 1, "/a.exe")
			answer(s, 1, program, ":status", "404")
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := newH2(), newH2()
			c.out.WriteString(http2Preface)
			tt.talk(c, s)
			for _, n := range []int{1 << 20, 7, 1} {
				s := httpSession(n, c.out.String(), s.out.String())
				s.End(false)
				if s.Buffered() != 0 {
					t.Errorf("%d bytes are held behind the last body", s.Buffered())
				}
				s.End(true)
				wantFiles(t, s, tt.want...)
				wantStrings(t, s, "tags")
			}
		})
	}
	// The request before an upgrade is stream 1's.
	s := newH2()
	answer(s, 1, program, ":status", "200")
	up := httpSession(5, "GET /dl/a.exe HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"+s.out.String())
	up.End(true)
	wantFiles(t, up, wholeFile("http", "a.exe", typ, program))
	// A part of an upload that is resumed.
	up = httpSession(5, "PUT /a HTTP/1.1\r\nContent-Range: bytes 100-110/500\r\nContent-Disposition: attachment; filename=a\r\nContent-Length: 11\r\n\r\n"+program)
	up.End(true)
	wantFiles(t, up, "http a 11 "+typ+" - -")
}

func FuzzHTTPForm(f *testing.F) {
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\nhello\r\n--b--\r\n"), uint8(7))
	set := New()
	f.Fuzz(func(t *testing.T, body []byte, part uint8) {
		s := newTestSession(set, TCP, 40000, 80)
		s.Stream(Client, []byte("POST / HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"))
		for b := body; len(b) > 0; {
			n := min(len(b), int(part)+1)
			s.Stream(Client, b[:n])
			b = b[n:]
		}
		if s.Buffered() != 0 {
			t.Fatalf("%d bytes are held behind the form", s.Buffered())
		}
		fuzzChecks(t, s)
	})
}
