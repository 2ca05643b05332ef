package session

import (
	"wirelake/internal/dissect"
	"wirelake/internal/packet"
)

// Limits of the lists that a flow keeps in place: how many different values
// honest flows show. More are dropped.
const (
	maxMACs = 16
	maxTTLs = 8
	maxVNs  = 8

	maxComments = 64
)

type mac [6]byte

// flow is the state of one open session. Flows are pooled; everything about
// dissection is in conn, which a flow has only once there was something to dissect.
type flow struct {
	key    packet.Key
	client packet.Dir // direction in the key of packets from the source
	kind   kind
	proto  uint8

	prev, next *flow // list of the flows of its kind
	list       kind  // whose list it is in

	first, last int64 // times of the session's first and latest packet, ns; the latest is the highest
	newest      int64 // time of the packet that came last
	firstSeq    uint32
	firstPos    Position
	segStart    int64 // time of the segment's first packet
	segments    int   // saved so far
	suppress    int   // segments up to this number were emitted before a restart
	total       uint32
	closedAt    int64 // when the session ended by RST or FINs, 0: it has not

	seg segment

	// What lasts for the whole session.
	ethertype uint16
	macs      [2]set[mac]
	outerMACs [2]set[mac]
	outerIPs  set[packet.Outer] // as in the packets, of both directions
	q, ad     set[uint16]       // VLAN ids of 802.1Q and of 802.1ad tags
	vnis      set[uint32]
	tunnels   packet.Tunnels
	mark      packet.Mark
	dhcp      bool     // the reference's session of a DHCP exchange, see joinExchange
	icmp      [2]uint8 // type and code of the first packet, for the community id
	payload8  [2][8]byte
	payload8n [2]uint8

	tcp       tcpState
	streams   [2]stream
	sides     [2]side
	conn      *conn
	fragments *packet.Defragmenter
	sctp      *[2]sctpStream
	counted   int64 // memory counted in the Builder's sum
}

// segment is what is counted anew for each document.
type segment struct {
	packets  [2]uint32
	bytes    [2]uint64
	cut      uint64    // bytes on the wire that were not captured, or not kept
	payload  [2]uint64 // except TCP, whose streams count
	ttl      [2]set[uint8]
	dscp     [2]uint64 // bit set of DSCP values
	flags    flagCounts
	ranges   []Range
	tcpNoted bool // SYN or SYN-ACK seen in this segment
	comments set[string]
}

// kind is the class of a flow that decides how it ends.
type kind uint8

const (
	kindOther kind = iota
	kindTCP
	kindUDP
	kindSCTP
	kindICMP
	kindESP
	kindEnded // a list only: TCP sessions that ended and wait for stragglers
	kinds
)

func kindOf(p *packet.Packet) kind {
	if p.Mark != packet.MarkNone || !p.Key.IsIP() {
		return kindOther
	}
	switch p.Key.Proto {
	case packet.ProtoTCP:
		return kindTCP
	case packet.ProtoUDP:
		return kindUDP
	case packet.ProtoSCTP:
		return kindSCTP
	case packet.ProtoICMP, packet.ProtoICMPv6:
		return kindICMP
	case packet.ProtoESP, packet.ProtoAH:
		return kindESP
	}
	return kindOther
}

// dir returns the packet's direction relative to the session.
func (f *flow) dir(p *packet.Packet) dissect.Dir { return dissect.Dir(p.Dir ^ f.client) }

// set is a small list of different values, in the order they came.
type set[T comparable] []T

func (s *set[T]) add(v T, limit int) {
	for i := range *s {
		if (*s)[i] == v {
			return
		}
	}
	if len(*s) < limit {
		*s = append(*s, v)
	}
}

// reset empties f and keeps the memory of its lists.
func (f *flow) reset() {
	*f = flow{
		macs:      [2]set[mac]{f.macs[0][:0], f.macs[1][:0]},
		outerMACs: [2]set[mac]{f.outerMACs[0][:0], f.outerMACs[1][:0]},
		outerIPs:  f.outerIPs[:0],
		q:         f.q[:0], ad: f.ad[:0], vnis: f.vnis[:0],
		seg: segment{
			ttl:    [2]set[uint8]{f.seg.ttl[0][:0], f.seg.ttl[1][:0]},
			ranges: f.seg.ranges[:0],
		},
	}
}

// resetSegment begins a new segment.
func (f *flow) resetSegment() {
	f.seg = segment{
		ttl:    [2]set[uint8]{f.seg.ttl[0][:0], f.seg.ttl[1][:0]},
		ranges: f.seg.ranges[:0],
	}
}

// count adds a packet to what is counted and listed. Of tunnels in tunnels, the reference lists the innermost, and addresses of
// links only of Ethernet's captures; it counts the bytes that were captured.
func (f *flow) count(p *packet.Packet, dir dissect.Dir, pos Position, reference bool) {
	s := &f.seg
	s.packets[dir]++
	if reference {
		s.bytes[dir] += uint64(min(p.WireLen, p.CapLen))
	} else {
		s.bytes[dir] += uint64(p.WireLen)
	}
	if p.WireLen > p.CapLen {
		s.cut += uint64(p.WireLen - p.CapLen)
	}
	s.ranges = addPosition(s.ranges, pos)
	if p.Comment != "" {
		s.comments.add(p.Comment, maxComments)
	}
	f.total++
	if p.HasMAC && (!reference || p.LinkType == packet.LinkEthernet) {
		f.macs[dir].add(p.SrcMAC, maxMACs)
		f.macs[dir.Other()].add(p.DstMAC, maxMACs)
	}
	if p.Key.IsIP() {
		s.ttl[dir].add(p.TTL, maxTTLs)
		s.dscp[dir] |= 1 << p.DSCP()
	}
	for _, v := range p.VLANs() {
		if v.AD {
			f.ad.add(v.ID, maxVNs)
		} else {
			f.q.add(v.ID, maxVNs)
		}
	}
	if p.Tunnels == 0 {
		return
	}
	f.tunnels |= p.Tunnels
	for _, v := range p.VNIs() {
		f.vnis.add(v, maxVNs)
	}
	outer := p.OuterIPs()
	if reference && len(outer) > 1 {
		outer = outer[len(outer)-1:]
	}
	for _, o := range outer {
		f.outerIPs.add(o, maxVNs)
	}
	outer = p.OuterMACs()
	if reference && len(outer) > 1 {
		outer = outer[len(outer)-1:]
	}
	for _, o := range outer {
		f.outerMACs[dir].add(mac(o.Src[:6]), maxVNs)
		f.outerMACs[dir.Other()].add(mac(o.Dst[:6]), maxVNs)
	}
}

// notePayload keeps the first bytes that a side sent; of UDP, of its first datagram.
func (f *flow) notePayload(dir dissect.Dir, b []byte) {
	if n := f.payload8n[dir]; n == 0 || n < 8 && f.kind != kindUDP {
		f.payload8n[dir] += uint8(copy(f.payload8[dir][n:], b))
	}
}

// memory returns about how many bytes f holds.
func (f *flow) memory() int64 {
	n := int64(flowBytes + 24*len(f.seg.ranges) + f.streams[0].held + f.streams[1].held)
	if f.fragments != nil {
		n += fragmentBytes
	}
	if f.sctp != nil {
		n += int64(f.sctp[0].held + f.sctp[1].held + sctpChunkBytes*(2+len(f.sctp[0].queue)+len(f.sctp[1].queue)))
	}
	for _, c := range f.seg.comments {
		n += int64(len(c))
	}
	if c := f.conn; c != nil {
		n += int64(connBytes + c.s.Doc.Size() + c.s.Buffered())
	}
	return n
}

const (
	flowBytes      = 1024     // a flow with its small lists and its place in the table
	connBytes      = 1536     // a conn with an empty document
	fragmentBytes  = 64 << 10 // a Defragmenter: a datagram or two of the eight it may hold
	sctpChunkBytes = 48       // a chunk that waits
)
