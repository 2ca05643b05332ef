package packet

// l2tp decodes the data messages of L2TP over UDP: of version 2 (RFC 2661 section 3.1), which carry PPP, and of
// version 3 (RFC 3931 section 4.1.2).
func (d *Decoder) l2tp(b []byte, p *Packet, depth int) bool {
	const control, hasLength, hasSequence, hasOffset, reserved, version = 0x8000, 0x4000, 0x0800, 0x0200, 0x34f0, 0x000f
	if len(b) < 8 {
		return false
	}
	fl, n := be16(b), 6
	if fl&(control|reserved) != 0 {
		return false
	}
	switch fl & version {
	case 2:
	case 3:
		return d.l2tpIP(b[4:], p, depth)
	default:
		return false
	}
	if fl&hasLength != 0 {
		b, n = cut(b, int(be16(b[2:]))), n+2
	}
	if fl&hasSequence != 0 {
		n += 4
	}
	if fl&hasOffset != 0 {
		if len(b) < n+2 {
			return false
		}
		n += 2 + int(be16(b[n:]))
	}
	if len(b) < n {
		return false
	}
	p.Tunnels |= TunnelL2TP | TunnelPPP
	return d.ppp(b[n:], p, depth)
}

// l2tpIP decodes what L2TP of version 3 puts behind the header of IP (RFC 3931 section 4.1.1): a session, not 0 as in control
// messages, a cookie of 0, 4 or 8 bytes and perhaps the sublayer of 4. Only the control connection says how many and of which
// kind the pseudowire is, so that each place is tried for an Ethernet or a PPP frame with a packet of IP or ARP.
func (d *Decoder) l2tpIP(b []byte, p *Packet, depth int) bool {
	const session, most = 4, 12
	if len(b) < session || be32(b) == 0 {
		return false
	}
	for n := session; n <= session+most && n < len(b); n += 4 {
		if d.pseudowire(b[n:], p, depth) {
			p.Tunnels |= TunnelL2TP
			return true
		}
	}
	return false
}

func (d *Decoder) pseudowire(b []byte, p *Packet, depth int) bool {
	a, ok := d.begin(p)
	if !ok {
		return false
	}
	if len(b) > 2 && b[0] == 0xff && b[1] == 0x03 {
		ok = d.ppp(b, p, depth)
	} else {
		ok = depth < maxDepth && d.ethernet(b, p, depth+1)
	}
	if ok && p.Mark == MarkNone && (p.Key.Kind == KindIPv4 || p.Key.Kind == KindIPv6 || p.Key.Kind == KindARP) {
		return true
	}
	d.undo(p, &a)
	return false
}
