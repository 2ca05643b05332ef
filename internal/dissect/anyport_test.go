package dissect

import (
	"slices"
	"strings"
	"testing"
)

// TestAnyPort gives protocols on ports that are not theirs: what they begin with tells them. The reference goes by
// the port.
func TestAnyPort(t *testing.T) {
	set := New()
	radius := func(code byte, attributes string) string {
		return string([]byte{code, 7}) + u16be(20+len(attributes)) + strings.Repeat("a", 16) + attributes
	}
	modbus := func(pdu string) string { return u16be(9) + u16be(0) + u16be(1+len(pdu)) + "\x01" + pdu }
	ike := func(version, exchange, next string) string {
		return "INITIATO" + strings.Repeat("\x00", 8) + next + version + exchange + "\x08" + u32be(0) + u32be(28+8) + "\x00\x00\x00\x08four"
	}
	long := "\xc0\x1a\x2a\x3a\x4a\x08" + "CONNECT1" + "\x00" + strings.Repeat("\x00", 1190)
	for _, tt := range []struct {
		what    string
		on      Transport
		payload string
		want    []string
	}{
		{"RADIUS", UDP, radius(1, "\x01\x05bob\x04\x06\xc0\x00\x02\x01"), []string{"radius"}},
		{"RADIUS, attributes past the end", UDP, radius(1, "\x01\x05bob\x04\x09\xc0\x00\x02\x01"), nil},
		{"RADIUS without attributes", UDP, radius(2, ""), nil},
		{"Modbus, a read", TCP, modbus("\x03\x00\x10\x00\x02"), []string{"modbus"}},
		{"Modbus, a read of too much", TCP, modbus("\x03\x00\x10\x00\x7e"), nil},
		{"Modbus, a coil", TCP, modbus("\x05\x00\x10\xff\x00"), []string{"modbus"}},
		{"Modbus, a write", TCP, modbus("\x10\x00\x10\x00\x01\x02ab"), []string{"modbus"}},
		{"Modbus, a write that is short", TCP, modbus("\x10\x00\x10\x00\x01\x04ab"), nil},
		{"Modbus, an unknown function", TCP, modbus("\x41\x00\x10\x00\x01"), nil},
		{"IKE, version 1", UDP, ike("\x10", "\x02", "\x01"), []string{"isakmp"}},
		{"IKE, version 2, behind a NAT", UDP, "\x00\x00\x00\x00" + ike("\x20", "\x22", "\x21"), []string{"isakmp"}},
		{"IKE of no exchange that begins", UDP, ike("\x20", "\x23", "\x21"), nil},
		{"QUIC that asks for a version", UDP, long, []string{"quic"}},
		{"TACACS+", TCP, "\xc1\x01\x01\x00" + u32be(7) + u32be(8) + "obscured", []string{"tacacs"}},
		{"TACACS+, not as long as it says", TCP, "\xc1\x01\x01\x00" + u32be(7) + u32be(9) + "obscured", nil},
		{"Thrift, compact", TCP, "\x82\x21\x00\x03add\x15\x04\x15\x06\x00", []string{"thrift"}},
		{"Thrift, compact, in a frame", TCP, u32be(12) + "\x82\x21\x80\x01\x03add\x15\x04\x15\x00", []string{"thrift"}},
		{"Thrift of no type", TCP, "\x82\x01\x00\x03add\x15\x04\x15\x06\x00", nil},
		{"QUIC that asks, too short", UDP, long[:1100], nil},
	} {
		for _, reference := range []bool{false, true} {
			s := newSeedSession(set, tt.on, 40000, 40001)
			s.Reference = reference
			if tt.on == TCP {
				s.Stream(Client, []byte(tt.payload))
			} else {
				s.Datagram(Client, 0, []byte(tt.payload))
			}
			want := tt.want
			if reference {
				want = nil
			}
			if got := stringsOf(s, "protocol"); !slices.Equal(got, want) {
				t.Errorf("%s, reference %v: got %q, want %q", tt.what, reference, got, want)
			}
		}
	}
}

// TestS7AnyPort begins with the connection request of the transport (RFC 905, TSAPs of two bytes), which says nothing of S7.
func TestS7AnyPort(t *testing.T) {
	request := "\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x01\x02"
	confirm := "\x03\x00\x00\x16\x11\xd0\x00\x01\x00\x02\x00\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x01\x02"
	setup := "\x03\x00\x00\x19\x02\xf0\x80\x32\x01\x00\x00\x00\x05\x00\x08\x00\x00\xf0\x00\x00\x01\x00\x01\x01\xe0"
	wireSession(t, 1102, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "s7comm")
		wantStrings(t, s, "s7comm.funcName", "Setup communication")
	}, request, confirm, setup)
	wireSession(t, 1102, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol")
	}, request, confirm, "\x03\x00\x00\x09\x02\xf0\x80\x99\x01")
}

// TestSNMPOverTCP reads messages that follow one another (RFC 3430).
func TestSNMPOverTCP(t *testing.T) {
	get := "\x30\x26\x02\x01\x01\x04\x06public\xa0\x19\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x0e\x30\x0c\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00\x05\x00"
	wireSession(t, 161, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "snmp")
		wantStrings(t, s, "snmp.community", "public")
		wantStrings(t, s, "snmp.type", "GetRequest", "GetResponse")
		wantStrings(t, s, "snmp.variable", "1.3.6.1.2.1.1.1.0")
	}, get+get, strings.Replace(get, "\xa0", "\xa2", 1))
}

// TestNumberMarks names protocols by their numbers. PTP and CDP stand for those that are not IP.
func TestNumberMarks(t *testing.T) {
	set := New()
	snap := "\xaa\xaa\x03\x00\x00\x0c"
	for _, tt := range []struct {
		on      Transport
		number  uint32
		payload string
		want    []string
	}{
		{IP, 88, "\x02\x05", []string{"eigrp"}},
		{IP, 112, "\x31\x35\x64\x01\x00\x64\x00\x00\xc0\x00\x02\x01", []string{"vrrp"}},
		{IP, 112, "\x21\x01\x00\x07" + strings.Repeat("\x00", 32), []string{"carp"}},
		{IP, 51, "\x06\x04", []string{"ah"}},
		{IP, 250, "\x00", nil},
		{Ethernet, 0x8863, "\x11\x09", []string{"pppoe-discovery"}},
		{Ethernet, 0x8809, "\x01\x01", []string{"slow", "lacp"}},
		{Ethernet, 0x2000, snap + "\x20\x00\x02\xb4", []string{"cdp"}},
		{Ethernet, 0x010b, snap + "\x01\x0b\x00\x00", []string{"stp"}},
		{Ethernet, 0x2000, "\xaa\xaa\x03\x00\xe0\x52\x20\x00", []string{"fdp"}},
		{Ethernet, 0x88f7, "\x00\x02\x00\x2c" + strings.Repeat("\x00", 40), []string{"ptp"}},
	} {
		s := newSeedSession(set, tt.on, 0, 0)
		s.Datagram(Client, tt.number, []byte(tt.payload))
		if got := stringsOf(s, "protocol"); !slices.Equal(got, tt.want) {
			t.Errorf("number %#x: got %q, want %q", tt.number, got, tt.want)
		}
	}
}
