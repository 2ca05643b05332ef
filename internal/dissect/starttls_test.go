package dissect

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	ctls "crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"

	"wirelake/internal/keylog"
)

// withinTLS has a real client and server exchange the texts within TLS, in turn and the server's first, and returns what went over the wire
// and the key log. An empty text is nobody's turn.
func withinTLS(t *testing.T, texts ...string) ([]flight, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	var keys bytes.Buffer
	a, b := net.Pipe()
	tap := &tapListener{}
	server := ctls.Server(tappedConn{b, tap}, &ctls.Config{Certificates: []ctls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, KeyLogWriter: &keys, MinVersion: ctls.VersionTLS12})
	client := ctls.Client(a, &ctls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is of this test
	talk := func(c *ctls.Conn, mine int) error {
		if err := c.Handshake(); err != nil {
			return err
		}
		for i, text := range texts {
			if i%2 == mine {
				if _, err := io.WriteString(c, text); err != nil {
					return err
				}
			} else if _, err := io.ReadFull(c, make([]byte, len(text))); err != nil {
				return err
			}
		}
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- talk(client, 1) }()
	for _, err := range []error{talk(server, 0), <-done} {
		if err != nil {
			t.Fatal(err)
		}
	}
	tap.mu.Lock()
	defer tap.mu.Unlock()
	return tap.log, keys.Bytes()
}

// TestWithinTLS holds that what is said within TLS is recognized and read as in clear: on the ports of services that begin with
// TLS, and behind what asks for it.
func TestWithinTLS(t *testing.T) {
	set := New()
	greeting := "\x4a\x00\x00\x00\x0a8.0.36\x00" + strings.Repeat("\x01", 12) + "\x00" + "\xff\xff\xff\x02\x00\xff\xdf\x15" + strings.Repeat("\x00", 10) + strings.Repeat("\x02", 12) + "\x00mysql_native\x00"
	greeting = string([]byte{byte(len(greeting) - 4)}) + greeting[1:]
	const capabilities = "\x05\xae\xff\x00\x00\x00\x00\x01\xff" // with SSL and the protocol of 4.1
	login := capabilities + strings.Repeat("\x00", 23) + "root\x00\x00"
	const ssl = capabilities
	sslRequest := "\x20\x00\x00\x01" + ssl + strings.Repeat("\x00", 23)
	for _, tt := range []struct {
		name, protocol string
		port           uint16
		clear          []flight
		texts          []string
		path           string
		want           []string
	}{
		{"IMAPS", "imap", 993, nil, []string{"* OK ready\r\n", "a LOGIN alice word\r\n"}, "user", []string{"alice"}},
		{"POP3S", "pop3", 995, nil, []string{"+OK ready\r\n", "USER alice\r\n"}, "user", []string{"alice"}},
		{"FTPS", "ftp", 990, nil, []string{"220 ready\r\n", "USER alice\r\n"}, "user", []string{"alice"}},
		{"SMTPS", "smtp", 465, nil, []string{"220 mail.example.org\r\n", "EHLO host.example.org\r\n"}, "email.smtpHello", []string{"host.example.org"}},
		{"DNS over TLS", "dns", 853, nil, []string{"", "\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01"}, "dns.queryHost", []string{"example.org"}},
		{"IMAP, STARTTLS", "imap", 1143, []flight{{Server, []byte("* OK IMAP4rev1\r\n")}, {Client, []byte("a STARTTLS\r\n")}, {Server, []byte("a OK go\r\n")}},
			[]string{"", "b LOGIN alice word\r\n", "b OK\r\n", "c SELECT INBOX\r\n"}, "email.folder", []string{"INBOX"}},
		{"POP3, STLS", "pop3", 1110, []flight{{Server, []byte("+OK POP3\r\n")}, {Client, []byte("STLS\r\n")}, {Server, []byte("+OK go\r\n")}},
			[]string{"", "USER alice\r\n", "+OK\r\n"}, "user", []string{"alice"}},
		{"MySQL", "mysql", 3306, []flight{{Server, []byte(greeting)}, {Client, []byte(sslRequest)}},
			[]string{"", string([]byte{byte(len(login))}) + "\x00\x00\x02" + login, "\x07\x00\x00\x03\x00\x00\x00\x02\x00\x00\x00"}, "mysql.user", []string{"root"}},
		{"PostgreSQL", "postgresql", 5432, []flight{{Client, []byte("\x00\x00\x00\x08\x04\xd2\x16\x2f")}, {Server, []byte("S")}},
			[]string{"", u32be(8+9) + u32be(0x30000) + "user\x00me\x00\x00"}, "postgresql.user", []string{"me"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flights, keys := withinTLS(t, tt.texts...)
			for name, secrets := range map[string][]byte{"with keys": keys, "without": nil} {
				s := newTestSession(set, TCP, 40000, tt.port)
				s.Keys = keylog.New()
				s.Keys.Add(secrets)
				for _, f := range slices.Concat(tt.clear, flights) {
					s.Stream(f.dir, f.b)
				}
				s.End(true)
				if got := stringsOf(s, tt.path); secrets == nil && len(got) > 0 || secrets != nil && !slices.Equal(got, tt.want) {
					t.Errorf("%s: %s %q, want %q of who has the keys", name, tt.path, got, tt.want)
				}
				if !s.HasProtocol("tls") || secrets != nil && (!s.HasProtocol(tt.protocol) || !slices.Contains(stringsOf(s, "tags"), "tls:decrypted")) {
					t.Errorf("%s: protocols %q, tags %q", name, stringsOf(s, "protocol"), stringsOf(s, "tags"))
				}
			}
		})
	}
}
