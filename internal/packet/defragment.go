package packet

import (
	"bytes"
	"encoding/binary"
)

const (
	// maxDatagrams is how many datagrams of one flow a Defragmenter holds at a time; the oldest gives way.
	// With maxDatagramBytes it bounds its memory to half a MiB, reached only by a hostile flow.
	maxDatagrams = 8
	// maxDatagramBytes is the most that an IP length field can say.
	maxDatagramBytes = 65535
)

// Defragmenter puts the fragments of IP datagrams together (RFC 791 section 3.2, RFC 8200 section 4.5). The
// zero value is ready. It is meant for the packets of one flow: its memory is bounded by maxDatagrams of
// 64 KiB, and it takes none before the first fragment.
//
// Fragments may come in any order and repeatedly. When two disagree on a byte or on the datagram's length
// the datagram is given up, as hosts do since RFC 5722: any choice would be one that an attacker made.
type Defragmenter struct {
	open []datagram
	out  []byte
}

// datagram is one of which fragments came.
type datagram struct {
	id    fragID
	head  []byte                            // header of the first fragment, nil before it came
	data  []byte                            // payload as far as it came, with holes
	have  [maxDatagramBytes/8/64 + 1]uint64 // a bit for every 8 bytes
	units int                               // bits set
	total int                               // payload length, 0 before the last fragment came
	seen  int64
	bad   bool
}

// Add takes the fragment p, which d decoded. When it completes its datagram, Add decodes that into whole
// and returns true; whole then has p's link layer and time, the wire length of the frame that an unfragmented
// datagram would have had, and slices that are valid until the next Add. Packets that are no fragments, and
// fragments that the capture cut, are ignored.
func (f *Defragmenter) Add(d *Decoder, p, whole *Packet) bool {
	if !p.Fragment || len(p.fragL3) <= p.fragHead {
		return false
	}
	head, data := p.fragL3[:p.fragHead], p.fragL3[p.fragHead:]
	off, more := int(p.FragOff), p.MoreFrags
	end := off + len(data)
	if more && len(data)%8 != 0 || end > maxDatagramBytes || lengthOf(head) > len(p.fragL3) {
		return false
	}
	g := f.datagram(fragIDOf(head), p.TimeNanos)
	if g.bad {
		return false
	}
	if !more {
		if g.total != 0 && g.total != end {
			g.bad = true
			return false
		}
		g.total = end
	}
	if off == 0 && g.head == nil {
		g.head = append([]byte{}, head...)
	}
	if !g.put(off, data) {
		g.bad = true
		return false
	}
	if g.total == 0 || g.head == nil || g.units != (g.total+7)/8 {
		return false
	}
	typ, ok := f.assemble(g)
	f.remove(g)
	if !ok {
		return false
	}
	*whole = *p
	whole.Mark, whole.peeled, whole.fragL3 = MarkNone, p.fragAt, nil
	whole.resetNetwork()
	whole.WireLen = uint32(p.fragLink + len(f.out))
	whole.CapLen = whole.WireLen
	d.nPending, d.tries, d.frameCap = 0, maxTries, cap(f.out)
	return d.network(typ, f.out, whole, 0)
}

// lengthOf returns the length that an IP header states for its packet.
func lengthOf(head []byte) int {
	if head[0]>>4 == 4 {
		return int(be16(head[2:]))
	}
	return 40 + int(be16(head[4:]))
}

// CutFragment reports whether p is a fragment whose end was not captured, so that its datagram cannot be put together.
func (p *Packet) CutFragment() bool { return p.Fragment && lengthOf(p.fragL3) > len(p.fragL3) }

// fragIDOf returns what names the datagram of a fragment with the given headers.
func fragIDOf(head []byte) fragID {
	id := fragID{kind: KindIPv6}
	if head[0]>>4 == 4 {
		id.kind, id.proto, id.ident = KindIPv4, head[9], uint32(be16(head[4:]))
		copy(id.src[:], head[12:16])
		copy(id.dst[:], head[16:20])
		return id
	}
	id.src, id.dst, id.ident = [16]byte(head[8:]), [16]byte(head[24:]), be32(head[len(head)-4:])
	return id
}

// datagram returns the datagram that id names, begun when it is new or its predecessor too old.
func (f *Defragmenter) datagram(id fragID, now int64) *datagram {
	oldest := 0
	for i := range f.open {
		g := &f.open[i]
		if g.id == id {
			if age := now - g.seen; age > fragLifetime || age < -fragLifetime {
				g.begin(id, now)
			}
			return g
		}
		if g.seen < f.open[oldest].seen {
			oldest = i
		}
	}
	if len(f.open) < maxDatagrams {
		f.open = append(f.open, datagram{})
		oldest = len(f.open) - 1
	}
	g := &f.open[oldest]
	g.begin(id, now)
	return g
}

func (g *datagram) begin(id fragID, now int64) { *g = datagram{id: id, seen: now, data: g.data[:0]} }

// remove drops g, which is in f.open.
func (f *Defragmenter) remove(g *datagram) {
	last := len(f.open) - 1
	*g = f.open[last]
	f.open[last] = datagram{}
	f.open = f.open[:last]
}

// put copies data to off. It returns false when that contradicts what is there.
func (g *datagram) put(off int, data []byte) bool {
	end := off + len(data)
	if g.total != 0 && (end > g.total || len(g.data) > g.total) {
		return false
	}
	if end > len(g.data) {
		g.data = append(g.data, make([]byte, end-len(g.data))...)
	}
	for at := off; at < end; at += 8 {
		unit, n := at/8, min(8, end-at)
		src, dst := data[at-off:at-off+n], g.data[at:at+n]
		if g.have[unit/64]&(1<<(unit%64)) != 0 {
			if !bytes.Equal(src, dst) {
				return false
			}
			continue
		}
		g.have[unit/64] |= 1 << (unit % 64)
		g.units++
		copy(dst, src)
	}
	return true
}

// assemble writes the whole IP packet to f.out and returns its ethertype.
func (f *Defragmenter) assemble(g *datagram) (uint16, bool) {
	head := g.head
	if g.id.kind == KindIPv4 {
		n := len(head) + g.total
		if n > maxDatagramBytes {
			return 0, false
		}
		f.out = append(append(f.out[:0], head...), g.data[:g.total]...)
		binary.BigEndian.PutUint16(f.out[2:], uint16(n))
		f.out[6], f.out[7] = 0, 0 // flags and offset
		return etherIPv4, true
	}
	// The fixed header and what follows the fragment header; the extension headers between them say
	// nothing of the flow.
	f.out = append(append(f.out[:0], head[:40]...), g.data[:g.total]...)
	f.out[6] = head[len(head)-8]
	binary.BigEndian.PutUint16(f.out[4:], uint16(g.total))
	return etherIPv6, true
}
