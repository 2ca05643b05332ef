package packet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The vectors of docs/packet-keys.md.
var keyVectors = []struct {
	name  string
	frame []byte
	key   string // hex of the encoded key
	hash  uint64
	dir   Dir
	text  string
}{
	{
		"TCP over IPv4", eth(macA, macB, etherIPv4, ip4("192.0.2.7", "10.0.0.1", ProtoTCP, tcp(51000, 443, 1, 0, FlagSYN, nil))),
		"0a000001000000000000000000000000" + "c0000207000000000000000000000000" + "01bb" + "c738" + "06" + "04",
		0x49fc1a837bdc906b, BtoA, "tcp 10.0.0.1:443 <-> 192.0.2.7:51000",
	},
	{
		"UDP over IPv6", eth(macA, macB, etherIPv6, ip6("2001:db8::1", "2001:db8::2", ProtoUDP, udp(5353, 53, nil))),
		"20010db8000000000000000000000001" + "20010db8000000000000000000000002" + "14e9" + "0035" + "11" + "06",
		0x3862359c6780720e, AtoB, "udp [2001:db8::1]:5353 <-> [2001:db8::2]:53",
	},
	{
		"ICMP", eth(macA, macB, etherIPv4, ip4("10.0.0.1", "10.0.0.2", ProtoICMP, icmp(8, 0, nil))),
		"0a000001000000000000000000000000" + "0a000002000000000000000000000000" + "0000" + "0000" + "01" + "04",
		0x547f79e0eec461a2, AtoB, "icmp 10.0.0.1 <-> 10.0.0.2",
	},
	{
		"ARP request", eth("ffffffffffff", macB, etherARP, hx("0001 0800 06 04 0001 020000000002 0a000002 000000000000 0a000001")),
		"0a000001000000000000000000000000" + "0a000001000000000000000000000000" + "0806" + "0806" + "00" + "03",
		0x802657b828c639c4, AtoB, "arp 10.0.0.1",
	},
	{
		"LLDP to its group", eth("0180c200000e", macB, etherLLDP, hx("0207 04 020000000002")),
		"0180c200000e00000000000000000000" + "0180c200000e00000000000000000000" + "88cc" + "88cc" + "00" + "02",
		0xe7c6ae0fa868626d, AtoB, "group 01:80:c2:00:00:0e ethertype 0x88cc",
	},
	{
		"unknown ethertype between two stations", eth(macA, macB, 0x88b5, []byte("x")),
		"02000000000100000000000000000000" + "02000000000200000000000000000000" + "88b5" + "88b5" + "00" + "01",
		0x2549c8ae38363139, BtoA, "mac 02:00:00:00:00:01 <-> 02:00:00:00:00:02 ethertype 0x88b5",
	},
}

func TestKeyVectors(t *testing.T) {
	for _, v := range keyVectors {
		p := decode(t, LinkEthernet, v.frame)
		b, err := p.Key.AppendBinary(nil)
		if err != nil || hex.EncodeToString(b) != v.key || p.Dir != v.dir || p.Key.Hash() != v.hash || p.Key.String() != v.text {
			t.Errorf("%s:\ngot  %x hash %#x dir %d %q\nwant %s hash %#x dir %d %q", v.name, b, p.Key.Hash(), p.Dir, p.Key, v.key, v.hash, v.dir, v.text)
		}
		if k, err := DecodeKey(b); err != nil || k != p.Key {
			t.Errorf("%s: decoded %v %v", v.name, k, err)
		}
	}
	var p Packet
	NewDecoder(147, Options{}).Decode([]byte("frame of a private link type"), 0, 28, &p)
	if want := strings.Repeat("0", 64) + "0093" + "0093" + "0000"; hexKey(&p.Key) != want {
		t.Errorf("unknown link type: key %s, want %s", hexKey(&p.Key), want)
	}
	page, err := os.ReadFile("../../docs/packet-keys.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("`", "", " ", "").Replace(string(page))
	for _, v := range keyVectors {
		if want := fmt.Sprintf("|%s|%016x|%d|", v.key, v.hash, v.dir); !strings.Contains(text, want) {
			t.Errorf("docs/packet-keys.md lacks the vector of %s: %s", v.name, want)
		}
	}
	if want := fmt.Sprintf("|%s|%016x|0|", hexKey(&p.Key), p.Key.Hash()); !strings.Contains(text, want) {
		t.Errorf("docs/packet-keys.md lacks the vector of an unknown link type: %s", want)
	}
}

func hexKey(k *Key) string {
	b, _ := k.AppendBinary(nil)
	return hex.EncodeToString(b)
}

func drawAddr(t *rapid.T, v6 bool) netip.Addr {
	n := 4
	if v6 {
		n = 16
	}
	// Few values, so that equal ends occur.
	b := make([]byte, n)
	for range 2 {
		b[rapid.IntRange(0, n-1).Draw(t, "at")] = rapid.SampledFrom([]byte{0, 1, 127, 128, 255}).Draw(t, "byte")
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func TestKeyIsTheSameInBothDirections(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v6 := rapid.Bool().Draw(t, "v6")
		src := netip.AddrPortFrom(drawAddr(t, v6), rapid.Uint16().Draw(t, "sport"))
		dst := netip.AddrPortFrom(drawAddr(t, v6), rapid.Uint16().Draw(t, "dport"))
		proto := rapid.Uint8().Draw(t, "proto")
		k, d, err := KeyFromAddrs(proto, src, dst)
		if err != nil {
			t.Fatal(err)
		}
		r, rd, _ := KeyFromAddrs(proto, dst, src)
		if k != r || k.Hash() != r.Hash() || k.Compare(&r) != 0 {
			t.Fatalf("%v and %v", k, r)
		}
		if src != dst && d == rd || src == dst && (d != AtoB || rd != AtoB) {
			t.Fatalf("directions %d and %d of %v, %v", d, rd, src, dst)
		}
		if k.Src(d) != src || k.Dst(d) != dst {
			t.Fatalf("key %v direction %d gives %v to %v, want %v to %v", k, d, k.Src(d), k.Dst(d), src, dst)
		}
		b, _ := k.AppendBinary([]byte("x"))
		got, err := DecodeKey(b[1:])
		if err != nil || got != k || len(b) != 1+KeyLen {
			t.Fatalf("decoded %v %v, want %v", got, err, k)
		}
		o, _, _ := KeyFromAddrs(proto, netip.AddrPortFrom(drawAddr(t, v6), 1), dst)
		ob, _ := o.AppendBinary(nil)
		if k.Compare(&o) != bytes.Compare(b[1:], ob) {
			t.Fatalf("Compare of %v and %v is not that of their bytes", k, o)
		}
	})
}

func TestDecodeKeyRefuses(t *testing.T) {
	good, _ := hex.DecodeString(keyVectors[0].key)
	for name, damage := range map[string]func([]byte) []byte{
		"short":                  func(b []byte) []byte { return b[:KeyLen-1] },
		"unknown kind":           func(b []byte) []byte { b[37] = 9; return b },
		"ends out of order":      func(b []byte) []byte { b[0] = 255; return b },
		"bytes past the address": func(b []byte) []byte { b[20] = 1; return b },
		"protocol without IP":    func(b []byte) []byte { b[37] = byte(KindMAC); return b },
		"group with two ends":    func(b []byte) []byte { b[36], b[37] = 0, byte(KindGroup); return b },
	} {
		if _, err := DecodeKey(damage(bytes.Clone(good))); !errors.Is(err, ErrBadKey) {
			t.Errorf("%s: error %v, want ErrBadKey", name, err)
		}
	}
	if _, _, err := KeyFromAddrs(6, netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("[::1]:1")); !errors.Is(err, ErrBadKey) {
		t.Errorf("two families: error %v, want ErrBadKey", err)
	}
}

func FuzzDecodeKey(f *testing.F) {
	for _, v := range keyVectors {
		b, _ := hex.DecodeString(v.key)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := DecodeKey(b)
		if err != nil {
			if !errors.Is(err, ErrBadKey) {
				t.Fatal(err)
			}
			return
		}
		if e, _ := k.AppendBinary(nil); !bytes.Equal(e, b[:KeyLen]) {
			t.Fatalf("%x decodes and encodes to %x", b[:KeyLen], e)
		}
		_ = k.String()
	})
}
