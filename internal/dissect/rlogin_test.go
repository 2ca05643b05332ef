package dissect

import "testing"

func TestRlogin(t *testing.T) {
	for _, tt := range []struct {
		port                                    uint16
		texts                                   string
		protocol, user, local, command, setting string
	}{
		{513, "\x00me\x00root\x00xterm/38400\x00typed", "rlogin", "root", "me", "", "xterm/38400"},
		{514, "1022\x00me\x00root\x00uptime -s\x00", "rsh", "root", "me", "uptime -s", ""},
		{512, "\x00root\x00a secret\x00uptime\x00", "rexec", "root", "", "uptime", ""},
	} {
		wireSession(t, tt.port, func(t *testing.T, s *Session) {
			t.Helper()
			one := func(path, want string) {
				t.Helper()
				if want == "" {
					wantStrings(t, s, path)
				} else {
					wantStrings(t, s, path, want)
				}
			}
			one("protocol", tt.protocol)
			one("rlogin.user", tt.user)
			one("user", tt.user)
			one("rlogin.localUser", tt.local)
			one("rlogin.command", tt.command)
			one("rlogin.terminal", tt.setting)
		}, tt.texts, "\x00welcome")
	}
	wireSession(t, 514, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "syslog")
	}, "<34>1 2003-10-11T22:14:15Z mymachine su - ID47 - text\n")
	parts := newTestSession(New(), TCP, 1023, 513) // as rsh-redone writes it
	parts.Stream(Client, []byte("\x00"))
	parts.Stream(Client, []byte("me\x00root\x00xterm/38400\x00"))
	wantStrings(t, parts, "protocol", "rlogin")
	wantStrings(t, parts, "rlogin.user", "root")
}

func FuzzRlogin(f *testing.F) {
	fuzzParser(f, "rlogin", "\x00me\x00root\x00xterm/38400\x00", "1022\x00me\x00root\x00uptime\x00")
}
