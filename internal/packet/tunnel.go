package packet

// UDP destination ports of tunnels.
const (
	portGTPU     = 2152
	portVXLAN    = 4789
	portVXLANGPE = 4790
	portGENEVE   = 6081
	portVXLANOld = 8472 // Linux before IANA assigned 4789
)

// pushOuter records a peeled IP header.
func (h *ipHeader) pushOuter(p *Packet) {
	if p.nOuterIP < MaxOuter {
		p.outerIPs[p.nOuterIP] = Outer{Src: h.src, Dst: h.dst, Kind: h.kind}
		p.nOuterIP++
	}
}

// ipTunnel peels IP in IP, GRE and MPLS in IP. When what is inside is unsound, the flow is the tunnel's.
func (d *Decoder) ipTunnel(h *ipHeader, p *Packet, depth int) bool {
	outers, pending := p.nOuterIP, d.nPending
	h.pushOuter(p)
	ok := false
	switch h.proto {
	case ProtoIPIP:
		p.Tunnels |= TunnelIPIP
		ok = d.network(etherIPv4, h.l4, p, depth)
	case ProtoIPv6:
		p.Tunnels |= Tunnel6in4
		ok = d.network(etherIPv6, h.l4, p, depth)
	case ProtoMPLS:
		ok = d.mpls(h.l4, p, depth)
	case ProtoGRE:
		p.Tunnels |= TunnelGRE
		ok = d.gre(h.l4, p, depth)
	}
	if ok {
		return true
	}
	mark := MarkCorruptIP
	if p.Mark == MarkUnknownIP || h.partial() { // sound, but nothing inside names a flow
		mark = MarkUnknownIP
	}
	p.nOuterIP, d.nPending = outers, pending
	h.apply(p)
	p.Mark = mark
	h.setKey(p, 0, 0)
	return true
}

// gre decodes a GRE header of version 0 (RFC 2784, RFC 2890, with RFC 1701's routing) or 1 (PPTP, RFC 2637).
func (d *Decoder) gre(b []byte, p *Packet, depth int) bool {
	const checksum, routing, key, seq, ack = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
	if len(b) < 4 {
		return false
	}
	fl, typ, n := be16(b), be16(b[2:]), 4
	version := fl & 7
	if version > 1 {
		return false
	}
	if fl&(checksum|routing) != 0 {
		n += 4
	}
	if fl&key != 0 {
		n += 4
	}
	if fl&seq != 0 {
		n += 4
	}
	if version == 1 && fl&ack != 0 {
		n += 4
	}
	if version == 0 && fl&routing != 0 { // source routes, until an empty one
		for {
			if len(b) < n+4 {
				return false
			}
			end := be16(b[n:]) == 0 && b[n+3] == 0
			n += 4 + int(b[n+3])
			if end {
				break
			}
		}
	}
	if len(b) < n {
		return false
	}
	b = b[n:]
	switch typ {
	case etherERSPAN2:
		if fl&seq == 0 { // type I: no ERSPAN header
			p.Tunnels |= TunnelERSPAN
			return d.greEther(b, p, depth)
		}
		return d.erspan(typ, b, p, depth)
	case etherTransEther:
		return d.greEther(b, p, depth)
	case etherWCCP: // IP, behind a redirect header of 4 bytes in version 2
		if len(b) > 4 && b[0]>>4 != 4 {
			b = b[4:]
		}
		return d.network(etherIPv4, b, p, depth)
	case etherIPv4, etherIPv6, etherMPLS, etherMPLSMulti, etherPPP, etherERSPAN3, etherVLAN, etherAD, etherNSH, etherCiscoMeta:
		if len(b) == 0 && typ == etherPPP { // PPTP acknowledges with empty packets
			p.Mark = MarkUnknownIP
			return false
		}
		return d.network(typ, b, p, depth)
	}
	p.Mark = MarkUnknownIP
	return false
}

// etherWCCP is GRE's type for redirected web traffic (Cisco WCCP).
const etherWCCP uint16 = 0x883e

func (d *Decoder) greEther(b []byte, p *Packet, depth int) bool {
	return depth < maxDepth && d.ethernet(b, p, depth+1)
}

// erspan decodes the ERSPAN headers II and III (draft-foschiano-erspan), behind GRE or an ethertype.
func (d *Decoder) erspan(typ uint16, b []byte, p *Packet, depth int) bool {
	n := 8
	if typ == etherERSPAN3 {
		n = 12
	}
	if len(b) < n || depth >= maxDepth {
		return false
	}
	if typ == etherERSPAN3 && b[11]&1 != 0 { // platform-specific subheader
		n += 8
		if len(b) < n {
			return false
		}
	}
	p.Tunnels |= TunnelERSPAN
	id, nVNI := uint32(be16(b[2:])&0x3ff), p.nVNI
	p.addVNI(id)
	if !d.ethernet(b[n:], p, depth+1) {
		p.nVNI = nVNI
		return false
	}
	return true
}

// nsh skips a network service header (RFC 8300).
func (d *Decoder) nsh(b []byte, p *Packet, depth int) bool {
	if len(b) < 8 || depth >= maxDepth {
		return false
	}
	n, next := int(be16(b)&0x3f)*4, b[3]
	if n < 8 || n > len(b) {
		return false
	}
	p.Tunnels |= TunnelNSH
	return d.nextProtocol(next, b[n:], p, depth)
}

// nextProtocol decodes what the next-protocol numbers that NSH and VXLAN-GPE share name.
func (d *Decoder) nextProtocol(next byte, b []byte, p *Packet, depth int) bool {
	switch next {
	case 1:
		return d.network(etherIPv4, b, p, depth)
	case 2:
		return d.network(etherIPv6, b, p, depth)
	case 3:
		return depth < maxDepth && d.ethernet(b, p, depth+1)
	case 4:
		return d.network(etherNSH, b, p, depth)
	case 5:
		return d.network(etherMPLS, b, p, depth)
	}
	return false
}

// udpTunnel peels a tunnel that the destination port suggests. A port proves nothing, so the result is
// taken only when headers and content are sound down to a flow key; else p is decoded as plain UDP.
func (d *Decoder) udpTunnel(h *ipHeader, p *Packet, depth int) bool {
	var peel func(*Decoder, []byte, *Packet, int) bool
	switch p.DstPort {
	case portVXLAN, portVXLANOld:
		peel = (*Decoder).vxlan
	case portVXLANGPE:
		peel = (*Decoder).vxlanGPE
	case portGENEVE:
		peel = (*Decoder).geneve
	case portGTPU:
		peel = (*Decoder).gtpu
	default:
		return false
	}
	a := d.begin(p)
	h.pushOuter(p)
	if peel(d, p.Payload, p, depth) && p.Mark == MarkNone {
		return true
	}
	d.undo(p, &a)
	h.apply(p)
	h.udp(p)
	return false
}

// vxlan decodes a VXLAN header (RFC 7348).
func (d *Decoder) vxlan(b []byte, p *Packet, depth int) bool {
	if len(b) < 8 || b[0]&0x08 == 0 || depth >= maxDepth {
		return false
	}
	p.Tunnels |= TunnelVXLAN
	p.addVNI(be32(b[4:]) >> 8)
	return d.ethernet(b[8:], p, depth+1)
}

// vxlanGPE decodes a VXLAN header with next protocol (draft-ietf-nvo3-vxlan-gpe). Some senders leave the
// flag that announces it clear.
func (d *Decoder) vxlanGPE(b []byte, p *Packet, depth int) bool {
	if len(b) < 8 || b[0]&0x08 == 0 || b[0]&0x30 != 0 {
		return false
	}
	next := b[3]
	if next == 0 {
		next = 3
	}
	p.Tunnels |= TunnelVXLANGPE
	p.addVNI(be32(b[4:]) >> 8)
	return d.nextProtocol(next, b[8:], p, depth)
}

// geneve decodes a GENEVE header (RFC 8926).
func (d *Decoder) geneve(b []byte, p *Packet, depth int) bool {
	if len(b) < 8 || b[0]>>6 != 0 {
		return false
	}
	n, typ := 8+4*int(b[0]&0x3f), be16(b[2:])
	if len(b) < n {
		return false
	}
	p.Tunnels |= TunnelGENEVE
	p.addVNI(be32(b[4:]) >> 8)
	return d.network(typ, b[n:], p, depth)
}

// gtpu decodes a GTP-U header with its extension headers (3GPP TS 29.281). Only G-PDUs carry a packet.
func (d *Decoder) gtpu(b []byte, p *Packet, depth int) bool {
	const versionPT, ext, optional, gpdu = 0x30, 0x04, 0x07, 255
	if len(b) < 8 || b[0]&0xf0 != versionPT || b[1] != gpdu {
		return false
	}
	fl, n := b[0], 8
	b = cut(b, 8+int(be16(b[2:])))
	if fl&optional != 0 {
		n = 12
		if len(b) < n {
			return false
		}
		next := b[11]
		for fl&ext != 0 && next != 0 {
			if len(b) < n+4 || b[n] == 0 {
				return false
			}
			size := 4 * int(b[n])
			if len(b) < n+size {
				return false
			}
			n += size
			next = b[n-1]
		}
	}
	p.Tunnels |= TunnelGTP
	return d.rawIP(b[n:], p, depth)
}

// attempt is what a packet was before something was peeled that may prove to be nothing of the kind.
type attempt struct {
	peeled             peeled
	etherType, fragOff uint16
	fragment, more     bool
	fragL3             []byte
	pending            int
}

func (d *Decoder) begin(p *Packet) attempt {
	return attempt{p.peeled, p.EtherType, p.FragOff, p.Fragment, p.MoreFrags, p.fragL3, d.nPending}
}

// undo makes p what it was, save what layers 3 and 4 were: the caller decodes those again.
func (d *Decoder) undo(p *Packet, a *attempt) {
	p.resetNetwork()
	p.peeled, p.EtherType, p.Mark = a.peeled, a.etherType, MarkNone
	p.Fragment, p.MoreFrags, p.FragOff, p.fragL3 = a.fragment, a.more, a.fragOff, a.fragL3
	d.nPending = a.pending
}
