package packet

// Ethertypes (IEEE 802 numbers) and their aliases in GRE.
const (
	etherMin        uint16 = 0x0600 // below: the length of an 802.3 frame
	etherIPv4       uint16 = 0x0800
	etherARP        uint16 = 0x0806
	etherTransEther uint16 = 0x6558 // transparent Ethernet bridging
	etherVLAN       uint16 = 0x8100
	etherIPv6       uint16 = 0x86dd
	etherPPP        uint16 = 0x880b
	etherMPLS       uint16 = 0x8847
	etherMPLSMulti  uint16 = 0x8848
	etherPPPoE      uint16 = 0x8864
	etherAD         uint16 = 0x88a8
	etherERSPAN2    uint16 = 0x88be
	etherERSPAN3    uint16 = 0x22eb
	etherLLDP       uint16 = 0x88cc
	etherFabricPath uint16 = 0x8903
	etherCiscoMeta  uint16 = 0x8909
	etherNSH        uint16 = 0x894f
	etherQinQ1      uint16 = 0x9100
	etherQinQ2      uint16 = 0x9200
	etherArista     uint16 = 0xd28b
)

// ethernet decodes an Ethernet frame. It returns false, with the addresses set when they are there, when
// the frame is inconsistent and has no key yet.
func (d *Decoder) ethernet(b []byte, p *Packet, depth int) bool {
	if len(b) < 14 {
		return false
	}
	p.setMACs(b)
	typ, b := be16(b[12:]), b[14:]
	for typ == etherVLAN || typ == etherAD || typ == etherQinQ1 || typ == etherQinQ2 {
		if len(b) < 4 {
			return false
		}
		p.addVLAN(be16(b), typ == etherAD)
		typ, b = be16(b[2:]), b[4:]
	}
	if p.EtherType == 0 {
		p.EtherType = typ
	}
	if typ < etherMin {
		return d.llc(int(typ), b, p, depth)
	}
	return d.network(typ, b, p, depth)
}

// network decodes what an ethertype names.
func (d *Decoder) network(typ uint16, b []byte, p *Packet, depth int) bool {
	if depth >= maxDepth {
		return false
	}
	switch typ {
	case etherIPv4:
		return d.ipv4(b, p, depth+1)
	case etherIPv6:
		return d.ipv6(b, p, depth+1)
	case etherARP:
		return d.arp(b, p)
	case etherMPLS, etherMPLSMulti:
		return d.mpls(b, p, depth+1)
	case etherPPPoE:
		return d.pppoe(b, p, depth+1)
	case etherPPP:
		p.Tunnels |= TunnelPPP
		return d.ppp(b, p, depth+1)
	case etherTransEther:
		return d.ethernet(b, p, depth+1)
	case etherERSPAN2, etherERSPAN3:
		return d.erspan(typ, b, p, depth+1)
	case etherNSH:
		return d.nsh(b, p, depth+1)
	case etherFabricPath:
		if len(b) < 2 {
			return false
		}
		p.Tunnels |= TunnelCisco
		return d.ethernet(b[2:], p, depth+1)
	case etherCiscoMeta:
		return d.ciscoMeta(b, p, depth+1)
	case etherArista:
		if n := aristaTimestamp(b); n > 0 {
			return d.network(be16(b[n:]), b[n+2:], p, depth+1)
		}
	case etherVLAN, etherAD, etherQinQ1, etherQinQ2: // a tag behind something that is no Ethernet header
		if len(b) < 4 {
			return false
		}
		p.addVLAN(be16(b), typ == etherAD)
		return d.network(be16(b[2:]), b[4:], p, depth+1)
	}
	p.L3Type, p.L3 = typ, b
	if typ != etherLLDP {
		p.Mark = MarkUnknownEther
	}
	d.keyMAC(p, typ)
	return true
}

// llc decodes an 802.2 LLC header behind an 802.3 length field; with SNAP it carries an ethertype.
func (d *Decoder) llc(length int, b []byte, p *Packet, depth int) bool {
	if length > len(b) {
		// A cut capture explains it; else it is no length at all.
		if p.CapLen >= p.WireLen {
			return false
		}
		p.Truncated = true
	} else {
		b = b[:length]
	}
	return d.llcHeader(b, p, depth)
}

func (d *Decoder) llcHeader(b []byte, p *Packet, depth int) bool {
	if len(b) < 3 {
		return false
	}
	if b[0] == 0xaa && b[1] == 0xaa && len(b) >= 8 { // SNAP (RFC 1042)
		oui, typ := uint32(b[3])<<16|uint32(b[4])<<8|uint32(b[5]), be16(b[6:])
		if oui == 0 || oui == 0x0000f8 {
			return d.network(typ, b[8:], p, depth+1)
		}
		p.L3Type, p.L3, p.Mark = typ, b, MarkUnknownEther
		d.keyMAC(p, typ)
		return true
	}
	p.L3Type, p.L3 = uint16(b[0]), b
	if !knownLLC(b) {
		p.Mark = MarkUnknownEther
	}
	d.keyMAC(p, p.L3Type)
	return true
}

// knownLLC reports whether an LLC header is of a protocol that has a name of its own: OSI (IS-IS), the
// spanning tree, or an XID or TEST command.
func knownLLC(b []byte) bool {
	u := b[2] &^ 0x10 // without the poll bit
	return b[0] == 0xfe || b[0] == 0x42 || u == 0xaf || u == 0xe3
}

// arp keys an ARP packet on the IPv4 address that is resolved (RFC 826): the target of a request, the
// sender of an answer. So a broadcast request and its unicast answer are one flow.
func (d *Decoder) arp(b []byte, p *Packet) bool {
	p.L3Type, p.L3 = etherARP, b
	if len(b) < 8 {
		return false
	}
	hlen, op := int(b[4]), be16(b[6:])
	if be16(b[2:]) != etherIPv4 || b[5] != 4 || len(b) < 8+2*hlen+8 {
		d.keyMAC(p, etherARP)
		return true
	}
	addr := b[8+hlen : 8+hlen+4] // sender
	if op&1 == 1 {               // request, also of reverse and inverse ARP
		addr = b[8+2*hlen+4:]
	}
	p.forgetIP()
	k := Key{PortA: etherARP, PortB: etherARP, Kind: KindARP}
	copy(k.A[:4], addr)
	k.B = k.A
	p.Key, p.Dir = k, AtoB
	return true
}

// mpls decodes a label stack (RFC 3032). What follows has no type field: the first nibble tells IP, and
// else it is a pseudowire with Ethernet, with or without control word (RFC 4448).
func (d *Decoder) mpls(b []byte, p *Packet, depth int) bool {
	p.Tunnels |= TunnelMPLS
	for {
		if len(b) < 4 {
			return false
		}
		e := be32(b)
		b = b[4:]
		if p.nLabel < MaxLabels {
			p.labels[p.nLabel] = e >> 12
			p.nLabel++
		}
		if e&0x100 != 0 {
			break
		}
	}
	if len(b) == 0 {
		return false
	}
	switch b[0] >> 4 {
	case 4:
		return d.network(etherIPv4, b, p, depth)
	case 6:
		return d.network(etherIPv6, b, p, depth)
	case 0:
		if len(b) > 4 && d.tryEthernet(b[4:], p, depth) {
			return true
		}
	}
	return d.tryEthernet(b, p, depth)
}

// tryEthernet decodes b as an Ethernet frame and takes the result only when it is sound down to the
// flow key; else nothing is told of layers 3 and 4.
func (d *Decoder) tryEthernet(b []byte, p *Packet, depth int) bool {
	a, ok := d.begin(p)
	if !ok {
		return false
	}
	if depth < maxDepth && d.ethernet(b, p, depth+1) && p.Mark == MarkNone {
		return true
	}
	d.undo(p, &a)
	return false
}

// pppoe decodes a PPPoE session header (RFC 2516).
func (d *Decoder) pppoe(b []byte, p *Packet, depth int) bool {
	if len(b) < 8 || b[0] != 0x11 {
		return false
	}
	p.Tunnels |= TunnelPPPoE
	n := int(be16(b[4:]))
	b = b[6:]
	if n >= 2 && n < len(b) {
		b = b[:n]
	}
	return d.ppp(b, p, depth)
}

// ppp decodes a PPP frame, with or without address and control field (RFC 1661, RFC 1662).
func (d *Decoder) ppp(b []byte, p *Packet, depth int) bool {
	if depth >= maxDepth {
		return false
	}
	if len(b) >= 2 && b[0] == 0xff && b[1] == 0x03 {
		b = b[2:]
	}
	if len(b) < 2 {
		return false
	}
	typ := uint16(b[0])
	if typ&1 != 0 { // protocol field compression
		b = b[1:]
	} else {
		typ, b = be16(b), b[2:]
	}
	switch typ {
	case 0x0021:
		return d.ipv4(b, p, depth+1)
	case 0x0057:
		return d.ipv6(b, p, depth+1)
	case 0x0281, 0x0283:
		return d.mpls(b, p, depth+1)
	}
	p.L3Type, p.L3, p.Mark = typ, b, MarkUnknownEther
	if p.EtherType != 0 {
		typ = p.EtherType
	}
	d.keyMAC(p, typ)
	return true
}

// aristaTimestamp returns how long the header is that Arista's switches put in front of the ethertype of what they
// mirror, to say when it was seen: subtype 1, scale, format in the upper half of a byte, and 64 bits of time or 48. It
// returns 0 for others.
func aristaTimestamp(b []byte) int {
	const head, long, short = 4, 1, 2
	if len(b) < head || be16(b) != 1 {
		return 0
	}
	n := 0
	switch b[3] >> 4 {
	case long:
		n = head + 8
	case short:
		n = head + 6
	}
	if len(b) < n+2 {
		return 0
	}
	return n
}

// ciscoMeta skips Cisco metadata (security group tags): version, length in 4-byte options, ethertype.
func (d *Decoder) ciscoMeta(b []byte, p *Packet, depth int) bool {
	if len(b) < 2 {
		return false
	}
	n := 2 + 4*max(1, int(b[1]))
	if len(b) < n+2 {
		return false
	}
	p.Tunnels |= TunnelCisco
	return d.network(be16(b[n:]), b[n+2:], p, depth)
}
