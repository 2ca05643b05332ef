package packet

// Link types of captures that Juniper's routers make of themselves.
const (
	LinkJuniperMLPPP  uint32 = 130
	LinkJuniperATM2   uint32 = 135
	LinkJuniperATM1   uint32 = 137
	LinkJuniperEther  uint32 = 178
	LinkJuniperPPP    uint32 = 179
	LinkJuniperFrames uint32 = 180 // Frame Relay
	LinkJuniperCHDLC  uint32 = 181
)

// juniper decodes the header that Juniper's routers put in front of what they capture: a magic, flags and, as they say, extensions
// with their length in front. The flags also tell where there is no link layer: 4 bytes and IP follow.
func (d *Decoder) juniper(typ uint32, b []byte, p *Packet) bool {
	const extensions, noLink = 0x80, 0x02
	if len(b) < 4 || b[0] != 'M' || b[1] != 'G' || b[2] != 'C' {
		return false
	}
	fl, n := b[3], 4
	if fl&extensions != 0 {
		if len(b) < 6 {
			return false
		}
		n = 6 + int(be16(b[4:]))
	}
	if fl&noLink != 0 {
		n += 4
		return n < len(b) && d.rawIP(b[n:], p, 0)
	}
	if n >= len(b) {
		return false
	}
	b = b[n:]
	switch typ {
	case LinkJuniperEther:
		return d.ethernet(b, p, 0)
	case LinkJuniperPPP:
		return d.ppp(b, p, 0)
	case LinkJuniperMLPPP:
		const cookie = 0x54 // of link services: the bundle
		if b[0] == cookie {
			b = b[min(4, len(b)):]
		}
		return d.ppp(b, p, 0)
	case LinkJuniperFrames:
		return d.frameRelay(b, p)
	case LinkJuniperCHDLC:
		return d.chdlc(b, p)
	case LinkJuniperATM1:
		return len(b) > 4 && d.juniperATM(b[4:], p)
	case LinkJuniperATM2:
		return len(b) > 8 && d.juniperATM(b[8:], p)
	}
	return false
}

// juniperATM decodes what is behind the cookie of a frame of AAL5: LLC or IP as it is (RFC 2684), or the identifier of a protocol
// alone.
func (d *Decoder) juniperATM(b []byte, p *Packet) bool {
	const bridged = "\xaa\xaa\x03\x00\x80\xc2\x00"
	switch {
	case len(b) > 9 && string(b[:7]) == bridged && (b[7] == 1 || b[7] == 7): // Ethernet, behind padding (RFC 2684 section 5.2)
		return d.ethernet(b[10:], p, 0)
	case len(b) > 2 && b[0] == 0xfe && b[1] == 0xfe && b[2] == 0x03:
		return d.nlpid(b[3:], p)
	case len(b) > 2 && b[0] == 0xaa && b[1] == 0xaa:
		return d.llcHeader(b, p, 0)
	case len(b) > 0 && b[0] == 0x03:
		return d.nlpid(b[1:], p)
	}
	return d.rawIP(b, p, 0)
}

// ipoib decodes the header of IP over InfiniBand (RFC 4391 section 6) with the route in front.
func (d *Decoder) ipoib(b []byte, p *Packet) bool {
	const route = 40
	if len(b) < route+4 {
		return false
	}
	p.EtherType = be16(b[route:])
	return d.network(p.EtherType, b[route+4:], p, 0)
}
