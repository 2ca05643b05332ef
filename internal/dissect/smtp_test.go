package dissect

import (
	"strings"
	"testing"
)

func smtpFlights() []flight {
	return []flight{
		{Server, []byte("220 mx.example.org ESMTP\r\n")},
		{Client, []byte("EHLO Client.example.com\r\n")},
		{Server, []byte("250-mx.example.org\r\n250 AUTH PLAIN\r\n")},
		{Client, []byte("AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n")},
		{Server, []byte("235 ok\r\n")},
		{Client, []byte("MAIL FROM:<Alice@example.com> SIZE=10\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n")},
		{Server, []byte("250 ok\r\n250 ok\r\n354 go\r\n")},
		{Client, []byte("Received: from a.example.net ([192.0.2.9]) by b.example.net; now\r\nFrom: \"A, B\" <alice@example.com>\r\nTo: bob@example.org, Carol <carol@example.org>\r\n" +
			"Subject: =?utf-8?B?R3LDvMOfZQ==?= to\r\n all\r\nMessage-ID: <1@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"x\"\r\nX-Thing: y\r\nX-Mailer: Post 1.0\r\n\r\n" +
			"--x\r\nContent-Type: text/plain\r\n\r\n..hello\r\n--x\r\nContent-Type: application/zip; name=\"a.zip\"\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsD\r\nBA==\r\n--x--\r\n.\r\n")},
		{Server, []byte("250 queued\r\n")},
		{Client, []byte("QUIT\r\n")},
	}
}

func TestSMTP(t *testing.T) {
	got := streamDocument(New(), smtpFlights())
	for _, want := range []string{
		`"smtpHello":["client.example.com"]`, `"user":["alice"]`, `"smtp:authplain"`, `"smtp:statuscode:250"`,
		`"src":["alice@example.com"]`, `"dst":["bob@example.org","carol@example.org"]`, `"subject":["Grüße to all"]`,
		`"host":["a.example.net","b.example.net"]`, `"ip":["192.0.2.9"]`, `"id":["1@example.com"]`, `"filename":["a.zip"]`,
		`"headerField":["x-thing"]`, `"useragent":["Post 1.0"]`, `"bodyMagic":["application/zip"]`,
		`"md5":["10893fd7cff66dca193f658ca9438d15"]`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s\nwant %s in it", got, want)
		}
	}
}

// TestSMTPPipelined holds that the reply to a message is known from those to the commands around it (RFC 2920); the
// reference knows it when the client waits for it.
func TestSMTPPipelined(t *testing.T) {
	for _, tt := range []struct {
		name, client     string
		server           string
		ours, references []string
	}{
		{"a client that waits", "DATA\r\nx\r\n.\r\n", "354 go\r\n552 too much\r\n", []string{"smtp:statuscode:552"}, []string{"smtp:statuscode:552"}},
		{"one that goes on", "DATA\r\nx\r\n.\r\nQUIT\r\n", "354 go\r\n552 too much\r\n221 bye\r\n", []string{"smtp:statuscode:552"}, nil},
	} {
		for _, reference := range []bool{false, true} {
			s := newTestSession(New(), TCP, 40000, 25)
			s.Reference = reference
			s.Stream(Server, []byte("220 ESMTP\r\n"))
			s.Stream(Client, []byte(tt.client))
			s.Stream(Server, []byte(tt.server))
			want := tt.ours
			if reference {
				want = tt.references
			}
			if got := stringsOf(s, "tags"); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s, reference %v: tags %q, want %q", tt.name, reference, got, want)
			}
		}
	}
}

// TestEncodedWords decodes subjects of many charsets (RFC 2047 section 8 and RFC 2231 section 5 have the first ones).
func TestEncodedWords(t *testing.T) {
	for text, want := range map[string]string{
		"=?ISO-8859-1?Q?a?=":                     "a",
		"=?ISO-8859-1?Q?a?= b":                   "a b",
		"=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=": "ab",
		"=?ISO-8859-1?Q?a_b?=":                   "a b",
		"=?US-ASCII*EN?Q?Keith_Moore?=":          "Keith Moore",
		"=?utf-8?q?caf=C3?= =?utf-8?q?=A9?=":     "café", // a character in two words
		"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=":     "日本",
		"=?koi8-r?B?8NLJ18XU?=":                  "Привет",
		"=?windows-1251?Q?=CF=F0=E8=E2=E5=F2?=":  "Привет",
		"=?big5?B?pKSk5Q==?=":                    "中文",
		"=?euc-kr?B?x9Gx2w==?=":                  "한글",
		"=?ks_c_5601-1987?B?x9Gx2w==?=":          "한글",
		"=?gb18030?B?1tDOxA==?=":                 "中文",
		"=?unknown-8bit?Q?caf=E9?=":              "café",
		"=?x-unknown?B?Y2Fmw6k=?= x":             "café x",
		"=?utf-8?B??= x":                         " x",
		"=?utf-8?B?!!!?=":                        "=?utf-8?B?!!!?=",
		"=?utf-8?X?a?=":                          "=?utf-8?X?a?=",
	} {
		if got := decodeWords(text); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// TestReceived holds what trace headers give, as programs write them (RFC 5321 section 4.4).
func TestReceived(t *testing.T) {
	for _, tt := range []struct {
		header    string
		hosts, ip []string
	}{
		{"from mx.example.org (mx.example.org [192.0.2.1]) by b.example.net (Postfix) with ESMTPS id 1 for <a@b>; now", []string{"mx.example.org", "b.example.net"}, []string{"192.0.2.1"}},
		{"by 192.0.2.7 with SMTP id x; now", nil, []string{"192.0.2.7"}},
		{"from [192.0.2.8] (helo=[192.0.2.9]) by b.example.net with esmtpa (Exim 4.67)", []string{"b.example.net"}, []string{"192.0.2.8", "192.0.2.9"}},
		{"from a ([IPv6:2001:db8::1]) by b; now", []string{"a", "b"}, []string{"2001:db8::1"}},
		{"(from root@localhost) by Mail.example.com (8.14.4/Submit) id r", []string{"localhost", "mail.example.com"}, nil},
	} {
		s := newTestSession(New(), TCP, 40000, 25)
		s.Stream(Server, []byte("220 ESMTP\r\n"))
		s.Stream(Client, []byte("LHLO relay.example.org\r\nMAIL FROM:<a@b>\r\nDATA\r\nReceived: "+tt.header+"\r\n\r\nbody\r\n.\r\n"))
		wantStrings(t, s, "email.host", tt.hosts...)
		wantStrings(t, s, "email.ip", tt.ip...)
		wantStrings(t, s, "email.smtpHello", "relay.example.org")
	}
}

func TestSMTPStartTLS(t *testing.T) {
	flights := append([]flight{
		{Server, []byte("220 mx.example.org ESMTP\r\n")}, {Client, []byte("EHLO a\r\n")}, {Server, []byte("250 STARTTLS\r\n")},
		{Client, []byte("STARTTLS\r\n")}, {Server, []byte("220 go\r\n")},
	}, handshake(t, 0x0303)...)
	got := streamDocument(New(), flights)
	for _, want := range []string{`"smtp:starttls"`, `"protocol":["smtp","tls"]`, `"version":["TLSv1.2"]`} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s\nwant %s in it", got, want)
		}
	}
}

func FuzzSMTP(f *testing.F) {
	set := New()
	for _, fl := range smtpFlights() {
		f.Add(uint8(fl.dir), fl.b)
	}
	f.Fuzz(func(_ *testing.T, dir uint8, b []byte) {
		streamDocument(set, []flight{{Server, []byte("220 SMTP\r\n")}, {Client, []byte("DATA\r\n")}, {Dir(dir & 1), b}, {Dir(dir & 1), b}})
	})
}
