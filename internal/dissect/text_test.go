package dissect

import (
	"strings"
	"testing"
)

// textSession feeds client and server in turn, whole and byte by byte, and
// calls check on each session.
func textSession(t *testing.T, port uint16, check func(t *testing.T, s *Session), texts ...string) {
	t.Helper()
	for _, n := range []int{1 << 20, 8, 3} {
		s := newTestSession(allProtocols(), TCP, 40000, port)
		for i, text := range texts {
			for len(text) > 0 {
				// The first payload of a direction is what classification sees: servers send it whole.
				m := min(n, len(text))
				if i < 2 && m < 64 {
					m = min(64, len(text))
				}
				s.Stream(Dir(i%2), []byte(text[:m]))
				text = text[m:]
			}
		}
		s.End(true)
		check(t, s)
		wantStrings(t, s, "tags", stringsOf(s, "tags")...)
	}
}

func TestFTP(t *testing.T) {
	textSession(t, 21, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "ftp.banner", "Welcome")
		wantStrings(t, s, "ftp.command", "USER", "PASS", "QUIT")
		wantStrings(t, s, "user", "me")
		wantStrings(t, s, "tags", "ftp:password")
		wantStrings(t, s, "protocol", "ftp")
	}, "", "220-Welcome\r\n220 \r\n", "USER me\r\n", "331 Password\r\n", "pass secret\r\n", "230-line\r\n free text\r\n230 In\r\n", "QUIT\r\n", "221 Bye\r\n")
	textSession(t, 21, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "ftp", "tls")
	}, "", "220 x\r\n", "AUTH TLS\r\n", "234 Go\r\n", tlsHelloBytes)
}

// tlsHelloBytes is a ClientHello with one cipher suite and no extensions (RFC 5246 section 7.4.1.2).
const tlsHelloBytes = "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" + "01234567890123456789012345678901" + "\x00\x00\x02\x00\x2f\x01\x00"

func TestIRC(t *testing.T) {
	textSession(t, 6667, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "irc.nick", "me", "you")
		wantStrings(t, s, "irc.channel", "#a", "#b", "#c")
		wantStrings(t, s, "protocol", "irc")
	}, "NICK me\r\nUSER u 0 * :name\r\n", ":irc.example 001 me\r\n", "JOIN #a,#b key\r\nnick :you\nJOIN :#c\r\n")
}

func TestIRCServer(t *testing.T) {
	for _, text := range []string{":chat.example.org NOTICE * :*** Looking up your hostname\r\n", "NOTICE AUTH :*** Checking ident\r\n", ":irc.example.org 020 * :Please wait\r\n", "PASS x\r\nNICK me\r\n"} {
		s := newTestSession(New(), TCP, 40000, 7000)
		s.Stream(Server, []byte(text))
		wantStrings(t, s, "protocol", "irc")
	}
}

func TestMySQL(t *testing.T) {
	greeting := "\x15\x00\x00\x00\x0a8.0.32\x00" + "\x01\x00\x00\x00saltsalt\x00"
	login := "\x25\x00\x00\x01\x00\x02\x00\x00\x00\x00\x00\x01\x21" + string(make([]byte, 23)) + "Root\x00"
	check := func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "mysql.version", "8.0.32")
		wantStrings(t, s, "mysql.user", "root")
	}
	textSession(t, 3306, check, "", greeting, login)
	textSession(t, 3306, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "mysql", "tls")
		wantStrings(t, s, "mysql.user")
	}, "", greeting, "\x20\x00\x00\x01\x00\x0a\x00\x00\x00\x00\x00\x01\x21"+string(make([]byte, 23))+tlsHelloBytes)
}

func TestPostgreSQL(t *testing.T) {
	startup := "\x00\x00\x00\x29\x00\x03\x00\x00user\x00me\x00database\x00db\x00application_name\x00"
	startup = "\x00\x00\x00" + string(rune(len(startup)+6)) + startup[4:] + "psql\x00\x00"
	check := func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "postgresql.user", "me")
		wantStrings(t, s, "postgresql.db", "db")
		wantStrings(t, s, "postgresql.app", "psql")
	}
	textSession(t, 5432, check, startup)
	textSession(t, 5432, check, "\x00\x00\x00\x08\x04\xd2\x16\x2f", "N", startup)
	textSession(t, 5432, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "postgresql", "tls")
	}, "\x00\x00\x00\x08\x04\xd2\x16\x2f", "S", tlsHelloBytes)
}

func TestBGP(t *testing.T) {
	textSession(t, 179, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "bgp.type", "OPEN", "KEEPALIVE")
	}, bgpMarker+"\x00\x1d\x01\x04\x00\x01\x00\xb4\x0a\x00\x00\x01\x00"+bgpMarker+"\x00\x13\x04"+bgpMarker+"\x00\x13\x04")
}

func TestRDP(t *testing.T) {
	textSession(t, 3389, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "rdp.requestedProtocols", "ssl", "nla")
		wantStrings(t, s, "rdp.selectedProtocol", "ssl")
		wantStrings(t, s, "user", "me")
		wantStrings(t, s, "protocol", "rdp", "tls")
	},
		"\x03\x00\x00\x28\x23\xe0\x00\x00\x00\x00\x00Cookie: mstshash=me\r\n\x01\x00\x08\x00\x03\x00\x00\x00",
		"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x01\x00\x00\x00", tlsHelloBytes)
	token := "tsv://MS Terminal Services Plugin.1.Farm\r\n\x01\x00\x08\x00\x01\x00\x00\x00"
	textSession(t, 3389, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "rdp.cookie", "tsv://MS Terminal Services Plugin.1.Farm")
		wantStrings(t, s, "rdp.requestedProtocols", "ssl")
	}, "\x03\x00"+u16be(11+len(token))+string([]byte{byte(6 + len(token))})+"\xe0\x00\x00\x00\x00\x00"+token)
}

func TestLDAP(t *testing.T) {
	textSession(t, 389, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "ldap.bindname", "cn=a", "<ROOT>")
		wantStrings(t, s, "ldap.authtype", "simple", "none")
	}, "\x30\x12\x02\x01\x01\x60\x0d\x02\x01\x03\x04\x04cn=a\x80\x02pw\x30\x0c\x02\x01\x02\x60\x07\x02\x01\x03\x04\x00\x80\x00")
	textSession(t, 389, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "ldap", "tls")
	}, "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"+ldapStartTLS, "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00", tlsHelloBytes)
}

func TestMQTT(t *testing.T) {
	textSession(t, 1883, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "mqtt.clientId", "c1")
		wantStrings(t, s, "mqtt.version", "3.1.1")
		wantStrings(t, s, "mqtt.flags", "cleanSession", "hasWill")
		wantStrings(t, s, "mqtt.willTopic", "w")
		wantStrings(t, s, "mqtt.topic", "a/b", "s/#")
		wantStrings(t, s, "mqtt.type", "CONNECT", "PUBLISH", "SUBSCRIBE", "DISCONNECT", "CONNACK")
		wantStrings(t, s, "user", "me")
	}, "\x10\x18\x00\x04MQTT\x04\x86\x00\x3c\x00\x02c1\x00\x01w\x00\x01m\x00\x02me\x32\xce\x01\x00\x03a/b\x00\x01"+string(make([]byte, 199))+
		"\x82\x08\x00\x02\x00\x03s/#\x01\xe0\x00", "\x20\x02\x00\x00")
}

const ntlmNegotiate = "TlRMTVNTUAABAAAABwIAAgcABwAoAAAACAAIAC8AAAAKAGFKAAAAD0lNQVBET01JTUFQSE9TVA==" // IMAPDOM, IMAPHOST, 10.0.19041

func TestPOP3(t *testing.T) {
	textSession(t, 110, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "user", "me")
		wantStrings(t, s, "ntlm.host", "IMAPHOST")
		wantStrings(t, s, "tags", "pop3:authntlm")
		wantStrings(t, s, "protocol", "pop3", "ntlm")
	}, "", "+OK POP3 ready\r\n", "user me\r\n", "+OK\r\n", "AUTH NTLM\r\n", "+ \r\n", ntlmNegotiate+"\r\n", "-ERR no\r\n")
	textSession(t, 110, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "pop3", "tls")
	}, "", "+OK POP3 ready\r\n", "STLS\r\n", "+OK go\r\n", tlsHelloBytes)
}

func TestIMAP(t *testing.T) {
	textSession(t, 143, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "user", "me")
		wantStrings(t, s, "email.folder", "INBOX", "Sent Items")
		wantStrings(t, s, "ntlm.domain", "IMAPDOM")
	}, "", "* OK IMAP4rev1 ready\r\n", "a LOGIN me secret\r\nb SELECT INBOX\r\nc EXAMINE \"Sent Items\"\r\n",
		"* 1 FETCH (BODY {21}\r\nx SELECT NotAFolder\r\n)\r\nc OK\r\n", "d APPEND x {14}\r\ne SELECT Not\r\n\r\nd AUTHENTICATE NTLM\r\n", "+ \r\n", ntlmNegotiate+"\r\n")
	textSession(t, 143, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "imap", "tls")
	}, "", "* OK IMAP4rev1 ready\r\n", "a STARTTLS\r\n", "* note\r\na OK go\r\n", tlsHelloBytes)
}

func TestTDS(t *testing.T) {
	name := wide("sa")
	login := strings.Repeat("\x00", 40) + u16le(60) + u16le(len(name)/2) + strings.Repeat("\x00", 16) + name
	packet := func(typ byte, body string) string {
		return string([]byte{typ, 1, 0, byte(8 + len(body)), 0, 0, 1, 0}) + body
	}
	textSession(t, 1433, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "user", "sa")
		wantStrings(t, s, "protocol", "tds")
	}, packet(0x10, login), packet(0x04, "\xfd\x00\x00"))
	old := string([]byte{2, 0, 2, 0, 0, 0, 0, 0}) + strings.Repeat("\x00", 31) + "sybase" + strings.Repeat("\x00", 24) + "\x06" + strings.Repeat("\x00", 442)
	textSession(t, 5000, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "user", "sybase")
	}, old)
}
