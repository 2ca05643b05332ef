package dissect

import (
	"net/netip"
	"testing"
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
	f.Fuzz(func(_ *testing.T, server, client []byte) {
		lane := new(Expected)
		s := linkedSession(set, lane, TCP, "10.0.0.1:40000", "10.0.0.2:21")
		s.Stream(Server, []byte("220 hello\r\n"))
		s.Stream(Client, client)
		s.Stream(Server, server)
		data := linkedSession(set, lane, TCP, "10.0.0.1:5000", "10.0.0.2:1025")
		data.Stream(Client, server)
		data.End(true)
		s.End(true)
	})
}
