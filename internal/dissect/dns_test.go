package dissect

import (
	"net"
	"slices"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"

	"wirelake/internal/spi"
)

// dnsSession runs messages through a session on port 53 and returns its document as JSON.
func dnsSession(t testing.TB, set *Set, transport Transport, messages ...[]byte) string {
	t.Helper()
	s := newTestSession(set, transport, 40000, 53)
	s.IPProtocol = 17
	for i, m := range messages {
		if transport == TCP {
			s.Stream(Dir(i%2), append([]byte{byte(len(m) >> 8), byte(len(m))}, m...))
		} else {
			s.Datagram(Dir(i%2), 0, m)
		}
	}
	s.End(true)
	return string(s.Doc.AppendJSON(nil, func(f *spi.Field) bool { return f.Group == "dns" }))
}

func dnsMessages(t testing.TB, question string, qtype uint16, records ...string) [][]byte {
	t.Helper()
	q := new(mdns.Msg)
	q.SetQuestion(question, qtype)
	a := new(mdns.Msg)
	a.SetReply(q)
	a.RecursionAvailable = true
	a.Compress = true
	for _, r := range records {
		rr, err := mdns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Answer = append(a.Answer, rr)
	}
	var out [][]byte
	for _, m := range []*mdns.Msg{q, a} {
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

func TestDNSRecords(t *testing.T) {
	set := New()
	tests := []struct {
		name, record, want string
		qtype              uint16
	}{
		{"address", "www.Example.org. 60 IN A 192.0.2.7", `"ip":"192.0.2.7"`, mdns.TypeA},
		{"alias", "www.example.org. 60 IN CNAME web.example.org.", `"host":["www.example.org","web.example.org"]`, mdns.TypeA},
		{"mail exchange", "www.example.org. 60 IN MX 10 mx.example.org.", `"mx":"mx.example.org","name":"www.example.org","priority":10`, mdns.TypeMX},
		{"text", `www.example.org. 60 IN TXT "a b" "c"`, `"txt":["a b","c"]`, mdns.TypeTXT},
		{"pointer", "www.example.org. 60 IN PTR host.example.org.", `"data":"host.example.org"`, mdns.TypePTR},
		{"service", "www.example.org. 60 IN SRV 1 2 443 host.example.org.", `"data":"1 2 443 host.example.org"`, mdns.TypeSRV},
		{"certificate authority", `www.example.org. 60 IN CAA 0 issue "ca.example.org"`, `"caa":"CAA 0 issue ca.example.org"`, mdns.TypeCAA},
		{"service binding", `www.example.org. 60 IN HTTPS 1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.1`, `"https":"HTTPS 1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1"`, mdns.TypeHTTPS},
		{"next secure", "www.example.org. 60 IN NSEC next.example.org. A NS CAA", `"nsec":"NSEC next.example.org A NS CAA"`, mdns.TypeNSEC},
		{"delegation signer", "www.example.org. 60 IN DS 60485 5 1 2bb183af5f22588179a53b0a98631fad1a292118", `"ds":"DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118"`, mdns.TypeDS},
		{"signature", "www.example.org. 60 IN RRSIG A 5 3 86400 20030322173103 20030220173103 2642 example.org. b2s=", `"rrsig":"RRSIG A 5 3 86400 1048354263 1045762263 2642 example.org"`, mdns.TypeRRSIG},
		{"unknown type", `www.example.org. 60 IN TYPE65400 \# 2 abcd`, `"type":"TYPE65400"`, 65400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			messages := dnsMessages(t, "WWW.example.org.", tt.qtype, tt.record)
			got := dnsSession(t, set, UDP, messages...)
			if !strings.Contains(got, tt.want) {
				t.Errorf("%s\n got %s\nwant %s", tt.record, got, tt.want)
			}
			if n := strings.Count(got, `"queryHost"`); n != 1 {
				t.Errorf("question and answer gave %d objects, want 1: %s", n, got)
			}
			if stream := dnsSession(t, set, TCP, messages...); stream != got {
				t.Errorf("over TCP\n got %s\nwant %s", stream, got)
			}
		})
	}
}

func TestDNSAddressesByOwner(t *testing.T) {
	got := dnsSession(t, New(), UDP, dnsMessages(t, "example.org.", mdns.TypeNS,
		"example.org. 60 IN NS ns1.example.org.", "ns1.example.org. 60 IN A 192.0.2.53", "example.org. 60 IN A 192.0.2.1", "other.example. 60 IN A 192.0.2.9")...)
	for _, want := range []string{`"nameserverIp":["192.0.2.53"]`, `"ip":["192.0.2.1"]`} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %s in it", got, want)
		}
	}
	got = dnsSession(t, New(), UDP, dnsMessages(t, "example.org.", mdns.TypeMX,
		"example.org. 60 IN MX 5 mx.example.org.", "MX.example.org. 60 IN A 192.0.2.25", "mx.example.org. 60 IN AAAA 2001:db8::25")...)
	if want := `"mailserverIp":["192.0.2.25","2001:db8::25"]`; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
}

// TestDNSQuestions holds that each question of a message is told, as mDNS asks several at once (RFC 6762 section 5.3),
// and that an answer joins the first.
func TestDNSQuestions(t *testing.T) {
	questions := "\x05_http\x04_tcp\x05local\x00\x00\x0c\x80\x01" + "\x04_ipp\xc0\x12\x00\x0c\x00\x01" + "\x03tv1\xc0\x17\x00\x1c\x00\x01"
	query := "\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00" + questions
	response := "\x00\x00\x84\x00\x00\x03\x00\x01\x00\x00\x00\x00" + questions + "\xc0\x0c\x00\x0c\x00\x01\x00\x00\x00\x3c\x00\x06\x03web\xc0\x0c"
	s := newTestSession(New(), UDP, 5353, 5353)
	s.Datagram(Client, 0, []byte(query))
	wantStrings(t, s, "dns.queryHost", "_http._tcp.local", "_ipp._tcp.local", "tv1.local")
	wantStrings(t, s, "dns.qt", "PTR", "PTR", "AAAA")
	wantStrings(t, s, "dns.qc", "IN", "IN", "IN")
	s.Datagram(Server, 0, []byte(response))
	wantStrings(t, s, "dns.queryHost", "_http._tcp.local", "_ipp._tcp.local", "tv1.local")
	wantStrings(t, s, "dns.status", "NOERROR")
	wantStrings(t, s, "dns.answers.data", "web._http._tcp.local")
	wantStrings(t, s, "protocol", "mdns")
}

// TestDNSZone holds that the messages of a zone transfer which repeat no question join it (RFC 5936 section 2.2.1).
func TestDNSZone(t *testing.T) {
	const question = "\x07example\x03org\x00\x00\xfc\x00\x01"
	record := func(owner string) string { return owner + "\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01" }
	messages := []string{
		"\x00\x07\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00" + question,
		"\x00\x07\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00" + question + record("\x01a\xc0\x0c"),
		"\x00\x07\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00" + record("\x01b\x07example\x03org\x00"),
	}
	s := newTestSession(New(), TCP, 40000, 53)
	for i, m := range messages {
		s.Stream(Dir(min(i, 1)), []byte(counted(2, m))) //nolint:gosec // 0 or 1
	}
	wantStrings(t, s, "dns.queryHost", "example.org")
	wantStrings(t, s, "dns.qt", "AXFR")
	wantStrings(t, s, "dns.answers.name", "a.example.org", "b.example.org")
}

// TestDNSRoot holds that records which name the root are told, save to the reference, and that the root is no host.
func TestDNSRoot(t *testing.T) {
	messages := dnsMessages(t, "org.", mdns.TypeDS, "org. 60 IN DS 26974 8 2 4fede294c53f438a158c41d39489cd78a86beb0d8a0aeaff14745c0d16e1de32",
		"org. 60 IN RRSIG DS 8 1 86400 20240101000000 20231219000000 46780 . b2s=", "org. 60 IN RRSIG DS 8 1 86400 20240101000000 20231219000000 46780 org. b2s=")
	for _, reference := range []bool{false, true} {
		s := newTestSession(New(), UDP, 40000, 53)
		s.Reference = reference
		for i, m := range messages {
			s.Datagram(Dir(i), 0, m) //nolint:gosec // two
		}
		want := []string{"RRSIG DS 8 1 86400 1704067200 1702944000 46780 <root>", "RRSIG DS 8 1 86400 1704067200 1702944000 46780 org"}
		if reference {
			want = want[1:]
		}
		wantStrings(t, s, "dns.answers.rrsig", want...)
	}
	for path, c := range map[string]struct {
		hosts, record string
		qtype         uint16
	}{
		"dns.answers.mx":         {"dns.mailserverHost", "example.org. 60 IN MX 0 .", mdns.TypeMX}, // there is none: RFC 7505
		"dns.answers.nameserver": {"dns.nameserverHost", "example.org. 60 IN NS .", mdns.TypeNS},
		"dns.answers.cname":      {"dns.host", "example.org. 60 IN CNAME .", mdns.TypeA},
	} {
		for _, reference := range []bool{false, true} {
			s := newTestSession(New(), UDP, 40000, 53)
			s.Reference = reference
			for i, m := range dnsMessages(t, "example.org.", c.qtype, c.record) {
				s.Datagram(Dir(i), 0, m) //nolint:gosec // two
			}
			want := []string{"<root>"}
			if reference {
				want = nil
			}
			wantStrings(t, s, path, want...)
			if hosts := stringsOf(s, c.hosts); slices.Contains(hosts, "<root>") {
				t.Errorf("%s has the root: %q", c.hosts, hosts)
			}
		}
	}
}

func TestDNSPointerLoop(t *testing.T) {
	b := []byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1}
	if got := dnsSession(t, New(), UDP, b); got != "{}" {
		t.Errorf("a name that points at itself gave %s, want nothing", got)
	}
}

func TestDNSPunycode(t *testing.T) {
	got := dnsSession(t, New(), UDP, dnsMessages(t, "xn--nxasmq5b.com.", mdns.TypeA)...)
	if want := `"puny":["xn--nxasmq5b.com"]`; !strings.Contains(got, want) || !strings.Contains(got, `"queryHost":"όβλοσ.com"`) {
		t.Errorf("got %s, want %s and the name in Unicode", got, want)
	}
}

func FuzzDNS(f *testing.F) {
	set := New()
	for _, m := range dnsMessages(f, "www.example.org.", mdns.TypeHTTPS, `www.example.org. 60 IN HTTPS 1 . alpn="h2"`, "www.example.org. 60 IN NSEC a. A", "www.example.org. 60 IN A "+net.IPv4(192, 0, 2, 1).String()) {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dnsSession(t, set, UDP, b, b)
		dnsSession(t, set, TCP, b)
	})
}

func BenchmarkDNS(b *testing.B) {
	set := New()
	messages := dnsMessages(b, "www.example.org.", mdns.TypeA, "www.example.org. 60 IN CNAME web.example.org.", "web.example.org. 60 IN A 192.0.2.1")
	doc := set.Registry().NewDocument()
	var s Session
	b.ReportAllocs()
	for b.Loop() {
		doc.Reset()
		s.Begin(set, DefaultLimits(), doc)
		s.Transport, s.SrcPort, s.DstPort, s.IPProtocol = UDP, 40000, 53, 17
		for i, m := range messages {
			s.Datagram(Dir(i), 0, m)
		}
		s.End(true)
	}
}
