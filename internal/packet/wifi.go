package packet

import "encoding/binary"

// radiotap skips the header that monitor interfaces put in front of 802.11 frames (radiotap.org), and
// takes two facts from it: whether the frame ends with its check sequence, and whether the 802.11 header
// is padded.
func (d *Decoder) radiotap(b []byte, p *Packet) bool {
	if len(b) < 8 || b[0] != 0 {
		return false
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	if n < 8 || n > len(b) {
		return false
	}
	present := binary.LittleEndian.Uint32(b[4:])
	off := 8
	for w := present; w&(1<<31) != 0; off += 4 { // further words of the bitmap
		if off+4 > n {
			return false
		}
		w = binary.LittleEndian.Uint32(b[off:])
	}
	var flags byte
	if present&2 != 0 {
		if present&1 != 0 { // the timestamp, aligned to 8, is in front
			off = (off+7)&^7 + 8
		}
		if off < n {
			flags = b[off]
		}
	}
	b = b[n:]
	const hasFCS, padded = 0x10, 0x20
	if flags&hasFCS != 0 && p.CapLen >= p.WireLen && len(b) >= 4 {
		b = b[:len(b)-4]
	}
	return d.dot11(b, flags&padded != 0, p)
}

// avsMagic is what the version in the header of the Absolute Value Systems format begins with.
const avsMagic = 0x80211000

// prism skips the header of the Prism II monitoring drivers: message code and length in the byte order of the
// host, the length including the header. Some drivers write the AVS header under this link type.
func (d *Decoder) prism(b []byte, p *Packet) bool {
	if len(b) < 8 {
		return false
	}
	if be32(b)&^0xfff == avsMagic {
		return d.avs(b, p)
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n > 0xffff {
		n = be32(b[4:])
	}
	if n < 8 || int64(n) > int64(len(b)) {
		return false
	}
	return d.wifi(b[n:], p)
}

// avs skips the header of the Absolute Value Systems capture format: version and length of the header, big endian.
func (d *Decoder) avs(b []byte, p *Packet) bool {
	if len(b) < 8 || be32(b)&^0xfff != avsMagic {
		return false
	}
	n := be32(b[4:])
	if n < 8 || int64(n) > int64(len(b)) {
		return false
	}
	return d.wifi(b[n:], p)
}

// ppi skips the header of the Per-Packet Information format (CACE Technologies, 1.0.10): version 0, flags, length of the
// header with its fields, link type of what follows, little endian. The field of all 802.11 tells whether the frame
// ends with its check sequence.
func (d *Decoder) ppi(b []byte, p *Packet) bool {
	const head, fieldHead, common, commonLen, flagsAt, hasFCS = 8, 4, 2, 20, 8, 1
	if len(b) < head || b[0] != 0 {
		return false
	}
	n, link := int(binary.LittleEndian.Uint16(b[2:])), binary.LittleEndian.Uint32(b[4:])
	if n < head || n > len(b) {
		return false
	}
	aligned := b[1]&1 != 0
	fields, b := b[head:n], b[n:]
	for len(fields) >= fieldHead {
		typ, size := binary.LittleEndian.Uint16(fields), int(binary.LittleEndian.Uint16(fields[2:]))
		fields = fields[fieldHead:]
		if size > len(fields) {
			break
		}
		if typ == common && size >= commonLen && fields[flagsAt]&hasFCS != 0 && p.CapLen >= p.WireLen && len(b) >= 4 {
			b = b[:len(b)-4]
		}
		if aligned {
			size = min((size+3)&^3, len(fields))
		}
		fields = fields[size:]
	}
	return d.within(link, b, p)
}

// wifi decodes an 802.11 frame without radiotap header.
func (d *Decoder) wifi(b []byte, p *Packet) bool { return d.dot11(b, false, p) }

// dot11 decodes an 802.11 frame. Data frames that are not encrypted lead to their LLC payload; all others
// are keyed on their addresses with type 0.
func (d *Decoder) dot11(b []byte, padded bool, p *Packet) bool {
	const typeData, toDS, fromDS, order, protected = 2, 1, 2, 0x80, 0x40
	if len(b) < 10 {
		return false
	}
	typ, sub, fl := b[0]>>2&3, b[0]>>4, b[1]
	if len(b) < 24 { // control frames have one or two addresses
		p.DstMAC, p.HasMAC = [6]byte(b[4:]), true
		if len(b) >= 16 {
			p.SrcMAC = [6]byte(b[10:])
		}
		p.L3, p.Mark = b, MarkUnknownEther
		d.keyMAC(p, 0)
		return true
	}
	a1, a2, a3 := b[4:10], b[10:16], b[16:22]
	dst, src, n := a1, a2, 24
	switch {
	case typ != typeData:
	case fl&(toDS|fromDS) == toDS|fromDS:
		if len(b) < 30 {
			return false
		}
		dst, src, n = a3, b[24:30], 30
	case fl&toDS != 0:
		dst = a3
	case fl&fromDS != 0:
		src = a3
	}
	p.SrcMAC, p.DstMAC, p.HasMAC = [6]byte(src), [6]byte(dst), true
	var qos uint16
	if typ == typeData && sub&8 != 0 {
		if len(b) < n+2 {
			return false
		}
		qos = binary.LittleEndian.Uint16(b[n:])
		n += 2
		if fl&order != 0 { // HT control
			n += 4
		}
	}
	if padded {
		n = (n + 3) &^ 3
	}
	if typ != typeData || sub&4 != 0 || fl&protected != 0 || n >= len(b) {
		p.L3, p.Mark = cutFront(b, n), MarkUnknownEther
		d.keyMAC(p, 0)
		return true
	}
	b = b[n+meshControl(b[n:], qos):]
	if qos&0x80 != 0 && len(b) > 14 { // A-MSDU: the first of the frames in it
		p.DstMAC, p.SrcMAC = [6]byte(b), [6]byte(b[6:])
		b = cut(b[14:], int(be16(b[12:])))
	}
	return d.llcHeader(b, p, 0)
}

// meshControl returns how long the mesh control field at the front of b is (IEEE 802.11-2020 sections 9.2.4.5.9,
// 9.2.4.7.3): flags, TTL and sequence number, and up to two addresses. Outside meshes its bit is one of a number, so the
// field is taken only where SNAP follows it and is not there without it.
func meshControl(b []byte, qos uint16) int {
	const present, snap = 0x100, "\xaa\xaa\x03"
	if qos&present == 0 || len(b) < 6 || string(b[:3]) == snap || b[0]&3 == 3 {
		return 0
	}
	n := 6 + 6*int(b[0]&3)
	if len(b) < n+len(snap) || string(b[n:n+len(snap)]) != snap {
		return 0
	}
	return n
}

func cutFront(b []byte, n int) []byte {
	if n > len(b) {
		n = len(b)
	}
	return b[n:]
}
