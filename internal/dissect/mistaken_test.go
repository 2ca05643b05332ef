package dissect

import (
	"slices"
	"strings"
	"testing"

	"wirelake/internal/spi"
)

// TestMistaken gives first payloads of one protocol that have much of another's form.
func TestMistaken(t *testing.T) {
	set := New()
	diameter := func(size int, avp string) string {
		return "\x01" + u32be(size)[1:] + "\x80\x00\x01\x01" + u32be(0) + u32be(1) + u32be(2) + avp
	}
	dnsQuestion := "\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06" + strings.Repeat("e1367d", 2)[:6] + "\x04gcab\x09akamaiedge\x03net\x00\x00\x01\x00\x01"
	for _, tt := range []struct {
		what      string
		transport Transport
		port      uint16
		payload   string
		want      []string
	}{
		{"a command of NATS", TCP, 4222, `CONNECT {"verbose":false}` + "\r\n", nil},
		{"RTSP with a method of HTTP's", TCP, 8554, "OPTIONS rtsp://192.0.2.1:8554/ RTSP/1.0\r\nCSeq: 1\r\n\r\n", []string{"rtsp"}},
		{"SIP with a method of HTTP's", TCP, 5060, "OPTIONS sip:bob@example.org SIP/2.0\r\n\r\n", []string{"sip"}},
		{"a request through a proxy", TCP, 3128, "GET http://example.org/ HTTP/1.1\r\n\r\n", []string{"http"}},
		{"a record of TLS that does not end, elsewhere", TCP, 9443, "\x17\x03\x03\x05\xa0ciphertext", nil},
		{"records of TLS and something else", TCP, 443, "\x17\x03\x03\x00\x04text\x00\x00\x00\x00\x00\x00", nil},
		{"a frame of AMQP", TCP, 5672, "\x01\x00\x01\x00\x00\x00\x10\x00\x3c\x00\x28\x00\x00\x04logs\x05infox\x00\xce", nil},
		{"a batch of TDS", TCP, 41433, "\x01\x01\x00\x2c\x00\x00\x01\x00C\x00O\x00M\x00M\x00I\x00T\x00 \x00T\x00R\x00A\x00N\x00", nil},
		{"Diameter", TCP, 3868, diameter(32, "\x00\x00\x01\x08\x40\x00\x00\x0ca.bc"), []string{"diameter"}},
		{"Diameter, cut in an attribute", TCP, 3868, diameter(200, "\x00\x00\x01\x07\x40\x00\x00\x40a.bc"), []string{"diameter"}},
		{"Diameter with an attribute past its end", TCP, 3868, diameter(32, "\x00\x00\x01\x08\x40\x00\x00\x2ca.bc"), nil},
		{"a DNS question with OpenVPN's first byte", UDP, 53, "\x40\x6f" + dnsQuestion, []string{"dns"}},
		{"a DNS question elsewhere", UDP, 443, "\x50\x93" + dnsQuestion, nil},
		{"GTP without the length that its flags ask for", UDP, 2123, "\x37\x03\x00\x00\x42\x00\x00\x00", nil},
		{"chance on GTP's port", UDP, 2123, "\x46\x01\x00\x00\x02\x79\x03\x00\xc8\x00\xc5\x8b", nil},
		{"GTP version 2", UDP, 2123, "\x40\x01\x00\x04\x00\x00\x01\x00", []string{"gtp"}},
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
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.what, got, tt.want)
		}
	}
}
