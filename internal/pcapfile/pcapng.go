package pcapfile

import (
	"fmt"
	"math"
	"math/bits"
)

// Block types of pcapng.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockNames     = 4
	blockStats     = 5
	blockEnhanced  = 6
	blockSecrets   = 10
	blockCustom    = 0x0bad
	blockCustomNo  = 0x40000bad
)

const (
	byteOrderMagic = 0x1a2b3c4d
	minBlockBytes  = 12 // type, length, length
	minSection     = 28
	// maxBlockBytes leaves a packet of MaxRecordBytes room for options.
	maxBlockBytes = MaxRecordBytes + 1<<20
	// resyncBlocks bounds the block that resynchronizing believes, and so its memory.
	resyncBlocks = 1 << 20
)

// nextBlock reads blocks of a pcapng file up to the next packet.
func (r *Reader) nextBlock(rec *Record) error {
	for {
		b := r.w.peek(minBlockBytes)
		if len(b) < minBlockBytes {
			if len(b) > 0 {
				return r.cutOrCorrupt(len(b), "", r.plausibleBlock)
			}
			return r.end(0)
		}
		total, reason := blockLen(b, r.order)
		if reason != "" {
			return r.resync(reason, r.plausibleBlock)
		}
		if len(b) < total {
			if b = r.w.peek(total); len(b) < total {
				return r.cutOrCorrupt(len(b), fmt.Sprintf("block of %d bytes reaches past the end, and blocks go on inside it", total), r.plausibleBlock)
			}
		}
		b = b[:total]
		typ := be32(b)
		o := r.order
		if typ == blockSection {
			o, _ = sectionOrder(b)
		}
		if end := o.u32(b[total-4:]); end != uint32(total) {
			return r.resync(fmt.Sprintf("block says %d bytes at its start, %d at its end", total, end), r.plausibleBlock)
		}
		offset := r.w.offset()
		r.w.skip(total)
		if typ == blockSection {
			if reason = r.section(b, o); reason != "" {
				return &CorruptError{Name: r.name, Offset: offset, Reason: reason, Skipped: int64(total)}
			}
			continue
		}
		packet, reason := r.block(r.order.u32(b), b[8:total-4], rec)
		if reason != "" {
			return &CorruptError{Name: r.name, Offset: offset, Reason: reason, Skipped: int64(total)}
		}
		if packet {
			rec.Offset = offset
			r.lastNanos, r.seen = rec.TimeNanos, true
			return nil
		}
	}
}

// blockLen returns the length of the block that starts with b, in a section of order o, and at least minBlockBytes, or what is wrong.
func blockLen(b []byte, o order) (int, string) {
	least := uint32(minBlockBytes)
	if be32(b) == blockSection {
		ok := false
		if o, ok = sectionOrder(b); !ok {
			return 0, fmt.Sprintf("section header with byte-order magic 0x%08x", be32(b[8:]))
		}
		least = minSection
	}
	total := o.u32(b[4:])
	if total < least || total%4 != 0 || total > maxBlockBytes {
		return 0, fmt.Sprintf("block of type 0x%x says %d bytes", o.u32(b), total)
	}
	return int(total), ""
}

// sectionOrder returns the byte order that a section header at the start of b states.
func sectionOrder(b []byte) (order, bool) {
	switch m := be32(b[8:]); {
	case m == byteOrderMagic:
		return true, true
	case bits.ReverseBytes32(m) == byteOrderMagic:
		return false, true
	}
	return false, false
}

// plausibleBlock reports whether blocks go on here: one of a known type whose two lengths agree, with
// another or the end of the file behind it.
func (r *Reader) plausibleBlock() bool {
	b := r.w.peek(minBlockBytes)
	if len(b) < minBlockBytes || !r.knownBlock(b) {
		return false
	}
	total, reason := blockLen(b, r.order)
	if reason != "" || total > resyncBlocks {
		return false
	}
	b = r.w.peek(total + minBlockBytes)
	if len(b) < total {
		return false
	}
	o := r.order
	if be32(b) == blockSection {
		o, _ = sectionOrder(b)
	}
	if o.u32(b[total-4:]) != uint32(total) {
		return false
	}
	if len(b) < total+minBlockBytes {
		return true // the file ends behind it, or in a block that is cut
	}
	_, reason = blockLen(b[total:], o)
	return reason == ""
}

func (r *Reader) knownBlock(b []byte) bool {
	switch typ := r.order.u32(b); typ {
	case blockInterface, blockPacket, blockSimple, blockNames, blockStats, blockEnhanced, blockSecrets, blockCustom, blockCustomNo:
		return true
	}
	return be32(b) == blockSection
}

// section starts a section. Its interfaces are numbered anew.
func (r *Reader) section(b []byte, o order) string {
	r.order, r.sectionFirst = o, len(r.interfaces)
	if major := r.order.u16(b[12:]); major != 1 {
		return fmt.Sprintf("section of version %d.%d, supported is 1", major, r.order.u16(b[14:]))
	}
	return ""
}

// block decodes the body of a block. It reports whether rec was filled, or what is wrong with the block.
// Blocks without packets are passed over.
func (r *Reader) block(typ uint32, b []byte, rec *Record) (packet bool, reason string) {
	switch typ {
	case blockInterface:
		return false, r.interfaceBlock(b)
	case blockEnhanced:
		if len(b) < 20 {
			return false, "enhanced packet block is too short"
		}
		return r.packetBlock(b[20:], r.order.u32(b), r.order.u32(b[4:]), r.order.u32(b[8:]), r.order.u32(b[12:]), r.order.u32(b[16:]), rec)
	case blockPacket:
		if len(b) < 20 {
			return false, "packet block is too short"
		}
		return r.packetBlock(b[20:], uint32(r.order.u16(b)), r.order.u32(b[4:]), r.order.u32(b[8:]), r.order.u32(b[12:]), r.order.u32(b[16:]), rec)
	case blockSimple:
		if len(b) < 4 {
			return false, "simple packet block is too short"
		}
		return r.simpleBlock(r.order.u32(b), b[4:], rec)
	case blockSecrets:
		return false, r.secretsBlock(b)
	}
	return false, ""
}

// secretsBlock hands on the secrets of a block, if they are of TLS. Others are passed over.
func (r *Reader) secretsBlock(b []byte) string {
	const tlsKeyLog = 0x544c534b // draft-ietf-opsawg-pcapng, "Decryption Secrets Block"
	if len(b) < 8 {
		return "decryption secrets block is too short"
	}
	n := r.order.u32(b[4:])
	if uint64(n) > uint64(len(b)-8) {
		return fmt.Sprintf("%d bytes of secrets in a block with room for %d", n, len(b)-8)
	}
	if r.tlsKeys != nil && r.order.u32(b) == tlsKeyLog {
		r.tlsKeys(b[8 : 8+n])
	}
	return ""
}

// interfaceBlock adds the interface that a block describes.
func (r *Reader) interfaceBlock(b []byte) string {
	if len(b) < 8 {
		return "interface description block is too short"
	}
	if len(r.interfaces) >= MaxInterfaces {
		return fmt.Sprintf("more than %d interfaces", MaxInterfaces)
	}
	i := Interface{LinkType: uint32(r.order.u16(b)), Snaplen: r.order.u32(b[4:]), UnitsPerSec: 1_000_000}
	reason := ""
	for code, v := range r.options(b[8:]) {
		const name, description, resolution, offset = 2, 3, 9, 14
		switch {
		case code == name:
			i.Name = text(v)
		case code == description:
			i.Description = text(v)
		case code == resolution && len(v) == 1:
			if i.UnitsPerSec = unitsPerSec(v[0]); i.UnitsPerSec == 0 {
				reason = fmt.Sprintf("interface with time resolution 0x%02x", v[0])
				i.UnitsPerSec = 1_000_000
			}
		case code == offset && len(v) == 8:
			hi, lo := r.order.u32(v), r.order.u32(v[4:])
			if !r.order {
				hi, lo = lo, hi
			}
			i.OffsetSec = int64(uint64(hi)<<32 | uint64(lo))
		}
	}
	// Kept also with a bad resolution: the packets that name it are good.
	r.interfaces = append(r.interfaces, i)
	return reason
}

// unitsPerSec decodes if_tsresol: a negative power of 10, or of 2 when bit 7 is set. It returns 0 for what
// does not fit.
func unitsPerSec(v byte) uint64 {
	if v&0x80 != 0 {
		if v &= 0x7f; v > 63 {
			return 0
		}
		return 1 << v
	}
	if v > 19 {
		return 0
	}
	u := uint64(1)
	for range v {
		u *= 10
	}
	return u
}

// packetBlock fills rec from an enhanced or an obsolete packet block; b starts with the packet's bytes.
func (r *Reader) packetBlock(b []byte, iface, high, low, capLen, wireLen uint32, rec *Record) (bool, string) {
	if uint64(capLen) > uint64(len(b)) || capLen > MaxRecordBytes {
		return false, fmt.Sprintf("packet of %d captured bytes in a block with room for %d", capLen, len(b))
	}
	if uint64(iface) >= uint64(len(r.interfaces)-r.sectionFirst) {
		return false, fmt.Sprintf("packet of interface %d, the section has %d", iface, len(r.interfaces)-r.sectionFirst)
	}
	rec.Interface = r.sectionFirst + int(iface)
	rec.TimeNanos = r.interfaces[rec.Interface].nanos(uint64(high)<<32 | uint64(low))
	rec.WireLen, rec.Data, rec.Comment = int(wireLen), b[:capLen:capLen], ""
	if opts := b[min(len(b), int(capLen+3)&^3):]; len(opts) > 4 {
		rec.Comment = r.comments(opts)
	}
	return true, ""
}

// simpleBlock fills rec from a simple packet block, which has no time and is of the section's first interface.
func (r *Reader) simpleBlock(wireLen uint32, b []byte, rec *Record) (bool, string) {
	if len(r.interfaces) == r.sectionFirst {
		return false, "simple packet block in a section without interface"
	}
	capLen := wireLen
	if s := r.interfaces[r.sectionFirst].Snaplen; s != 0 && s < capLen {
		capLen = s
	}
	if uint64(capLen) > uint64(len(b)) || capLen > MaxRecordBytes {
		return false, fmt.Sprintf("packet of %d captured bytes in a block with room for %d", capLen, len(b))
	}
	*rec = Record{TimeNanos: r.lastNanos, WireLen: int(wireLen), Interface: r.sectionFirst, Data: b[:capLen:capLen]}
	return true, ""
}

// nanos converts a timestamp of the interface to ns since 1970. Times that do not fit saturate.
func (i *Interface) nanos(ts uint64) int64 {
	sec, frac := ts/i.UnitsPerSec, ts%i.UnitsPerSec
	if i.UnitsPerSec == 1_000_000 && i.OffsetSec == 0 && sec < 1<<33 {
		return int64(sec)*1_000_000_000 + int64(frac)*1000
	}
	hi, lo := bits.Mul64(frac, 1_000_000_000)
	ns, _ := bits.Div64(hi, lo, i.UnitsPerSec) // frac < UnitsPerSec, so hi < UnitsPerSec
	const maxSec = math.MaxInt64/1_000_000_000 - 1
	if sec > maxSec {
		sec = maxSec
	}
	s := int64(sec)
	switch {
	case i.OffsetSec > maxSec-s:
		s = maxSec
	case i.OffsetSec < -maxSec:
		s = -maxSec
	default:
		s += i.OffsetSec
	}
	return s*1_000_000_000 + int64(ns)
}

// options iterates over the code and value of each option, and stops at the end mark or where they are cut.
func (r *Reader) options(b []byte) func(yield func(uint16, []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			code, n := r.order.u16(b), int(r.order.u16(b[2:]))
			b = b[4:]
			if code == 0 || n > len(b) || !yield(code, b[:n]) {
				return
			}
			b = b[min(len(b), (n+3)&^3):]
		}
	}
}

// comments returns the comments among a packet's options.
func (r *Reader) comments(opts []byte) string {
	const comment = 1
	all := ""
	for code, v := range r.options(opts) {
		switch {
		case code != comment:
		case all == "":
			all = text(v)
		default:
			all += "\n" + text(v)
		}
	}
	return all
}

// text returns the string of an option: some writers end it with zeros.
func text(b []byte) string {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return string(b)
}
