package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"wirelake/internal/packet"
)

// vxlan builds a datagram's payload from RFC 7348, section 5.
func vxlan(vni uint32, frame []byte) []byte {
	b := []byte{0x08, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, vni<<8)
	return append(b, frame...)
}

// geneve builds a datagram's payload from RFC 8926, section 3.4, with options of so many words.
func geneve(vni uint32, protocol uint16, options int, frame []byte) []byte {
	b := []byte{byte(options), 0}
	b = binary.BigEndian.AppendUint16(b, protocol)
	b = binary.BigEndian.AppendUint32(b, vni<<8)
	return append(append(b, make([]byte, 4*options)...), frame...)
}

func TestDecodeTunnels(t *testing.T) {
	frame := bytes.Repeat([]byte{0x45}, 60)
	reserved := vxlan(5, frame)
	reserved[1], reserved[7] = 0xff, 0xff
	for _, c := range []struct {
		name   string
		decode func([]byte) (tunnelPacket, error)
		b      []byte
		want   tunnelPacket
		err    error
	}{
		{"VXLAN", decodeVXLAN, vxlan(0xabcdef, frame), tunnelPacket{vni: 0xabcdef, linkType: linkEthernet, frame: frame}, nil},
		{"VXLAN with reserved bits", decodeVXLAN, reserved, tunnelPacket{vni: 5, linkType: linkEthernet, frame: frame}, nil},
		{"VXLAN without VNI", decodeVXLAN, append([]byte{0}, vxlan(5, frame)[1:]...), tunnelPacket{}, errTunnelFlags},
		{"VXLAN of 21 bytes", decodeVXLAN, vxlan(5, frame[:13]), tunnelPacket{}, errShortTunnel},
		{"VXLAN of nothing", decodeVXLAN, nil, tunnelPacket{}, errShortTunnel},
		{"GENEVE with Ethernet", decodeGENEVE, geneve(7, 0x6558, 0, frame), tunnelPacket{vni: 7, linkType: linkEthernet, frame: frame}, nil},
		{"GENEVE with options", decodeGENEVE, geneve(0xffffff, 0x6558, 63, frame), tunnelPacket{vni: 0xffffff, linkType: linkEthernet, frame: frame}, nil},
		{"GENEVE with IPv4", decodeGENEVE, geneve(7, 0x0800, 8, frame), tunnelPacket{vni: 7, linkType: linkRawIP, frame: frame}, nil},
		{"GENEVE with IPv6", decodeGENEVE, geneve(7, 0x86dd, 0, frame), tunnelPacket{vni: 7, linkType: linkRawIP, frame: frame}, nil},
		{"GENEVE with critical options", decodeGENEVE, append([]byte{1, 0x40}, geneve(7, 0x6558, 1, frame)[2:]...), tunnelPacket{vni: 7, linkType: linkEthernet, frame: frame}, nil},
		{"GENEVE control message", decodeGENEVE, append([]byte{0, 0x80}, geneve(7, 0x6558, 0, frame)[2:]...), tunnelPacket{}, errTunnelControl},
		{"GENEVE version 1", decodeGENEVE, append([]byte{0x40}, geneve(7, 0x6558, 0, frame)[1:]...), tunnelPacket{}, errTunnelVersion},
		{"GENEVE with MPLS", decodeGENEVE, geneve(7, 0x8847, 0, frame), tunnelPacket{vni: 7, linkType: linkSLL, protocol: 0x8847, frame: frame}, nil},
		{"GENEVE with a length", decodeGENEVE, geneve(7, 0x05ff, 0, frame), tunnelPacket{}, errTunnelPayload},
		{"GENEVE with nothing", decodeGENEVE, geneve(7, 0x8847, 1, nil), tunnelPacket{}, errShortTunnel},
		{"GENEVE shorter than options", decodeGENEVE, geneve(7, 0x6558, 2, nil)[:12], tunnelPacket{}, errShortTunnel},
		{"GENEVE of 13 bytes inside", decodeGENEVE, geneve(7, 0x6558, 1, frame[:13]), tunnelPacket{}, errShortTunnel},
	} {
		got, err := c.decode(c.b)
		if !errors.Is(err, c.err) || got.vni != c.want.vni || got.linkType != c.want.linkType || got.protocol != c.want.protocol || !bytes.Equal(got.frame, c.want.frame) {
			t.Errorf("%s: got vni %d, link type %d, %d bytes, %v", c.name, got.vni, got.linkType, len(got.frame), err)
		}
	}
}

func FuzzDecodeTunnels(f *testing.F) {
	frame := bytes.Repeat([]byte{0x45}, 60)
	f.Add(vxlan(1, frame))
	f.Add(geneve(1, 0x6558, 3, frame))
	f.Add(geneve(1, 0x0800, 63, frame))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := decodeVXLAN(b); err == nil {
			if p.vni>>24 != 0 || !bytes.Equal(vxlan(p.vni, p.frame)[8:], b[8:]) || len(p.frame) < etherHeadBytes {
				t.Errorf("VXLAN: %d bytes of vni %d from %x", len(p.frame), p.vni, b)
			}
		}
		if p, err := decodeGENEVE(b); err == nil {
			if p.vni>>24 != 0 || !bytes.HasSuffix(b, p.frame) || p.linkType != linkSLL && len(p.frame) < etherHeadBytes || len(p.frame) == 0 || (len(b)-len(p.frame)-8)%4 != 0 {
				t.Errorf("GENEVE: %d bytes of vni %d from %x", len(p.frame), p.vni, b)
			}
		}
	})
}

func udpTo(t testing.TB, addr net.Addr) net.Conn {
	t.Helper()
	conn, err := net.Dial("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestReceiveVXLANByLanes(t *testing.T) {
	rec := newRecorder(t)
	r := NewVXLAN(TunnelConfig{Listen: "127.0.0.1:0", ReceiveBytes: 8 << 20, Lanes: 2}, nil)
	stop, ended := start(t, r, rec)
	waitFor(t, "the socket", func() bool { return r.Addr() != nil })
	conn := udpTo(t, r.Addr())
	before := time.Now().UnixNano()
	frames := testRecords(0, 4000)
	for i, f := range frames {
		sendDatagram(t, conn, vxlan(uint32(100+i%4), f.Data))
		if i%100 == 0 {
			sendDatagram(t, conn, []byte("no VXLAN"))
			// The queue of the loopback interface drops what is beyond 1000 packets, and tells nobody.
			waitFor(t, "what was sent", func() bool { return r.State().Packets == uint64(i+1) })
		}
	}
	waitFor(t, "all packets", func() bool { return r.State().Packets == 4000 })
	after := time.Now().UnixNano()
	for lane, numbers := range map[string][]int{"vxlan-100": {0}, "vxlan-101": {1}, "vxlan-more": {2, 3}} {
		l := rec.lane(lane)
		if len(l.packets) != 1000*len(numbers) {
			t.Fatalf("lane %s: %d packets; lanes %v", lane, len(l.packets), rec.names())
		}
		last := before
		for i, p := range l.packets {
			want := frames[i/len(numbers)*4+numbers[i%len(numbers)]].Data
			if !bytes.Equal(p.Data, want) || p.WireLen != len(want) {
				t.Fatalf("lane %s: packet %d is %q, want %q", lane, i, p.Data, want)
			}
			if p.TimeNanos < last || p.TimeNanos > after {
				t.Fatalf("lane %s: packet %d was received at %d, between %d and %d", lane, i, p.TimeNanos, last, after)
			}
			last = p.TimeNanos
		}
		if l.iface.LinkType != linkEthernet || !strings.Contains(l.iface.Name, strings.TrimPrefix(lane, "vxlan-")) {
			t.Errorf("lane %s is of %+v", lane, l.iface)
		}
		waitFor(t, "a flush", func() bool { return rec.lane(lane).flushes > 0 })
	}
	if s := r.State(); s.Malformed != 40 || s.KernelDrops != 0 || !s.Up || s.Error == "" {
		t.Errorf("state is %+v", s)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if rec.lane("vxlan-100").open {
		t.Error("a lane was not closed")
	}
}

func sendDatagram(t testing.TB, conn net.Conn, b []byte) {
	t.Helper()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestReceiveGENEVEOverIPv6(t *testing.T) {
	rec := newRecorder(t)
	r := NewGENEVE(TunnelConfig{Listen: "[::1]:0", ReceiveBytes: 1 << 20, Lanes: 1}, nil)
	start(t, r, rec)
	waitFor(t, "the socket", func() bool { return r.Addr() != nil })
	conn := udpTo(t, r.Addr())
	frame, large := bytes.Repeat([]byte{0x45}, 100), bytes.Repeat([]byte{0x60}, 65_000)
	sendDatagram(t, conn, geneve(9, 0x6558, 2, frame))
	sendDatagram(t, conn, geneve(9, 0x0800, 2, frame))
	sendDatagram(t, conn, geneve(9, 0x86dd, 0, large))
	sendDatagram(t, conn, geneve(10, 0x86dd, 0, frame))
	// Labels 16 and 17 of MPLS over IP, then an ARP request.
	labels := append([]byte{0, 1, 0, 64, 0, 1, 0x11, 64}, frame...)
	arp := append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, make([]byte, 20)...)
	sendDatagram(t, conn, geneve(9, 0x8847, 1, labels))
	sendDatagram(t, conn, geneve(9, 0x0806, 0, arp))
	waitFor(t, "all packets", func() bool { return r.State().Packets == 6 })
	if s := r.State(); s.Malformed != 0 {
		t.Errorf("%d datagrams count as malformed: %s", s.Malformed, s.Error)
	}
	cooked := func(protocol uint16, b []byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{0, 0, 0xff, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, protocol), b...)
	}
	var p packet.Packet
	packet.NewDecoder(linkSLL, packet.Options{}).Decode(cooked(0x0806, arp), 1, 16+len(arp), &p)
	if p.L3Type != 0x0806 || p.Mark != packet.MarkNone {
		t.Errorf("the ARP request decodes as %#x, %v", p.L3Type, p.Mark)
	}
	packet.NewDecoder(linkSLL, packet.Options{}).Decode(cooked(0x8847, labels), 1, 16+len(labels), &p)
	if got := p.Labels(); len(got) != 2 || got[0] != 16 || got[1] != 17 {
		t.Errorf("labels %v", got)
	}
	for lane, want := range map[string][][]byte{
		"geneve-9": {frame}, "geneve-9-ip": {frame, large}, "geneve-more-ip": {frame}, "geneve-9-other": {cooked(0x8847, labels), cooked(0x0806, arp)},
	} {
		l := rec.lane(lane)
		if len(l.packets) != len(want) {
			t.Fatalf("lane %s: %d packets; lanes %v", lane, len(l.packets), rec.names())
		}
		for i := range want {
			if !bytes.Equal(l.packets[i].Data, want[i]) {
				t.Errorf("lane %s: packet %d has %d bytes", lane, i, len(l.packets[i].Data))
			}
		}
	}
}

func TestReceiveFromPeersOnly(t *testing.T) {
	peers, err := ParsePeers([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	rec := newRecorder(t)
	r := NewVXLAN(TunnelConfig{Listen: "127.0.0.1:0", ReceiveBytes: 1 << 20, Lanes: 1, Peers: peers}, nil)
	start(t, r, rec)
	waitFor(t, "the socket", func() bool { return r.Addr() != nil })
	sendDatagram(t, udpTo(t, r.Addr()), vxlan(1, make([]byte, 60)))
	waitFor(t, "the refusal", func() bool { return r.State().Malformed == 1 })
	if e := r.State().Error; !strings.Contains(e, "127.0.0.1") || len(rec.names()) != 0 {
		t.Errorf("error is %q, lanes %v", e, rec.names())
	}
}

// What the kernel drops because the receiver is slow is counted to the last packet:
// sent is delivered and dropped, also where the datagram that tells of the drops holds no packet.
func TestReceiveCountsKernelDrops(t *testing.T) {
	rec := newRecorder(t)
	gate := make(chan struct{})
	slow := func(lane string, i Interface) (Sink, error) {
		<-gate
		return rec.Open(lane, i)
	}
	r := NewVXLAN(TunnelConfig{Listen: "127.0.0.1:0", ReceiveBytes: 64 << 10, Lanes: 1}, nil)
	_, ended := startWith(t, r, slow)
	waitFor(t, "the socket", func() bool { return r.Addr() != nil })
	conn := udpTo(t, r.Addr())
	sent := uint64(0)
	for range 5000 {
		sendDatagram(t, conn, vxlan(1, fmt.Appendf(make([]byte, 14, 800), "%0700d", sent)))
		sent++
	}
	close(gate)
	for range 500 {
		sendDatagram(t, conn, []byte("no VXLAN"))
		sent++
	}
	waitFor(t, "the balance", func() bool { s := r.State(); return s.Packets+s.Malformed+s.KernelDrops == sent })
	s := r.State()
	l := rec.lane("vxlan-1")
	if s.KernelDrops == 0 || l.drops != s.KernelDrops || uint64(len(l.packets)) != s.Packets {
		t.Errorf("state is %+v, the lane has %d packets and %d drops", s, len(l.packets), l.drops)
	}
	// And the counter goes on where it was.
	sendDatagram(t, conn, vxlan(1, make([]byte, 60)))
	waitFor(t, "one more packet", func() bool { return r.State().Packets == s.Packets+1 })
	if got := r.State().KernelDrops; got != s.KernelDrops {
		t.Errorf("drops went from %d to %d", s.KernelDrops, got)
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	default:
	}
}

func TestReceiverTakesWhatWasReceivedWhenStopped(t *testing.T) {
	rec := newRecorder(t)
	gate := make(chan struct{})
	r := NewVXLAN(TunnelConfig{Listen: "127.0.0.1:0", ReceiveBytes: 8 << 20, Lanes: 1}, nil)
	stop, ended := startWith(t, r, func(lane string, i Interface) (Sink, error) {
		<-gate
		return rec.Open(lane, i)
	})
	waitFor(t, "the socket", func() bool { return r.Addr() != nil })
	conn := udpTo(t, r.Addr())
	for range 1000 {
		sendDatagram(t, conn, vxlan(1, make([]byte, 60)))
	}
	stop()
	close(gate)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if s := r.State(); s.Packets != 1000 || s.KernelDrops != 0 || s.Up {
		t.Errorf("state is %+v", s)
	}
}

func TestReceiverNamesItsAddressWhenTaken(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := NewVXLAN(TunnelConfig{Listen: conn.LocalAddr().String(), ReceiveBytes: 1 << 20, Lanes: 1}, nil)
	if err := r.Run(t.Context(), newRecorder(t).Open); err == nil || !strings.Contains(err.Error(), conn.LocalAddr().String()) {
		t.Errorf("got %v", err)
	}
}

// One iteration receives a datagram that went through the loopback interface; the sender is in the time.
func BenchmarkReceiveVXLAN(b *testing.B) {
	sink := &countingSink{}
	r := NewVXLAN(TunnelConfig{Listen: "127.0.0.1:0", ReceiveBytes: 64 << 20, Lanes: 16}, nil)
	startWith(b, r, sink.Open)
	waitFor(b, "the socket", func() bool { return r.Addr() != nil })
	conn := udpTo(b, r.Addr())
	payload := vxlan(5, make([]byte, 800))
	b.SetBytes(800)
	b.ReportAllocs()
	sent := uint64(0)
	for b.Loop() {
		sendDatagram(b, conn, payload)
		sent++
	}
	waitFor(b, "the packets", func() bool { s := r.State(); return s.Packets+s.KernelDrops >= sent })
	b.ReportMetric(float64(r.State().KernelDrops)/float64(sent), "drops/packet")
}
