package dissect

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// wantInts compares all values of a number field.
func wantInts(t *testing.T, s *Session, path string, want ...int64) {
	t.Helper()
	f, ok := s.Doc.Registry().ByPath(path)
	if !ok {
		t.Fatalf("no field %s", path)
	}
	var got []int64
	for v := range s.Doc.Each(f.ID) {
		got = append(got, v.Int)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %d, want %d", path, got, want)
	}
}

// bacnetMessage puts an APDU behind an NPDU without addresses and a BVLC header of annex J.
func bacnetMessage(function byte, npdu string) []byte {
	return []byte("\x81" + string([]byte{function, 0, byte(4 + len(npdu))}) + npdu)
}

// TestBACnet reads examples of ASHRAE 135 annex F (F.3.5, F.4.9) and of I-Have.
func TestBACnet(t *testing.T) {
	s := newTestSession(New(), UDP, 47808, 47808)
	s.Datagram(Client, 0, bacnetMessage(10, "\x01\x04"+"\x00\x00\x01\x0c\x0c\x00\x00\x00\x05\x19\x55"))
	s.Datagram(Server, 0, bacnetMessage(10, "\x01\x00"+"\x30\x01\x0c\x0c\x00\x00\x00\x05\x19\x55\x3e\x44\x42\x90\x99\x9a\x3f"))
	s.Datagram(Server, 0, bacnetMessage(4, "\x0a\x00\x00\x09\xba\xc0"+"\x01\x20\xff\xff\x00\xff"+"\x10\x01\xc4\x02\x00\x00\x08\xc4\x00\x00\x00\x03\x75\x07\x00OATemp"))
	s.Datagram(Client, 0, bacnetMessage(11, "\x01\x08\x00\x05\x01\x07"+"\x10\x08"))
	s.Datagram(Server, 0, bacnetMessage(10, "\x01\x00"+"\x30\x02\x0e\x0c\x00\x00\x00\x05\x1e\x29\x4d\x4e\x75\x05\x05SP\xe91\x4f\x29\x1c\x4e\x75\x02\x00x\x4f\x1f"))
	wantStrings(t, s, "bacnet.function", "original-unicast", "forwarded", "original-broadcast")
	wantStrings(t, s, "bacnet.apduType", "confirmed-request", "complex-ack", "unconfirmed-request")
	wantStrings(t, s, "bacnet.service", "read-property", "i-have", "who-is", "read-property-multiple")
	wantStrings(t, s, "bacnet.objectName", "OATemp", "SPé1")
	wantStrings(t, s, "protocol", "bacnet")

	six := newTestSession(New(), UDP, 40000, 47808)
	six.Datagram(Client, 0, []byte("\x82\x02\x00\x0b"+"\x00\x00\x01"+"\x01\x00"+"\x10\x08"))
	wantStrings(t, six, "bacnet.function", "original-broadcast")
	wantStrings(t, six, "bacnet.service", "who-is")
}

func TestC1222(t *testing.T) {
	message := func(control string) string {
		return ber(0x60, ber(0xa2, ber(0x06, "\x60\x05\x01")), ber(0xa4, ber(2, "\x07")), ber(0xa6, ber(0x80, "\x81\x01")), ber(0xa8, ber(2, "\x01\x02")),
			ber(0xbe, ber(0x28, ber(0x81, control+"\x01\x20"))))
	}
	textSession(t, 1153, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "c1222.calledApTitle", "2.16.5.1")
		wantStrings(t, s, "c1222.callingApTitle", "2.16.124.113620.1.22.0.129")
		wantInts(t, s, "c1222.calledApInvocationId", 7)
		wantInts(t, s, "c1222.callingApInvocationId", 0x102)
		wantStrings(t, s, "c1222.securityMode", "cleartext", "ciphertext-with-authentication")
		wantStrings(t, s, "c1222.responseControl", "always", "never")
		wantStrings(t, s, "protocol", "c1222")
	}, message("\x80"), message("\x8a"))
}

// TestDNP3 reads a request of class data and an answer in two frames (IEEE 1815 clause 9.2.4).
func TestDNP3(t *testing.T) {
	frame := func(control byte, dst, src string, data string) string {
		out := "\x05\x64" + string([]byte{byte(5 + len(data)), control}) + dst + src + "??"
		for len(data) > 0 {
			n := min(len(data), 16)
			out, data = out+data[:n]+"??", data[n:]
		}
		return out
	}
	textSession(t, 20000, func(t *testing.T, s *Session) {
		t.Helper()
		wantInts(t, s, "dnp3.dst", 4, 3)
		wantInts(t, s, "dnp3.src", 3, 4)
		wantInts(t, s, "dnp3.func", 1, 5, 129)
		wantStrings(t, s, "dnp3.funcName", "Read", "Direct Operate", "Response")
		wantStrings(t, s, "protocol", "dnp3")
	},
		frame(0xc4, "\x04\x00", "\x03\x00", "\xc0\xc0\x01\x3c\x02\x06")+frame(0xc4, "\x04\x00", "\x03\x00", "\xc0\xc1\x05"+strings.Repeat("x", 20)),
		frame(0x44, "\x03\x00", "\x04\x00", "\x40\xc0\x81\x00\x00"+strings.Repeat("x", 40))+frame(0x44, "\x03\x00", "\x04\x00", "\x81\x00\x02yy"))
}

// enipMessage builds an encapsulated message; the CIP message goes into unconnected data.
func enipMessage(command byte, data string) string {
	return string([]byte{command, 0, byte(len(data)), byte(len(data) >> 8)}) + "\x01\x02\x03\x04" + strings.Repeat("\x00", 16) + data
}

func enipUnconnected(cip string) string {
	return enipMessage(0x6f, "\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\xb2\x00"+string([]byte{byte(len(cip)), 0})+cip)
}

func TestENIP(t *testing.T) {
	read := "\x4c\x04\x91\x05Total\x00\x01\x00"
	multiple := "\x0a\x02\x20\x02\x24\x01" + "\x02\x00\x06\x00\x0e\x00" + "\x0e\x03\x20\x01\x24\x01\x30\x07" + "\x10\x03\x21\x00\xf5\x00\x30\x05"
	send := "\x52\x02\x20\x06\x24\x01" + "\x0a\x0e" + string([]byte{byte(len(read)), 0}) + read + "\x01\x00\x01\x00"
	textSession(t, 44818, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "enip.command", "RegisterSession", "ListIdentity", "SendRRData")
		wantInts(t, s, "enip.status", 0)
		wantStrings(t, s, "enip.vendor", "Omron", "Vendor-4096")
		wantStrings(t, s, "enip.deviceType", "DeviceType-0x000e")
		wantStrings(t, s, "enip.product", "NJ5", "x")
		wantStrings(t, s, "enip.service", "Unconnected_Send", "Read_Tag", "Multiple_Service_Packet", "Get_Attribute_Single", "Set_Attribute_Single", "Service-0x60", "Reset")
		wantStrings(t, s, "enip.class", "Connection Manager", "Message Router", "Identity", "TCP/IP Interface", "Class-0x300")
		wantStrings(t, s, "protocol", "enip", "cip")
	},
		enipMessage(0x65, "\x01\x00\x00\x00"),
		enipMessage(0x63, "\x02\x00"+
			"\x0c\x00\x25\x00"+"\x01\x00"+strings.Repeat("\x00", 16)+"\x2f\x00\x0e\x00\x01\x00\x01\x02\x00\x00\x01\x02\x03\x04\x03NJ5\x03"+
			"\x0c\x00\x23\x00"+"\x01\x00"+strings.Repeat("\x00", 16)+"\x00\x10\x0e\x00\x01\x00\x01\x02\x00\x00\x01\x02\x03\x04\x01x\x03"),
		enipUnconnected(send)+enipUnconnected(multiple)+enipUnconnected("\x60\x03\x21\x00\x00\x03\x24\x01")+enipUnconnected("\x85\x00\x00\x00"))
}

// TestENIPVendors holds that the names of vendors are those of ODVA's list, and for the reference those that it has.
func TestENIPVendors(t *testing.T) {
	for reference, want := range map[bool][]string{
		false: {"Rockwell Automation/Reliance Electric", "Omron", "Vendor-49"},
		true:  {"Schneider Electric", "Vendor-47", "Siemens"},
	} {
		s := newTestSession(New(), UDP, 40000, enipPort)
		s.Reference = reference
		for _, vendor := range []string{"\x05\x00", "\x2f\x00", "\x31\x00"} {
			s.Datagram(Server, 0, []byte(enipMessage(0x63, "\x01\x00"+"\x0c\x00\x23\x00"+"\x01\x00"+strings.Repeat("\x00", 16)+vendor+"\x0e\x00\x01\x00\x01\x02\x00\x00\x01\x02\x03\x04\x01x\x03")))
		}
		wantStrings(t, s, "enip.vendor", want...)
	}
}

func opcuaMessage(typ, body string) string {
	return typ + string(binary.LittleEndian.AppendUint32(nil, uint32(8+len(body)))) + body
}

func opcuaText(s string) string {
	return string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func TestOPCUA(t *testing.T) {
	const null = "\xff\xff\xff\xff"
	policy := "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"
	textSession(t, 4840, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "opcua.endpointUrl", "opc.tcp://plc:4840/")
		wantStrings(t, s, "opcua.securityPolicyUri", policy)
		wantStrings(t, s, "protocol", "opcua")
	},
		opcuaMessage("HELF", strings.Repeat("\x00", 20)+opcuaText("opc.tcp://plc:4840/"))+opcuaMessage("OPNF", "\x00\x00\x00\x00"+opcuaText(policy)+opcuaText("no certificate")+null),
		opcuaMessage("ACKF", strings.Repeat("\x00", 20)),
		opcuaMessage("MSGC", strings.Repeat("OPNF", 30000))+opcuaMessage("OPNF", "\x00\x00\x00\x00"+null+null+null))
}

func TestPANA(t *testing.T) {
	s := newTestSession(New(), UDP, 40000, 716)
	message := func(flags, typ byte, session, avps string) []byte {
		return []byte("\x00\x00\x00" + string([]byte{byte(16 + len(avps)), flags, 0, 0, typ}) + session + "\x00\x00\x00\x01" + avps)
	}
	s.Datagram(Client, 0, message(0, 1, "\x00\x00\x00\x00", ""))
	s.Datagram(Server, 0, message(0xc0, 2, "\x00\x00\x00\x2a", "\x00\x08\x00\x00\x00\x04\x00\x00\x00\x00\x00\x05"))
	s.Datagram(Client, 0, message(0, 2, "\x00\x00\x00\x2a", "\x00\x05\x00\x00\x00\x03\x00\x00abc\x00"+"\x00\x02\x00\x00\x00\x07\x00\x00\x02\x01\x00\x07\x01me\x00"))
	wantStrings(t, s, "pana.msgType", "client-initiation", "auth")
	wantStrings(t, s, "pana.sessionId", "0000002a")
	wantStrings(t, s, "pana.user", "me")
	wantStrings(t, s, "protocol", "pana")
}

func TestPTP(t *testing.T) {
	message := func(typ, size byte) []byte {
		b := make([]byte, size)
		b[0], b[1], b[3] = typ, 0x12, size
		copy(b[20:], "\x00\x1b\x19\xff\xfe\x01\x02\x03\x00\x01")
		return b
	}
	s := newTestSession(New(), UDP, 319, 319)
	s.Datagram(Client, 0, message(0, 44))
	s.Datagram(Client, 0, message(0x1b, 64))
	s.Datagram(Client, 0, message(7, 44)) // reserved
	wantStrings(t, s, "ptp.msgType", "sync", "announce")
	wantStrings(t, s, "ptp.clockId", "00:1b:19:ff:fe:01:02:03")
	frame := newTestSession(New(), Ethernet, 0, 0)
	frame.Datagram(Client, 0x88f7, message(9, 54))
	wantStrings(t, frame, "ptp.msgType", "delay-resp")
	old := newTestSession(New(), UDP, 320, 320)
	b := make([]byte, 124)
	copy(b, "\x00\x01\x00\x01_DFLT")
	copy(b[20:], "\x02\x01\x08\x00\x06\x01\x02\x03")
	b[32] = 2
	old.Datagram(Client, 0, b)
	wantStrings(t, old, "ptp.msgType", "follow-up")
	wantStrings(t, old, "ptp.clockId", "08:00:06:01:02:03")
}

// tpkt puts a TPDU behind the header of RFC 1006.
func tpkt(tpdu string) string { return "\x03\x00\x00" + string([]byte{byte(4 + len(tpdu))}) + tpdu }

func TestS7comm(t *testing.T) {
	connect := "\x11\xe0\x00\x00\x00\x01\x00\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x01\x02"
	data := "\x02\xf0\x80"
	textSession(t, 102, func(t *testing.T, s *Session) {
		t.Helper()
		wantInts(t, s, "s7comm.rosctr", 1, 3, 7)
		wantInts(t, s, "s7comm.pduref", 5, 6)
		wantInts(t, s, "s7comm.func", 0xf0, 4)
		wantStrings(t, s, "s7comm.funcName", "Setup communication", "Read Var", "CPU functions")
		wantInts(t, s, "s7comm.errorClass", 0x81)
		wantInts(t, s, "s7comm.errorCode", 4)
		wantInts(t, s, "s7comm.opcode", 0x31, 0x32)
		wantStrings(t, s, "protocol", "s7comm", "s7comm-plus")
	},
		tpkt(connect), tpkt("\x11\xd0"+connect[2:]),
		tpkt(data+"\x32\x01\x00\x00\x00\x05\x00\x08\x00\x00\xf0\x00\x00\x01\x00\x01\x01\xe0"),
		tpkt(data+"\x32\x03\x00\x00\x00\x05\x00\x02\x00\x00\x81\x04\x04\x01"),
		tpkt(data+"\x32\x07\x00\x00\x00\x06\x00\x08\x00\x04\x00\x01\x12\x04\x11\x44\x01\x00\xff\x09\x00\x04")+tpkt(data+"\x72\x01\x00\x08\x31\x00\x00\x04\xca\x00\x00\x00"),
		tpkt(data+"\x72\x03\x00\x29\x20"+strings.Repeat("d", 32)+"\x32\x00\x00\x05\x42"))
	reference := newTestSession(New(), TCP, 40000, 102)
	reference.Reference = true // which names no groups of user data
	reference.Stream(Client, []byte(tpkt(data+"\x32\x07\x00\x00\x00\x06\x00\x08\x00\x04\x00\x01\x12\x04\x11\x44\x01\x00\xff\x09\x00\x04")))
	wantInts(t, reference, "s7comm.rosctr", 7)
	wantStrings(t, reference, "s7comm.funcName")
	rdp := newTestSession(New(), TCP, 40000, 3389)
	rdp.Stream(Client, []byte(tpkt("\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00")))
	wantStrings(t, rdp, "protocol", "rdp")
}

// phasorFrameOf builds a frame with its CRC.
func phasorFrameOf(typ byte, id uint16, body string) []byte {
	b := []byte{0xaa, typ<<4 | 1, 0, byte(16 + len(body))}
	b = binary.BigEndian.AppendUint16(b, id)
	b = append(append(b, "\x00\x00\x00\x01\x00\x00\x00\x00"...), body...)
	crc := uint16(0xffff)
	for _, c := range b {
		crc ^= uint16(c) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return binary.BigEndian.AppendUint16(b, crc)
}

func TestSynchrophasor(t *testing.T) {
	unit := func(name string, id byte) string {
		return name + strings.Repeat(" ", 16-len(name)) + "\x00" + string([]byte{id}) + "\x00\x04\x00\x01\x00\x00\x00\x00" + "VA              " + "\x00\x00\x00\x00" + "\x00\x01\x00\x05"
	}
	s := newTestSession(New(), UDP, 40000, 50000) // another port: the CRC tells
	s.Datagram(Client, 0, phasorFrameOf(4, 7, "\x00\x05"))
	s.Datagram(Server, 0, phasorFrameOf(3, 7, "\x00\x0f\x42\x40\x00\x02"+unit("North", 8)+unit("South", 9)+"\x00\x1e"))
	s.Datagram(Server, 0, phasorFrameOf(0, 7, "xxxx"))
	wantStrings(t, s, "synchrophasor.frameType", "command", "cfg2", "data")
	wantInts(t, s, "synchrophasor.cmd", 5)
	wantInts(t, s, "synchrophasor.idcode", 7, 8, 9)
	wantInts(t, s, "synchrophasor.numPMU", 2)
	wantStrings(t, s, "synchrophasor.station", "North", "South")
	wantInts(t, s, "synchrophasor.dataRate", 30)
	wantStrings(t, s, "protocol", "synchrophasor")

	three := newTestSession(New(), UDP, 40000, 4713)
	unit3 := "\x04East\x00\x0a" + strings.Repeat("g", 16) + "\x00\x04\x00\x01\x00\x00\x00\x00" + "\x02VA" + strings.Repeat("x", 12+12+1+8+4)
	three.Datagram(Client, 0, phasorFrameOf(5, 7, "\x00\x00\x00\x0f\x42\x40\x00\x01"+unit3+"\xff\xfe"))
	wantStrings(t, three, "synchrophasor.station", "East")
	wantInts(t, three, "synchrophasor.idcode", 7, 10)
	wantInts(t, three, "synchrophasor.dataRate", -2)
}

// TestOracle reads connect data in the first packet, and in one behind it.
func TestOracle(t *testing.T) {
	text := "(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST = DB.example)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=ORCL)(CID=(PROGRAM=x)(USER=Scott))))"
	packet := func(typ byte, body string) string {
		return string([]byte{0, byte(8 + len(body)), 0, 0, typ, 0, 0, 0}) + body
	}
	fixed := "\x01\x3a\x01\x2c\x00\x00\x20\x00\xff\xff\x7f\x08\x00\x00\x00\x01\x00" + string([]byte{byte(len(text))}) + "\x00\x22\x00\x00\x00\x00\x00\x00"
	for _, first := range []string{packet(1, fixed+text), packet(1, fixed) + packet(6, "\x00\x00"+text)} {
		textSession(t, 1521, func(t *testing.T, s *Session) {
			t.Helper()
			wantStrings(t, s, "oracle.host", "db.example")
			wantStrings(t, s, "oracle.service", "orcl")
			wantStrings(t, s, "oracle.user", "scott")
			wantStrings(t, s, "protocol", "oracle")
		}, first, packet(2, "\x01\x3a"))
	}
}

// industrialSeeds returns a message of each protocol tested here, for FuzzParsers.
func industrialSeeds() map[string]string {
	text := "(DESCRIPTION=(ADDRESS=(HOST=db))(CONNECT_DATA=(SERVICE_NAME=x)(CID=(USER=me))))"
	return map[string]string{
		"adb":           adbMessage("CNXN", 0x01000000, 4096, "device:x:") + adbMessage("OPEN", 1, 0, "sync:\x00") + adbMessage("WRTE", 1, 2, adbPacket("STAT", "/x")),
		"bacnet":        string(bacnetMessage(10, "\x01\x00"+"\x30\x02\x0e\x0c\x00\x00\x00\x05\x1e\x29\x4d\x4e\x75\x05\x05SP11\x4f\x1f")),
		"c1222":         ber(0x60, ber(0xa2, ber(0x06, "\x60\x05\x01")), ber(0xa4, ber(2, "\x07")), ber(0xbe, ber(0x28, ber(0x81, "\x80\x01\x20")))),
		"dnp3":          "\x05\x64\x08\xc4\x04\x00\x03\x00??\xc0\xc0\x01??",
		"enip":          enipUnconnected("\x0a\x02\x20\x02\x24\x01"+"\x01\x00\x04\x00\x0e\x03\x20\x01\x24\x01\x30\x07") + enipMessage(0x63, "\x01\x00\x0c\x00\x25\x00"+strings.Repeat("\x00", 37)),
		"m3ua":          string(m3uaData(3, unitdata(146, ber(0x62, ber(0x6c, ber(0xa1, ber(2, "\x01"), ber(2, "\x00"), ber(0x30, ber(0x83, "\x84\x13\x94")))))))),
		"opcua":         opcuaMessage("HELF", strings.Repeat("\x00", 20)+opcuaText("opc.tcp://plc/")) + opcuaMessage("OPNF", "\x00\x00\x00\x00"+opcuaText("x")+opcuaText("y")),
		"oracle":        "\x00\x80\x00\x00\x01\x00\x00\x00\x01\x3a\x01\x2c\x00\x00\x20\x00\xff\xff\x7f\x08\x00\x00\x00\x01\x00\x5e\x00\x22\x00\x00\x00\x00\x00\x00" + text,
		"pana":          "\x00\x00\x00\x20\x00\x00\x00\x02\x00\x00\x00\x2a\x00\x00\x00\x01\x00\x02\x00\x00\x00\x07\x00\x00\x02\x01\x00\x07\x01me\x00",
		"ptp":           "\x00\x12\x00\x2c" + strings.Repeat("\x00", 40),
		"s7comm":        tpkt("\x02\xf0\x80\x32\x03\x00\x00\x00\x05\x00\x02\x00\x00\x81\x04\x04\x01") + tpkt("\x02\xf0\x80\x72\x03\x00\x04\x02ab\x32"),
		"synchrophasor": string(phasorFrameOf(5, 7, "\x00\x00\x00\x0f\x42\x40\x00\x01\x04East\x00\x0a"+strings.Repeat("g", 30))),
	}
}

// TestDNP3Port holds that on other ports the first header's check tells DNP3 from what begins alike.
func TestDNP3Port(t *testing.T) {
	for text, want := range map[string][]string{"\x05\x64\x05\xc0\x01\x00\x00\x04\xe9\x21": {"dnp3"}, "\x05\x64\x05\xc0\x01\x00\x00\x04\xe9\x22": nil} {
		s := newTestSession(New(), TCP, 40000, 19999)
		s.Stream(Client, []byte(text))
		wantStrings(t, s, "protocol", want...)
	}
}
