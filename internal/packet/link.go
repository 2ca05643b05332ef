package packet

import "encoding/binary"

// Link types that are decoded: numbers of draft-ietf-opsawg-pcaplinktype.
const (
	LinkNull       uint32 = 0
	LinkEthernet   uint32 = 1
	LinkPPP        uint32 = 9
	LinkRawBSD     uint32 = 12 // DLT_RAW as some systems write it to files
	LinkRawOpenBSD uint32 = 14
	LinkPPPHDLC    uint32 = 50
	LinkPPPEther   uint32 = 51
	LinkRaw        uint32 = 101
	LinkCHDLC      uint32 = 104
	Link80211      uint32 = 105
	LinkFrameRelay uint32 = 107
	LinkLoop       uint32 = 108
	LinkEnc        uint32 = 109
	LinkSLL        uint32 = 113
	LinkPFLog      uint32 = 117
	LinkPrism      uint32 = 119
	Link80211Radio uint32 = 127
	LinkAVS        uint32 = 163
	LinkPPI        uint32 = 192
	LinkPPPWithDir uint32 = 204
	LinkMPLS       uint32 = 219
	LinkIPv4       uint32 = 228
	LinkIPv6       uint32 = 229
	LinkNFLOG      uint32 = 239
	LinkIPoIB      uint32 = 242
	LinkPKTAP      uint32 = 258
	LinkSLL2       uint32 = 276
)

// link decodes the link-layer header and all above it.
func (d *Decoder) link(b []byte, p *Packet) {
	ok, known := d.linkOf(d.linkType, b, p)
	if !known {
		p.L3, p.Mark = b, MarkUnknownLink
		d.keyMAC(p, 0)
		return
	}
	if !ok {
		d.corruptLink(b, p)
	}
}

// linkOf decodes the header of a link type and all above it. It returns false for ok when nothing led to a key, and for
// known when the type is none that is decoded.
func (d *Decoder) linkOf(typ uint32, b []byte, p *Packet) (ok, known bool) {
	switch typ {
	case LinkEthernet:
		ok = d.ethernet(b, p, 0)
	case LinkRaw, LinkRawBSD, LinkRawOpenBSD, LinkIPv4, LinkIPv6:
		ok = d.rawIP(b, p, 0)
	case LinkNull, LinkLoop:
		ok = d.null(b, p)
	case LinkSLL:
		ok = d.sll(b, p)
	case LinkSLL2:
		ok = d.sll2(b, p)
	case LinkPPP, LinkPPPHDLC:
		if len(b) >= 4 && (b[0] == 0x0f || b[0] == 0x8f) { // the address of Cisco's framing, which PPP has no protocol for
			ok = d.chdlc(b, p)
		} else {
			ok = d.ppp(b, p, 0)
		}
	case LinkPPPWithDir:
		ok = len(b) > 1 && d.ppp(b[1:], p, 0)
	case LinkPPPEther:
		ok = d.pppoe(b, p, 0)
	case LinkCHDLC:
		ok = d.chdlc(b, p)
	case LinkFrameRelay:
		ok = d.frameRelay(b, p)
	case LinkMPLS:
		ok = d.mpls(b, p, 0)
	case LinkNFLOG:
		ok = d.nflog(b, p)
	case Link80211:
		ok = d.wifi(b, p)
	case Link80211Radio:
		ok = d.radiotap(b, p)
	case LinkPrism:
		ok = d.prism(b, p)
	case LinkAVS:
		ok = d.avs(b, p)
	case LinkPPI:
		ok = d.ppi(b, p)
	case LinkEnc: // address family, SPI, flags
		ok = len(b) >= 12 && d.family(hostOrder(b), b[12:], p)
	case LinkPFLog:
		ok = d.pflog(b, p)
	case LinkPKTAP:
		ok = d.pktap(b, p)
	case LinkIPoIB:
		ok = d.ipoib(b, p)
	case LinkJuniperMLPPP, LinkJuniperATM1, LinkJuniperATM2, LinkJuniperEther, LinkJuniperPPP, LinkJuniperFrames, LinkJuniperCHDLC:
		ok = d.juniper(typ, b, p)
	default:
		return false, false
	}
	return ok, true
}

// within decodes what a header that names a link type has behind it.
func (d *Decoder) within(typ uint32, b []byte, p *Packet) bool {
	if typ == LinkPPI || typ == LinkPKTAP {
		return false
	}
	ok, known := d.linkOf(typ, b, p)
	if !known {
		p.L3, p.Mark = b, MarkUnknownLink
		d.keyMAC(p, 0)
	}
	return ok || !known
}

// corruptLink keys a frame in which nothing led to a network layer that is sound.
func (d *Decoder) corruptLink(b []byte, p *Packet) {
	p.Mark = MarkCorruptEther
	if p.L3Type == etherIPv4 || p.L3Type == etherIPv6 {
		p.Mark = MarkCorruptIP
	}
	if p.L3 == nil {
		p.L3 = b
	}
	typ := p.EtherType
	if typ < etherMin && len(p.L3) > 0 { // a length: not the same in every frame of a flow
		typ = 0
	}
	d.keyMAC(p, typ)
}

// chdlc decodes Cisco's HDLC framing (RFC 1547 section 4.3.1): address, control, ethertype.
func (d *Decoder) chdlc(b []byte, p *Packet) bool {
	return len(b) >= 4 && d.network(be16(b[2:]), b[4:], p, 0)
}

// rawIP decodes an IP packet of the version that its first nibble names.
func (d *Decoder) rawIP(b []byte, p *Packet, depth int) bool {
	if len(b) == 0 {
		return false
	}
	switch b[0] >> 4 {
	case 4:
		return d.network(etherIPv4, b, p, depth)
	case 6:
		return d.network(etherIPv6, b, p, depth)
	}
	return false
}

// null decodes the BSD loopback header: an address family in the byte order of the capturing host
// (LinkNull) or the network's (LinkLoop).
func (d *Decoder) null(b []byte, p *Packet) bool {
	if len(b) < 4 {
		return false
	}
	return d.family(hostOrder(b), b[4:], p)
}

// hostOrder reads a small number in the byte order of the capturing host.
func hostOrder(b []byte) uint32 {
	n := binary.LittleEndian.Uint32(b)
	if n > 0xffff {
		n = be32(b)
	}
	return n
}

// family decodes what an address family names.
func (d *Decoder) family(af uint32, b []byte, p *Packet) bool {
	switch af {
	case 2: // AF_INET everywhere
		return d.network(etherIPv4, b, p, 0)
	case 10, 24, 28, 30: // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin
		return d.network(etherIPv6, b, p, 0)
	}
	p.L3Type, p.L3, p.Mark = uint16(af), b, MarkUnknownEther
	d.keyMAC(p, 0)
	return true
}

// pflog decodes the header of the log of the packet filter pf: its length, without the padding to 4 bytes, and an
// address family.
func (d *Decoder) pflog(b []byte, p *Packet) bool {
	const least = 48 // up to the number of the rule
	if len(b) < 2 || b[0] < least {
		return false
	}
	n := (int(b[0]) + 3) &^ 3
	return n <= len(b) && d.family(uint32(b[1]), b[n:], p)
}

// pktap decodes the header of Darwin's captures of several interfaces: length, kind of record, link type of what
// follows, little endian.
func (d *Decoder) pktap(b []byte, p *Packet) bool {
	if len(b) < 12 {
		return false
	}
	n := binary.LittleEndian.Uint32(b)
	if n < 12 || int64(n) > int64(len(b)) {
		return false
	}
	return d.within(binary.LittleEndian.Uint32(b[8:]), b[n:], p)
}

// sll decodes a Linux cooked header: it has the sender's address only.
func (d *Decoder) sll(b []byte, p *Packet) bool {
	if len(b) < 16 {
		return false
	}
	return d.cooked(be16(b), be16(b[2:]), be16(b[4:]), b[6:14], be16(b[14:]), b[16:], p)
}

// sll2 decodes a Linux cooked header of version 2.
func (d *Decoder) sll2(b []byte, p *Packet) bool {
	if len(b) < 20 {
		return false
	}
	return d.cooked(uint16(b[10]), be16(b[8:]), uint16(b[11]), b[12:20], be16(b), b[20:], p)
}

// cooked decodes what follows a Linux cooked header of the packet type, ARPHRD_ type, address and
// protocol given.
func (d *Decoder) cooked(pktType, arphrd, addrLen uint16, addr []byte, proto uint16, b []byte, p *Packet) bool {
	const arphrdFrameRelay, arphrdGRE, arphrdRadiotap = 770, 778, 803
	if addrLen == 6 && arphrd != arphrdGRE {
		p.SrcMAC = [6]byte(addr)
		p.HasMAC = p.SrcMAC != [6]byte{}
	}
	switch arphrd {
	case arphrdFrameRelay:
		return d.frameRelay(b, p)
	case arphrdRadiotap:
		return d.radiotap(b, p)
	}
	const pktBroadcast, pktMulticast = 1, 2
	if pktType == pktBroadcast || pktType == pktMulticast {
		p.DstMAC = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	switch proto {
	case 1: // 802.3 without LLC: Novell's
		p.L3Type, p.L3, p.Mark = 0xff, b, MarkUnknownEther
		d.keyMAC(p, 0xff)
		return true
	case 4: // LLC
		return d.llcHeader(b, p, 0)
	}
	if p.EtherType == 0 {
		p.EtherType = proto
	}
	return d.network(proto, b, p, 0)
}

// frameRelay decodes Q.922 frames: an NLPID (RFC 2427) or, Cisco's way, an ethertype.
func (d *Decoder) frameRelay(b []byte, p *Packet) bool {
	n := 0
	for { // the address is 2 to 4 bytes; bit 0 is set in the last
		if n >= len(b) || n >= 4 {
			return false
		}
		n++
		if b[n-1]&1 != 0 {
			break
		}
	}
	b = b[n:]
	if len(b) < 2 {
		return false
	}
	if b[0] != 0x03 { // not the control field of an unnumbered frame
		return d.network(be16(b), b[2:], p, 0)
	}
	b = b[1:]
	if b[0] == 0 { // padding
		b = b[1:]
	}
	return d.nlpid(b, p)
}

// nlpid decodes what begins with the identifier of a network layer protocol (RFC 2427 section 4).
func (d *Decoder) nlpid(b []byte, p *Packet) bool {
	if len(b) < 1 {
		return false
	}
	nlpid := b[0]
	switch nlpid {
	case 0xcc:
		return d.network(etherIPv4, b[1:], p, 0)
	case 0x8e:
		return d.network(etherIPv6, b[1:], p, 0)
	case 0xcf:
		return d.ppp(b[1:], p, 0)
	case 0x80: // SNAP: organization and protocol
		if len(b) < 6 {
			return false
		}
		oui, pid := uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3]), be16(b[4:])
		switch {
		case oui == 0:
			return d.network(pid, b[6:], p, 0)
		case oui == 0x0080c2 && (pid == 1 || pid == 7): // bridged Ethernet
			return d.ethernet(b[6:], p, 0)
		}
	}
	p.L3Type, p.L3, p.Mark = uint16(nlpid), b[1:], MarkUnknownEther
	d.keyMAC(p, 0)
	return true
}

// nflog decodes the records of Linux netfilter logs; one of them is the packet. Their numbers are in the
// byte order of the capturing host.
func (d *Decoder) nflog(b []byte, p *Packet) bool {
	const payload, family = 9, 0
	if len(b) < 8 {
		return false
	}
	u16 := binary.LittleEndian.Uint16
	fam, recs := b[family], b[4:]
	if u16(recs[2:])&0x7fff > 0xff { // types are small numbers
		u16 = be16
	}
	for len(recs) >= 4 {
		n, typ := int(u16(recs)), u16(recs[2:])&0x7fff
		if n < 4 {
			return false
		}
		if typ == payload {
			switch fam {
			case 2:
				return d.network(etherIPv4, cut(recs[4:], n-4), p, 0)
			case 10:
				return d.network(etherIPv6, cut(recs[4:], n-4), p, 0)
			}
			return d.rawIP(cut(recs[4:], n-4), p, 0)
		}
		n = (n + 3) &^ 3
		if n > len(recs) {
			return false
		}
		recs = recs[n:]
	}
	return false
}

// cut returns the first n bytes of b, or all when it has fewer.
func cut(b []byte, n int) []byte {
	if n < len(b) {
		return b[:n]
	}
	return b
}
