package main

import (
	"encoding/binary"
	"math/bits"
)

func sum(b []byte, acc uint64) uint64 {
	var c uint64
	for len(b) >= 32 {
		var x uint64
		acc, x = bits.Add64(acc, binary.LittleEndian.Uint64(b), 0)
		acc, x = bits.Add64(acc, binary.LittleEndian.Uint64(b[8:]), x)
		acc, x = bits.Add64(acc, binary.LittleEndian.Uint64(b[16:]), x)
		acc, x = bits.Add64(acc, binary.LittleEndian.Uint64(b[24:]), x)
		c += x
		b = b[32:]
	}
	for len(b) >= 8 {
		var x uint64
		acc, x = bits.Add64(acc, binary.LittleEndian.Uint64(b), 0)
		c += x
		b = b[8:]
	}
	if len(b) > 0 {
		var t [8]byte
		copy(t[:], b)
		var x uint64
		acc, x = bits.Add64(acc, binary.LittleEndian.Uint64(t[:]), 0)
		c += x
	}
	acc, x := bits.Add64(acc, c, 0)
	return acc + x
}

// fold reduces a little-endian ones' complement sum to the checksum, in
// network order.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return bits.ReverseBytes16(^uint16(acc))
}

// build assembles the packet of e in buf.
func (f *flow) build(buf []byte, e *emit) []byte {
	be := binary.BigEndian
	s, d := &f.ep[e.dir], &f.ep[1-e.dir]
	copy(buf, d.mac[:])
	copy(buf[6:], s.mac[:])
	o := 12
	if f.vlan != 0 {
		be.PutUint16(buf[o:], 0x8100)
		be.PutUint16(buf[o+2:], f.vlan)
		o += 4
	}
	ipo := o + 2
	var l4o int
	if f.v6 {
		be.PutUint16(buf[o:], 0x86dd)
		l4o = ipo + 40
	} else {
		be.PutUint16(buf[o:], 0x0800)
		l4o = ipo + 20
	}
	var end, csumAt int
	switch f.l4 {
	case 6:
		h := buf[l4o:]
		be.PutUint16(h, s.port)
		be.PutUint16(h[2:], d.port)
		seq, hl := s.seq, 32
		if e.kind == eRtx {
			seq = f.rtxSeq
		}
		be.PutUint32(h[4:], seq)
		ack := d.seq
		if e.kind == eCtl {
			ack -= uint32(e.n)
		}
		if e.flags&fACK == 0 {
			ack = 0
		}
		be.PutUint32(h[8:], ack)
		be.PutUint16(h[14:], 501)
		be.PutUint32(h[16:], 0) // checksum, urgent
		tsv := s.ts + uint32((e.at-f.start)/ms)
		tse := d.ts + uint32((e.at-f.start)/ms)
		switch {
		case e.flags&fSYN != 0:
			hl = 40
			m := uint16(1460)
			if f.v6 {
				m = 1440
			}
			be.PutUint16(h[14:], 64240)
			copy(h[20:], []byte{2, 4, byte(m >> 8), byte(m), 4, 2, 8, 10})
			be.PutUint32(h[28:], tsv)
			if e.flags&fACK == 0 {
				tse = 0
			}
			be.PutUint32(h[32:], tse)
			copy(h[36:], []byte{1, 3, 3, 7})
		case e.flags&fRST != 0:
			hl = 20
		default:
			h[20], h[21], h[22], h[23] = 1, 1, 8, 10
			be.PutUint32(h[24:], tsv)
			be.PutUint32(h[28:], tse)
		}
		h[12], h[13] = byte(hl/4)<<4, e.flags
		p := l4o + hl
		end = p
		switch e.kind {
		case eData:
			end = p + int(e.n)
			f.take(buf[p:end])
			if f.rtx == nil && f.remain > 0 && e.n > 1000 && f.rng.IntN(1000) == 0 {
				f.rtx = append([]byte(nil), buf[p:end]...)
				f.rtxSeq, f.rtxDir = s.seq, e.dir
			}
			s.seq += uint32(e.n)
		case eRtx:
			end = p + copy(buf[p:], f.rtx)
			f.rtx = nil
		}
		if e.flags&(fSYN|fFIN) != 0 {
			if e.flags&fSYN != 0 && f.dead == 1 {
				s.seq-- // a retried SYN keeps its number
			}
			s.seq++
		}
		csumAt = l4o + 16
	case 17:
		h := buf[l4o:]
		be.PutUint16(h, s.port)
		be.PutUint16(h[2:], d.port)
		h[6], h[7] = 0, 0
		p := l4o + 8
		if e.kind == eCtl { // a QUIC acknowledgement
			end = p + 33 + int(uint64(e.at)%9)
			f.quicPacket(buf[p:end])
		} else {
			end = p + int(e.n)
			f.take(buf[p:end])
		}
		be.PutUint16(h[4:], uint16(end-l4o))
		csumAt = l4o + 6
	default: // ICMP: the script holds whole messages
		end = l4o + int(e.n)
		f.take(buf[l4o:end])
		buf[l4o+2], buf[l4o+3] = 0, 0
		csumAt = l4o + 2
	}
	l4 := buf[l4o:end]
	var pseudo uint64
	ip := buf[ipo:]
	if f.v6 {
		ip[0], ip[1] = 0x60, 0
		be.PutUint16(ip[2:], uint16(f.id)) // flow label
		be.PutUint16(ip[4:], uint16(len(l4)))
		ip[6], ip[7] = f.l4, s.ttl
		copy(ip[8:], s.ip[:])
		copy(ip[24:], d.ip[:])
		pseudo = sum(ip[8:40], 0)
	} else {
		ip[0], ip[1] = 0x45, 0
		be.PutUint16(ip[2:], uint16(20+len(l4)))
		s.ipid++
		be.PutUint16(ip[4:], s.ipid)
		ip[6], ip[7] = 0x40, 0
		ip[8], ip[9] = s.ttl, f.l4
		ip[10], ip[11] = 0, 0
		copy(ip[12:16], s.ip[:4])
		copy(ip[16:20], d.ip[:4])
		be.PutUint16(ip[10:], fold(sum(ip[:20], 0)))
		pseudo = sum(ip[12:20], 0)
	}
	if f.l4 == 1 {
		pseudo = 0
	} else {
		var x [8]byte
		x[1] = f.l4
		be.PutUint32(x[4:], uint32(len(l4)))
		pseudo = sum(x[:], pseudo)
	}
	c := fold(sum(l4, pseudo))
	if c == 0 && f.l4 == 17 {
		c = 0xffff
	}
	be.PutUint16(buf[csumAt:], c)
	return buf[:end]
}
