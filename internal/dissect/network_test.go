package dissect

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func fromHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestICMP(t *testing.T) {
	s := newTestSession(New(), IP, 0, 0)
	s.Datagram(Client, 1, []byte{8, 0, 0, 0})
	s.Datagram(Server, 1, []byte{0, 1, 0, 0})
	s.Datagram(Server, 1, []byte{3})
	f, _ := s.Doc.Registry().ByPath("icmp.type")
	var got []int64
	for v := range s.Doc.Each(f.ID) {
		got = append(got, v.Int)
	}
	if len(got) != 2 || got[0] != 8 || got[1] != 0 {
		t.Errorf("types: got %v, want [8 0]", got)
	}
}

func TestARP(t *testing.T) {
	s := newTestSession(New(), Ethernet, 0, 0)
	s.Datagram(Client, 0x0806, fromHex(t, "0001080006040001020000000001c0000201000000000000c0000202"))
	wantStrings(t, s, "arp.ip")
	s.Datagram(Client, 0x0806, fromHex(t, "0001080006040002020000000002c0000202020000000001c0000201"))
	wantStrings(t, s, "arp.ip", "192.0.2.2")
	wantStrings(t, s, "arp.mac", "02:00:00:00:00:02")
	wantStrings(t, s, "protocol", "arp")
}

func TestDHCP(t *testing.T) {
	b := make([]byte, 240)
	copy(b, "\x01\x01\x06\x00\xde\xad\xbe\xef")
	copy(b[28:], "\x02\x00\x00\x00\x00\x09")
	copy(b[236:], dhcpMagic)
	b = append(b, "\x00\x35\x01\x03\x0c\x06Laptop\x32\x04\xc0\x00\x02\x09\x3c\x08MSFT 5.0\xff"...)
	s := newTestSession(New(), UDP, 68, 67)
	s.Datagram(Client, 0, b)
	s.Datagram(Client, 0, append(b[:240:240], 0x0c, 200, 'x')) // an option cut short
	wantStrings(t, s, "dhcp.type", "REQUEST")
	wantStrings(t, s, "dhcp.host", "laptop")
	wantStrings(t, s, "dhcp.mac", "02:00:00:00:00:09")
	wantStrings(t, s, "dhcp.id", "deadbeef")
	wantStrings(t, s, "dhcp.requestIp", "192.0.2.9")
	wantStrings(t, s, "dhcp.classId", "MSFT 5.0")

	long := newTestSession(New(), UDP, 68, 67)
	option := append([]byte{0x3c, 255}, strings.Repeat("v", 255)...) // its length and its header are more than a byte holds
	long.Datagram(Client, 0, slices.Concat(b[:240], option, []byte("\x0c\x01h\xff")))
	ended := newTestSession(New(), UDP, 68, 67)
	ended.Datagram(Client, 0, append(b[:240:240], "\x3c\x05CE 5\x00\x0c\x02h\x00\xff"...))
	wantStrings(t, ended, "dhcp.classId", "CE 5")
	wantStrings(t, ended, "dhcp.host", "h")
	wantStrings(t, long, "dhcp.classId", strings.Repeat("v", 255))
	wantStrings(t, long, "dhcp.host", "h")
}

func TestDHCPv6(t *testing.T) {
	s := newTestSession(New(), UDP, 546, 547)
	s.Datagram(Client, 0, append([]byte("\x01\xaa\xbb\xcc\x00\x01\x00\x0a\x00\x03\x00\x01\x02\x00\x00\x00\x00\x09"), "\x00\x27\x00\x0d\x00\x03pc1\x07example\x00"...))
	wantStrings(t, s, "dhcp.type", "SOLICIT")
	wantStrings(t, s, "dhcp.id", "aabbcc")
	wantStrings(t, s, "dhcp.duid", "00030001020000000009")
	wantStrings(t, s, "dhcp.host", "pc1.example")
	wantStrings(t, s, "protocol", "dhcpv6")
}

func TestNTP(t *testing.T) {
	request, answer := make([]byte, 48), make([]byte, 48)
	request[0] = 4<<3 | 3
	copy(answer, "\x24\x01")
	copy(answer[12:], "GPS\x00")
	s := newTestSession(New(), UDP, 40000, 123)
	s.Datagram(Client, 0, request)
	s.Datagram(Server, 0, answer)
	wantStrings(t, s, "ntp.mode", "client", "server")
	wantStrings(t, s, "ntp.stratum", "unspecified", "primary")
	wantStrings(t, s, "ntp.refId", "GPS")
	wantStrings(t, s, "protocol", "ntp")
	monitor := newTestSession(New(), UDP, 40000, 123)
	monitor.Datagram(Client, 0, []byte("\x17\x00\x03\x2a\x00\x00\x00\x00")) // monlist, mode 7
	monitor.Datagram(Server, 0, []byte("\x16\x82\x00\x01\x06\x15\x00\x00\x00\x00\x00\x00"))
	wantStrings(t, monitor, "ntp.mode", "private", "control")
	wantStrings(t, monitor, "ntp.stratum")
	reference := newTestSession(New(), UDP, 40000, 123)
	reference.Reference = true
	reference.Datagram(Client, 0, []byte("\x17\x00\x03\x2a\x00\x00\x00\x00"))
	reference.Datagram(Server, 0, append([]byte("\x24\x11"), make([]byte, 46)...)) // no stratum
	wantStrings(t, reference, "protocol")
}

func TestNetworkMarks(t *testing.T) {
	set := New()
	for _, c := range []struct {
		on     Transport
		number uint32
		b      string
		want   []string
	}{
		{IP, 2, "\x16\x00\x00\x00", []string{"igmp"}},
		{IP, 103, "", []string{"pim"}},
		{IP, 250, "x", nil},
		{Ethernet, 0x88cc, "\x02\x07", []string{"lldp"}},
		{Ethernet, 0, "\x00\x01\xaf\x81\x01\x00", []string{"xid"}},
		{Ethernet, 0x42, "\x42\x42\x03\x00", []string{"stp"}},
		{Ethernet, 0xfe, "\xfe\xfe\x03\x83\x1b\x01\x00\x14\x01\x00\x00\x00", []string{"isis"}},
		{Ethernet, 0xfefe, "\x03\x83\x1b\x01\x00\x14\x01\x00\x00\x00", []string{"isis"}}, // in Cisco's HDLC
	} {
		s := newTestSession(set, c.on, 0, 0)
		s.Datagram(Client, c.number, []byte(c.b))
		wantStrings(t, s, "protocol", c.want...)
		if c.want != nil && c.want[0] == "isis" {
			wantStrings(t, s, "isis.msgType", "l2-lsp")
		}
	}
}

// FuzzDatagrams gives the input to all datagram dissectors on the ports and
// numbers that this file's protocols have.
func FuzzDatagrams(f *testing.F) {
	f.Add([]byte("\x01\xaa\xbb\xcc\x00\x01\x00\x0a\x00\x03\x00\x01\x02\x00\x00\x00\x00\x09"))
	f.Add(append(make([]byte, 236), dhcpMagic+"\x35\x01\x03\xff"...))
	f.Add(make([]byte, 48))
	set := New()
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range []struct {
			on     Transport
			port   uint16
			number uint32
		}{{UDP, 67, 0}, {UDP, 547, 0}, {UDP, 123, 0}, {UDP, 69, 0}, {IP, 0, 1}, {IP, 0, 58}, {Ethernet, 0, 0x0806}, {Ethernet, 0, 0xfe}, {SCTP, 80, 0}} {
			s := newTestSession(set, c.on, c.port, 40000)
			s.Datagram(Client, c.number, b)
			s.Datagram(Server, c.number, b)
			s.End(true)
			for _, tag := range stringsOf(s, "tags") {
				t.Fatal(tag)
			}
		}
	})
}
