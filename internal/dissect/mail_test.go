package dissect

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

const (
	pdfText  = "%PDF-1.7\nan example with enough bytes that its base64 takes more than one line,\nas it would"
	mailHead = "From: Alice <alice@example.com>\r\nTo: bob@example.org\r\nSubject: Files\r\nMIME-Version: 1.0\r\n"
)

// base64Lines encodes text in lines of 76 characters (RFC 2045 section 6.8).
func base64Lines(text string) string {
	all := base64.StdEncoding.EncodeToString([]byte(text))
	var out strings.Builder
	for len(all) > 76 {
		out.WriteString(all[:76] + "\r\n")
		all = all[76:]
	}
	return out.String() + all + "\r\n"
}

// mailWithFiles is a message with a text, and attachments in base64, quoted-printable and as they are, one within another multipart.
func mailWithFiles() (message string, files func(source string) []string) {
	message = mailHead + "Content-Type: multipart/mixed;\r\n boundary=\"=_out\"\r\n\r\nnot a part\r\n" +
		"--=_out\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\nContent-Type: text/plain\r\n\r\n--inside\r\n--in\r\n" +
		"Content-Type: application/pdf; name=\"=?utf-8?Q?r=C3=A9sum=C3=A9.pdf?=\"\r\nContent-Transfer-Encoding: BASE64\r\n\r\n" + base64Lines(pdfText) + "--in--\r\n" +
		"--=_out\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename*=utf-8''qp%20file.txt\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9 a=\r\nnd more\r\n=3D end\r\n" +
		"--=_out  \r\nContent-Disposition: attachment; filename=\"C:\\\\dir\\\\plain.txt\"\r\n\r\nline one\r\n\r\n.line three\r\n--=_out--\r\nepilogue\r\n"
	return message, func(source string) []string {
		return []string{
			wholeFile(source, "résumé.pdf", "application/pdf", pdfText),
			wholeFile(source, "qp file.txt", "text/plain", "café and more\r\n= end"),
			wholeFile(source, "plain.txt", "text/plain", "line one\r\n\r\n.line three"),
		}
	}
}

func TestMailAttachments(t *testing.T) {
	message, files := mailWithFiles()
	stuffed := strings.ReplaceAll(message, "\r\n.", "\r\n..")
	for _, tt := range []struct {
		name, source string
		port         uint16
		texts        []string
	}{
		{"SMTP", "smtp", 25, []string{"", "220 ESMTP\r\n", "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", "250 a\r\n250 ok\r\n250 ok\r\n354 go\r\n", stuffed + ".\r\n", "250 done\r\n", "QUIT\r\n"}},
		{"a rejected recipient does not end the message", "smtp", 25, []string{"", "220 ESMTP\r\n", "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", "250 a\r\n250 ok\r\n550 no\r\n354 go\r\n", stuffed + ".\r\n", "250 done\r\n"}},
		{"BDAT", "smtp", 25, []string{"", "220 ESMTP\r\n", fmt.Sprintf("EHLO a\r\nBDAT 700\r\n%sBDAT %d LAST\r\n%sQUIT\r\n", message[:700], len(message)-700, message[700:])}},
		{"POP3", "pop3", 110, []string{"", "+OK POP3\r\n", "LIST\r\nRETR 1\r\nQUIT\r\n", "+OK\r\n1 700\r\n.\r\n+OK\r\n" + stuffed + ".\r\n+OK bye\r\n"}},
		{"IMAP", "imap", 143, []string{"", "* OK IMAP\r\n", "a FETCH 1 (FLAGS BODY[])\r\n", fmt.Sprintf("* 1 FETCH (FLAGS () BODY[] {%d}\r\n%s)\r\na OK\r\n", len(message), message)}},
		{"IMAP APPEND", "imap", 143, []string{"", "* OK IMAP\r\n", fmt.Sprintf("a APPEND Sent (\\Seen) {%d}\r\n%s\r\n", len(message), message), "a OK\r\n"}},
		{"IMAP by pieces", "imap", 143, []string{"", "* OK IMAP\r\n", "a FETCH 1 (BODY[]<0.700>)\r\n",
			fmt.Sprintf("* 1 FETCH (BODY[]<0> {700}\r\n%s)\r\na OK\r\n* 1 FETCH (BODY[]<700> {%d}\r\n%s)\r\nb OK\r\n", message[:700], len(message)-700, message[700:])}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			textSession(t, tt.port, func(t *testing.T, s *Session) {
				t.Helper()
				wantFiles(t, s, files(tt.source)...)
				wantStrings(t, s, "email.subject", "Files")
				wantStrings(t, s, "email.filename", "résumé.pdf", "qp file.txt", `C:\dir\plain.txt`)
				if s.Buffered() != 0 {
					t.Errorf("%d bytes are held behind the end", s.Buffered())
				}
			}, tt.texts...)
		})
	}
}

// TestMailReference holds that the files of mails are noted where the reference's fields are wanted too, and that mails
// fill no others of the mails' fields then than the reference does.
func TestMailReference(t *testing.T) {
	message, files := mailWithFiles()
	for _, tt := range []struct {
		source, greeting, command, reply string
		subject                          []string
	}{
		{"imap", "* OK IMAP\r\n", "a FETCH 1 BODY[]\r\n", fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n%s)\r\n", len(message), message), []string{"Files"}},
		{"pop3", "+OK ready.\r\n", "RETR 1\r\n", "+OK\r\n" + strings.ReplaceAll(message, "\r\n.", "\r\n..") + ".\r\n", nil},
	} {
		s := newTestSession(New(), TCP, 40000, 1143)
		s.Reference = true
		s.Stream(Server, []byte(tt.greeting))
		s.Stream(Client, []byte(tt.command))
		s.Stream(Server, []byte(tt.reply))
		s.End(true)
		wantFiles(t, s, files(tt.source)...)
		wantStrings(t, s, "email.subject", tt.subject...)
		for _, path := range []string{"email.header", "email.filename", "email.md5", "email.contentType"} {
			wantStrings(t, s, path)
		}
	}
}

func TestIMAPParts(t *testing.T) {
	encoded := base64Lines(pdfText)
	structure := `(("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "7BIT" 12 1 NIL NIL NIL)("APPLICATION" "PDF" ("NAME" "a.pdf") NIL NIL "BASE64" 130 NIL ("ATTACHMENT" ("FILENAME" "b.pdf")) NIL) "MIXED" ("BOUNDARY" "x") NIL NIL)`
	fetch := func(item, literal string) string {
		return fmt.Sprintf("* 7 FETCH (UID 9 %s {%d}\r\n%s)\r\n", item, len(literal), literal)
	}
	mime := "Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n filename=b.pdf\r\n\r\n"
	want := wholeFile("imap", "b.pdf", "application/pdf", pdfText)
	for name, tt := range map[string]struct{ server, want string }{
		"a structure tells name and encoding": {"* 7 FETCH (UID 9 BODYSTRUCTURE " + structure + ")\r\n" + fetch("BODY[1]", "just text.\r\n") + fetch("BODY[2]", encoded), want},
		"a structure with an encoded name":    {"* 7 FETCH (BODYSTRUCTURE " + strings.Replace(structure, `"FILENAME" "b.pdf"`, `"FILENAME*0*" "utf-8''b" "FILENAME*1*" "%2Epdf"`, 1) + ")\r\n" + fetch("BODY[2]", encoded), want},
		"the part's headers tell them":        {fetch("BODY[2.MIME]", mime) + fetch("BODY[2]", encoded), want},
		"in one response":                     {fmt.Sprintf("* 7 FETCH (BODY[2.MIME] {%d}\r\n%s BODY[2] {%d}\r\n%s)\r\n", len(mime), mime, len(encoded), encoded), want},
		"BINARY is decoded":                   {"* 7 FETCH (BODYSTRUCTURE " + structure + ")\r\n" + fetch("BINARY[2]", pdfText), want},
		"unknown, it looks like base64":       {fetch("BODY[2]", encoded), strings.Replace(want, "b.pdf", "-", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			textSession(t, 143, func(t *testing.T, s *Session) {
				t.Helper()
				wantFiles(t, s, tt.want)
			}, "", "* OK IMAP\r\n", "a LOGIN {5}\r\n", "+ \r\n", "alice {6}\r\nsecret\r\n", tt.server)
			textSession(t, 143, func(t *testing.T, s *Session) {
				t.Helper()
				wantStrings(t, s, "user", "alice")
			}, "", "* OK IMAP\r\n", "a LOGIN {5}\r\nalice {6}\r\nsecret\r\n", "a OK\r\n")
		})
	}
}

func TestDecodeWords(t *testing.T) {
	for _, tt := range []struct{ text, want, keeping string }{
		{"a =?utf-8?q?=C3=A4?= =?utf-8?q?=C3=B6?= b", "a äö b", "a äö b"},
		{"=?utf-8?q?=C3=A4?=  =?utf-8?q?=C3=B6?=", "äö", "ä  ö"},
		{"=?utf-8?q?=C3=A4?=  plain", "ä  plain", "ä  plain"},
	} {
		if got := decodeWords(tt.text); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
		if got := decodeWordsKeeping(tt.text); got != tt.keeping {
			t.Errorf("%q, keeping spaces: got %q, want %q", tt.text, got, tt.keeping)
		}
	}
}

// TestMailPieces holds that lines longer than what is buffered are hashed all the same.
func TestMailPieces(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 8<<10)
	message := mailHead + "Content-Type: application/octet-stream; name=x.txt\r\n\r\n" + long + "\r\nend\r\n"
	want := wholeFile("smtp", "x.txt", "text/plain", long+"\r\nend")
	textSession(t, 25, func(t *testing.T, s *Session) {
		t.Helper()
		wantFiles(t, s, want)
	}, "", "220 ESMTP\r\n", "EHLO a\r\nDATA\r\n", "250 a\r\n354 go\r\n", message+".\r\n", "250 done\r\n")
}

// TestMailDepth holds that multiparts within multiparts end somewhere, and cost no memory.
func TestMailDepth(t *testing.T) {
	var b strings.Builder
	b.WriteString(mailHead)
	for i := range 5000 {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("Content-Type: message/rfc822\r\n\r\n" + strings.Repeat("X: y\r\n", 100000))
	textSession(t, 25, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "email.subject", "Files")
		wantFiles(t, s)
	}, "", "220 ESMTP\r\n", "EHLO a\r\nDATA\r\n", "250 a\r\n354 go\r\n", b.String()+".\r\n", "250 done\r\n")
}

func TestMailGap(t *testing.T) {
	s := newTestSession(New(), TCP, 40000, 25)
	s.Stream(Server, []byte("220 ESMTP\r\n"))
	s.Stream(Client, []byte("EHLO a\r\nDATA\r\n"))
	s.Stream(Server, []byte("250 a\r\n354 go\r\n"))
	s.Stream(Client, []byte(mailHead+"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Disposition: attachment; filename=a\r\n\r\nfirst"))
	s.Gap(Client, 100)
	s.Stream(Client, []byte("last\r\n--x\r\nContent-Disposition: attachment; filename=b\r\n\r\nhello\r\n--x--\r\n.\r\n"))
	s.Stream(Server, []byte("250 done\r\n"))
	s.End(true)
	wantFiles(t, s, "smtp a 4 text/plain - -", wholeFile("smtp", "b", "text/plain", "hello"))
	wantStrings(t, s, "tags", "smtp:statuscode:250")
}

func FuzzMail(f *testing.F) {
	message, _ := mailWithFiles()
	f.Add([]byte(message))
	f.Add([]byte(`* 7 FETCH (UID 9 BODYSTRUCTURE (("TEXT" "PLAIN" NIL NIL NIL "7BIT" 12 1)("APPLICATION" "PDF" ("NAME" "a.pdf") NIL NIL "BASE64" 130 NIL ("ATTACHMENT" ("FILENAME" "b.pdf"))) "MIXED") BODY[2]<0> {5}` + "\r\nhello)\r\n"))
	set := New()
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, texts := range [][]string{
			{"220 ESMTP\r\n", "EHLO a\r\nDATA\r\n"}, {"+OK POP\r\n", "RETR 1\r\n"}, {"* OK IMAP\r\n", "a SELECT x\r\n"},
		} {
			s := newTestSession(set, TCP, 40000, 25)
			s.Stream(Server, []byte(texts[0]))
			s.Stream(Client, []byte(texts[1]))
			s.Stream(Server, []byte("+OK\r\n"))
			for dir := range Dir(2) {
				s.Stream(dir, b[:len(b)/2])
				s.Stream(dir, b[len(b)/2:])
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
		}
	})
}
