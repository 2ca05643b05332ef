package packet

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// split4 cuts a layer-4 datagram into IPv4 fragments with n bytes of data each.
func split4(src, dst string, proto uint8, id uint16, l4 []byte, n int) [][]byte {
	var out [][]byte
	for off := 0; off < len(l4); off += n {
		end, flag := min(len(l4), off+n), uint16(0)
		if end < len(l4) {
			flag = 0x2000
		}
		out = append(out, ip4(src, dst, proto, l4[off:end], ip4Opt{id: id, frag: flag | uint16(off/8)}))
	}
	return out
}

func split6(src, dst string, proto uint8, id uint32, l4 []byte, n int) [][]byte {
	var out [][]byte
	for off := 0; off < len(l4); off += n {
		end := min(len(l4), off+n)
		out = append(out, ip6(src, dst, extDest, ext6(extFragment, 0, frag6(proto, uint16(off), end < len(l4), id, l4[off:end]))))
	}
	return out
}

func TestFragmentsJoinTheirFlow(t *testing.T) {
	l4 := udp(40000, 53, bytes.Repeat([]byte("payload "), 40))
	reply := udp(53, 40000, bytes.Repeat([]byte("payload "), 40))
	vxlan := udp(55555, portVXLAN, cat(hx("08000000 00303900"), eth(macC, macD, etherIPv4, ip4("10.1.1.1", "10.2.2.2", ProtoTCP, tcp(40000, 443, 7, 9, FlagACK, make([]byte, 200))))))
	for name, c := range map[string]struct {
		frags [][]byte
		want  string
		dir   Dir
	}{
		"IPv4":            {split4("10.0.0.1", "10.0.0.2", ProtoUDP, 7, l4, 64), "udp 10.0.0.1:40000 <-> 10.0.0.2:53", AtoB},
		"IPv4, back":      {split4("10.0.0.2", "10.0.0.1", ProtoUDP, 7, reply, 64), "udp 10.0.0.1:40000 <-> 10.0.0.2:53", BtoA},
		"IPv6":            {split6("fc00::1", "fc00::2", ProtoUDP, 7, l4, 64), "udp [fc00::1]:40000 <-> [fc00::2]:53", AtoB},
		"tunnel's packet": {split4("192.0.2.1", "192.0.2.2", ProtoUDP, 7, vxlan, 128), "tcp 10.1.1.1:40000 <-> 10.2.2.2:443", AtoB},
	} {
		d := NewDecoder(LinkRaw, Options{})
		for i, f := range c.frags {
			var p Packet
			d.Decode(f, int64(i), len(f), &p)
			if p.Key.String() != c.want || p.Dir != c.dir || !p.Fragment || p.MoreFrags != (i < len(c.frags)-1) {
				t.Errorf("%s: fragment %d of %d: %v direction %d, want %s direction %d: %+v", name, i, len(c.frags), p.Key, p.Dir, c.want, c.dir, p)
			}
			if i > 0 && (p.Payload != nil || len(p.L4) == 0) {
				t.Errorf("%s: fragment %d has payload %q, data %q", name, i, p.Payload, p.L4)
			}
		}
	}
}

func TestFragmentsThatFindNoFirst(t *testing.T) {
	frags := split4("10.0.0.1", "10.0.0.2", ProtoUDP, 7, udp(40000, 53, make([]byte, 120)), 64)
	alone := "udp 10.0.0.1 <-> 10.0.0.2"
	var p Packet
	d := NewDecoder(LinkRaw, Options{})
	d.Decode(frags[1], 0, len(frags[1]), &p)
	if p.Key.String() != alone {
		t.Errorf("before its first: %v, want %s", p.Key, alone)
	}
	d.Decode(frags[0], 0, len(frags[0]), &p)
	d.Decode(frags[1], fragLifetime, len(frags[1]), &p)
	if p.SrcPort != 0 || p.Key.PortA != 40000 {
		t.Errorf("at the end of its lifetime: %v", p.Key)
	}
	d.Decode(frags[1], fragLifetime+1, len(frags[1]), &p)
	if p.Key.String() != alone {
		t.Errorf("after its lifetime: %v, want %s", p.Key, alone)
	}
	d.Decode(frags[0], 100, len(frags[0]), &p)
	d.Decode(frags[1], 99, len(frags[1]), &p)
	if p.Key.String() != alone {
		t.Errorf("captured before its first, decoded after it: %v, want %s", p.Key, alone)
	}
	other := split4("10.0.0.1", "10.0.0.2", ProtoUDP, 8, udp(1, 2, make([]byte, 120)), 64)
	d.Decode(other[1], 101, len(other[1]), &p)
	if p.Key.String() != alone {
		t.Errorf("of another datagram: %v, want %s", p.Key, alone)
	}
}

func TestJoin(t *testing.T) {
	frags := split4("10.0.0.2", "10.0.0.1", ProtoUDP, 7, udp(53, 40000, make([]byte, 120)), 64)
	first, alone := decode(t, LinkRaw, frags[0]), decode(t, LinkRaw, frags[1])
	alone.Join(first.Key)
	if alone.Key != first.Key || alone.Dir != first.Dir || first.Dir != BtoA {
		t.Errorf("joined as %v direction %d, want %v direction %d", alone.Key, alone.Dir, first.Key, first.Dir)
	}
	first.Join(first.Key)
	if first.Dir != BtoA {
		t.Error("joining its own flow changes the direction")
	}
}

func TestFragmentTableIsBounded(t *testing.T) {
	d, p := NewDecoder(LinkRaw, Options{FragmentLimit: 64}), new(Packet)
	for i := range 10_000 {
		f := split4("10.0.0.1", "10.0.0.2", ProtoUDP, uint16(i), udp(uint16(i), 53, make([]byte, 64)), 64)[0]
		d.Decode(f, int64(i), len(f), p)
	}
	if len(d.frags.slots) != 64 {
		t.Fatalf("%d slots, want 64", len(d.frags.slots))
	}
	found := 0
	for i := 10_000 - 64; i < 10_000; i++ {
		f := split4("10.0.0.1", "10.0.0.2", ProtoUDP, uint16(i), udp(uint16(i), 53, make([]byte, 64)), 64)[1]
		d.Decode(f, 10_000, len(f), p)
		if p.Key.PortA == uint16(i) {
			found++
		}
	}
	if found < 40 { // sets of four fill unevenly
		t.Errorf("%d of the last 64 datagrams are remembered", found)
	}
}

// reassemble feeds frames to a decoder and a defragmenter and returns what comes out whole.
func reassemble(linkType uint32, frames [][]byte) []Packet {
	d, f := NewDecoder(linkType, Options{}), &Defragmenter{}
	var out []Packet
	for i, b := range frames {
		var p, whole Packet
		d.Decode(b, int64(i), len(b), &p)
		if f.Add(d, &p, &whole) {
			whole.Payload = bytes.Clone(whole.Payload)
			out = append(out, whole)
		}
	}
	return out
}

func TestDefragmenter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		data := make([]byte, rapid.IntRange(0, 3000).Draw(t, "length"))
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		unit := 8 * rapid.IntRange(3, 60).Draw(t, "unit")
		segment := tcp(40000, 80, 1, 2, FlagACK, data)
		v6, tunnel := rapid.Bool().Draw(t, "v6"), rapid.Bool().Draw(t, "tunnel")
		proto, want := ProtoTCP, "tcp 10.0.0.1:40000 <-> 10.0.0.2:80"
		if v6 {
			want = "tcp [fc00::1]:40000 <-> [fc00::2]:80"
		}
		if tunnel {
			segment = gre(0, etherTransEther, nil, eth(macC, macD, etherIPv4, ip4("10.9.9.9", "10.8.8.8", ProtoTCP, segment)))
			proto, want = ProtoGRE, "tcp 10.8.8.8:80 <-> 10.9.9.9:40000"
		}
		var frames [][]byte
		if v6 {
			frames = split6("fc00::1", "fc00::2", proto, 9, segment, unit)
		} else {
			frames = split4("10.0.0.1", "10.0.0.2", proto, 9, segment, unit)
		}
		if len(frames) < 2 {
			return
		}
		// Any order, some repeated while the datagram is incomplete.
		rnd.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
		frames = append([][]byte{frames[0], frames[0]}, frames[1:]...)
		for i := range frames {
			typ := etherIPv4
			if v6 {
				typ = etherIPv6
			}
			frames[i] = eth(macA, macB, etherVLAN, tag(5, typ, frames[i]))
		}
		got := reassemble(LinkEthernet, frames)
		if len(got) != 1 || got[0].Key.String() != want || !bytes.Equal(got[0].Payload, data) || got[0].Fragment || got[0].Truncated {
			t.Fatalf("%d packets of %d frames: %+v, want one of %s with %d bytes", len(got), len(frames), got, want, len(data))
		}
		p := &got[0]
		if want := 18 + len(segment) + 20; !v6 && p.WireLen != uint32(want) {
			t.Fatalf("wire length %d, want %d", p.WireLen, want)
		}
		outer := 0
		if tunnel {
			outer = 1
		}
		if len(p.VLANs()) != 1 || len(p.OuterIPs()) != outer || len(p.OuterMACs()) != outer || p.Tunnels.Has(TunnelGRE) != tunnel {
			t.Fatalf("encapsulation %s, tunnels %#x", describe(p), p.Tunnels)
		}
	})
}

func TestDefragmenterGivesUpWhatContradictsItself(t *testing.T) {
	l4 := udp(1, 2, bytes.Repeat([]byte("x"), 88)) // 96 bytes
	frag := func(off, end int, more bool, fill byte) []byte {
		flag := uint16(0)
		if more {
			flag = 0x2000
		}
		data := bytes.Clone(l4[off:end])
		if fill != 0 {
			data[len(data)-1] = fill
		}
		return ip4("10.0.0.1", "10.0.0.2", ProtoUDP, data, ip4Opt{id: 3, frag: flag | uint16(off/8)})
	}
	a, b, c := frag(0, 32, true, 0), frag(32, 64, true, 0), frag(64, 96, false, 0)
	for _, x := range []struct {
		name   string
		frames [][]byte
		want   int
	}{
		{"in order", [][]byte{a, b, c}, 1},
		{"last first", [][]byte{c, b, a}, 1},
		{"overlap with the same bytes", [][]byte{a, frag(16, 64, true, 0), c}, 1},
		{"overlap with other bytes", [][]byte{a, frag(32, 64, true, 'y'), b, c}, 0},
		{"second end", [][]byte{a, c, frag(64, 88, false, 0), b}, 0},
		{"data past the end", [][]byte{frag(32, 64, false, 0), c, a}, 0},
		{"a hole", [][]byte{a, c}, 0},
		{"length not a multiple of 8 in the middle", [][]byte{a, frag(32, 60, true, 0), frag(64, 96, false, 0)}, 0},
		{"beyond 64 KiB", [][]byte{a, ip4("10.0.0.1", "10.0.0.2", ProtoUDP, make([]byte, 64), ip4Opt{id: 3, frag: 0x1fff})}, 0},
		{"cut by the snaplen", [][]byte{a, b[:40], c}, 0},
		{"again after it was whole", [][]byte{a, b, c, a, b, c}, 2},
	} {
		if got := reassemble(LinkRaw, x.frames); len(got) != x.want {
			t.Errorf("%s: %d datagrams, want %d", x.name, len(got), x.want)
		}
	}
}

func TestDefragmenterIsBounded(t *testing.T) {
	d, f := NewDecoder(LinkRaw, Options{}), &Defragmenter{}
	var p, whole Packet
	for i := range 1000 {
		b := ip4("10.0.0.1", "10.0.0.2", ProtoUDP, make([]byte, 1400), ip4Opt{id: uint16(i), frag: 0x2000 | 8000})
		d.Decode(b, int64(i), len(b), &p)
		if f.Add(d, &p, &whole) {
			t.Fatal("a whole datagram of one fragment")
		}
	}
	held := 0
	for i := range f.open[:cap(f.open)] {
		held += cap(f.open[:cap(f.open)][i].data)
	}
	if len(f.open) > maxDatagrams || held > 2*maxDatagrams*maxDatagramBytes {
		t.Errorf("%d datagrams, %d bytes held", len(f.open), held)
	}
	// A late fragment does not complete a datagram of the same number from before.
	frags := split4("10.0.0.1", "10.0.0.3", ProtoUDP, 5, udp(1, 2, make([]byte, 100)), 64)
	for i, b := range frags {
		d.Decode(b, int64(i)*2*int64(time.Minute), len(b), &p)
		if f.Add(d, &p, &whole) {
			t.Error("fragments two minutes apart make a datagram")
		}
	}
}

func FuzzDefragmenter(f *testing.F) {
	for _, b := range split4("10.0.0.1", "10.0.0.2", ProtoUDP, 7, udp(40000, 53, bytes.Repeat([]byte("payload "), 20)), 64) {
		f.Add(b, uint8(64))
	}
	f.Add(cat(split6("fc00::1", "fc00::2", ProtoTCP, 7, tcp(1, 2, 3, 4, 0, make([]byte, 200)), 64)...), uint8(120))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		d, g := NewDecoder(LinkRaw, Options{FragmentLimit: 16}), &Defragmenter{}
		var p, whole Packet
		for i := int64(0); len(b) > 0; i++ {
			n := min(len(b), int(size)+1)
			d.Decode(b[:n], i, n, &p)
			if g.Add(d, &p, &whole) {
				check(t, &whole, nil)
			}
			b = b[n:]
		}
	})
}

// check holds a packet to what is always true.
func check(t *testing.T, p *Packet, frame []byte) {
	t.Helper()
	b, _ := p.Key.AppendBinary(nil)
	if k, err := DecodeKey(b); err != nil || k != p.Key {
		t.Fatalf("key %x: %v", b, err)
	}
	if p.Dir > BtoA || p.Mark > MarkUnknownLink || len(p.Payload) > len(p.L4) || len(p.L4) > len(p.L3) {
		t.Fatalf("packet %+v", p)
	}
	if frame != nil && len(p.L3) > len(frame) {
		t.Fatalf("layer 3 of %d bytes in a frame of %d", len(p.L3), len(frame))
	}
	_ = fmt.Sprint(describe(p), p.CommunityID(0))
}
