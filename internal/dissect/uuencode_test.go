package dissect

import (
	"strings"
	"testing"
)

// TestUuencode reads a file in the text of a mail; the encoding of "Cat" is the standard's.
func TestUuencode(t *testing.T) {
	const head = "From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\n\r\nsee below\r\n"
	long := "begin 644 pages.pdf\r\n" + "M)5!$1BTQ+C<*" + strings.Repeat("86%A", 12) + "\r\n"
	pdf := "%PDF-1.7\n" + strings.Repeat("aaa", 12)
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"a file", head + "begin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\nbye\r\n", []string{wholeFile("smtp", "cat.txt", "text/plain", "Cat")}},
		{"blanks at the end are dropped", head + "begin 0755 dir/zero.bin\r\n#\r\n \r\nend\r\n", []string{wholeFile("smtp", "zero.bin", "application/octet-stream", "\x00\x00\x00")}},
		{"two files", head + "begin 644 a\r\n#0V%T\r\n`\r\nend\r\nbegin 644 b\r\n!0P  \r\n`\r\nend\r\n", []string{wholeFile("smtp", "a", "text/plain", "Cat"), wholeFile("smtp", "b", "text/plain", "C")}},
		{"lines of full length", head + long + "`\r\nend\r\n", []string{wholeFile("smtp", "pages.pdf", "application/pdf", pdf)}},
		{"what is said of beginnings", head + "begin with a word\r\nbegin 644\r\nbegin 999999 x\r\nend\r\n", nil},
	} {
		s := newTestSession(New(), TCP, 40000, 25)
		s.Stream(Server, []byte("220 ESMTP\r\n"))
		s.Stream(Client, []byte("EHLO a\r\nMAIL FROM:<a@b>\r\nDATA\r\n"+tt.text+".\r\n"))
		s.End(true)
		wantFiles(t, s, tt.want...)
		if s.Buffered() != 0 {
			t.Errorf("%s: %d bytes are held", tt.name, s.Buffered())
		}
	}
}

func FuzzUuencode(f *testing.F) {
	f.Add([]byte("begin 644 a\n#0V%T\n`\nend\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		lines := strings.Split(string(b), "\n")
		file := uuBegin([]byte(lines[0]))
		for _, line := range lines[1:] {
			if file == nil {
				return
			}
			if ended, _ := file.line([]byte(line)); ended {
				file = nil
			} else if file.n > int64(len(b)*63) {
				t.Fatalf("%d bytes of %d", file.n, len(b))
			}
		}
	})
}
