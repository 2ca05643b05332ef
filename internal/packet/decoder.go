package packet

import "encoding/binary"

// maxDepth bounds how many headers below the link layer are peeled: twice what the deepest stack in
// practice has (QinQ, MPLS, GRE, PPP, GTP), so that a crafted frame cannot make the decoder recurse.
const maxDepth = 24

// maxTries bounds how often in a frame something is peeled to see whether it is what it may be: where each of a few places may
// be it, and each of the tunnels inside again, a crafted frame would make the tries grow with the power of its depth.
const maxTries = 64

// Decoder decodes the frames of one stream of packets. It holds the fragment table of that stream, so
// packets must come in capture order; it is not safe for concurrent use.
type Decoder struct {
	linkType  uint32
	reference bool
	frags     fragTable
	pending   [4]fragID // first fragments met in the frame under decode, outermost first
	nPending  int
	tries     int // left for the frame under decode
	frameCap  int // of the frame under decode: tells where in it a slice begins
}

// Options are the rare settings of a Decoder; the zero value is right for most.
type Options struct {
	// FragmentLimit is how many datagrams whose fragments are on their way are remembered (default 4096).
	FragmentLimit int
	// Reference leaves tunnels alone that Arkime 6.7.1 does not look into: to it their packets are sessions of the tunnel.
	Reference bool
}

// NewDecoder returns a decoder for frames of the given link type (LINKTYPE_ number, as in pcap files).
// A link type that is not known is no error: its packets get a key of KindUnknown.
func NewDecoder(linkType uint32, o Options) *Decoder {
	d := &Decoder{linkType: linkType, reference: o.Reference}
	d.frags.limit = o.FragmentLimit
	return d
}

// Decode decodes the frame data, captured at timeNanos and wireLen bytes long on the wire, into p.
//
// It always yields a key: whatever is wrong with the frame is told by p.Mark and p.Truncated. The
// slices of p point into data. It never panics, and allocates nothing but, at the first fragment of the
// stream, the fragment table.
//
// Payload rules: TCP, UDP and SCTP give what follows the header, ICMP the whole message, ESP what
// follows SPI and sequence number, AH that carries ESP what follows its first 8 bytes.
func (d *Decoder) Decode(data []byte, timeNanos int64, wireLen int, p *Packet) {
	p.reset()
	p.TimeNanos, p.WireLen, p.CapLen, p.LinkType = timeNanos, uint32(wireLen), uint32(len(data)), d.linkType
	d.nPending, d.tries, d.frameCap = 0, maxTries, cap(data)
	d.link(data, p)
	if d.nPending > 0 {
		d.rememberFragments(p)
	}
}

// keyMAC keys the packet on its link-layer addresses and a type: an ethertype, a SNAP protocol or a DSAP.
// Without addresses the link type is the key.
func (d *Decoder) keyMAC(p *Packet, typ uint16) {
	p.forgetIP()
	switch {
	case !p.HasMAC:
		t := uint16(d.linkType)
		p.Key, p.Dir = Key{PortA: t, PortB: t}, AtoB
	case p.DstMAC[0]&1 != 0:
		k := Key{PortA: typ, PortB: typ, Kind: KindGroup}
		copy(k.A[:], p.DstMAC[:])
		k.B = k.A
		p.Key, p.Dir = k, AtoB
	default:
		var s, t [16]byte
		copy(s[:], p.SrcMAC[:])
		copy(t[:], p.DstMAC[:])
		p.Key, p.Dir = NewKey(KindMAC, 0, s, t, typ, typ)
	}
}

// forgetIP clears what IP and UDP headers of a tunnel left, when what it carries is not IP.
func (p *Packet) forgetIP() {
	p.TTL, p.TOS, p.Proto, p.IPID, p.SrcPort, p.DstPort = 0, 0, 0, 0, 0, 0
	p.L4, p.Payload, p.PayloadLen = nil, nil, 0
}

// setMACs takes the addresses of an Ethernet header (destination first); those of the header around it
// become outer addresses.
func (p *Packet) setMACs(b []byte) {
	if p.HasMAC && p.nOuterMAC < MaxOuter {
		o := &p.outerMACs[p.nOuterMAC]
		*o = Outer{Kind: KindMAC}
		copy(o.Src[:], p.SrcMAC[:])
		copy(o.Dst[:], p.DstMAC[:])
		p.nOuterMAC++
	}
	p.DstMAC, p.SrcMAC, p.HasMAC = [6]byte(b), [6]byte(b[6:]), true
}

func (p *Packet) addVNI(v uint32) {
	// 0 is what a tunnel without network identifiers sends.
	if v != 0 && p.nVNI < MaxVNIs {
		p.vnis[p.nVNI] = v
		p.nVNI++
	}
}

func (p *Packet) addVLAN(tci uint16, ad bool) {
	// 0 is a priority tag: the frame is in no VLAN.
	if tci&0xfff != 0 && p.nVLAN < MaxVLANs {
		p.vlans[p.nVLAN] = VLAN{ID: tci & 0xfff, PCP: uint8(tci >> 13), AD: ad}
		p.nVLAN++
	}
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
