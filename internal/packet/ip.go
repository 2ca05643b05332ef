package packet

// maxExtBytes bounds the IPv6 extension headers of a packet. RFC 8504 lets nodes refuse far shorter
// chains and routers drop them; only crafted packets have more, and they are marked corrupt.
const maxExtBytes = 1024

// ipHeader is what the IPv4 and IPv6 headers have in common. It stays on the stack: a tunnel's header is
// needed again when what it carries turns out to be unsound.
type ipHeader struct {
	src, dst  [16]byte
	kind      Kind
	proto     uint8
	ttl, tos  uint8
	badExt    bool // extension headers are unsound; proto is where the chain broke
	segments  bool // one of them is a segment routing header
	offload   bool // the length field is 0: segmentation offload, lengths inside may be 0 as well
	moreFrags bool
	fragOff   uint16
	ident     uint32
	missing   uint32 // bytes of the datagram that are not in the capture
	l3, l4    []byte
}

// apply writes the header to p as its innermost one.
func (h *ipHeader) apply(p *Packet) {
	p.L3Type = etherIPv4
	if h.kind == KindIPv6 {
		p.L3Type = etherIPv6
	}
	p.TTL, p.TOS, p.Proto, p.IPID = h.ttl, h.tos, h.proto, h.ident
	p.Truncated, p.Missing = h.missing != 0, h.missing
	p.L3, p.L4, p.Payload, p.PayloadLen = h.l3, h.l4, nil, 0
}

// setKey keys the packet on the header's addresses.
func (h *ipHeader) setKey(p *Packet, sp, dp uint16) {
	p.SrcPort, p.DstPort = sp, dp
	p.Key, p.Dir = NewKey(h.kind, h.proto, h.src, h.dst, sp, dp)
}

// length returns how long the payload behind head bytes of the layer 4 header was on the wire.
func (h *ipHeader) length(head int) uint32 {
	return uint32(max(0, len(h.l4)+int(h.missing)-head))
}

// partial reports whether the end of the datagram is not in l4.
func (h *ipHeader) partial() bool { return h.missing != 0 || h.moreFrags }

// ipv4 decodes an IPv4 packet (RFC 791). It returns false when the header is unsound. Checksums are not
// looked at: with offload, sent packets are captured without.
func (d *Decoder) ipv4(b []byte, p *Packet, depth int) bool {
	if len(b) < 20 || b[0]>>4 != 4 {
		p.L3Type, p.L3 = etherIPv4, b
		return false
	}
	head, total := int(b[0]&15)*4, int(be16(b[2:]))
	h := ipHeader{kind: KindIPv4, proto: b[9], ttl: b[8], tos: b[1], ident: uint32(be16(b[4:]))}
	if total == 0 {
		total, h.offload = len(b)+p.cut(), true
	}
	if head < 20 || total < head || len(b) < head {
		p.L3Type, p.L3 = etherIPv4, b
		return false
	}
	if total > len(b) {
		h.missing = uint32(total - len(b))
	} else {
		b = b[:total]
	}
	*(*[4]byte)(h.src[:]) = [4]byte(b[12:])
	*(*[4]byte)(h.dst[:]) = [4]byte(b[16:])
	if f := be16(b[6:]); f&0x3fff != 0 {
		h.moreFrags, h.fragOff = f&0x2000 != 0, f<<3
	}
	h.l3, h.l4 = b, b[head:]
	return d.ip(&h, p, depth)
}

// ipv6 decodes an IPv6 packet with its extension headers (RFC 8200). It returns false when the fixed
// header is unsound.
func (d *Decoder) ipv6(b []byte, p *Packet, depth int) bool {
	if len(b) < 40 || b[0]>>4 != 6 {
		p.L3Type, p.L3 = etherIPv6, b
		return false
	}
	h := ipHeader{kind: KindIPv6, proto: b[6], ttl: b[7], tos: b[0]<<4 | b[1]>>4}
	total := 40 + int(be16(b[4:]))
	if all := len(b) + p.cut(); total == 40 && all > 40 && h.proto != 59 { // a jumbogram or offload
		total, h.offload = all, true
	}
	if total > len(b) {
		h.missing = uint32(total - len(b))
	} else {
		b = b[:total]
	}
	h.src, h.dst = [16]byte(b[8:]), [16]byte(b[24:])
	h.l3, h.l4 = b, b[40:]
	switch h.proto {
	case extHop, extRouting, extDest, extFragment:
		h.extensions()
	}
	return d.ip(&h, p, depth)
}

// IPv6 extension headers that lead to another header.
const (
	extHop      = 0
	extRouting  = 43
	extFragment = 44
	extDest     = 60
)

// routingSegments is the type of a routing header for segment routing (RFC 8754 section 2).
const routingSegments = 4

// extensions walks the extension headers at h.l4.
func (h *ipHeader) extensions() {
	start := len(h.l4)
	for {
		switch h.proto {
		case extHop, extRouting, extDest, extFragment:
		default:
			return
		}
		b := h.l4
		if len(b) < 8 {
			h.badExt = h.missing == 0
			return
		}
		n := 8
		if h.proto == extFragment {
			off := be16(b[2:])
			h.fragOff, h.moreFrags, h.ident = off&^7, off&1 != 0, be32(b[4:])
		} else {
			n = 8 + 8*int(b[1])
			h.segments = h.segments || h.proto == extRouting && b[2] == routingSegments
		}
		h.proto = b[0]
		if n > len(b) || start-len(b)+n > maxExtBytes {
			h.badExt = n <= len(b) || h.missing == 0
			if !h.badExt { // the snaplen cut it
				h.l4 = b[len(b):]
			}
			return
		}
		h.l4 = b[n:]
		if h.fragOff != 0 {
			return // the rest of a later fragment is data
		}
	}
}

// ip decodes what a sound IP header carries. It always gives a key, so it returns true.
func (d *Decoder) ip(h *ipHeader, p *Packet, depth int) bool {
	h.apply(p)
	if h.moreFrags || h.fragOff != 0 {
		id := fragID{src: h.src, dst: h.dst, ident: h.ident, kind: h.kind}
		if h.kind == KindIPv4 { // IPv6 identifies by addresses alone: later fragments do not name the protocol
			id.proto = h.proto
		}
		if p.fragL3 == nil {
			p.Fragment, p.MoreFrags, p.FragOff = true, h.moreFrags, h.fragOff
			p.fragL3, p.fragHead, p.fragAt = h.l3, len(h.l3)-len(h.l4), p.peeled
			p.fragLink = d.frameCap - cap(h.l3)
		}
		if h.fragOff != 0 {
			if h.missing != 0 && !headTellsLength(h.proto) {
				p.PayloadLen = h.length(0)
			}
			h.setKey(p, 0, 0)
			d.frags.find(&id, p)
			return true
		}
		if d.nPending < len(d.pending) {
			d.pending[d.nPending] = id
			d.nPending++
		}
	}
	ok := false
	switch h.proto {
	case ProtoTCP:
		ok = h.tcp(p)
	case ProtoUDP:
		if ok = h.udp(p); ok && d.udpTunnel(h, p, depth) {
			return true
		}
	case ProtoICMP, ProtoICMPv6:
		ok = h.icmp(p)
	case ProtoIPIP, ProtoIPv6, ProtoGRE, ProtoMPLS, ProtoEtherIP, ProtoEthernet:
		if d.reference && (h.proto == ProtoEtherIP || h.proto == ProtoEthernet) {
			ok = h.other(p)
		} else if !h.badExt {
			return d.ipTunnel(h, p, depth)
		}
	case ProtoPIM, ProtoL2TP:
		if !d.reference && d.dataOrControl(h, p, depth) {
			return true
		}
		ok = h.other(p)
	default:
		ok = h.other(p)
	}
	if !ok || h.badExt {
		p.Mark, p.Payload, p.PayloadLen = MarkCorruptIP, nil, 0
		h.setKey(p, 0, 0)
	}
	return true
}

// tcp decodes a TCP header (RFC 9293).
func (h *ipHeader) tcp(p *Packet) bool {
	b := h.l4
	if len(b) < 20 {
		return h.cutPorts(p)
	}
	head := int(b[12]>>4) * 4
	if head < 20 || head > len(b) && !h.partial() {
		return false
	}
	p.Seq, p.Ack = be32(b[4:]), be32(b[8:])
	p.Flags, p.Window = be16(b[12:])&0x1ff, be16(b[14:])
	p.Payload, p.PayloadLen = b[min(head, len(b)):], h.length(head)
	h.setKey(p, be16(b), be16(b[2:]))
	return true
}

// udp decodes a UDP header (RFC 768).
func (h *ipHeader) udp(p *Packet) bool {
	b := h.l4
	if len(b) < 8 {
		return h.cutPorts(p)
	}
	n := int(be16(b[4:]))
	if n < 8 {
		if !h.offload || n != 0 {
			return false
		}
		n = len(b) + int(h.missing)
	}
	p.Payload, p.PayloadLen = cut(b[8:], n-8), min(uint32(n-8), h.length(8))
	if h.missing != 0 && h.moreFrags {
		p.PayloadLen = uint32(n - 8) // of all fragments
	}
	h.setKey(p, be16(b), be16(b[2:]))
	return true
}

// icmp decodes the head of an ICMP message (RFC 792, RFC 4443). Its flows have no ports.
func (h *ipHeader) icmp(p *Packet) bool {
	if len(h.l4) < 4 {
		return h.cutPorts(p)
	}
	p.ICMPType, p.ICMPCode, p.Payload, p.PayloadLen = h.l4[0], h.l4[1], h.l4, h.length(0)
	h.setKey(p, 0, 0)
	return true
}

// other decodes the remaining IP protocols.
func (h *ipHeader) other(p *Packet) bool {
	b := h.l4
	switch h.proto {
	case ProtoSCTP: // RFC 9260
		if len(b) < 12 {
			return h.cutPorts(p)
		}
		p.Payload, p.PayloadLen = b[12:], h.length(12)
		h.setKey(p, be16(b), be16(b[2:]))
		return true
	case ProtoESP: // RFC 4303
		if len(b) < 8 {
			return h.cutPorts(p)
		}
		p.Payload, p.PayloadLen = b[8:], h.length(8)
	case ProtoAH: // RFC 4302
		if len(b) < 12 {
			return h.cutPorts(p)
		}
		if b[0] == ProtoESP {
			p.Payload, p.PayloadLen = b[8:], h.length(8)
		} else {
			p.Mark = MarkUnknownIP
		}
	case ProtoIGMP, ProtoOSPF, ProtoPIM:
	default:
		p.Mark = MarkUnknownIP
	}
	h.setKey(p, 0, 0)
	return true
}

// cutPorts keys a packet whose layer-4 header is not whole: on the ports when they are there. It returns
// false when the datagram ends there, so that no snaplen or fragmentation explains it.
func (h *ipHeader) cutPorts(p *Packet) bool {
	if !h.partial() {
		return false
	}
	if h.missing != 0 {
		p.PayloadLen = h.length(h.headBytes())
	}
	if len(h.l4) < 4 || !hasPorts(h.proto) {
		h.setKey(p, 0, 0)
		return true
	}
	h.setKey(p, be16(h.l4), be16(h.l4[2:]))
	return true
}

// headBytes returns the length of the layer 4 header, of which the end is cut: the least one where it does not say.
func (h *ipHeader) headBytes() int {
	switch h.proto {
	case ProtoTCP:
		if len(h.l4) > 12 {
			return max(20, int(h.l4[12]>>4)*4)
		}
		return 20
	case ProtoSCTP:
		return 12
	case ProtoUDP, ProtoESP:
		return 8
	}
	return 0
}

// headTellsLength reports whether the first fragment of a datagram says how much all of them carry: UDP by its
// length, tunnels by what is inside.
func headTellsLength(proto uint8) bool {
	switch proto {
	case ProtoUDP, ProtoIPIP, ProtoIPv6, ProtoGRE, ProtoMPLS, ProtoEtherIP, ProtoEthernet, ProtoPIM, ProtoL2TP:
		return true
	}
	return false
}

// cut returns how many bytes of the frame's end were not captured.
func (p *Packet) cut() int { return max(0, int(p.WireLen)-int(p.CapLen)) }
