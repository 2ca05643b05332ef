package packet

import "net/netip"

// TCP flag bits as Packet.Flags holds them: byte 13 of the header, and AE (RFC 9768) as bit 8.
const (
	FlagFIN uint16 = 1 << iota
	FlagSYN
	FlagRST
	FlagPSH
	FlagACK
	FlagURG
	FlagECE
	FlagCWR
	FlagAE
)

// Tunnels is the set of encapsulations that were peeled off a packet.
type Tunnels uint32

// The encapsulations.
const (
	TunnelMPLS Tunnels = 1 << iota
	TunnelPPPoE
	TunnelPPP
	TunnelGRE
	TunnelERSPAN
	TunnelVXLAN
	TunnelVXLANGPE
	TunnelGENEVE
	TunnelGTP
	TunnelIPIP  // IPv4 in IPv4 or IPv6 (protocol 4)
	Tunnel6in4  // IPv6 in IPv4 or IPv6 (protocol 41)
	TunnelNSH   // RFC 8300
	TunnelCisco // Cisco metadata (0x8909) or FabricPath (0x8903)
	TunnelTeredo
	TunnelEtherIP // RFC 3378
	TunnelL2TP    // of version 2 or 3
	TunnelPIM     // a Register message (RFC 7761)
	TunnelSRv6    // a packet or frame behind a segment routing header (RFC 8986), or a frame without one
	TunnelLISP    // RFC 9300
	TunnelGUE     // draft-ietf-intarea-gue
)

// Has reports whether all of t2 are in t.
func (t Tunnels) Has(t2 Tunnels) bool { return t&t2 == t2 }

// Mark says why a packet's key is not a full 5-tuple. Its text is the protocol name that the session of
// such packets bears.
type Mark uint8

// The marks.
const (
	MarkNone         Mark = iota
	MarkUnknownEther      // ethertype (or LLC SAP) that is not decoded further; keyed on MACs and ethertype
	MarkCorruptEther      // link-layer header, tag stack or 802.3 frame cut or inconsistent
	MarkUnknownIP         // IP protocol that has no decoder; keyed on addresses and protocol
	MarkCorruptIP         // IP or layer-4 header cut or inconsistent
	MarkUnknownLink       // link type that is not decoded; keyed on the link type
)

// String returns the protocol name of the mark; "" for MarkNone.
func (m Mark) String() string {
	switch m {
	case MarkUnknownEther:
		return "unknown-ether"
	case MarkCorruptEther:
		return "corrupt-ether"
	case MarkUnknownIP:
		return "unknown-ip"
	case MarkCorruptIP:
		return "corrupt-ip"
	case MarkUnknownLink:
		return "unknown-link"
	}
	return ""
}

// Limits of what a Packet records of its encapsulation. Deeper headers are peeled but not recorded: no
// network stacks more, and a hostile packet must not make the struct larger.
const (
	MaxVLANs  = 4
	MaxVNIs   = 4
	MaxOuter  = 4
	MaxLabels = 4
)

// VLAN is one VLAN tag.
type VLAN struct {
	ID  uint16 // 12 bits
	PCP uint8  // priority, 3 bits
	AD  bool   // the tag was an 802.1ad service tag (0x88a8, 0x9100, 0x9200), not 802.1Q
}

// Outer holds the addresses of one peeled tunnel header.
type Outer struct {
	Src, Dst [16]byte
	Kind     Kind // KindIPv4, KindIPv6 or KindMAC
}

// SrcIP returns the source address of an IP header.
func (o *Outer) SrcIP() netip.Addr { return o.ip(&o.Src) }

// DstIP returns the destination address of an IP header.
func (o *Outer) DstIP() netip.Addr { return o.ip(&o.Dst) }

func (o *Outer) ip(b *[16]byte) netip.Addr {
	k := Key{Kind: o.Kind}
	return k.addr(b)
}

// Packet is a decoded frame. A Decoder fills it; callers reuse one for many frames. Its slices point
// into the frame and are valid as long as the frame is.
//
// Lengths are in bytes. All fields describe the innermost headers, save those named outer.
type Packet struct {
	TimeNanos int64  // capture time, nanoseconds since 1970 UTC
	WireLen   uint32 // length on the wire
	CapLen    uint32 // length captured
	LinkType  uint32 // LINKTYPE_ number
	Comment   string // of somebody about the packet; whoever decodes sets it

	Key  Key
	Dir  Dir
	Mark Mark

	// Layer 2.
	EtherType uint16 // of the outermost Ethernet (or SLL) header after VLAN tags; below 0x600: the 802.3 length. 0: none
	L3Type    uint16 // ethertype of L3, the innermost network layer; LLC frames without SNAP: DSAP

	// Layer 3.
	TTL       uint8  // or hop limit
	TOS       uint8  // DSCP and ECN; or traffic class
	Proto     uint8  // IP protocol of L4, after extension headers
	IPID      uint32 // IPv4 identification; IPv6: that of the fragment header, else 0
	Fragment  bool   // this IP packet, or that of a tunnel around it, is a fragment
	MoreFrags bool   // of that packet: more follow
	FragOff   uint16 // of that packet: offset of its data in the datagram, bytes

	// Layer 4. Zero where the protocol has none, or in a later fragment.
	SrcPort, DstPort   uint16 // as in the packet; Key may know more of a later fragment
	Seq, Ack           uint32
	Flags              uint16 // FlagFIN and so on
	Window             uint16
	ICMPType, ICMPCode uint8

	// Truncated: the capture ends before the IP datagram does (snaplen). Missing says how many bytes of
	// it are not there.
	Truncated bool
	Missing   uint32

	// PayloadLen is how long Payload was on the wire, as the headers of layers 3 and 4 say: more than its
	// length when Truncated. It counts also where the layer 4 header is cut itself; of truncated fragments
	// it is, added up, what the whole datagram carries.
	PayloadLen uint32

	L3      []byte // from the innermost network header (IP, ARP, LLC) to the end of its datagram, Ethernet padding removed
	L4      []byte // after the IP header and its extension headers; nil without IP
	Payload []byte // data that layer 4 carries, see the decoder's payload rules; nil in later fragments and for other protocols

	// The outermost IP layer that is fragmented, for Defragmenter: its header on, and the header's length
	// up to the fragment data (with IPv6: to and including the fragment header).
	fragL3   []byte
	fragHead int
	fragLink int // bytes of the frame in front of it
	fragAt   peeled

	peeled

	vlans     [MaxVLANs]VLAN
	vnis      [MaxVNIs]uint32
	outerIPs  [MaxOuter]Outer
	outerMACs [MaxOuter]Outer
	labels    [MaxLabels]uint32
}

// peeled is what changes with each header that is peeled off.
type peeled struct {
	Tunnels        Tunnels // encapsulations peeled off
	HasMAC         bool    // SrcMAC and DstMAC are those of the innermost link-layer header
	SrcMAC, DstMAC [6]byte

	nVLAN, nVNI, nOuterIP, nOuterMAC, nLabel uint8
}

// DSCP returns the differentiated services code point (RFC 2474).
func (p *Packet) DSCP() uint8 { return p.TOS >> 2 }

// Src returns the source address and port by the flow key.
func (p *Packet) Src() netip.AddrPort { return p.Key.Src(p.Dir) }

// Dst returns the destination address and port by the flow key.
func (p *Packet) Dst() netip.AddrPort { return p.Key.Dst(p.Dir) }

// Join gives the packet the key of the flow that it was found to belong to, by who saw the whole stream: its
// own is less when it is a later fragment whose first one was not decoded before it. The direction is that of
// its addresses; a tunnel's fragment, whose addresses are not the flow's, counts as A to B.
func (p *Packet) Join(k Key) {
	if p.Key == k {
		return
	}
	src := p.Key.A
	if p.Dir == BtoA {
		src = p.Key.B
	}
	switch {
	case k.A == k.B:
	case src == k.B:
		p.Dir = BtoA
	default:
		p.Dir = AtoB
	}
	p.Key = k
}

// VLANs returns the VLAN tags, outermost first, of all Ethernet headers.
func (p *Packet) VLANs() []VLAN { return p.vlans[:p.nVLAN] }

// VNIs returns the VXLAN, GENEVE and ERSPAN network identifiers, outermost first.
func (p *Packet) VNIs() []uint32 { return p.vnis[:p.nVNI] }

// OuterIPs returns the addresses of the peeled IP headers, outermost first.
func (p *Packet) OuterIPs() []Outer { return p.outerIPs[:p.nOuterIP] }

// OuterMACs returns the addresses of the peeled Ethernet headers, outermost first.
func (p *Packet) OuterMACs() []Outer { return p.outerMACs[:p.nOuterMAC] }

// Labels returns the MPLS labels, outermost first.
func (p *Packet) Labels() []uint32 { return p.labels[:p.nLabel] }

// reset clears all that a decode may not set. The arrays are left: their counts say what is valid.
func (p *Packet) reset() {
	p.Key, p.Dir, p.Mark, p.peeled, p.EtherType = Key{}, AtoB, MarkNone, peeled{}, 0
	p.fragL3, p.Comment = nil, ""
	p.resetNetwork()
}

// resetNetwork clears what is told of layers 3 and 4.
func (p *Packet) resetNetwork() {
	p.L3Type, p.TTL, p.TOS, p.Proto, p.IPID, p.Fragment, p.MoreFrags, p.FragOff = 0, 0, 0, 0, 0, false, false, 0
	p.SrcPort, p.DstPort, p.Seq, p.Ack, p.Flags, p.Window, p.ICMPType, p.ICMPCode = 0, 0, 0, 0, 0, 0, 0, 0
	p.Truncated, p.Missing, p.PayloadLen, p.L3, p.L4, p.Payload = false, 0, 0, nil, nil, nil
}
