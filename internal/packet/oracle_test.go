package packet

import (
	"bytes"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"pgregory.net/rapid"
)

// On stacks that gopacket decodes too, both see the same: gopacket serializes a random packet and is the
// oracle for it.
func TestGopacketAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytesOf := func(n int, name string) []byte { return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, name) }
		eth := &layers.Ethernet{SrcMAC: bytesOf(6, "smac"), DstMAC: bytesOf(6, "dmac")}
		stack := []gopacket.SerializableLayer{eth}
		next := &eth.EthernetType
		var vlans []uint16
		for range rapid.IntRange(0, 3).Draw(t, "tags") {
			q := &layers.Dot1Q{VLANIdentifier: rapid.Uint16Range(1, 4095).Draw(t, "vlan"), Priority: uint8(rapid.IntRange(0, 7).Draw(t, "pcp"))}
			*next = layers.EthernetTypeDot1Q
			next = &q.Type
			stack = append(stack, q)
			vlans = append(vlans, q.VLANIdentifier)
		}
		v6 := rapid.Bool().Draw(t, "v6")
		i4 := &layers.IPv4{Version: 4, TTL: rapid.Uint8().Draw(t, "ttl"), TOS: rapid.Uint8().Draw(t, "tos"), Id: rapid.Uint16().Draw(t, "id"), SrcIP: bytesOf(4, "src4"), DstIP: bytesOf(4, "dst4")}
		i6 := &layers.IPv6{Version: 6, HopLimit: i4.TTL, TrafficClass: i4.TOS, SrcIP: bytesOf(16, "src6"), DstIP: bytesOf(16, "dst6")}
		ipProto, network := &i4.Protocol, gopacket.NetworkLayer(i4)
		*next = layers.EthernetTypeIPv4
		if v6 {
			*next, ipProto, network = layers.EthernetTypeIPv6, &i6.NextHeader, i6
			stack = append(stack, i6)
		} else {
			stack = append(stack, i4)
		}
		payload := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "payload")
		sp, dp := rapid.Uint16().Draw(t, "sport"), rapid.Uint16Range(0, 2000).Draw(t, "dport") // no tunnel's port
		tc := &layers.TCP{SrcPort: layers.TCPPort(sp), DstPort: layers.TCPPort(dp), Seq: rapid.Uint32().Draw(t, "seq"), Ack: rapid.Uint32().Draw(t, "ack"), Window: rapid.Uint16().Draw(t, "window")}
		kind := rapid.SampledFrom([]string{"tcp", "udp", "sctp", "icmp"}).Draw(t, "kind")
		switch kind {
		case "tcp":
			*ipProto = layers.IPProtocolTCP
			for _, f := range []*bool{&tc.FIN, &tc.SYN, &tc.RST, &tc.PSH, &tc.ACK, &tc.URG, &tc.ECE, &tc.CWR, &tc.NS} {
				*f = rapid.Bool().Draw(t, "flag")
			}
			for range rapid.IntRange(0, 9).Draw(t, "options") {
				tc.Options = append(tc.Options, layers.TCPOption{OptionType: layers.TCPOptionKindNop})
			}
			_ = tc.SetNetworkLayerForChecksum(network)
			stack = append(stack, tc)
		case "udp":
			*ipProto = layers.IPProtocolUDP
			u := &layers.UDP{SrcPort: layers.UDPPort(sp), DstPort: layers.UDPPort(dp)}
			_ = u.SetNetworkLayerForChecksum(network)
			stack = append(stack, u)
		case "sctp":
			*ipProto = layers.IPProtocolSCTP
			stack = append(stack, &layers.SCTP{SrcPort: layers.SCTPPort(sp), DstPort: layers.SCTPPort(dp)})
		case "icmp":
			*ipProto = layers.IPProtocolICMPv4
			stack = append(stack, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(uint8(sp), uint8(dp))})
		}
		stack = append(stack, gopacket.Payload(payload))
		buf := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...); err != nil {
			t.Fatal(err)
		}
		frame := append(bytes.Clone(buf.Bytes()), make([]byte, rapid.IntRange(0, 20).Draw(t, "padding"))...)

		g := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
		p := new(Packet)
		NewDecoder(LinkEthernet, Options{}).Decode(frame, 1, len(frame), p)
		if p.Mark != MarkNone || len(g.Layers()) < len(stack)-1 {
			t.Fatalf("mark %v, gopacket sees %v", p.Mark, g)
		}
		for i, v := range p.VLANs() {
			if v.ID != vlans[i] {
				t.Fatalf("VLANs %v, want %v", p.VLANs(), vlans)
			}
		}
		flow := g.NetworkLayer().NetworkFlow()
		if got, want := p.Src().Addr().AsSlice(), flow.Src().Raw(); !bytes.Equal(got, want) {
			t.Fatalf("source %v, want %v", got, want)
		}
		if got, want := p.Dst().Addr().AsSlice(), flow.Dst().Raw(); !bytes.Equal(got, want) {
			t.Fatalf("destination %v, want %v", got, want)
		}
		if p.TTL != i4.TTL || p.TOS != i4.TOS || p.Proto != uint8(*ipProto) || !v6 && p.IPID != uint32(i4.Id) {
			t.Fatalf("IP fields %+v", p)
		}
		if !bytes.Equal(p.SrcMAC[:], eth.SrcMAC) || !bytes.Equal(p.DstMAC[:], eth.DstMAC) {
			t.Fatalf("MACs %x %x", p.SrcMAC, p.DstMAC)
		}
		if l := g.TransportLayer(); l != nil {
			if p.Src().Port() != sp || p.Dst().Port() != dp || p.SrcPort != sp || p.DstPort != dp {
				t.Fatalf("ports %d %d, want %d %d", p.SrcPort, p.DstPort, sp, dp)
			}
		}
		want := payload
		switch l := g.Layer(layers.LayerTypeTCP).(type) {
		case *layers.TCP:
			flags := uint16(l.Contents[12])<<8&0x100 | uint16(l.Contents[13])
			if p.Seq != l.Seq || p.Ack != l.Ack || p.Window != l.Window || p.Flags != flags {
				t.Fatalf("TCP fields %+v, want %+v", p, l)
			}
		}
		if kind == "icmp" {
			if p.ICMPType != uint8(sp) || p.ICMPCode != uint8(dp) || p.SrcPort != 0 || p.Key.PortA != 0 {
				t.Fatalf("ICMP %d/%d, want %d/%d", p.ICMPType, p.ICMPCode, uint8(sp), uint8(dp))
			}
			want = p.L4
		}
		if !bytes.Equal(p.Payload, want) {
			t.Fatalf("payload %x, want %x", p.Payload, want)
		}
		// The answer is of the same flow, in the other direction.
		back := new(Packet)
		answer := answerTo(frame, p)
		NewDecoder(LinkEthernet, Options{}).Decode(answer, 1, len(answer), back)
		if back.Key != p.Key || back.Dir == p.Dir && p.Src() != p.Dst() {
			t.Fatalf("the answer is %v direction %d, want %v, not direction %d", back.Key, back.Dir, p.Key, p.Dir)
		}
	})
}

// answerTo swaps the addresses and ports of a frame.
func answerTo(frame []byte, p *Packet) []byte {
	b := bytes.Clone(frame)
	at := cap(frame) - cap(p.L3) // L3 is a slice of the frame
	ip := b[at:]
	a, n := 12, 4
	if p.Key.Kind == KindIPv6 {
		a, n = 8, 16
	}
	for i := range n {
		ip[a+i], ip[a+n+i] = ip[a+n+i], ip[a+i]
	}
	if p.Key.PortA|p.Key.PortB != 0 {
		l4 := ip[len(p.L3)-len(p.L4):]
		l4[0], l4[1], l4[2], l4[3] = l4[2], l4[3], l4[0], l4[1]
	}
	return b
}
