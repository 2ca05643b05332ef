package dissect

import (
	"bytes"
	"encoding/binary"
)

// marks lists the protocols that are recognized by their first bytes and not
// read: a row for each way to recognize one, with where the bytes are specified.
func marks() []Protocol {
	rows := []struct {
		name string
		m    Matcher
	}{
		{"bittorrent", Matcher{On: TCP, Bytes: "\x13BitTorrent protocol"}},                                                                                            // BEP 3
		{"bittorrent", Matcher{On: UDP, Bytes: "d1:ad2:id20:"}},                                                                                                       // BEP 5, a query
		{"bittorrent", Matcher{On: UDP, Bytes: "d1:rd2:id20:"}},                                                                                                       // BEP 5, an answer
		{"bittorrent", Matcher{On: UDP, Bytes: "\x00\x00\x04\x17\x27\x10\x19\x80", MinLen: 16}},                                                                       // BEP 15
		{"kafka", Matcher{On: TCP, Port: 9092, MinLen: 14, Func: func(_ *Session, _ Dir, b []byte) bool { return binary.BigEndian.Uint16(b[4:]) < 80 && b[0] == 0 }}}, // Kafka protocol, request header
		{"zookeeper", Matcher{On: TCP, Bytes: "\x00\x00\x00\x2d\x00\x00\x00\x00"}},                                                                                    // ConnectRequest
		{"nats", Matcher{On: TCP, Bytes: "INFO {"}},                                                                                                                   // NATS client protocol
		{"stomp", Matcher{On: TCP, Bytes: "CONNECT\naccept-version"}},                                                                                                 // STOMP 1.2
		{"coap", Matcher{On: UDP, Port: 5683, MinLen: 4, Func: func(_ *Session, _ Dir, b []byte) bool { return b[0]>>6 == 1 && b[0]&15 <= 8 }}},                       // RFC 7252
		{"x11", Matcher{On: TCP, Bytes: "l\x00\x0b\x00\x00\x00", MinLen: 12}},                                                                                         // X Window System Protocol, little endian
		{"x11", Matcher{On: TCP, Bytes: "B\x00\x00\x0b\x00\x00", MinLen: 12}},                                                                                         // big endian
		{"rtsp", Matcher{On: TCP, Bytes: "RTSP/1.0 "}},                                                                                                                // RFC 2326
		{"rtsp", Matcher{On: TCP, Func: prefixes("OPTIONS rtsp://", "DESCRIBE rtsp://", "SETUP rtsp://", "PLAY rtsp://")}},
		{"telnet", Matcher{On: TCP, Bytes: "\xff", MinLen: 3, Func: func(_ *Session, _ Dir, b []byte) bool { return b[1] >= 0xfb && b[1] <= 0xfe && b[2] <= 50 }}},   // RFC 854
		{"nntp", Matcher{On: TCP, Port: 119, Func: prefixes("200 ", "201 ")}},                                                                                        // RFC 3977
		{"xmpp", Matcher{On: TCP, Bytes: "<", Func: func(_ *Session, _ Dir, b []byte) bool { return bytes.Contains(b, []byte("<stream:stream")) }}},                  // RFC 6120
		{"iec104", Matcher{On: TCP, Port: 2404, Bytes: "\x68", MinLen: 6}},                                                                                           // IEC 60870-5-104
		{"wireguard", Matcher{On: UDP, Bytes: "\x01\x00\x00\x00", Func: lengthIs(148)}},                                                                              // WireGuard whitepaper, 5.4.2
		{"wireguard", Matcher{On: UDP, Bytes: "\x02\x00\x00\x00", Func: lengthIs(92)}},                                                                               // 5.4.3
		{"openvpn", Matcher{On: UDP, Port: 1194, MinLen: 14, Func: func(_ *Session, _ Dir, b []byte) bool { return b[0]>>3 == 7 || b[0]>>3 == 8 || b[0]>>3 == 10 }}}, // OpenVPN protocol, hard reset
		{"openvpn", Matcher{On: TCP, Port: 1194, MinLen: 16, Func: func(_ *Session, _ Dir, b []byte) bool { return b[2]>>3 == 7 || b[2]>>3 == 8 || b[2]>>3 == 10 }}},
		{"tacacs", Matcher{On: TCP, Port: 49, MinLen: 12, Func: func(_ *Session, _ Dir, b []byte) bool { return b[0]>>4 == 0xc && b[1] >= 1 && b[1] <= 3 }}},              // RFC 8907
		{"syslog", Matcher{On: UDP, Port: 514, Bytes: "<"}},                                                                                                               // RFC 5424, 5426
		{"ssdp", Matcher{On: UDP, Func: prefixes("M-SEARCH * HTTP/1.1", "NOTIFY * HTTP/1.1")}},                                                                            // UPnP Device Architecture 2.0
		{"nbdgm", Matcher{On: UDP, Port: 138, MinLen: 14, Func: func(_ *Session, _ Dir, b []byte) bool { return b[0] >= 0x10 && b[0] <= 0x16 }}},                          // RFC 1002 section 4.4
		{"netflow", Matcher{On: UDP, Bytes: "\x00\x05", MinLen: 24, Func: netflow5}},                                                                                      // NetFlow 5
		{"netflow", Matcher{On: UDP, Bytes: "\x00\x09", MinLen: 20, Func: netflow9}},                                                                                      // RFC 3954
		{"ipfix", Matcher{On: UDP, Bytes: "\x00\x0a", MinLen: 16, Func: func(_ *Session, _ Dir, b []byte) bool { return int(binary.BigEndian.Uint16(b[2:])) == len(b) }}}, // RFC 7011
		{"sflow", Matcher{On: UDP, Port: 6343, Bytes: "\x00\x00\x00\x05\x00\x00\x00", MinLen: 28}},                                                                        // sFlow 5
		{"gtp", Matcher{On: UDP, Port: 2123, MinLen: 8, Func: func(_ *Session, _ Dir, b []byte) bool { return b[0]>>5 == 1 || b[0]>>5 == 2 }}},                            // 3GPP TS 29.060, 29.274
		{"git", Matcher{On: TCP, Offset: 4, Func: at(4, "git-upload-pack ", "git-receive-pack ")}},                                                                        // Git, pack protocol
		{"rsync", Matcher{On: TCP, Bytes: "@RSYNCD:"}},                                                                                                                    // rsync daemon
		{"rpc", Matcher{On: UDP, Offset: 4, Bytes: "\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x86"}},                                                                       // RFC 5531, a call of a Sun program
		{"rpc", Matcher{On: TCP, Offset: 8, Bytes: "\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01\x86"}},                                                                       //
		{"http2", Matcher{On: TCP, Bytes: "PRI * HTTP/2.0\r\n"}},                                                                                                          // RFC 9113 section 3.4
		{"jrmi", Matcher{On: TCP, Bytes: "JRMI\x00"}},                                                                                                                     // Java RMI wire protocol
		{"thrift", Matcher{On: TCP, Offset: 4, Bytes: "\x80\x01\x00", MinLen: 12}},                                                                                        // Thrift framed binary protocol
		{"ajp", Matcher{On: TCP, Bytes: "\x12\x34", MinLen: 5, Func: func(_ *Session, _ Dir, b []byte) bool { return b[4] == 2 }}},                                        // AJP 1.3
		{"bitcoin", Matcher{On: TCP, Bytes: "\xf9\xbe\xb4\xd9", MinLen: 24}},                                                                                              // Bitcoin P2P, main network
		{"gnutella", Matcher{On: TCP, Bytes: "GNUTELLA CONNECT/"}},                                                                                                        // Gnutella 0.6
		{"hl7", Matcher{On: TCP, Bytes: "\x0bMSH|"}},                                                                                                                      // HL7 MLLP
		{"flash-policy", Matcher{On: TCP, Bytes: "<policy-file-request/>"}},                                                                                               //
		{"whois", Matcher{On: TCP, Port: 43, MinLen: 1}},                                                                                                                  // RFC 3912
		{"finger", Matcher{On: TCP, Port: 79, MinLen: 1}},                                                                                                                 // RFC 1288
		{"gopher", Matcher{On: TCP, Port: 70, MinLen: 1}},                                                                                                                 // RFC 1436
		{"iscsi", Matcher{On: TCP, Port: 3260, Bytes: "\x43", MinLen: 48}},                                                                                                // RFC 7143, login
	}
	out := make([]Protocol, len(rows))
	for i, r := range rows {
		out[i] = Protocol{Name: r.name, Matchers: []Matcher{r.m}}
	}
	return out
}

type matchFunc = func(*Session, Dir, []byte) bool

// prefixes matches payload that begins with any of the texts.
func prefixes(texts ...string) matchFunc { return at(0, texts...) }

// at matches payload that has any of the texts at the offset.
func at(off int, texts ...string) matchFunc {
	return func(_ *Session, _ Dir, b []byte) bool {
		for _, t := range texts {
			if len(b) >= off+len(t) && string(b[off:off+len(t)]) == t {
				return true
			}
		}
		return false
	}
}

// lengthIs matches payload of exactly n bytes.
func lengthIs(n int) matchFunc {
	return func(_ *Session, _ Dir, b []byte) bool { return len(b) == n }
}

// maxFirstMessage is what a length in front of a first message may be at most.
const maxFirstMessage = 48 << 20

func lengthBE32(_ *Session, _ Dir, b []byte) bool {
	n := binary.BigEndian.Uint32(b)
	return n >= 8 && n <= maxFirstMessage
}

func lengthLE32(_ *Session, _ Dir, b []byte) bool {
	n := binary.LittleEndian.Uint32(b)
	return n >= 16 && n <= maxFirstMessage
}

func lengthBE16(_ *Session, _ Dir, b []byte) bool { return int(binary.BigEndian.Uint16(b)) >= 8 }

func mysqlGreeting(_ *Session, _ Dir, b []byte) bool {
	size := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	return size >= 12 && size < 1024 && b[5] >= '0' && b[5] <= '9'
}

func redisArray(_ *Session, _ Dir, b []byte) bool {
	line, rest, ok := bytes.Cut(b[1:min(len(b), 16)], []byte("\r\n"))
	for _, c := range line {
		ok = ok && c >= '0' && c <= '9'
	}
	return ok && len(line) > 0 && (len(rest) == 0 || rest[0] == '$')
}

func sipStart(_ *Session, _ Dir, b []byte) bool {
	if bytes.HasPrefix(b, []byte("SIP/2.0 ")) {
		return true
	}
	method, rest, ok := bytes.Cut(b[:min(len(b), 32)], []byte(" "))
	if !ok || len(method) < 3 || !bytes.HasPrefix(rest, []byte("sip")) {
		return false
	}
	for _, c := range method {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}

// berLength returns the length of the BER element at the front of b and how many
// bytes its tag and length take, or 0 for none.
func berLength(b []byte) (size, head int) {
	if len(b) < 2 {
		return 0, 0
	}
	if b[1] < 0x80 {
		return int(b[1]), 2
	}
	n := int(b[1] & 0x7f)
	if n == 0 || n > 4 || len(b) < 2+n {
		return 0, 0
	}
	for _, c := range b[2 : 2+n] {
		size = size<<8 | int(c)
	}
	return size, 2 + n
}

func ldapMessage(_ *Session, _ Dir, b []byte) bool {
	_, head := berLength(b)
	if head == 0 || len(b) < head+2 || b[head] != 0x02 || b[head+1] == 0 || b[head+1] > 4 || len(b) < head+3+int(b[head+1]) {
		return false
	}
	op := b[head+2+int(b[head+1])]
	return op == 0x60 || op == 0x61 || op == 0x63 || op == 0x77 || op == 0x78
}

func krbMessage(_ *Session, _ Dir, b []byte) bool {
	_, head := berLength(b)
	return head > 0 && (b[0] >= 0x6a && b[0] <= 0x6f || b[0] == 0x7e) && len(b) > head && b[head] == 0x30
}

func snmpMessage(s *Session, _ Dir, b []byte) bool {
	size, head := berLength(b)
	whole := head+size == len(b) || s.OnPort(161) || s.OnPort(162)
	return head > 0 && whole && len(b) > head+3 && b[head] == 2 && b[head+1] == 1 && b[head+2] <= 3 && (b[head+3] == 4 || b[head+3] == 0x30)
}

func tdsLength(_ *Session, _ Dir, b []byte) bool {
	n := int(binary.BigEndian.Uint16(b[2:]))
	return n >= 8 && n <= 32768
}

func stunHeader(_ *Session, _ Dir, b []byte) bool { return b[0]>>6 == 0 && b[3]&3 == 0 }

func isakmpHeader(_ *Session, _ Dir, b []byte) bool {
	version := b[17] >> 4
	return (version == 1 || version == 2) && int64(binary.BigEndian.Uint32(b[24:])) >= 28
}

func diameterHeader(_ *Session, _ Dir, b []byte) bool {
	size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	return size >= 20 && size%4 == 0 && size < 1<<20 && b[4]&0x0f == 0 && (b[5] == 0 || b[5] == 1 || b[5] == 2) && b[5]|b[6] != 0
}

func netflow5(_ *Session, _ Dir, b []byte) bool {
	n := int(binary.BigEndian.Uint16(b[2:]))
	return n >= 1 && n <= 30 && len(b) == 24+48*n
}

func netflow9(_ *Session, _ Dir, b []byte) bool {
	n := int(binary.BigEndian.Uint16(b[2:]))
	return n >= 1 && n <= 64 && len(b) >= 20+4*min(n, 4)
}
