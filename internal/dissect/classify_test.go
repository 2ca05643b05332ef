package dissect

import (
	"slices"
	"testing"

	"wirelake/internal/spi"
)

// TestMarks holds that first payloads as the specifications show them are
// recognized, and as nothing else.
func TestMarks(t *testing.T) {
	set := New()
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
		{"xmpp", TCP, 5222, "<?xml version='1.0'?><stream:stream to='example.org'>"},
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
		if !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%q to port %d: got %v, want %s alone", tt.payload, tt.port, got, tt.want)
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
