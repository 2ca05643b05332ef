package capture

import (
	"encoding/binary"
	"errors"
)

// Link types of what is inside tunnels.
const (
	linkRawIP = 101 // begins with an IPv4 or IPv6 header
	linkSLL   = 113 // Linux cooked: a header that names the protocol of what follows
)

// What is wrong with a datagram that holds no packet.
var (
	errShortTunnel   = errors.New("datagram is shorter than its headers say")
	errTunnelVersion = errors.New("unknown version of the tunnel's header")
	errTunnelFlags   = errors.New("VXLAN header without a valid network identifier")
	errTunnelControl = errors.New("control message of the tunnel, no packet")
	errTunnelPayload = errors.New("payload of the tunnel is of no ethertype")
)

const (
	etherHeadBytes = 14
	ipHeadBytes    = 20
)

// tunnelPacket is what a datagram of a tunnel holds.
type tunnelPacket struct {
	vni      uint32 // 24 bits
	linkType uint32
	protocol uint16 // of the frame when linkType is linkSLL: the frame is without that header yet
	frame    []byte
}

// sllBytes is the length of a Linux cooked header (LINKTYPE_LINUX_SLL).
const sllBytes = 16

// cook puts the frame behind a Linux cooked header, in buf, which it returns grown.
func (p *tunnelPacket) cook(buf []byte) []byte {
	const arphrdNone = 0xfffe // no link-layer address
	head := [sllBytes]byte{2: arphrdNone >> 8, 3: arphrdNone & 0xff}
	binary.BigEndian.PutUint16(head[14:], p.protocol)
	buf = append(append(buf[:0], head[:]...), p.frame...)
	p.frame = buf
	return buf
}

// decodeVXLAN finds the frame in the payload of a datagram. It does not copy, and
// ignores the reserved bits as RFC 7348, section 5, wants it.
func decodeVXLAN(b []byte) (tunnelPacket, error) {
	const headBytes, validVNI = 8, 0x08
	if len(b) < headBytes+etherHeadBytes {
		return tunnelPacket{}, errShortTunnel
	}
	if b[0]&validVNI == 0 {
		return tunnelPacket{}, errTunnelFlags
	}
	return tunnelPacket{vni: binary.BigEndian.Uint32(b[4:]) >> 8, linkType: linkEthernet, frame: b[headBytes:]}, nil
}

// decodeGENEVE finds the packet in the payload of a datagram: RFC 8926, section
// 3.4. Options are passed over, critical ones as well: they say how the packet is
// to be forwarded, and nothing is forwarded here.
func decodeGENEVE(b []byte) (tunnelPacket, error) {
	const (
		headBytes                  = 8
		control                    = 0x80
		etherBridged, ipv4, ipv6   = 0x6558, 0x0800, 0x86dd
		leastEtherType             = 0x0600 // less is a length
		versionShift, optionsWords = 6, 0x3f
	)
	if len(b) < headBytes {
		return tunnelPacket{}, errShortTunnel
	}
	if b[0]>>versionShift != 0 {
		return tunnelPacket{}, errTunnelVersion
	}
	n := headBytes + 4*int(b[0]&optionsWords)
	if len(b) < n {
		return tunnelPacket{}, errShortTunnel
	}
	if b[1]&control != 0 {
		return tunnelPacket{}, errTunnelControl
	}
	p := tunnelPacket{vni: binary.BigEndian.Uint32(b[4:]) >> 8, linkType: linkRawIP, frame: b[n:]}
	least := ipHeadBytes
	switch protocol := binary.BigEndian.Uint16(b[2:]); {
	case protocol == etherBridged:
		p.linkType, least = linkEthernet, etherHeadBytes
	case protocol == ipv4, protocol == ipv6:
	case protocol >= leastEtherType: // MPLS, ARP, NSH, …
		p.linkType, p.protocol, least = linkSLL, protocol, 1
	default:
		return tunnelPacket{}, errTunnelPayload
	}
	if len(p.frame) < least {
		return tunnelPacket{}, errShortTunnel
	}
	return p, nil
}
