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
		{"kafka", Matcher{On: TCP, Port: 9092, MinLen: 14, Func: func(_ *Session, _ Dir, b []byte) bool { return binary.BigEndian.Uint16(b[4:]) < 80 && b[0] == 0 }}}, // Kafka protocol, request header
		{"zookeeper", Matcher{On: TCP, Bytes: "\x00\x00\x00\x2d\x00\x00\x00\x00"}},                                                                                    // ConnectRequest
		{"nats", Matcher{On: TCP, Bytes: "INFO {"}},                   // NATS client protocol
		{"stomp", Matcher{On: TCP, Bytes: "CONNECT\naccept-version"}}, // STOMP 1.2
		{"coap", Matcher{On: UDP, Port: 5683, MinLen: 4, Func: func(_ *Session, _ Dir, b []byte) bool { return b[0]>>6 == 1 && b[0]&15 <= 8 }}},                           // RFC 7252
		{"x11", Matcher{On: TCP, Bytes: "l\x00\x0b\x00\x00\x00", MinLen: 12}},                                                                                             // X Window System Protocol, little endian
		{"x11", Matcher{On: TCP, Bytes: "B\x00\x00\x0b\x00\x00", MinLen: 12}},                                                                                             // big endian
		{"telnet", Matcher{On: TCP, Bytes: "\xff", MinLen: 3, Func: func(_ *Session, _ Dir, b []byte) bool { return b[1] >= 0xfb && b[1] <= 0xfe && b[2] <= 50 }}},        // RFC 854
		{"nntp", Matcher{On: TCP, Port: 119, Func: prefixes("200 ", "201 ")}},                                                                                             // RFC 3977
		{"jabber", Matcher{On: TCP, Bytes: "<", Func: func(_ *Session, _ Dir, b []byte) bool { return bytes.Contains(b, []byte("<stream:stream")) }}},                     // RFC 6120
		{"iec104", Matcher{On: TCP, Port: 2404, Bytes: "\x68", MinLen: 6}},                                                                                                // IEC 60870-5-104
		{"iec104", Matcher{On: TCP, Bytes: "\x68\x04\x07\x00\x00\x00", Func: func(s *Session, _ Dir, b []byte) bool { return !s.Reference && len(b) == 6 }}},              // starting data, on any port
		{"ssdp", Matcher{On: UDP, Func: prefixes("M-SEARCH * HTTP/1.1", "NOTIFY * HTTP/1.1")}},                                                                            // UPnP Device Architecture 2.0
		{"nbdgm", Matcher{On: UDP, Port: 138, MinLen: 14, Func: func(_ *Session, _ Dir, b []byte) bool { return b[0] >= 0x10 && b[0] <= 0x16 }}},                          // RFC 1002 section 4.4
		{"netflow", Matcher{On: UDP, Bytes: "\x00\x05", MinLen: 24, Func: netflow5}},                                                                                      // NetFlow 5
		{"netflow", Matcher{On: UDP, Bytes: "\x00\x09", MinLen: 20, Func: netflow9}},                                                                                      // RFC 3954
		{"ipfix", Matcher{On: UDP, Bytes: "\x00\x0a", MinLen: 16, Func: func(_ *Session, _ Dir, b []byte) bool { return int(binary.BigEndian.Uint16(b[2:])) == len(b) }}}, // RFC 7011
		{"sflow", Matcher{On: UDP, Port: 6343, Bytes: "\x00\x00\x00\x05\x00\x00\x00", MinLen: 28}},                                                                        // sFlow 5
		{"git", Matcher{On: TCP, Offset: 4, Func: at(4, "git-upload-pack ", "git-receive-pack ")}},                                                                        // Git, pack protocol
		{"rsync", Matcher{On: TCP, Bytes: "@RSYNCD:"}},                                                                                                                    // rsync daemon
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
		{"aerospike", Matcher{On: TCP, Bytes: "\x02\x01\x00\x00\x00\x00", MinLen: 9, Func: lengthIn(6, 8)}},                                                               // Aerospike wire protocol, info
		{"aerospike", Matcher{On: TCP, Bytes: "\x02\x03\x00\x00\x00\x00", MinLen: 30, Func: at(8, "\x16")}},                                                               // message, with its header of 22 bytes
		{"bitcoin", Matcher{On: TCP, Bytes: "\x0b\x11\x09\x07", MinLen: 24}},                                                                                              // test network
		{"bitcoin", Matcher{On: TCP, Bytes: "\xfa\xbf\xb5\xda", MinLen: 24}},                                                                                              // regression test
		{"bitcoin", Matcher{On: TCP, Offset: 4, Bytes: "version\x00\x00\x00\x00\x00", MinLen: 24, Func: beyondReference}},                                                 // other networks
		{"stun", Matcher{On: TCP, Bytes: "RSP/1.0 CLI_STUN"}},                                                                                                             // what a client asks to know where it is, in text
		{"stun", Matcher{On: UDP, Bytes: "RSP/2.0 STUN"}},
		{"thrift", Matcher{On: TCP, Bytes: "\x80\x01\x00", MinLen: 12, Func: thriftCall(0)}},            // Thrift binary protocol without frames
		{"thrift", Matcher{On: TCP, Bytes: "\x82", MinLen: 8, Func: thriftCompact(0)}},                  // Thrift compact protocol
		{"thrift", Matcher{On: TCP, Offset: 4, Bytes: "\x82", MinLen: 12, Func: thriftCompact(4)}},      // within frames
		{"netflow", Matcher{On: UDP, Bytes: "\x00\x01", MinLen: 16 + 52, Func: netflowRecords(16, 52)}}, // NetFlow 1
		{"netflow", Matcher{On: UDP, Bytes: "\x00\x07", MinLen: 24 + 52, Func: netflowRecords(24, 52)}}, // NetFlow 7
		{"elasticsearch", Matcher{On: TCP, Bytes: "ES\x00\x00", MinLen: 13}},                            // transport protocol
		{"gh0st", Matcher{On: TCP, Bytes: "Gh0st", MinLen: 13}},                                         // Gh0st RAT
		{"zabbix", Matcher{On: TCP, Bytes: "ZBXD", MinLen: 13}},                                         // Zabbix protocol, header
		{"pjl", Matcher{On: TCP, Bytes: "\x1b%-12345X@PJL"}},                                            // HP Printer Job Language
		{"mysql", onPort(3306, mysqlMiddle)},                                                            // in the middle, as the next
		{"postgresql", onPort(5432, postgresqlMessages)},                                                //
		{"splunk", Matcher{On: TCP, Bytes: "--splunk-cooked-mode"}},                                     // Splunk to Splunk
		{"rip", Matcher{On: UDP, Port: 520, MinLen: 4, Func: func(_ *Session, _ Dir, b []byte) bool {
			return (b[0] == 1 || b[0] == 2) && (b[1] == 1 || b[1] == 2) && b[2]|b[3] == 0
		}}}, // RFC 2453
		{"ripng", Matcher{On: UDP, Port: 521, MinLen: 4, Func: func(_ *Session, _ Dir, b []byte) bool { return (b[0] == 1 || b[0] == 2) && b[1] == 1 && b[2]|b[3] == 0 }}},           // RFC 2080
		{"hsrp", Matcher{On: UDP, Port: 1985, MinLen: 20, Func: func(_ *Session, _ Dir, b []byte) bool { return b[0] <= 2 }}},                                                        // RFC 2281
		{"bfd", Matcher{On: UDP, Port: 3784, MinLen: 24, Func: func(_ *Session, _ Dir, b []byte) bool { return b[0]>>5 <= 1 && int(b[3]) <= len(b) && b[3] >= 24 }}},                 // RFC 5880
		{"bfd", Matcher{On: UDP, Port: 4784, MinLen: 24, Func: func(_ *Session, _ Dir, b []byte) bool { return b[0]>>5 <= 1 && int(b[3]) <= len(b) && b[3] >= 24 }}},                 // RFC 5883
		{"ldp", Matcher{On: UDP, Port: 646, Bytes: "\x00\x01", MinLen: 18, Func: func(_ *Session, _ Dir, b []byte) bool { return int(binary.BigEndian.Uint16(b[2:]))+4 == len(b) }}}, // RFC 5036
		{"ldp", Matcher{On: TCP, Port: 646, Bytes: "\x00\x01", MinLen: 18}},
		{"dropbox-lan-sync", Matcher{On: UDP, Port: 17500, Bytes: "{\"host_int\""}},
		{"steam-ihscp", Matcher{On: UDP, Bytes: "\xff\xff\xff\xff\x21\x4c\x5f\xa0"}}, // In-Home Streaming discovery
		{"steam-friends", Matcher{On: UDP, Bytes: "VS01", MinLen: 36}},
		{"valve-a2s", Matcher{On: UDP, Bytes: "\xff\xff\xff\xffTSource Engine Query\x00"}}, // Server queries
		{"teamspeak", Matcher{On: UDP, Bytes: "TS3INIT1"}},
		{"wudo", Matcher{On: TCP, Bytes: "\x0eSwarm protocol"}},                        // MS-DDP
		{"fix", Matcher{On: TCP, Bytes: "8=FIX", Func: prefixes("8=FIX.", "8=FIXT.")}}, // FIX session layer, BeginString
		{"hdfs", Matcher{On: TCP, Bytes: "\x00\x1c", MinLen: 6, Func: hdfsOperation}},  // Hadoop's data transfer
		{"aruba-papi", Matcher{On: UDP, Port: 8211, Bytes: "\x49\x72", MinLen: 4}},     // between Aruba's controllers and access points
		{"bjnp", Matcher{On: UDP, Bytes: "BJNP", MinLen: 16}},
		{"bjnp", Matcher{On: UDP, Bytes: "BJNB", MinLen: 16}},
		{"l2tp", Matcher{On: UDP, Port: 1701, MinLen: 12, Func: func(_ *Session, _ Dir, b []byte) bool { return b[1]&0x0f == 2 || b[1]&0x0f == 3 }}}, // RFC 2661
		{"pptp", Matcher{On: TCP, Offset: 2, Bytes: "\x00\x01\x1a\x2b\x3c\x4d"}},                                                                     // RFC 2637
		{"edonkey", Matcher{On: TCP, Bytes: "\xe3", MinLen: 6, Func: func(_ *Session, _ Dir, b []byte) bool {
			return int64(binary.LittleEndian.Uint32(b[1:]))+5 == int64(len(b)) && b[5] == 1
		}}},
		{"skinny", Matcher{On: TCP, Port: 2000, MinLen: 12, Func: func(_ *Session, _ Dir, b []byte) bool {
			n := binary.LittleEndian.Uint32(b)
			return n >= 4 && n <= 2048 && b[5]|b[6]|b[7] == 0
		}}},
		{"mgcp", Matcher{On: UDP, Port: 2427, MinLen: 4, Func: prefixes("AUEP ", "AUCX ", "CRCX ", "DLCX ", "EPCF ", "MDCX ", "NTFY ", "RQNT ", "RSIP ", "200 ", "250 ")}}, // RFC 3435
		{"nbd", Matcher{On: TCP, Bytes: "NBDMAGIC"}}, // Network Block Device
		{"smpp", Matcher{On: TCP, Offset: 4, Bytes: "\x00\x00\x00", MinLen: 16, Func: func(_ *Session, _ Dir, b []byte) bool {
			return (b[7] == 1 || b[7] == 2 || b[7] == 9) && b[8]|b[9]|b[10]|b[11] == 0 && int64(binary.BigEndian.Uint32(b)) == int64(len(b))
		}}}, // SMPP 3.4, binds
		{"jdwp", Matcher{On: TCP, Bytes: "JDWP-Handshake"}}, // Java Debug Wire Protocol
		{"hart-ip", Matcher{On: UDP, Port: 5094, Bytes: "\x01", MinLen: 8, Func: func(_ *Session, _ Dir, b []byte) bool { return b[1] <= 3 }}}, // HART-IP, IEC 62591
		{"hart-ip", Matcher{On: TCP, Port: 5094, Bytes: "\x01", MinLen: 8, Func: func(_ *Session, _ Dir, b []byte) bool { return b[1] <= 3 }}},
		{"bolt", Matcher{On: TCP, Bytes: "\x60\x60\xb0\x17"}},                                     // Neo4j Bolt
		{"hadoop", Matcher{On: TCP, Bytes: "hrpc"}},                                               // Hadoop RPC
		{"hbase", Matcher{On: TCP, Bytes: "HBas"}},                                                // HBase RPC preamble
		{"drda", Matcher{On: TCP, Offset: 2, Bytes: "\xd0", MinLen: 10, Func: at(8, "\x10\x41")}}, // DRDA, EXCSAT
		{"zmtp", Matcher{On: TCP, Bytes: "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"}},             // ZMTP 3.1
		{"ipmi", Matcher{On: UDP, Port: 623, Bytes: "\x06\x00\xff\x07"}},                          // IPMI 2.0, RMCP
		{"openflow", Matcher{On: TCP, Offset: 1, Bytes: "\x00\x00\x08", MinLen: 8, Func: func(s *Session, _ Dir, b []byte) bool {
			return b[0] >= 1 && b[0] <= 6 && (s.OnPort(6653) || s.OnPort(6633))
		}}}, // OpenFlow, hello
		{"openflow", Matcher{On: TCP, Port: 6653, MinLen: 8, Func: openflow}},
		{"openflow", Matcher{On: TCP, Port: 6633, MinLen: 8, Func: openflow}},
		{"ssdp", Matcher{On: UDP, Port: 1900, Bytes: "HTTP/1.1 200 OK\r\n", Func: beyondReference}}, // an answer
		{"dropbox-lan-sync", Matcher{On: UDP, Port: 17500, Bytes: "{\"version\": [", Func: beyondReference}},
		{"spice", Matcher{On: TCP, Bytes: "REDQ"}},                                           // SPICE
		{"ica", Matcher{On: TCP, Bytes: "\x7f\x7fICA\x00"}},                                  // Citrix ICA
		{"svn", Matcher{On: TCP, Bytes: "( success ( 2 2 "}},                                 // Subversion
		{"fastcgi", Matcher{On: TCP, Bytes: "\x01\x01\x00\x01\x00\x08\x00\x00", MinLen: 16}}, // FastCGI 1.0
		{"rtmp", Matcher{On: TCP, Port: 1935, Bytes: "\x03", MinLen: 9}},                     // Adobe RTMP 1.0
		{"ymsg", Matcher{On: TCP, Bytes: "YMSG", MinLen: 20}},
		{"msnms", Matcher{On: TCP, Bytes: "VER 1 MSNP"}},
		{"hsrp", Matcher{On: UDP, Port: 1985, Bytes: "\x00\x03\x00\x01", MinLen: 16}},                                                                                // its advertisements are shorter
		{"bfd", Matcher{On: UDP, Port: 6784, MinLen: 24, Func: func(_ *Session, _ Dir, b []byte) bool { return b[0]>>5 <= 1 && int(b[3]) <= len(b) && b[3] >= 24 }}}, // RFC 7130
		{"ajp", Matcher{On: TCP, Bytes: "\x12\x34\x00\x01\x0a"}},                                                                                                     // CPing
		{"git", Matcher{On: TCP, Bytes: "000eversion 2\n"}},                                                                                                          // Git, protocol version 2
		{"rtsp", Matcher{On: TCP, Func: prefixes("ANNOUNCE rtsp://", "GET_PARAMETER rtsp://", "PAUSE rtsp://", "RECORD rtsp://", "REDIRECT rtsp://", "SET_PARAMETER rtsp://", "TEARDOWN rtsp://")}},
		{"flap", Matcher{On: TCP, Bytes: "*\x01", MinLen: 10, Func: at(4, "\x00\x04\x00\x00\x00\x01")}}, // OSCAR, FLAP sign-on
	}
	out := make([]Protocol, len(rows))
	for i, r := range rows {
		out[i] = Protocol{Name: r.name, Matchers: []Matcher{r.m}}
	}
	return out
}

// hdfsOperation accepts a request to a data node, behind the version of the protocol: an operation, WRITE_BLOCK to
// REQUEST_SHORT_CIRCUIT_FDS, and its message behind a length, which begins with the header (Hadoop, datatransfer.proto).
func hdfsOperation(_ *Session, _ Dir, b []byte) bool {
	const writeBlock, shortCircuit, header = 80, 87, 0x0a
	return b[2] >= writeBlock && b[2] <= shortCircuit && (b[3] < 0x80 && b[4] == header || b[3] >= 0x80 && b[4] < 0x80 && b[5] == header)
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

// stunHeader accepts a message with the cookie: of a length that RFC 8489 allows, or, as some do not pad, of its own.
func stunHeader(_ *Session, _ Dir, b []byte) bool {
	return b[0]>>6 == 0 && (b[3]&3 == 0 || int(binary.BigEndian.Uint16(b[2:])) == len(b)-stunHeaderLen)
}

func isakmpHeader(_ *Session, _ Dir, b []byte) bool {
	version := b[17] >> 4
	return (version == 1 || version == 2) && int64(binary.BigEndian.Uint32(b[24:])) >= 28
}

// diameterHeader accepts a message (RFC 6733 sections 3 and 4.1) whose attributes, those in sight, fill it.
func diameterHeader(_ *Session, _ Dir, b []byte) bool {
	const reserved, request, failed, vendor = 0x0f, 0x80, 0x20, 0x80
	size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if size < diameterHeaderLen || size%4 != 0 || size > diameterMaxLen || b[4]&reserved != 0 || b[4]&(request|failed) == request|failed {
		return false
	}
	const vendors = 0x80                               // commands from 0x800000 on are those of vendors (section 11.2.1)
	if b[5] > 2 && b[5] != vendors || b[5]|b[6] == 0 { // others are from 256 to 0x2ffff
		return false
	}
	if b[1] == 1 && size&0xffff == len(b) { // a statement of TDS, whose length has two bytes
		return false
	}
	at := diameterHeaderLen
	for ; at+8 <= min(size, len(b)); at = (at + 3) &^ 3 {
		a := b[at:]
		n, least := int(a[5])<<16|int(a[6])<<8|int(a[7]), 8
		if a[4]&vendor != 0 {
			least = 12
		}
		if a[4]&0x1f != 0 || n < least || at+n > size {
			return false
		}
		at += n
	}
	return at > diameterHeaderLen || size == diameterHeaderLen
}

// beyondReference accepts what the reference does not know.
func beyondReference(s *Session, _ Dir, _ []byte) bool { return !s.Reference }

// openflow accepts a message of OpenFlow 1.0 to 1.5 (section 7.1, the header): hellos since 1.3 tell more than the header,
// and connections are captured from the middle on. The reference knows hellos without a body.
func openflow(s *Session, _ Dir, b []byte) bool {
	const types, headerLen = 36, 8
	size := int(binary.BigEndian.Uint16(b[2:]))
	return !s.Reference && b[0] >= 1 && b[0] <= 6 && b[1] < types && size >= headerLen && (size >= len(b) || b[size] == b[0])
}

func netflow5(_ *Session, _ Dir, b []byte) bool {
	n := int(binary.BigEndian.Uint16(b[2:]))
	return n >= 1 && n <= 30 && len(b) == 24+48*n
}

// netflowRecords accepts a header and as many records as it says.
func netflowRecords(header, record int) matchFunc {
	return func(_ *Session, _ Dir, b []byte) bool {
		n := int(binary.BigEndian.Uint16(b[2:]))
		return n >= 1 && n <= 64 && len(b) >= header+record*n && len(b) < header+(record+8)*n // some exporters pad
	}
}

// lengthIn accepts a payload that has, behind the length of 2 bytes at the offset, no more bytes than that.
func lengthIn(off, head int) matchFunc {
	return func(_ *Session, _ Dir, b []byte) bool {
		n := int(binary.BigEndian.Uint16(b[off:]))
		return n > 0 && len(b)-head <= n
	}
}

// thriftCall accepts the head of a Thrift message, strict: version, type, name.
func thriftCall(off int) matchFunc {
	return func(_ *Session, _ Dir, b []byte) bool {
		n := binary.BigEndian.Uint32(b[off+4:])
		return b[off+3] >= 1 && b[off+3] <= 4 && n >= 1 && n < 256
	}
}

// thriftCompact accepts the head of a message of Thrift's compact protocol, behind the length of a frame: its mark, a
// version of 1 with the type, a sequence number, and a name.
func thriftCompact(off int) matchFunc {
	return func(s *Session, _ Dir, b []byte) bool {
		if s.Reference || off == 4 && (b[0] != 0 || binary.BigEndian.Uint32(b) < 4) || b[off+1]&0x1f != 1 || b[off+1]>>5 == 0 || b[off+1]>>5 > 4 {
			return false
		}
		rest := b[off+2:]
		for i := range min(5, len(rest)) { // the number is in groups of 7 bits
			if rest[i] < 0x80 {
				rest = rest[i+1:]
				return len(rest) > 1 && rest[0] > 0 && rest[0] < 0x80 && isCommandWord(rest[1:min(len(rest), 1+int(rest[0]))])
			}
		}
		return false
	}
}

func netflow9(_ *Session, _ Dir, b []byte) bool {
	n := int(binary.BigEndian.Uint16(b[2:]))
	return n >= 1 && n <= 64 && len(b) >= 20+4*min(n, 4)
}
