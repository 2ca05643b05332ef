package main

import (
	"net"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// frame builds an Ethernet frame with a TCP, UDP or ICMP packet.
func frame(t *testing.T, src, dst string, proto layers.IPProtocol, sport, dport uint16, syn bool) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: net.ParseIP(src), DstIP: net.ParseIP(dst)}
	stack := []gopacket.SerializableLayer{eth, ip}
	switch proto {
	case layers.IPProtocolTCP:
		tcp := &layers.TCP{SrcPort: layers.TCPPort(sport), DstPort: layers.TCPPort(dport), SYN: syn, ACK: !syn}
		stack = append(stack, tcp)
	case layers.IPProtocolUDP:
		stack = append(stack, &layers.UDP{SrcPort: layers.UDPPort(sport), DstPort: layers.UDPPort(dport)})
	default:
		stack = append(stack, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0)})
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, stack...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestFlowsMoveWholeWithTheEpisodeTheyBeganIn(t *testing.T) {
	const a, b = "10.0.0.1", "10.0.0.2"
	tcp, udp, icmp := layers.IPProtocolTCP, layers.IPProtocolUDP, layers.IPProtocolICMPv4
	base := time.Unix(1000, 0)
	marks := []time.Time{base, base.Add(time.Minute)}
	shifts := []time.Duration{time.Hour, 5 * time.Hour}
	cases := []struct {
		name  string
		at    time.Duration
		data  []byte
		shift time.Duration
	}{
		{"tcp begins", 50 * time.Second, frame(t, a, b, tcp, 1000, 80, true), time.Hour},
		{"tcp goes on behind the mark", 70 * time.Second, frame(t, b, a, tcp, 80, 1000, false), time.Hour},
		{"the same ports again are a new flow", 90 * time.Second, frame(t, a, b, tcp, 1000, 80, true), 5 * time.Hour},
		{"udp question", 59 * time.Second, frame(t, a, b, udp, 2000, 53, false), time.Hour},
		{"udp answer behind the mark", 61 * time.Second, frame(t, b, a, udp, 53, 2000, false), time.Hour},
		{"udp after a silence is a new flow", 80 * time.Second, frame(t, a, b, udp, 2000, 53, false), 5 * time.Hour},
		{"icmp before the mark", 10 * time.Second, frame(t, a, b, icmp, 0, 0, false), time.Hour},
		{"icmp behind the mark", 65 * time.Second, frame(t, a, b, icmp, 0, 0, false), 5 * time.Hour},
	}
	// move wants packets in the order of capture.
	var packets []packet
	want := map[string]time.Time{}
	for tick := time.Duration(0); tick <= 100*time.Second; tick += time.Second {
		for _, c := range cases {
			if c.at == tick {
				packets = append(packets, packet{gopacket.CaptureInfo{Timestamp: base.Add(c.at)}, c.data})
				want[c.name] = base.Add(c.at + c.shift)
			}
		}
	}
	if len(packets) != len(cases) {
		t.Fatalf("%d packets, want %d", len(packets), len(cases))
	}
	move(packets, marks, shifts)
	for _, c := range cases {
		found := false
		for _, p := range packets {
			found = found || string(p.data) == string(c.data) && p.info.Timestamp.Equal(want[c.name])
		}
		if !found {
			t.Errorf("%s: no such packet at %v", c.name, want[c.name].Sub(base))
		}
	}
	for i := 1; i < len(packets); i++ {
		if packets[i].info.Timestamp.Before(packets[i-1].info.Timestamp) {
			t.Errorf("packet %d is before packet %d", i, i-1)
		}
	}
}

func TestBreaksKeepOrderAndSpan(t *testing.T) {
	base, start := time.Unix(1000, 0), time.Unix(500000, 0)
	marks := []time.Time{base, base.Add(time.Second), base.Add(3 * time.Second), base.Add(4 * time.Second)}
	shifts := breaks(marks, start, time.Hour)
	last := start.Add(-1)
	for i, s := range shifts {
		at := marks[i].Add(s)
		if !at.After(last) {
			t.Errorf("episode %d begins at %v, not after the one before (%v)", i, at, last)
		}
		last = at
	}
	if got := marks[0].Add(shifts[0]); !got.Equal(start) {
		t.Errorf("first episode at %v, want %v", got, start)
	}
	if got := last.Sub(start); got < time.Hour-time.Microsecond || got > time.Hour {
		t.Errorf("last episode %v after the first, want an hour", got)
	}
}
