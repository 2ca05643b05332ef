package packet

import (
	"bytes"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// benchFrames is a mix as on a link: mostly TCP over IPv4, some UDP and IPv6, some tagged.
func benchFrames() [][]byte {
	data := bytes.Repeat([]byte("d"), 500)
	t4 := eth(macA, macB, etherIPv4, ip4("10.1.1.1", "10.2.2.2", ProtoTCP, tcp(40000, 443, 7, 9, FlagACK, data)))
	r4 := eth(macB, macA, etherIPv4, ip4("10.2.2.2", "10.1.1.1", ProtoTCP, tcp(443, 40000, 7, 9, FlagACK, nil)))
	u4 := eth(macA, macB, etherIPv4, ip4("10.1.1.1", "10.2.2.3", ProtoUDP, udp(40000, 53, data[:50])))
	t6 := eth(macA, macB, etherIPv6, ip6("2001:db8::1", "2001:db8::2", ProtoTCP, tcp(40000, 443, 7, 9, FlagACK, data)))
	v4 := eth(macA, macB, etherVLAN, tag(7, etherIPv4, ip4("10.1.1.1", "10.2.2.2", ProtoTCP, tcp(40000, 443, 7, 9, FlagACK, data))))
	return [][]byte{t4, r4, t4, u4, t4, t6, r4, v4}
}

func BenchmarkDecode(b *testing.B) {
	vxlan := eth(macA, macB, etherIPv4, ip4("192.0.2.1", "192.0.2.2", ProtoUDP, udp(55555, portVXLAN, cat(hx("08000000 00303900"), eth(macC, macD, etherIPv4, innerTCP())))))
	for _, c := range []struct {
		name   string
		frames [][]byte
	}{{"mix", benchFrames()}, {"vxlan", [][]byte{vxlan}}} {
		b.Run(c.name, func(b *testing.B) {
			d, p, i := NewDecoder(LinkEthernet, Options{}), new(Packet), 0
			b.ReportAllocs()
			for b.Loop() {
				f := c.frames[i%len(c.frames)]
				d.Decode(f, 1, len(f), p)
				i++
			}
		})
	}
	// The yardstick: the same frames, without tunnels, keys and fragments.
	b.Run("gopacket-mix", func(b *testing.B) {
		var (
			e   layers.Ethernet
			q   layers.Dot1Q
			i4  layers.IPv4
			i6  layers.IPv6
			tc  layers.TCP
			ud  layers.UDP
			pay gopacket.Payload
		)
		parser := gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &e, &q, &i4, &i6, &tc, &ud, &pay)
		parser.IgnoreUnsupported = true
		var decoded []gopacket.LayerType
		frames := benchFrames()
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := parser.DecodeLayers(frames[i%len(frames)], &decoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkKeyHash(b *testing.B) {
	p := decode(b, LinkEthernet, benchFrames()[0])
	for b.Loop() {
		_ = p.Key.Hash()
	}
}

func BenchmarkCommunityID(b *testing.B) {
	p := decode(b, LinkEthernet, benchFrames()[0])
	b.ReportAllocs()
	for b.Loop() {
		_ = p.CommunityID(0)
	}
}
