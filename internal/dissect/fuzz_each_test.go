package dissect

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"wirelake/internal/packet"
	"wirelake/internal/pcapfile/pcaptest"
)

// Fuzz targets of the parsers that have none beside their tests, each seeded from captures.
func FuzzADB(f *testing.F)           { fuzzParser(f, "adb") }
func FuzzARP(f *testing.F)           { fuzzParser(f, "arp") }
func FuzzBACnet(f *testing.F)        { fuzzParser(f, "bacnet") }
func FuzzBGP(f *testing.F)           { fuzzParser(f, "bgp") }
func FuzzC1222(f *testing.F)         { fuzzParser(f, "c1222") }
func FuzzDCERPC(f *testing.F)        { fuzzParser(f, "dcerpc") }
func FuzzDHCP(f *testing.F)          { fuzzParser(f, "dhcp") }
func FuzzDHCPv6(f *testing.F)        { fuzzParser(f, "dhcpv6") }
func FuzzDiameter(f *testing.F)      { fuzzParser(f, "diameter") }
func FuzzDNP3(f *testing.F)          { fuzzParser(f, "dnp3") }
func FuzzENIP(f *testing.F)          { fuzzParser(f, "enip") }
func FuzzFBZero(f *testing.F)        { fuzzParser(f, "fbzero") }
func FuzzFTPData(f *testing.F)       { fuzzParser(f, "ftp-data") }
func FuzzICMP(f *testing.F)          { fuzzParser(f, "icmp") }
func FuzzIMAP(f *testing.F)          { fuzzParser(f, "imap") }
func FuzzIRC(f *testing.F)           { fuzzParser(f, "irc") }
func FuzzISAKMP(f *testing.F)        { fuzzParser(f, "isakmp") }
func FuzzISIS(f *testing.F)          { fuzzParser(f, "isis") }
func FuzzKRB5(f *testing.F)          { fuzzParser(f, "krb5") }
func FuzzLDAP(f *testing.F)          { fuzzParser(f, "ldap") }
func FuzzM3UA(f *testing.F)          { fuzzParser(f, "m3ua") }
func FuzzModbus(f *testing.F)        { fuzzParser(f, "modbus") }
func FuzzMQTT(f *testing.F)          { fuzzParser(f, "mqtt") }
func FuzzNBNS(f *testing.F)          { fuzzParser(f, "nbns") }
func FuzzNTP(f *testing.F)           { fuzzParser(f, "ntp") }
func FuzzOPCUA(f *testing.F)         { fuzzParser(f, "opcua") }
func FuzzOracle(f *testing.F)        { fuzzParser(f, "oracle") }
func FuzzOSPF(f *testing.F)          { fuzzParser(f, "ospf") }
func FuzzPANA(f *testing.F)          { fuzzParser(f, "pana") }
func FuzzPOP3(f *testing.F)          { fuzzParser(f, "pop3") }
func FuzzPTP(f *testing.F)           { fuzzParser(f, "ptp") }
func FuzzRADIUS(f *testing.F)        { fuzzParser(f, "radius") }
func FuzzRDP(f *testing.F)           { fuzzParser(f, "rdp") }
func FuzzS7comm(f *testing.F)        { fuzzParser(f, "s7comm") }
func FuzzSCTP(f *testing.F)          { fuzzParser(f, "sctp") }
func FuzzSIP(f *testing.F)           { fuzzParser(f, "sip") }
func FuzzSNMP(f *testing.F)          { fuzzParser(f, "snmp") }
func FuzzSTUN(f *testing.F)          { fuzzParser(f, "stun") }
func FuzzSynchrophasor(f *testing.F) { fuzzParser(f, "synchrophasor") }
func FuzzTFTP(f *testing.F)          { fuzzParser(f, "tftp") }
func FuzzTFTPData(f *testing.F)      { fuzzParser(f, "tftp-data") }

// fuzzParser makes the fuzz target of a parser, with what a client and a server sent in captures, and the seeds for both.
func fuzzParser(f *testing.F, name string, seeds ...string) {
	f.Helper()
	set := New()
	for _, seed := range append(seeds, "USER a\r\n", "220 hello\r\n") {
		f.Add([]byte(seed), []byte(seed))
	}
	for _, s := range captured(f)[name] {
		f.Add(s[Client], s[Server])
	}
	f.Fuzz(func(t *testing.T, client, server []byte) { tryParser(t, set, name, client, server) })
}

// tryParser gives a parser the bytes, as a stream of both sides in parts and in turn, and as datagrams.
func tryParser(t *testing.T, set *Set, name string, client, server []byte) {
	t.Helper()
	for i := range 6 { // as we tell of it, and as the reference does
		on := []Transport{TCP, UDP, IP}[i/2]
		s := newSeedSession(set, on, 40000, 1000)
		s.Reference = i%2 == 1
		s.classified = [2]bool{true, true}
		s.Attach(name)
		if on == TCP {
			for sides := [2][]byte{client, server}; len(sides[0])+len(sides[1]) > 0; {
				for dir, b := range sides {
					n := min(len(b), 1+len(b)/3)
					s.Stream(Dir(dir), b[:n])
					sides[dir] = b[n:]
				}
			}
			s.Gap(Client, 5)
			s.Stream(Client, server)
		} else {
			s.Datagram(Client, 0, client)
			s.Datagram(Server, 0, server)
			s.Datagram(Client, 0, server)
		}
		fuzzChecks(t, s)
	}
}

// fuzzChecks ends a session, and holds that no parser panicked or held more than its limits.
func fuzzChecks(t *testing.T, s *Session) {
	t.Helper()
	if s.Buffered() > DefaultLimits().Buffer {
		t.Fatalf("%d bytes are held", s.Buffered())
	}
	s.End(false)
	s.End(true)
	for _, tag := range stringsOf(s, "tags") {
		if strings.HasPrefix(tag, "dissector-") {
			t.Fatal(tag)
		}
	}
}

const (
	seedBytes = 2048 // of each side
	seedFlows = 4    // of each protocol
)

var (
	capturedOnce  sync.Once              //nolint:gochecknoglobals // captures are read once for all targets
	capturedFlows map[string][][2][]byte //nolint:gochecknoglobals // likewise
)

// captured returns what the two sides of some flows of each protocol sent first: in a collection of captures beside the
// repository, and in the sample that ships with it.
func captured(t testing.TB) map[string][][2][]byte {
	capturedOnce.Do(func() { capturedFlows = readCaptured(t) })
	return capturedFlows
}

func readCaptured(t testing.TB) map[string][][2][]byte {
	files := append(pcaptest.Corpus(t), pcaptest.Sample(t))
	out := map[string][][2][]byte{}
	set := New()
	for _, name := range files {
		for key, sides := range sidesOf(t, name) {
			on := map[uint8]Transport{packet.ProtoTCP: TCP, packet.ProtoUDP: UDP, packet.ProtoSCTP: SCTP}[key.Proto]
			src, dst := key.Src(packet.AtoB), key.Dst(packet.AtoB)
			if src.Port() < dst.Port() {
				src, dst = dst, src
				sides[0], sides[1] = sides[1], sides[0]
			}
			s := newSeedSession(set, on, src.Port(), dst.Port())
			s.Src, s.Dst = orAny(src.Addr()), orAny(dst.Addr())
			for dir, b := range sides {
				if on == TCP {
					s.Stream(Dir(dir), b)
				} else {
					s.Datagram(Dir(dir), 0, b)
				}
			}
			s.End(true)
			for _, p := range stringsOf(s, "protocol") {
				if len(out[p]) < seedFlows {
					out[p] = append(out[p], sides)
				}
			}
		}
	}
	return out
}

func orAny(a netip.Addr) netip.Addr {
	if a.IsValid() {
		return a
	}
	return netip.IPv4Unspecified()
}

// sidesOf returns the first bytes of both sides of a capture's flows: of TCP in the order of the packets, else of the first datagram.
func sidesOf(t testing.TB, name string) map[packet.Key][2][]byte {
	out := map[packet.Key][2][]byte{}
	capture := pcaptest.ReadCut(t, name)
	d := packet.NewDecoder(capture.LinkType(), packet.Options{})
	var p packet.Packet
	for _, rec := range capture.Records {
		d.Decode(rec.Data, rec.TimeNanos, rec.WireLen, &p)
		sides := out[p.Key]
		side := &sides[p.Dir]
		if len(p.Payload) == 0 || len(*side) >= seedBytes || p.Key.Proto != packet.ProtoTCP && len(*side) > 0 {
			continue
		}
		*side = append(*side, p.Payload[:min(len(p.Payload), seedBytes-len(*side))]...)
		out[p.Key] = sides
	}
	return out
}

// TestEachParserIsFuzzed holds that each parser has a fuzz target that names it, or is fuzzed by one of its family.
func TestEachParserIsFuzzed(t *testing.T) {
	family := map[string]string{
		"http": "FuzzHTTP", "http2": "FuzzHTTP2", "websocket": "FuzzWebSocket", "socks": "FuzzSOCKS", "ftp": "FuzzFTP", "smb": "FuzzSMB", "dns": "FuzzDNS",
		"mdns": "FuzzDNS", "llmnr": "FuzzDNS", "tls": "FuzzTLS", "dtls": "FuzzDTLS", "quic": "FuzzQUIC", "ssh": "FuzzSSH", "smtp": "FuzzSMTP",
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range files {
		b, err := os.ReadFile(name) //nolint:gosec // of the package
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	var named []string
	for _, m := range regexp.MustCompile(`fuzzParser\(f, "([^"]+)"`).FindAllStringSubmatch(text.String(), -1) {
		named = append(named, m[1])
	}
	for _, p := range New().protocols {
		if p.New == nil || slices.Contains(named, p.Name) {
			continue
		}
		if target := family[p.Name]; target == "" || !strings.Contains(text.String(), "func "+target+"(f *testing.F)") {
			t.Errorf("%s has no fuzz target", p.Name)
		}
	}
	if missing := captured(t); len(missing) < 5 {
		t.Errorf("captures give seeds for %d protocols only", len(missing))
	}
}
