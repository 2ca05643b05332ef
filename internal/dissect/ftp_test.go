package dissect

import (
	"net/netip"
	"slices"
	"testing"

	"wirelake/internal/keylog"
)

// linkedSession returns a session of a lane, between two ends.
func linkedSession(set *Set, lane *Expected, on Transport, src, dst string) *Session {
	s := newTestSession(set, on, 0, 0)
	from, to := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	s.Src, s.SrcPort, s.Dst, s.DstPort = from.Addr(), from.Port(), to.Addr(), to.Port()
	s.Expected = lane
	s.IPProtocol = 6
	if on == UDP {
		s.IPProtocol = 17
	}
	return s
}

func TestFTPData(t *testing.T) {
	const file = "GET / HTTP/1.1 is what this file begins with\n"
	for _, tt := range []struct {
		name                 string
		ask, reply, transfer string // up to the transfer command
		done                 string
		src, dst             string // of the data connection
		dir                  Dir    // who sends the file
		name2, direction     string
		whole                bool
	}{
		{"PASV", "PASV\r\n", "227 Entering Passive Mode (10,0,0,2,4,1).\r\n", "RETR a.txt\r\n", "226 ok\r\n", "10.0.0.1:5000", "10.0.0.2:1025", Server, "a.txt", "download", true},
		{"PASV behind address translation", "PASV\r\n", "227 Entering Passive Mode (192,168,0,2,4,1).\r\n", "RETR a.txt\r\n", "226 ok\r\n", "10.0.0.1:5000", "10.0.0.2:1025", Server, "a.txt", "download", true},
		{"EPSV", "EPSV\r\n", "229 Entering Extended Passive Mode (|||1025|)\r\n", "STOR up/a.txt\r\n", "226 ok\r\n", "10.0.0.1:5000", "10.0.0.2:1025", Client, "up/a.txt", "upload", true},
		{"PORT", "PORT 10,0,0,1,4,2\r\n", "200 ok\r\n", "RETR a.txt\r\n", "226 ok\r\n", "10.0.0.2:20", "10.0.0.1:1026", Client, "a.txt", "download", true},
		{"EPRT", "EPRT |1|10.0.0.1|1026|\r\n", "200 ok\r\n", "RETR a.txt\r\n", "226 ok\r\n", "10.0.0.2:20", "10.0.0.1:1026", Client, "a.txt", "download", true},
		{"a part has no hashes", "PASV\r\n", "227 (10,0,0,2,4,1)\r\n", "REST 10\r\nRETR a.txt\r\n", "350 ok\r\n226 ok\r\n", "10.0.0.1:5000", "10.0.0.2:1025", Server, "a.txt", "download", false},
		{"an aborted transfer has none", "PASV\r\n", "227 (10,0,0,2,4,1)\r\n", "RETR a.txt\r\n", "150 go\r\n426 aborted\r\n", "10.0.0.1:5000", "10.0.0.2:1025", Server, "a.txt", "download", false},
	} {
		for _, late := range []bool{false, true} { // the flows one after the other, or as they came
			t.Run(tt.name, func(t *testing.T) {
				set, lane := allProtocols(), new(Expected)
				control := linkedSession(set, lane, TCP, "10.0.0.1:40000", "10.0.0.2:21")
				control.Stream(Server, []byte("220 hello\r\n"))
				control.Stream(Client, []byte(tt.ask))
				control.Stream(Server, []byte(tt.reply))
				data := linkedSession(set, lane, TCP, tt.src, tt.dst)
				if !late {
					data.Stream(tt.dir, []byte(file[:10]))
				}
				control.Stream(Client, []byte(tt.transfer))
				control.Stream(Server, []byte(tt.done))
				if late {
					data.Stream(tt.dir, []byte(file[:10]))
				}
				data.Stream(tt.dir, []byte(file[10:]))
				data.End(true)
				control.End(true)
				wantStrings(t, data, "protocol", "ftp-data")
				wantStrings(t, data, "ftp.control", control.CommunityID())
				wantStrings(t, data, "ftp.direction", tt.direction)
				wantStrings(t, data, "ftp.filename", tt.name2)
				wantStrings(t, control, "ftp.filename", tt.name2)
				want := wholeFile("ftp", tt.name2, "text/plain", file)
				if !tt.whole {
					want = "ftp " + tt.name2 + " 45 text/plain - -"
				}
				wantFiles(t, data, want)
			})
		}
	}
}

func TestFTPListing(t *testing.T) {
	set, lane := New(), new(Expected)
	control := linkedSession(set, lane, TCP, "[2001:db8::1]:40000", "[2001:db8::2]:2121")
	control.Stream(Server, []byte("220 example FTP server\r\n"))
	control.Stream(Client, []byte("EPRT |2|2001:db8::1|1026|\r\nLIST\r\n"))
	data := linkedSession(set, lane, TCP, "[2001:db8::2]:2120", "[2001:db8::1]:1026")
	data.Stream(Client, []byte("drwxr-xr-x 2 a a 4096 .\r\n"))
	other := linkedSession(set, lane, TCP, "[2001:db8::2]:2120", "[2001:db8::1]:1026")
	other.Stream(Client, []byte("SSH-2.0-x\r\n"))
	data.End(true)
	wantStrings(t, data, "ftp.direction", "list")
	wantFiles(t, data)
	wantStrings(t, other, "protocol", "ssh")
}

// TestFTPCleared holds that a control connection is read behind the end of TLS, and within it with keys, on any port; and that
// a data connection within TLS is the file with keys, and none without.
func TestFTPCleared(t *testing.T) {
	const file = "the file\n"
	control, keys := withinTLS(t, "", "USER alice\r\n", "331 ok\r\n", "PROT P\r\n", "200 ok\r\n", "CCC\r\n", "200 in clear\r\n")
	closing := []byte("\x15\x03\x03\x00\x13" + "close_notify, sealed")[:tlsRecordHeader+19]
	control = append(control, flight{Client, closing}, flight{Server, closing})
	carried, dataKeys := withinTLS(t, file)
	for _, withKeys := range []bool{false, true} {
		for _, size := range []int{1, 7, 1 << 20} { // bytes of a segment
			set, lane := allProtocols(), new(Expected)
			s := linkedSession(set, lane, TCP, "10.0.0.1:40000", "10.0.0.2:2121")
			data := linkedSession(set, lane, TCP, "10.0.0.1:5000", "10.0.0.2:1025")
			for _, x := range []*Session{s, data} {
				if x.Keys = keylog.New(); withKeys {
					x.Keys.Add(slices.Concat(keys, dataKeys))
				}
			}
			send := func(flights ...flight) {
				for _, f := range flights {
					for part := range slices.Chunk(f.b, size) {
						s.Stream(f.dir, part)
					}
				}
			}
			s.Stream(Server, []byte("220 an FTP server\r\n"))
			send(flight{Client, []byte("AUTH TLS\r\n")}, flight{Server, []byte("234 go\r\n")})
			send(control...)
			send(flight{Client, []byte("CWD /dir\r\n")}, flight{Server, []byte("250 ok\r\n")},
				flight{Client, []byte("PASV\r\n")}, flight{Server, []byte("227 (10,0,0,2,4,1)\r\n")}, flight{Client, []byte("RETR a.txt\r\n")})
			for _, f := range carried {
				data.Stream(f.dir, f.b)
			}
			send(flight{Server, []byte("226 ok\r\n")})
			data.End(true)
			s.End(true)
			wantStrings(t, s, "protocol", "ftp", "tls")
			wantStrings(t, s, "ftp.filename", "/dir", "a.txt")
			wantStrings(t, data, "protocol", "ftp-data", "tls")
			wantStrings(t, data, "ftp.control", s.CommunityID())
			if withKeys {
				wantStrings(t, s, "ftp.command", "AUTH", "USER", "PROT", "CCC", "CWD", "PASV", "RETR")
				wantStrings(t, s, "user", "alice")
				wantFiles(t, data, wholeFile("ftp", "a.txt", "text/plain", file))
			} else {
				wantStrings(t, s, "ftp.command", "AUTH", "CWD", "PASV", "RETR")
				wantFiles(t, data)
			}
		}
	}
	// Where bytes are missing within TLS, where it ends cannot be told; behind it lines begin anew.
	for missing, want := range map[int][]string{0: {"AUTH"}, 1: {"AUTH", "CWD", "QUIT"}} {
		s := newTestSession(New(), TCP, 40000, 21)
		s.Stream(Server, []byte("220 hello\r\n"))
		s.Stream(Client, []byte("AUTH TLS\r\n"))
		s.Stream(Server, []byte("234 go\r\n"))
		s.Stream(Client, closing)
		if missing == 1 {
			s.Stream(Client, []byte("CWD a\r\nCW"))
		}
		s.Gap(Client, 10)
		s.Stream(Client, []byte("QUIT\r\n"))
		s.End(true)
		wantStrings(t, s, "ftp.command", want...)
	}
}

// TestExpectedBounded holds that what is expected and never comes costs no memory without bound.
func TestExpectedBounded(t *testing.T) {
	set, lane := New(), new(Expected)
	s := linkedSession(set, lane, TCP, "10.0.0.1:40000", "10.0.0.2:21")
	for i := range 3 * maxExpected {
		s.Expect(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 99), TCP, "ftp-data", true, nil)
	}
	if len(lane.ends) > maxExpected || len(lane.queue) > maxExpected {
		t.Errorf("%d ends, %d in the queue, want at most %d", len(lane.ends), len(lane.queue), maxExpected)
	}
}

func FuzzFTP(f *testing.F) {
	set := New()
	f.Add([]byte("227 (10,0,0,2,4,1)\r\n"), []byte("PASV\r\nEPRT |1|10.0.0.1|1026|\r\nRETR a\r\nPORT 1,2,3,4,5,6\r\nREST 3\r\n"))
	f.Add([]byte("\x15\x03\x03\x00\x02\x01\x00226 ok\r\n"), []byte("\x17\x03\x03\x00\x01\x00PASV\r\n\x15\x03\x03\xff\xff"))
	f.Fuzz(func(_ *testing.T, server, client []byte) {
		lane := new(Expected)
		s := linkedSession(set, lane, TCP, "10.0.0.1:40000", "10.0.0.2:21")
		s.Stream(Server, []byte("220 hello\r\n"))
		s.Stream(Client, client)
		s.Stream(Server, server)
		cleared := linkedSession(set, lane, TCP, "10.0.0.1:40001", "10.0.0.2:21")
		cleared.Stream(Server, []byte("220 hello\r\n"))
		cleared.Stream(Client, []byte("AUTH TLS\r\n"))
		cleared.Stream(Server, []byte("234 go\r\n"))
		cleared.Stream(Client, client)
		cleared.Stream(Server, server)
		cleared.End(true)
		data := linkedSession(set, lane, TCP, "10.0.0.1:5000", "10.0.0.2:1025")
		data.Stream(Client, server)
		data.End(true)
		s.End(true)
	})
}
