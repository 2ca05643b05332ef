package dissect

import (
	"strings"
	"testing"

	"wirelake/internal/spi"
)

// TestMarks holds that first payloads as the specifications show them are
// recognized, and as nothing else; and that there is one for each row of marks.
func TestMarks(t *testing.T) {
	set := New()
	rows := marks()
	shown := make([]bool, len(rows))
	zeros := func(s string, n int) string { return s + string(make([]byte, n-len(s))) }
	for _, tt := range []struct {
		want      string
		transport Transport
		port      uint16
		payload   string
	}{
		{"bittorrent", TCP, 6881, "\x13BitTorrent protocol\x00\x00"},
		{"smb", TCP, 445, "\x00\x00\x00\x80\xfeSMB\x40\x00"},
		{"mysql", TCP, 3306, "\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00abcdefgh"},
		{"postgresql", TCP, 5432, "\x00\x00\x00\x17\x00\x03\x00\x00user\x00postgres\x00\x00"},
		{"redis", TCP, 6379, "*1\r\n$4\r\nPING\r\n"},
		{"mongo", TCP, 27017, "\x40\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00"},
		{"amqp", TCP, 5672, "AMQP\x00\x00\x09\x01"},
		{"mqtt", TCP, 1883, "\x10\x12\x00\x04MQTT\x04\x02\x00\x3c"},
		{"rdp", TCP, 3389, "\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01"},
		{"vnc", TCP, 5900, "RFB 003.008\n"},
		{"sip", UDP, 5060, "OPTIONS sip:bob@example.org SIP/2.0\r\n"},
		{"rtsp", TCP, 554, "DESCRIBE rtsp://example.org/a RTSP/1.0\r\n"},
		{"ftp", TCP, 21, "220 ready\r\n"},
		{"telnet", TCP, 23, "\xff\xfd\x18\xff\xfd\x20"},
		{"pop3", TCP, 110, "+OK ready\r\n"},
		{"imap", TCP, 143, "* OK ready\r\n"},
		{"irc", TCP, 6667, "NICK alice\r\n"},
		{"jabber", TCP, 5222, "<?xml version='1.0'?><stream:stream to='example.org'>"},
		{"ldap", TCP, 389, "\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"},
		{"snmp", UDP, 161, "\x30\x0b\x02\x01\x01\x04\x06public"},
		{"tds", TCP, 1433, "\x12\x01\x00\x2f\x00\x00\x01\x00\x00\x00"},
		{"socks", TCP, 1080, "\x05\x01\x00"},
		{"bgp", TCP, 179, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x1d\x01"},
		{"modbus", TCP, 502, "\x00\x01\x00\x00\x00\x06\x01\x03\x00\x00\x00\x01"},
		{"dnp3", TCP, 20000, "\x05\x64\x05\xc0\x01\x00\x00\x04\xe9\x21"},
		{"opcua", TCP, 4840, "HELF\x20\x00\x00\x00"},
		{"stun", UDP, 3478, zeros("\x00\x01\x00\x00\x21\x12\xa4\x42", 20)},
		{"quic", UDP, 443, zeros("\xc3\x00\x00\x00\x01\x08", 1200)},
		{"dtls", UDP, 4433, zeros("\x16\xfe\xfd", 60)},
		{"wireguard", UDP, 51820, zeros("\x01\x00\x00\x00", 148)},
		{"syslog", UDP, 514, "<34>1 2026-01-01T00:00:00Z host app - - - hello"},
		{"ssdp", UDP, 1900, "M-SEARCH * HTTP/1.1\r\n"},
		{"netflow", UDP, 2055, zeros("\x00\x05\x00\x01", 72)},
		{"ipfix", UDP, 4739, zeros("\x00\x0a\x00\x14", 20)},
		{"git", TCP, 9418, "0033git-upload-pack /project.git\x00host=example.org\x00"},
		{"rsync", TCP, 873, "@RSYNCD: 31.0\n"},
		{"jrmi", TCP, 1099, "JRMI\x00\x02K"},
		{"bitcoin", TCP, 8333, zeros("\xf9\xbe\xb4\xd9version", 24)},
		{"diameter", TCP, 3868, zeros("\x01\x00\x00\x14\x80\x00\x01\x01", 20)},
		{"tacacs", TCP, 49, zeros("\xc0\x01\x01", 12)},
		{"whois", TCP, 43, "example.org\r\n"},
		{"aerospike", TCP, 3000, "\x02\x01\x00\x00\x00\x00\x00\x05node\n"},
		{"aerospike", TCP, 3000, zeros("\x02\x03\x00\x00\x00\x00\x00\x40\x16\x01", 72)},
		{"bittorrent", TCP, 40001, "BSYNC\x00\x00\x00"},
		{"bittorrent", UDP, 40001, "d1:q9:find_node1:rd2:id20:"},
		{"bittorrent", UDP, 40001, "d2:ip6:abcdef1:rd2:id20:"},
		{"bittorrent", UDP, 6771, "BT-SEARCH * HTTP/1.1\r\n"},
		{"bitcoin", TCP, 18333, zeros("\x0b\x11\x09\x07version", 24)},
		{"stun", TCP, 3478, "RSP/1.0 CLI_STUN_FIREWALLCHECK\r\n"},
		{"stun", UDP, 3478, "RSP/2.0 STUN\r\n"},
		{"thrift", TCP, 9090, "\x80\x01\x00\x01\x00\x00\x00\x04ping\x00\x00\x00\x00\x00"},
		{"netflow", UDP, 2055, zeros("\x00\x01\x00\x01", 16+52)},
		{"netflow", UDP, 2055, zeros("\x00\x07\x00\x02", 24+2*52)},
		{"elasticsearch", TCP, 9300, zeros("ES\x00\x00\x00\x2e", 20)},
		{"gh0st", TCP, 40001, zeros("Gh0st\x20\x00\x00\x00", 32)},
		{"zabbix", TCP, 10051, zeros("ZBXD\x01\x10", 29)},
		{"pjl", TCP, 9100, "\x1b%-12345X@PJL INFO ID\r\n"},
		{"splunk", TCP, 9997, "--splunk-cooked-mode-v3--\x00"},
		{"syslog", UDP, 1514, "<165>1 2003-10-11T22:14:15.003Z host app - ID47 - text"},
		{"syslog", TCP, 6000, "<34>Oct 11 22:14:15 mymachine su: text"},
		{"rip", UDP, 520, zeros("\x02\x02", 24)},
		{"ripng", UDP, 521, zeros("\x01\x01", 24)},
		{"hsrp", UDP, 1985, zeros("\x00\x00\x10", 20)},
		{"bfd", UDP, 3784, zeros("\x20\xc0\x03\x18", 24)},
		{"dropbox-lan-sync", UDP, 17500, "{\"host_int\": 1}"},
		{"steam-ihscp", UDP, 27036, "\xff\xff\xff\xff\x21\x4c\x5f\xa0\x01"},
		{"steam-friends", UDP, 27017, zeros("VS01", 44)},
		{"valve-a2s", UDP, 27015, "\xff\xff\xff\xffTSource Engine Query\x00"},
		{"teamspeak", UDP, 9987, zeros("TS3INIT1", 34)},
		{"wudo", TCP, 7680, "\x0eSwarm protocol\x00"},
		{"fix", TCP, 9876, "8=FIX.4.2\x019=65\x0135=A\x01"},
		{"hdfs", TCP, 9866, "\x00\x1c\x51\x05\x0a\x03\x0a\x01x"},
		{"aruba-papi", UDP, 8211, "\x49\x72\x00\x02\x0a\x00\x00\x01"},
		{"bjnp", UDP, 8612, zeros("BJNP\x01\x01", 16)},
		{"memcached", UDP, 11211, "\x00\x01\x00\x00\x00\x01\x00\x00stats\r\n"},
		{"l2tp", UDP, 1701, zeros("\xc8\x02\x00\x0c", 12)},
		{"pptp", TCP, 1723, zeros("\x00\x9c\x00\x01\x1a\x2b\x3c\x4d", 156)},
		{"edonkey", TCP, 4662, zeros("\xe3\x0b\x00\x00\x00\x01", 16)},
		{"skinny", TCP, 2000, zeros("\x04\x00\x00\x00", 12)},
		{"mgcp", UDP, 2427, "AUEP 1 aaln/1@gw MGCP 1.0\r\n"},
		{"nbd", TCP, 10809, "NBDMAGICIHAVEOPT"},
		{"smpp", TCP, 2775, zeros("\x00\x00\x00\x18\x00\x00\x00\x09", 24)},
		{"jdwp", TCP, 8000, "JDWP-Handshake"},
		{"hart-ip", UDP, 5094, zeros("\x01\x00\x00", 13)},
		{"bolt", TCP, 7687, zeros("\x60\x60\xb0\x17", 20)},
		{"hadoop", TCP, 8020, "hrpc\x09\x00\x00\x00"},
		{"hbase", TCP, 16020, "HBas\x00\x50\x00\x00"},
		{"drda", TCP, 50000, "\x00\x26\xd0\x41\x00\x01\x00\x20\x10\x41\x00\x08"},
		{"zmtp", TCP, 5555, zeros("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03", 64)},
		{"ipmi", UDP, 623, zeros("\x06\x00\xff\x07", 23)},
		{"openflow", TCP, 6653, "\x04\x00\x00\x08\x00\x00\x00\x01"},
		{"spice", TCP, 5900, zeros("REDQ\x02\x00\x00\x00", 34)},
		{"ica", TCP, 1494, "\x7f\x7fICA\x00\x7f\x7f"},
		{"svn", TCP, 3690, "( success ( 2 2 ( ) ( edit-pipeline ) ) )"},
		{"fastcgi", TCP, 9000, zeros("\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01", 16)},
		{"rtmp", TCP, 1935, zeros("\x03\x00\x00\x00\x01", 64)},
		{"ymsg", TCP, 5050, zeros("YMSG\x00\x10", 20)},
		{"msnms", TCP, 1863, "VER 1 MSNP8 CVR0\r\n"},
		{"hsrp", UDP, 1985, zeros("\x00\x03\x00\x01\x00\x0e\x03", 16)},
		{"bfd", UDP, 6784, zeros("\x20\xc0\x03\x18", 24)},
		{"ajp", TCP, 8009, "\x12\x34\x00\x01\x0a"},
		{"git", TCP, 9418, "000eversion 2\n"},
		{"rtsp", TCP, 8554, "TEARDOWN rtsp://example.org/a RTSP/1.0\r\n"},
		{"tds", TCP, 1433, "\x01\x01\x00\x10\x00\x00\x01\x00S\x00E\x00L\x00\x00\x00"},
		{"stun", UDP, 3479, zeros("\x00\x01\x00\x00", 20)},
		{"dtls", UDP, 4433, zeros("\x16\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x3a\x01\x00\x00\x2e", 71)},
		{"smb", TCP, 445, zeros("\x00\x00\x00\x4a\xfcSMB\x50\x10\x00\x00\x01\x00\x00\x00", 78)},
		{"openflow", TCP, 6633, zeros("\x04\x00\x00\x10\x00\x00\x00\x01\x00\x01\x00\x08", 16)},
		{"openflow", TCP, 6653, zeros("\x01\x04\x00\x18\x00\x00\x00\x18", 24)},
		{"ssdp", UDP, 1900, "HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\n\r\n"},
		{"dropbox-lan-sync", UDP, 17500, "{\"version\": [2, 0], \"port\": 17500}"},
		{"tls", TCP, 9443, zeros("\x17\x03\x03\x00\x20", 37)},
		{"tls", TCP, 993, zeros("\x17\x03\x03\x05\xa0", 80)},
		{"tls", TCP, 9443, zeros("\x14\x03\x03\x00\x01\x01\x16\x03\x03\x00\x28", 51)},
		{"flap", TCP, 5190, "*\x01\x00\x01\x00\x04\x00\x00\x00\x01"},
		{"kafka", TCP, 9092, "\x00\x00\x00\x14\x00\x12\x00\x03\x00\x00\x00\x01\x00\x06client"},
		{"zookeeper", TCP, 2181, zeros("\x00\x00\x00\x2d\x00\x00\x00\x00", 49)},
		{"nats", TCP, 4222, "INFO {\"server_id\":\"N\",\"version\":\"2.10.0\"}\r\n"},
		{"stomp", TCP, 61613, "CONNECT\naccept-version:1.2\nhost:example.org\n\n\x00"},
		{"coap", UDP, 5683, "\x44\x01\x84\x9e\x51\x55\x77\xe8\xb2\x48\x69\x04\x54\x65\x73\x74"},
		{"x11", TCP, 6000, "l\x00\x0b\x00\x00\x00\x12\x00\x10\x00\x00\x00"},
		{"x11", TCP, 6000, "B\x00\x00\x0b\x00\x00\x00\x12\x00\x10\x00\x00"},
		{"nntp", TCP, 119, "200 news.example.org ready\r\n"},
		{"iec104", TCP, 2404, "\x68\x04\x07\x00\x00\x00"},
		{"iec104", TCP, 40001, "\x68\x04\x07\x00\x00\x00"},
		{"nbdgm", UDP, 138, "\x11\x02\x00\x01\x0a\x00\x00\x01\x00\x8a\x00\xbb\x00\x00 "},
		{"netflow", UDP, 2055, zeros("\x00\x09\x00\x01", 20+8)},
		{"sflow", UDP, 6343, zeros("\x00\x00\x00\x05\x00\x00\x00\x01\x0a\x00\x00\x01", 28)},
		{"http http2", TCP, 8080, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
		{"thrift", TCP, 9090, "\x00\x00\x00\x11\x80\x01\x00\x01\x00\x00\x00\x04ping\x00\x00\x00\x01\x00"},
		{"thrift", TCP, 9090, "\x82\x21\x01\x04ping\x00"},
		{"thrift", TCP, 9090, "\x00\x00\x00\x09\x82\x21\x01\x04ping\x00"},
		{"ajp", TCP, 8009, "\x12\x34\x00\x0a\x02\x02\x00\x08HTTP/1.1"},
		{"gnutella", TCP, 6346, "GNUTELLA CONNECT/0.6\r\n"},
		{"hl7", TCP, 2575, "\x0bMSH|^~\\&|ADT1|"},
		{"flash-policy", TCP, 843, "<policy-file-request/>\x00"},
		{"finger", TCP, 79, "alice\r\n"},
		{"gopher", TCP, 70, "/docs\r\n"},
		{"bitcoin", TCP, 18444, zeros("\xfa\xbf\xb5\xdaversion", 24)},
		{"bitcoin", TCP, 38333, zeros("\x0a\x03\xcf\x40version", 24)}, // signet
		// A hello (RFC 5036 section 3.5.2): the link, and 15 seconds; and an initialization (section 3.5.3).
		{"ldp", UDP, 646, "\x00\x01\x00\x1e\x0a\x00\x00\x01\x00\x00\x01\x00\x00\x14\x00\x00\x00\x00\x04\x00\x00\x04\x00\x0f\x00\x00\x04\x01\x00\x04\x0a\x00\x00\x01"},
		{"ldp", TCP, 646, "\x00\x01\x00\x20\x0a\x00\x00\x01\x00\x00\x02\x00\x00\x16\x00\x00\x00\x01\x05\x00\x00\x0e\x00\x01\x00\xb4\x00\x00\x00\x00\x0a\x00\x00\x02\x00\x00"},
		// Multihop (RFC 5883 section 5): version 1, up, 3 intervals, 24 bytes, discriminators, a second each.
		{"bfd", UDP, 4784, "\x20\xc0\x03\x18\x00\x00\x00\x01\x00\x00\x00\x02\x00\x0f\x42\x40\x00\x0f\x42\x40\x00\x00\x00\x00"},
		{"bfd", UDP, 4784, "\x20\xc4\x03\x21\x00\x00\x00\x01\x00\x00\x00\x02\x00\x0f\x42\x40\x00\x0f\x42\x40\x00\x00\x00\x00\x01\x09\x02secret"}, // with a password
		{"diameter", TCP, 3868, zeros("\x01\x00\x00\x14\xc0\x80\x00\x0c\x00\xff\xff\xff", 20)},                                                   // Provide-Location, of 3GPP
		{"mysql", TCP, 3306, "\x09\x00\x00\x00\x03SELECT 1"},
		{"postgresql", TCP, 5432, "Q\x00\x00\x00\x0eSELECT 1;\x00"},
		{"bjnp", UDP, 8612, zeros("BJNB\x01\x01", 16)},
		{"hart-ip", TCP, 5094, zeros("\x01\x00\x00", 13)},
	} {
		doc := set.Registry().NewDocument()
		var s Session
		s.Begin(set, DefaultLimits(), doc)
		s.Transport, s.SrcPort, s.DstPort = tt.transport, 40000, tt.port
		if tt.transport == TCP {
			s.Stream(Client, []byte(tt.payload))
		} else {
			s.Datagram(Client, 0, []byte(tt.payload))
		}
		var got []string
		for v := range doc.Each(spi.Protocol) {
			got = append(got, v.Str)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q to port %d: got %v, want %s alone", tt.payload, tt.port, got, tt.want)
		}
		for i, r := range rows {
			if m := &r.Matchers[0]; m.On == tt.transport && m.match(&s, Client, []byte(tt.payload)) {
				shown[i] = true
			}
		}
	}
	for i, r := range rows {
		if !shown[i] {
			t.Errorf("%s, row %d of marks: no payload shows it", r.Name, i)
		}
	}
}

func FuzzClassify(f *testing.F) {
	set := New()
	f.Add(uint16(53), "\x00\x05\x00\x01")
	f.Fuzz(func(_ *testing.T, port uint16, payload string) {
		for _, transport := range []Transport{TCP, UDP, SCTP} {
			var s Session
			s.Begin(set, DefaultLimits(), set.Registry().NewDocument())
			s.Transport, s.SrcPort, s.DstPort = transport, 40000, port
			if transport == TCP {
				s.Stream(Client, []byte(payload))
			} else {
				s.Datagram(Client, 0, []byte(payload))
			}
			s.End(true)
		}
	})
}
