package dissect

import (
	"slices"
	"strings"
	"testing"
)

// TestReference holds where documents of Session.Reference tell less than ours.
func TestReference(t *testing.T) {
	greeting := "\x20\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00abcdefgh\x00" + strings.Repeat("x", 11)
	for _, c := range []struct {
		name           string
		on             Transport
		port           uint16
		client, server string
		path           string
		ours, theirs   []string
	}{
		{"a greeting that nobody answers", TCP, 3306, "", greeting, "mysql.version", []string{"8.0.36"}, nil},
		{"requests without the bind", TCP, 135, "\x05\x00\x00\x03\x10\x00\x00\x00\x18\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00", "", "dcerpc.msgType", []string{"request"}, nil},
		{"a DHCP message with hardly any options", UDP, 67, "\x01\x01\x06\x00" + strings.Repeat("\x00", 232) + dhcpMagic + "\x35\x01\x01\xff", "", "dhcp.type", []string{"DISCOVER"}, nil},
		{"NTLM without SPNEGO", TCP, 445, smb1Message(0x73, 0, false, strings.Repeat("\x00", 14)+"\x50\x00"+strings.Repeat("\x00", 8),
			"NTLMSSP\x00\x03\x00\x00\x00"+strings.Repeat("\x00", 24)+"\x02\x00\x02\x00\x40\x00\x00\x00"+strings.Repeat("\x00", 20)+"me"+strings.Repeat("\x00", 14)), "", "smb.user", []string{"me"}, nil},
		{"what the server runs", TCP, 445, "", smb1Message(0x73, 0x80, false, strings.Repeat("\x00", 6), "Unix\x00Samba\x00"), "smb.os", []string{"Unix"}, nil},
		{"RPC over HTTP", TCP, 80, "RPC_IN_DATA /rpc/rpcproxy.dll?x:6001 HTTP/1.1\r\nHost: mail\r\n\r\n", "", "http.method", []string{"RPC_IN_DATA"}, nil},
		{"parameters of SIP addresses", UDP, 5060, "OPTIONS sip:a@b SIP/2.0\r\nFrom: <sip:c@d>;tag=1\r\n\r\n", "", "sip.from", []string{"<sip:c@d>"}, []string{"<sip:c@d>;tag=1"}},
		{"accounts of SMB 1", TCP, 445, smb1Message(0x73, 0, false, strings.Repeat("\x00", 26), "me\x00WG\x00Unix\x00Samba\x00"), "", "user", []string{"me"}, nil},
		{"authentication headers", IP, 0, "\x32\x04\x00\x00", "", "protocol", []string{"ah"}, nil},
		{"bodies that are no text", TCP, 80, "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na\x00b", "", "http.requestBody", []string{"a\x00b"}, nil},
		{"text of any language", TCP, 80, "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n\xc3\xa9t\xc3\xa9", "", "http.requestBody", []string{"été"}, []string{"été"}},
		{"blanks in headers", TCP, 80, "GET / HTTP/1.1\r\nA:  b\r\n\t c  \r\n\r\n", "", "http.requestHeaderValue", []string{"b c"}, []string{"b\t c  "}},
		{"long bodies in one piece", TCP, 80, "POST / HTTP/1.1\r\nContent-Length: 2001\r\n\r\n" + strings.Repeat("a", 2001), "", "http.requestBody",
			[]string{strings.Repeat("a", 2000)}, nil},
		{"mechanisms of mail that it does not know", TCP, 25, "EHLO a\r\nAUTH XOAUTH2 eA==\r\n", "", "tags", []string{"smtp:authxoauth2"}, nil},
		{"DNS without a question", UDP, 53, "\x00\x01\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\x0a\x00\x00\x01", "", "tags",
			nil, []string{"dns:qdcount-not-1"}},
		{"passwords in forms", TCP, 80, "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\npassword=x", "", "tags", nil, []string{"http:password"}},
		{"the target that a proxy is asked for", TCP, 80, "GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n", "", "http.uri", []string{"a.test/x"}, []string{"http://a.test/x"}},
		{"and its path", TCP, 80, "GET http://a.test/x?k=v HTTP/1.1\r\nHost: a.test\r\n\r\n", "", "http.path", []string{"/x"}, []string{"http://a.test/x"}},
		{"a tunnel's end is a path", TCP, 80, "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", "", "http.path", nil, []string{"a.test:443"}},
		{"a target that names another host", TCP, 80, "GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "", "http.uri", []string{"b.test/"}, []string{"a.test;http://b.test/"}},
		{"letters of a host within a URI", TCP, 80, "GET /X HTTP/1.1\r\nHost: A.test\r\n\r\n", "", "http.uri", []string{"A.test/X"}, []string{"a.test/X"}},
		{"the path of a request without host", TCP, 80, "GET /x?k=v HTTP/1.0\r\n\r\n", "", "http.path", []string{"/x"}, nil},
		{"no target", TCP, 80, "GET  HTTP/1.1\r\nHost: a\r\n\r\n", "", "http.path", nil, []string{""}},
		{"keys at a query's end", TCP, 80, "GET /?a&b=1&c HTTP/1.1\r\nHost: a\r\n\r\n", "", "http.key", []string{"a", "b", "c"}, []string{"a", "b"}},
		{"values with equals signs", TCP, 80, "GET /?a=YQ==&b=1=2&c=50%&d=x%20y%&e=x%20y HTTP/1.1\r\nHost: a\r\n\r\n", "", "http.value",
			[]string{"YQ==", "1=2", "50%", "x y%", "x y"}, []string{"YQ", "1", "2", "50%", "x%20y%", "x y"}},
		{"cookies without value", TCP, 80, "GET / HTTP/1.1\r\nCookie: a; b=1 ; c\r\n\r\n", "", "http.cookieKey", []string{"a", "b", "c"}, []string{"a; b"}},
		{"credentials of one word", TCP, 80, "GET / HTTP/1.1\r\nAuthorization: token\r\n\r\n", "", "http.authType", []string{"token"}, nil},
		{"a start line whose headers do not end", TCP, 80, "GET / HTTP/1.1\r\nHost: a\r\n", "", "http.method", []string{"GET"}, nil},
		{"targets with blanks", TCP, 80, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "", "http.path", []string{"/a b"}, nil},
		{"headers of the source before it asks", TCP, 80, "HTTP/1.1 200 OK\r\nAge: 1\r\n\r\n", "", "http.requestHeader", nil, []string{"age"}},
		{"versions of the source", TCP, 80, "HTTP/1.1 200 OK\r\nAge: 1\r\n\r\n", "", "http.serverVersion", []string{"1.1"}, []string{"1.1"}},
		{"headers of who is asked", TCP, 80, "HTTP/1.1 200 OK\r\n\r\n", "GET / HTTP/1.1\r\nAge: 1\r\n\r\n", "http.requestHeader", []string{"age"}, []string{"age"}},
		{"notices have no sender", TCP, 25, "HELO a\r\nMAIL FROM:<>\r\n", "", "email.src", nil, []string{""}},
		{"paths without brackets", TCP, 25, "HELO a\r\nRCPT TO: b@c X=1\r\n", "", "email.dst", []string{"b@c"}, []string{"b@c x=1"}},
		{"names behind addresses", TCP, 25, "HELO a\r\nDATA\r\nTo: \"B, b\" <b@c>, d@e (D),\r\n f@g\r\n\r\n.\r\n", "", "email.dst", []string{"b@c", "d@e", "f@g"}, []string{"b@c", "d@e (d)", "f@g"}},
		{"words behind a message's id", TCP, 25, "HELO a\r\nDATA\r\nMessage-Id: <1@a> (by b)\r\n\r\n.\r\n", "", "email.id", []string{"1@a"}, []string{"1@a"}},
		{"addresses as hosts", TCP, 25, "HELO a\r\nDATA\r\nReceived: by 10.0.0.1 with SMTP\r\n\r\n.\r\n", "", "email.host", nil, []string{"10.0.0.1"}},
		{"channels behind a colon", TCP, 6667, "NICK a\r\nJOIN :#b\r\n", "", "irc.channel", []string{"#b"}, []string{":#b"}},
		{"users of what it does not read", TCP, 6379, "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$2\r\npw\r\n", "", "user", []string{"me"}, nil},
		{"addresses behind a blank", TCP, 80, "GET / HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2,10.0.0.3\r\n\r\n", "", "http.xffIp", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, []string{"10.0.0.1", "10.0.0.3"}},
	} {
		for _, reference := range []bool{false, true} {
			s := newTestSession(New(), c.on, 40000, c.port)
			s.Reference = reference
			for dir, text := range [2]string{c.client, c.server} {
				switch {
				case text == "":
				case c.on == IP:
					s.Datagram(Dir(dir), 51, []byte(text))
				case c.on == UDP:
					s.Datagram(Dir(dir), 0, []byte(text))
				default:
					s.Stream(Dir(dir), []byte(text))
				}
			}
			s.End(true)
			want := c.ours
			if reference {
				want = c.theirs
			}
			if got := stringsOf(s, c.path); !slices.Equal(got, want) {
				t.Errorf("%s, reference %v: %s: got %q, want %q", c.name, reference, c.path, got, want)
			}
		}
	}
}

// TestReferenceBodies holds that the reference looks at the first piece of a body alone.
func TestReferenceBodies(t *testing.T) {
	for _, reference := range []bool{false, true} {
		s := newTestSession(New(), TCP, 40000, 80)
		s.Reference = reference
		for _, piece := range []string{"POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n", "<ht", "ml>password="} {
			s.Stream(Client, []byte(piece))
		}
		s.End(true)
		body, kind := "<html>password=", []string{"text/html"}
		if reference {
			body, kind = "<ht", nil
		}
		wantStrings(t, s, "http.requestBody", body[:min(len(body), 12)])
		wantStrings(t, s, "http.bodyMagic", kind...)
		wantStrings(t, s, "tags")
	}
}

// TestIMAPUser holds that the user of a mailbox is told, and not to who wants the reference's fields.
func TestIMAPUser(t *testing.T) {
	for _, login := range []string{"a LOGIN me x\r\n", "a LOGIN \"me\" x\r\n", "a LOGIN {2}\r\nme x\r\n"} {
		for _, reference := range []bool{false, true} {
			s := newTestSession(allProtocols(), TCP, 40000, 143)
			s.Reference = reference
			s.Stream(Server, []byte("* OK IMAP4rev1\r\n"))
			s.Stream(Client, []byte(login))
			want := []string{"me"}
			if reference {
				want = nil
			}
			wantStrings(t, s, "user", want...)
		}
	}
}

// TestLDAPMechanism reads a bind by SASL (RFC 4513 section 5.2, RFC 4616).
func TestLDAPMechanism(t *testing.T) {
	s := newTestSession(New(), TCP, 40000, 389)
	s.Stream(Client, []byte(ber(0x30, ber(2, "\x01"), ber(0x60, ber(2, "\x03"), ber(4), ber(0xa3, ber(4, "PLAIN"), ber(4, "\x00me\x00secret"))))))
	wantStrings(t, s, "ldap.mechanism", "PLAIN")
	wantStrings(t, s, "ldap.authtype", "sasl")
	wantStrings(t, s, "user", "me")
}

// TestLDAPPartialBind reads a bind of which the end never comes.
func TestLDAPPartialBind(t *testing.T) {
	s := newTestSession(New(), TCP, 40000, 389)
	s.Stream(Client, []byte("0\x40\x02\x01\x01\x60\x3b\x02\x01\x03\x04\x04cn=a\x80"))
	wantStrings(t, s, "ldap.bindname", "cn=a")
	wantStrings(t, s, "ldap.authtype")
	cut := newTestSession(New(), TCP, 40000, 389)
	cut.Stream(Client, []byte("0\x40\x02\x01\x01\x60\x3b\x02\x01\x03\x04\x24cn=a"))
	wantStrings(t, cut, "ldap.bindname")
}

// TestCLDAP recognizes a search over UDP (RFC 1798).
func TestCLDAP(t *testing.T) {
	s := newTestSession(New(), UDP, 40000, 389)
	s.Datagram(Client, 0, []byte(ber(0x30, ber(2, "\x01"), ber(0x63, ber(4), ber(0x0a, "\x00"), ber(0x0a, "\x00"), ber(2, "\x00"), ber(2, "\x00"), ber(1, "\x00"), ber(0x87, "objectclass"), ber(0x30)))))
	s.Datagram(Client, 0, []byte(ber(0x30, ber(2, "\x02"), ber(0x60, ber(2, "\x03"), ber(4, "cn=a"), ber(0x80, "pw")))))
	wantStrings(t, s, "protocol", "ldap")
	wantStrings(t, s, "ldap.bindname", "cn=a")
}
