package packet

// UDP destination ports of tunnels.
const (
	portGTPU     = 2152
	portLISP     = 4341
	portGRE      = 4754
	portVXLAN    = 4789
	portVXLANGPE = 4790
	portGUE      = 6080
	portGENEVE   = 6081
	portMPLS     = 6635
	portVXLANOld = 8472 // Linux before IANA assigned 4789
)

// UDP ports of tunnels whose servers answer from them.
const (
	portL2TP   = 1701
	portTeredo = 3544
)

// pushOuter records a peeled IP header.
func (h *ipHeader) pushOuter(p *Packet) {
	if p.nOuterIP < MaxOuter {
		p.outerIPs[p.nOuterIP] = Outer{Src: h.src, Dst: h.dst, Kind: h.kind}
		p.nOuterIP++
	}
}

// ipTunnel peels IP in IP, GRE, MPLS and Ethernet in IP. When what is inside is unsound, the flow is the tunnel's.
func (d *Decoder) ipTunnel(h *ipHeader, p *Packet, depth int) bool {
	outers, pending := p.nOuterIP, d.nPending
	h.pushOuter(p)
	if h.segments && !d.reference {
		p.Tunnels |= TunnelSRv6
	}
	if d.inIP(h.proto, h.l4, p, depth) {
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

// inIP decodes what the protocol number of a tunnel names.
func (d *Decoder) inIP(proto uint8, b []byte, p *Packet, depth int) bool {
	switch proto {
	case ProtoIPIP:
		p.Tunnels |= TunnelIPIP
		return d.network(etherIPv4, b, p, depth)
	case ProtoIPv6:
		p.Tunnels |= Tunnel6in4
		return d.network(etherIPv6, b, p, depth)
	case ProtoMPLS:
		return d.mpls(b, p, depth)
	case ProtoGRE:
		p.Tunnels |= TunnelGRE
		return d.gre(b, p, depth)
	case ProtoEtherIP:
		if len(b) < 2 || be16(b) != 0x3000 { // version 3 (RFC 3378)
			p.Mark = MarkUnknownIP
			return false
		}
		p.Tunnels |= TunnelEtherIP
		return d.greEther(b[2:], p, depth)
	case ProtoEthernet: // RFC 8986 section 4.9
		p.Tunnels |= TunnelSRv6
		return d.greEther(b, p, depth)
	}
	return false
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
	var peel peeler
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
		if !d.reference {
			peel = otherPeeler(p.SrcPort, p.DstPort)
		}
		if peel == nil {
			return false
		}
	}
	if d.attempt(peel, h, p.Payload, p, depth) {
		return true
	}
	h.udp(p)
	return false
}

// otherPeeler returns what peels the tunnels in UDP that the reference does not look into, nil for none.
func otherPeeler(src, dst uint16) peeler {
	switch dst {
	case portMPLS: // RFC 7510
		return (*Decoder).mpls
	case portGRE: // RFC 8086
		return (*Decoder).greUDP
	case portGUE:
		return (*Decoder).gue
	case portLISP:
		return (*Decoder).lisp
	}
	switch {
	case dst == portTeredo || src == portTeredo:
		return (*Decoder).teredo
	case dst == portL2TP || src == portL2TP:
		return (*Decoder).l2tp
	}
	return nil
}

// dataOrControl peels what may carry a packet and may be a message of the tunnel itself, which then is the flow.
func (d *Decoder) dataOrControl(h *ipHeader, p *Packet, depth int) bool {
	if h.proto == ProtoPIM {
		return d.attempt((*Decoder).pimRegister, h, h.l4, p, depth)
	}
	return d.attempt((*Decoder).l2tpIP, h, h.l4, p, depth)
}

// peeler decodes the header of a tunnel and what is inside.
type peeler func(d *Decoder, b []byte, p *Packet, depth int) bool

// attempt peels a tunnel and takes the result only when it is sound down to a flow key without mark; else p is what h says.
func (d *Decoder) attempt(peel peeler, h *ipHeader, b []byte, p *Packet, depth int) bool {
	a, ok := d.begin(p)
	if !ok {
		return false
	}
	h.pushOuter(p)
	if peel(d, b, p, depth) && p.Mark == MarkNone {
		return true
	}
	d.undo(p, &a)
	h.apply(p)
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

// teredo skips the authentication and origin indication of a server (RFC 4380 section 5.1.1). One of the ends of what is inside
// has an address of Teredo, or asks for one.
func (d *Decoder) teredo(b []byte, p *Packet, depth int) bool {
	const authentication, origin = 1, 0
	if len(b) >= 4 && be16(b) == authentication {
		n := 4 + int(b[2]) + int(b[3]) + 9 // client identifier, authentication value, nonce and confirmation
		if n > len(b) {
			return false
		}
		b = b[n:]
	}
	if len(b) >= 8 && be16(b) == origin { // port and address
		b = b[8:]
	}
	if len(b) < 40 || b[0]>>4 != 6 || !teredoAddress(b[8:]) && !teredoAddress(b[24:]) {
		return false
	}
	p.Tunnels |= TunnelTeredo
	return d.network(etherIPv6, b, p, depth)
}

// teredoAddress reports whether an IPv6 address is of Teredo's prefix, or that of its experiments, or of the link.
func teredoAddress(b []byte) bool {
	prefix := be32(b)
	return prefix == 0x20010000 || prefix == 0x3ffe831f || prefix>>22 == 0xfe80>>6
}

// greUDP decodes GRE behind UDP. Of PPTP there is nothing in UDP.
func (d *Decoder) greUDP(b []byte, p *Packet, depth int) bool {
	p.Tunnels |= TunnelGRE
	return len(b) > 1 && b[1]&7 == 0 && d.gre(b, p, depth)
}

// gue decodes a header of generic UDP encapsulation (draft-ietf-intarea-gue): version 0, or IP itself, whose first
// bits are version 1.
func (d *Decoder) gue(b []byte, p *Packet, depth int) bool {
	const version, control, words = 0xc0, 0x20, 0x1f
	if len(b) < 4 {
		return false
	}
	p.Tunnels |= TunnelGUE
	if b[0]&version == 0x40 {
		return d.rawIP(b, p, depth)
	}
	n := 4 + 4*int(b[0]&words)
	return b[0]&(version|control) == 0 && n <= len(b) && d.inIP(b[1], b[n:], p, depth)
}

// lisp decodes the header of LISP's data packets (RFC 9300 section 5.1).
func (d *Decoder) lisp(b []byte, p *Packet, depth int) bool {
	const nonce, version = 0x80, 0x10
	if len(b) < 8 || b[0]&(nonce|version) == nonce|version { // exclusive
		return false
	}
	p.Tunnels |= TunnelLISP
	return d.rawIP(b[8:], p, depth)
}

// pimRegister decodes a Register message of PIM (RFC 7761 section 4.9.3). A null register has no packet.
func (d *Decoder) pimRegister(b []byte, p *Packet, depth int) bool {
	const register, null = 0x21, 0x40
	if len(b) < 8 || b[0] != register || b[4]&null != 0 {
		return false
	}
	p.Tunnels |= TunnelPIM
	return d.rawIP(b[8:], p, depth)
}

// before is what a packet was before something was peeled that may prove to be nothing of the kind.
type before struct {
	peeled             peeled
	etherType, fragOff uint16
	fragment, more     bool
	fragL3             []byte
	pending            int
}

// begin begins a try. It returns false, and nothing is tried, when the frame had enough of them.
func (d *Decoder) begin(p *Packet) (before, bool) {
	if d.tries == 0 {
		return before{}, false
	}
	d.tries--
	return before{p.peeled, p.EtherType, p.FragOff, p.Fragment, p.MoreFrags, p.fragL3, d.nPending}, true
}

// undo makes p what it was, save what layers 3 and 4 were: the caller decodes those again.
func (d *Decoder) undo(p *Packet, a *before) {
	p.resetNetwork()
	p.peeled, p.EtherType, p.Mark = a.peeled, a.etherType, MarkNone
	p.Fragment, p.MoreFrags, p.FragOff, p.fragL3 = a.fragment, a.more, a.fragOff, a.fragL3
	d.nPending = a.pending
}
