package dissect

import (
	"net/netip"
	"strings"
	"testing"
)

func TestOSPF(t *testing.T) {
	s := newTestSession(New(), IP, 0, 0)
	s.Datagram(Client, 89, []byte("\x02\x01\x00\x2c\x0a\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	wantStrings(t, s, "ospf.msgType", "Hello")
	wantStrings(t, s, "ospf.routerId", "10.0.0.1")
	wantStrings(t, s, "ospf.areaId", "0.0.0.5")
	wantStrings(t, s, "tags", "ospf:auth-null")
	wantStrings(t, s, "protocol", "ospf")
}

// TestRADIUS reads the example of RFC 2865 section 7.1.
func TestRADIUS(t *testing.T) {
	s := newTestSession(New(), UDP, 40000, 1812)
	s.Datagram(Client, 0, fromHex(t, "01000038"+"0f403f9473978057bd83d5cb98f4227a"+"01066e656d6f"+"02120dbe708d93d413ce3196e43f782a0aee"+"0406c0a80110"+"050600000003"))
	s.Datagram(Server, 0, fromHex(t, "02000026"+"86fe220e7624ba2a1005f6bf9b55e0b2"+"060600000001"+"0f0600000000"+"0e06c0a80103"))
	wantStrings(t, s, "radius.msgType", "access-request", "access-accept")
	wantStrings(t, s, "radius.user", "nemo")
	wantStrings(t, s, "radius.nasIp", "192.168.1.16")
	wantStrings(t, s, "protocol", "radius")
	accept := newTestSession(New(), UDP, 40000, 1812) // Framed-IP-Address, and Tunnel-Client-Endpoint behind a tag (RFC 2868 section 3.3)
	accept.Datagram(Server, 0, []byte("\x02\x00\x00\x27"+strings.Repeat("a", 16)+"\x08\x06\xc0\x00\x02\x0a"+"\x42\x0d\x01192.0.2.66"))
	wantStrings(t, accept, "radius.framedIp", "192.0.2.10")
	wantStrings(t, accept, "radius.endpointIp", "192.0.2.66")
	for _, station := range []string{"00-10-A4-23-19-C0", "0010.a423.19c0", "0010A42319C0", "00:10:a4:23:19:c0 (office)"} {
		calling := newTestSession(New(), UDP, 40000, 1812)
		calling.Datagram(Client, 0, []byte("\x01\x00\x00"+string([]byte{byte(22 + len(station))})+strings.Repeat("a", 16)+"\x1f"+string([]byte{byte(2 + len(station))})+station))
		wantStrings(t, calling, "radius.mac", "00:10:a4:23:19:c0")
	}
}

func TestSNMP(t *testing.T) {
	set := New()
	s := newTestSession(set, UDP, 40000, 161)
	s.Datagram(Client, 0, fromHex(t, "302602010104067075626c6963a019020101020100020100300e300c06082b060102010105000500"))
	wantStrings(t, s, "snmp.community", "public")
	wantStrings(t, s, "snmp.type", "GetRequest")
	wantStrings(t, s, "snmp.variable", "1.3.6.1.2.1.1.5.0")
	wantStrings(t, s, "protocol", "snmp")
	user := ber(0x30, ber(4, "\x80\x00\x01\x02\x03"), ber(2, "\x01"), ber(2, "\x00"), ber(4, "me"), ber(4), ber(4))
	bulk := ber(0xa5, ber(2, "\x01"), ber(2, "\x02"), ber(2, "\x0a"), ber(0x30, ber(0x30, ber(6, "\x2b\x06"), ber(5))))
	v3 := newTestSession(set, UDP, 40000, 161) // RFC 3412 section 6, RFC 3414 section 2.4
	v3.Datagram(Client, 0, []byte(ber(0x30, ber(2, "\x03"), ber(0x30, ber(2, "\x01"), ber(2, "\x05\xdc"), ber(4, "\x00"), ber(2, "\x03")), ber(4, user), ber(0x30, ber(4), ber(4), bulk))))
	wantStrings(t, v3, "snmp.secLevel", "noAuthNoPriv")
	wantStrings(t, v3, "snmp.engineId", "8000010203")
	wantStrings(t, v3, "snmp.type", "GetBulkRequest")
	wantStrings(t, v3, "snmp.error")
	wantStrings(t, v3, "snmp.variable", "1.3.6")
	wantStrings(t, v3, "user", "me")
}

// TestSNMPErrorsAndTraps reads a refused request, and the traps of version 1 (RFC 1157 section 4.1.6) and 2 (RFC 3416 section 4.2.6).
func TestSNMPErrorsAndTraps(t *testing.T) {
	message := func(version string, pdu string) []byte {
		return []byte(ber(0x30, ber(2, version), ber(4, "public"), pdu))
	}
	binding := func(oid, value string) string { return ber(0x30, ber(6, oid), value) }
	s := newTestSession(New(), UDP, 40000, 161)
	s.Datagram(Client, 0, message("\x00", ber(0xa3, ber(2, "\x01"), ber(2, "\x00"), ber(2, "\x00"), ber(0x30, binding("\x2b\x06\x01", ber(5))))))
	s.Datagram(Server, 0, message("\x00", ber(0xa2, ber(2, "\x01"), ber(2, "\x02"), ber(2, "\x01"), ber(0x30, binding("\x2b\x06\x01", ber(5))))))
	wantStrings(t, s, "snmp.error", "noSuchName")
	wantStrings(t, s, "snmp.type", "SetRequest", "GetResponse")
	wantInts(t, s, "snmp.version", 1)
	s = newTestSession(New(), UDP, 40000, 162)
	s.Datagram(Client, 0, message("\x00", ber(0xa4, ber(6, "\x2b\x06\x01\x04\x01\x09"), ber(0x40, "\xc0\x00\x02\x01"), ber(2, "\x06"), ber(2, "\x01"), ber(0x43, "\x00"),
		ber(0x30, binding("\x2b\x06\x01", ber(5))))))
	s.Datagram(Client, 0, message("\x01", ber(0xa7, ber(2, "\x01"), ber(2, "\x00"), ber(2, "\x00"),
		ber(0x30, binding("\x2b\x06\x01\x06\x03\x01\x01\x04\x01\x00", ber(6, "\x2b\x06\x01\x06\x03\x01\x01\x05\x03"))))))
	wantStrings(t, s, "snmp.trapOid", "1.3.6.1.4.1.9", "1.3.6.1.6.3.1.1.5.3")
	wantStrings(t, s, "snmp.variable", "1.3.6.1", snmpTrapOID)
	wantInts(t, s, "snmp.version", 1, 2)
}

// ber returns a BER element with the parts, of less than 128 bytes, as content.
func ber(tag byte, parts ...string) string {
	content := strings.Join(parts, "")
	return string([]byte{tag, byte(len(content))}) + content
}

func TestSTUNTypes(t *testing.T) {
	for typ, want := range map[uint16]string{
		0x0002: "Shared Secret Request", 0x0112: "Shared Secret Error Response", 0x010a: "Connect Response", 0x000b: "ConnectionBind Request",
		0x001c: "ConnectionAttempt Indication", 0x0005: "Method 5 Request",
	} {
		if got := stunType(typ); got != want {
			t.Errorf("%#04x: got %q, want %q", typ, got, want)
		}
	}
}

// TestSTUN reads the sample request and response of RFC 5769 sections 2.1 and 2.2.
func TestSTUN(t *testing.T) {
	s := newTestSession(New(), UDP, 40000, 3478)
	s.Src = netip.MustParseAddr("10.0.0.1")
	s.Datagram(Client, 0, fromHex(t, "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"))
	s.Datagram(Server, 0, fromHex(t, "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"))
	wantStrings(t, s, "stun.type", "Binding Request", "Binding Response")
	wantStrings(t, s, "stun.software", "STUN test client", "test vector")
	wantStrings(t, s, "stun.username", "evtj:h6vY")
	wantStrings(t, s, "stun.xorMappedIp", "192.0.2.1")
	wantStrings(t, s, "stun.attributes", "ICE-CONTROLLED")
	wantStrings(t, s, "tags", "stun:nat-discovered")
	f, _ := s.Doc.Registry().ByPath("stun.xorMappedPort")
	if got, _ := s.Doc.Int(f.ID); got != 32853 {
		t.Errorf("mapped port: got %d, want 32853", got)
	}
}

// TestSTUNNomination reads an ICE check that nominates (RFC 8445 section 16.1): USE-CANDIDATE has no value.
func TestSTUNNomination(t *testing.T) {
	s := newTestSession(New(), UDP, 40000, 50000)
	s.Datagram(Client, 0, []byte("\x00\x01\x00\x18\x21\x12\xa4\x420123456789ab"+"\x00\x06\x00\x03a:b\x00"+"\x80\x2a\x00\x08tiebreak"+"\x00\x25\x00\x00"))
	wantStrings(t, s, "stun.attributes", "ICE-CONTROLLING", "USE-CANDIDATE")
	wantStrings(t, s, "stun.username", "a:b")
	unpadded := newTestSession(New(), UDP, 40000, 50000)
	unpadded.Datagram(Client, 0, []byte("\x00\x03\x00\x07\x21\x12\xa4\x420123456789ab"+"\x00\x06\x00\x03a:b"))
	wantStrings(t, unpadded, "stun.type", "Allocate Request")
	unknown := []byte("\x00\x05\x00\x07\x21\x12\xa4\x420123456789ab" + "\x00\x06\x00\x03a:b")
	unpadded.Datagram(Client, 0, unknown)
	wantStrings(t, unpadded, "stun.type", "Allocate Request", "Method 5 Request")
	reference := newTestSession(New(), UDP, 40000, 50000)
	reference.Reference = true
	reference.Datagram(Client, 0, unknown)
	wantStrings(t, reference, "stun.type")
	wantStrings(t, reference, "stun.username", "a:b")
}

// TestTURN reads a Send indication and a CreatePermission request to two peers (RFC 8656 sections 10.1 and 11.1).
func TestTURN(t *testing.T) {
	const transaction = "0123456789ab"
	message := func(typ string, attributes ...string) string {
		body := strings.Join(attributes, "")
		return typ + u16be(len(body)) + "\x21\x12\xa4\x42" + transaction + body
	}
	attribute := func(typ int, v string) string {
		return u16be(typ) + u16be(len(v)) + v + strings.Repeat("\x00", (4-len(v)%4)%4)
	}
	// 192.0.2.9:9000 and [2001:db8::7]:80, XORed with the cookie, and IPv6 with the transaction id behind it.
	four := "\x00\x01" + u16be(9000^0x2112) + "\xe1\x12\xa6\x4b"
	six := []byte("\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07")
	for i, c := range []byte("\x21\x12\xa4\x42" + transaction) {
		six[i] ^= c
	}
	for _, on := range []Transport{UDP, TCP} {
		s := newTestSession(New(), on, 40000, 3478)
		send := message("\x00\x16", attribute(0x12, four), attribute(0x13, "data"))
		permission := message("\x00\x08", attribute(0x12, four), attribute(0x12, "\x00\x02"+u16be(80^0x2112)+string(six)))
		if on == TCP {
			s.Stream(Client, []byte(send+permission))
		} else {
			s.Datagram(Client, 0, []byte(send))
			s.Datagram(Client, 0, []byte(permission))
		}
		refused := message("\x01\x13", attribute(0x09, "\x00\x00\x04\x01Unauthorized"), attribute(0x14, "example.org"))
		allocated := message("\x01\x03", attribute(0x16, four), attribute(0x01, "\x00\x01\x23\x28\xc0\x00\x02\x09"))
		if on == TCP {
			s.Stream(Server, []byte(refused+allocated))
		} else {
			s.Datagram(Server, 0, []byte(refused))
			s.Datagram(Server, 0, []byte(allocated))
		}
		wantInts(t, s, "stun.error", 401)
		wantStrings(t, s, "stun.realm", "example.org")
		wantStrings(t, s, "stun.xorRelayedIp", "192.0.2.9")
		wantInts(t, s, "stun.xorRelayedPort", 9000)
		wantStrings(t, s, "stun.mappedIp", "192.0.2.9")
		wantInts(t, s, "stun.mappedPort", 9000)
		wantStrings(t, s, "stun.xorPeerIp", "192.0.2.9", "2001:db8::7")
		wantInts(t, s, "stun.xorPeerPort", 9000, 80)
		wantStrings(t, s, "stun.type", "Send Indication", "CreatePermission Request", "Allocate Error Response", "Allocate Response")
		wantStrings(t, s, "protocol", "stun")
	}
}

// TestBERAny reads what DER does not allow.
func TestBERAny(t *testing.T) {
	for _, c := range []struct {
		name, in, content, rest string
		ok                      bool
	}{
		{"definite", "\x30\x02ab!", "ab", "!", true},
		{"indefinite", "\x30\x80\x02\x01\x00\x00\x00!", "\x02\x01\x00", "!", true},
		{"indefinite within indefinite", "\x62\x80\x6c\x80\x04\x01x\x00\x00\x00\x00", "\x6c\x80\x04\x01x\x00\x00", "", true},
		{"a tag of two bytes", "\x9f\x32\x01x!", "x", "!", true},
		{"and an indefinite length", "\xbf\x34\x80\x9f\x32\x01x\x00\x00!", "\x9f\x32\x01x", "!", true},
		{"no end", "\x30\x80\x02\x01\x00", "", "", false},
		{"a tag without end", "\x9f\xff", "", "", false},
		{"too deep", strings.Repeat("\x30\x80", 20) + strings.Repeat("\x00", 40), "", "", false},
	} {
		_, content, rest, ok := berAny([]byte(c.in))
		if ok != c.ok || string(content) != c.content || string(rest) != c.rest {
			t.Errorf("%s: got %q, %q, %v, want %q, %q, %v", c.name, content, rest, ok, c.content, c.rest, c.ok)
		}
	}
}

func TestBER(t *testing.T) {
	for hex, want := range map[string]string{
		"2b060102010105": "1.3.6.1.2.1.1.5", "2a864886f70d": "1.2.840.113549", "883703": "2.999.3", "01": "0.1", "": "", "2b86": "",
		"2bffffffffffffffffffff7f": "",
	} {
		if got := berOID(fromHex(t, hex)); got != want {
			t.Errorf("%s: got %q, want %q", hex, got, want)
		}
	}
	for _, bad := range []string{"", "30", "3085ffffffffff", "3080"} {
		if _, _, _, ok := berNext(fromHex(t, bad)); ok {
			t.Errorf("%s is taken for an element", bad)
		}
	}
}

// TestNBNS reads a query and the answer to it (RFC 1002 sections 4.2.12, 4.2.13).
func TestNBNS(t *testing.T) {
	name := "\x20" + "FEEFFDFEEIEPFDFECACACACACACACAAA" + "\x00" // TESTHOST
	s := newTestSession(New(), UDP, 137, 137)
	s.Datagram(Client, 0, []byte("\x12\x34\x01\x10\x00\x01\x00\x00\x00\x00\x00\x00"+name+"\x00\x20\x00\x01"))
	s.Datagram(Server, 0, []byte("\x12\x34\x85\x00\x00\x00\x00\x01\x00\x00\x00\x00"+name+"\x00\x20\x00\x01\x00\x00\x00\x3c\x00\x06\x00\x00\xc0\x00\x02\x07"))
	wantStrings(t, s, "nbns.queryHost", "TESTHOST")
	wantStrings(t, s, "nbns.queryType", "NB")
	wantStrings(t, s, "nbns.host", "TESTHOST")
	wantStrings(t, s, "nbns.ip", "192.0.2.7")
	wantStrings(t, s, "protocol", "nbns")

	// A registration, and the status of a node: a name of its own, one of a group, and a browser's.
	s = newTestSession(New(), UDP, 137, 137)
	s.Datagram(Client, 0, []byte("\x12\x34\x29\x10\x00\x01\x00\x00\x00\x00\x00\x01"+name+"\x00\x20\x00\x01\xc0\x0c\x00\x20\x00\x01\x00\x00\x00\x3c\x00\x06\x00\x00\xc0\x00\x02\x08"))
	wantStrings(t, s, "nbns.ip", "192.0.2.8")
	any32 := "\x20CK" + strings.Repeat("A", 30) + "\x00"
	entries := "\x03" + "LABSRV         \x00\x04\x00" + "LABGRP         \x00\x84\x00" + "\x01\x02__MSBROWSE__\x02\x01\x84\x00" + strings.Repeat("\x00", 46)
	s.Datagram(Server, 0, []byte("\x12\x35\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00"+any32+"\x00\x21\x00\x01\x00\x00\x00\x00"+u16be(len(entries))+entries))
	wantStrings(t, s, "nbns.name", "TESTHOST", "*", "LABSRV", "LABGRP")
	wantStrings(t, s, "nbns.host", "*", "LABSRV")
}

func TestSIP(t *testing.T) {
	const invite = "INVITE sip:bob@biloxi.com SIP/2.0\r\nVia: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776\r\nf: Alice <sip:alice@atlanta.com>;tag=1\r\n" +
		"To: Bob <sip:bob@biloxi.com>\r\nUser-Agent: Softphone Beta1.5\r\nCall-ID: a84b4c76\r\nAuthorization: Digest username=\"carol\", realm=\"x\"\r\nContact: <sip:alice@pc33.atlanta.com>\r\nContent-Length: 5\r\n\r\nv=0\r\n"
	const ok = "SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"
	check := func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "sip.method", "INVITE")
		wantStrings(t, s, "sip.user", "bob", "alice", "carol")
		wantStrings(t, s, "sip.from", "Alice <sip:alice@atlanta.com>")
		wantStrings(t, s, "sip.via", "SIP/2.0/UDP pc33.atlanta.com")
		wantStrings(t, s, "sip.callid", "a84b4c76")
		wantStrings(t, s, "sip.useragent", "Softphone Beta1.5")
		wantStrings(t, s, "sip.contact", "<sip:alice@pc33.atlanta.com>")
		if f, _ := s.Doc.Registry().ByPath("sip.statuscode"); f != nil {
			if got, _ := s.Doc.Int(f.ID); got != 200 {
				t.Errorf("status: got %d, want 200", got)
			}
		}
	}
	s := newTestSession(New(), UDP, 5060, 5060)
	s.Datagram(Client, 0, []byte(invite))
	s.Datagram(Server, 0, []byte(ok))
	check(t, s)
	textSession(t, 5060, check, invite+"BYE", ok+ok)
}

func TestModbus(t *testing.T) {
	textSession(t, 502, func(t *testing.T, s *Session) {
		t.Helper()
		for path, want := range map[string]int64{"modbus.transactionid": 1, "modbus.unitid": 17, "modbus.funccode": 3, "modbus.exccode": 2} {
			f, _ := s.Doc.Registry().ByPath(path)
			if got, _ := s.Doc.Int(f.ID); got != want {
				t.Errorf("%s: got %d, want %d", path, got, want)
			}
		}
	}, "\x00\x01\x00\x00\x00\x06\x11\x03\x00\x6b\x00\x03", "\x00\x01\x00\x00\x00\x03\x11\x83\x02")
}

// TestKRB5 reads an AS-REQ and the KRB-ERROR to it.
func TestKRB5(t *testing.T) {
	request := fromHex(t, "6a8197308194a103020105a20302010aa48187308184a00703050040810010a1153013a003020101a10c300a1b087465737475736572a20d1b0b4558414d504c452e434f4da320301ea003020102a11730151b066b72627467741b0b4558414d504c452e434f4da511180f32303330313233313233353935395aa611180f32303330313233313233353935395aa80b3009020112020111020117")
	failure := fromHex(t, "7e423040a003020105a10302011ea603020106a90d1b0b4558414d504c452e434f4daa20301ea003020102a11730151b066b72627467741b0b4558414d504c452e434f4d")
	check := func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "krb5.cname", "testuser")
		wantStrings(t, s, "krb5.sname", "krbtgt/EXAMPLE.COM")
		wantStrings(t, s, "krb5.realm", "EXAMPLE.COM")
		wantStrings(t, s, "krb5.etype", "aes256-cts-hmac-sha1-96", "aes128-cts-hmac-sha1-96", "rc4-hmac")
		wantStrings(t, s, "krb5.error", "KDC_ERR_C_PRINCIPAL_UNKNOWN")
		wantStrings(t, s, "protocol", "krb5")
	}
	s := newTestSession(New(), UDP, 40000, 88)
	s.Datagram(Client, 0, request)
	s.Datagram(Server, 0, failure)
	check(t, s)
	framed := func(b []byte) string { return "\x00\x00\x00" + string([]byte{byte(len(b))}) + string(b) }
	textSession(t, 88, check, framed(request), framed(failure))
}

// isakmpMessage builds a message with one payload.
func isakmpMessage(version, exchange, payload byte, body string) []byte {
	size := isakmpHeaderLen + 4 + len(body)
	return []byte("initiatr" + "\x00\x00\x00\x00\x00\x00\x00\x00" + string([]byte{payload, version, exchange, 8}) + "\x00\x00\x00\x00" +
		string([]byte{0, 0, 0, byte(size)}) + string([]byte{0, 0, 0, byte(4 + len(body))}) + body)
}

func TestISAKMP(t *testing.T) {
	set := New()
	transform := func(last bool, typ, id byte) string {
		next := byte(3)
		if last {
			next = 0
		}
		return string([]byte{next, 0, 0, 8, typ, 0, 0, id})
	}
	s := newTestSession(set, UDP, 500, 500)
	transforms := transform(false, 1, 20) + transform(false, 2, 5) + transform(true, 4, 31)
	s.Datagram(Client, 0, isakmpMessage(0x20, 34, 33, "\x00\x00\x00"+string([]byte{byte(8 + len(transforms))})+"\x01\x01\x00\x03"+transforms))
	wantStrings(t, s, "isakmp.version", "2.0")
	wantStrings(t, s, "isakmp.exchangeType", "ike-sa-init")
	wantStrings(t, s, "isakmp.encryption", "aes-gcm-16")
	wantStrings(t, s, "isakmp.hash", "prf-hmac-sha2-256")
	wantStrings(t, s, "isakmp.dhGroup", "curve25519")
	wantStrings(t, s, "isakmp.initiatorSpi", "696e697469617472")

	answer := isakmpMessage(0x20, 34, 43, "\xaf\xca\xd7\x13\x68\xa1\xf1\xc9\x6b\x86\x96\xfc\x77\x57\x01\x00") // dead peer detection (RFC 3706)
	copy(answer[8:], "responds")
	s.Datagram(Server, 0, answer)
	wantStrings(t, s, "isakmp.responderSpi", "726573706f6e6473")
	wantStrings(t, s, "isakmp.vendorId", "afcad71368a1f1c96b8696fc77570100")

	old := newTestSession(set, UDP, 4500, 4500)
	attributes := "\x80\x01\x00\x07\x80\x02\x00\x02\x80\x03\x00\x01\x80\x04\x00\x02"
	proposal := "\x00\x00\x00" + string([]byte{byte(16 + len(attributes))}) + "\x01\x01\x00\x01" + "\x00\x00\x00" + string([]byte{byte(8 + len(attributes))}) + "\x01\x01\x00\x00" + attributes
	old.Datagram(Client, 0, append([]byte{0, 0, 0, 0}, isakmpMessage(0x10, 2, 1, "\x00\x00\x00\x01\x00\x00\x00\x01"+proposal)...))
	old.Datagram(Server, 0, append([]byte{0, 0, 0, 0}, isakmpMessage(0x10, 6, 8, "attributes")...)) // of Mode Config
	wantStrings(t, old, "isakmp.exchangeType", "identity-protection", "transaction")
	wantStrings(t, old, "isakmp.encryption", "aes-cbc")
	wantStrings(t, old, "isakmp.hash", "sha1")
	wantStrings(t, old, "isakmp.authMethod", "psk")
	wantStrings(t, old, "isakmp.dhGroup", "modp1024")
}

func TestDiameter(t *testing.T) {
	avp := func(code int, v string) string {
		pad := strings.Repeat("\x00", (4-len(v)%4)%4)
		return u32be(code) + "\x40\x00" + string([]byte{0, byte(8 + len(v))}) + v + pad
	}
	avps := avp(263, "s;1") + avp(264, "client.example.org") + avp(296, "example.org") + avp(293, "server.example.net") + avp(283, "example.net") + avp(1, "me") + avp(268, "\x00\x00\x07\xd1")
	message := "\x01\x00\x00" + string([]byte{byte(20 + len(avps))}) + "\x80\x00\x01\x10\x00\x00\x00\x04" + "hophend2" + avps
	textSession(t, 3868, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "diameter.cmd", "Credit-Control-Request (272)")
		wantStrings(t, s, "diameter.app", "Credit Control (4)")
		wantStrings(t, s, "diameter.sessionId", "s;1")
		wantStrings(t, s, "diameter.originHost", "client.example.org")
		wantStrings(t, s, "diameter.originRealm", "example.org")
		wantStrings(t, s, "diameter.user", "me")
		wantStrings(t, s, "diameter.destHost", "server.example.net")
		wantStrings(t, s, "diameter.destRealm", "example.net")
		wantInts(t, s, "diameter.resultCode", 2001)
		wantStrings(t, s, "protocol", "diameter")
	}, message)
	unknown := newTestSession(New(), SCTP, 40000, 3868) // a command and an application that are not registered
	unknown.Datagram(Client, 46, []byte("\x01\x00\x00\x20\x80\x00\x01\x00\x01\x00\xff\xff"+"hophend2"+avp(264, "a.b")))
	unknown.Datagram(Server, 46, []byte("\x01\x00\x00\x20\x00\xff\xff\xf0\x01\x00\xff\xff"+"hophend2"+avp(264, "a.b")))
	wantStrings(t, unknown, "diameter.cmd", "Unknown-Request (256)", "Unknown-Answer (16777200)")
	wantStrings(t, unknown, "diameter.app", "Unknown (16842751)")
}
