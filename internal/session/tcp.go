package session

import (
	"wirelake/internal/dissect"
	"wirelake/internal/packet"
)

// tcpState is what the general fields say of a TCP session.
type tcpState struct {
	synSeq, synAckSeq uint32 // initial sequence numbers of source and destination
	synAckAck         uint32
	haveSyn           bool
	haveSynAck        bool
	synAckFirst       bool // the SYN-ACK came before the SYN
	synTime           int64
	ackTime           int64 // of the source's first ACK after its SYN
	isns              int   // different initial sequence numbers of the source
	synValid          bool
	synAckValid       bool
	noSynAck          bool
	ackedUnseen       [2]bool
	fin               [2]bool
	streamBase        [2]uint64 // bytes that the streams had delivered when the segment began
}

// flagCounts counts packets by TCP flags.
type flagCounts struct {
	syn, synAck, ack, psh, rst, fin, urg, ece, cwr, ae uint32
	zero                                               [2]uint32 // zero windows
}

func (c *flagCounts) add(flags uint16) {
	const core = packet.FlagFIN | packet.FlagSYN | packet.FlagRST | packet.FlagPSH | packet.FlagACK
	if flags&packet.FlagSYN != 0 {
		if flags&packet.FlagACK != 0 {
			c.synAck++
		} else {
			c.syn++
		}
	}
	if flags&core == packet.FlagACK {
		c.ack++
	}
	bit := func(f uint16) uint32 {
		if flags&f != 0 {
			return 1
		}
		return 0
	}
	c.fin += bit(packet.FlagFIN)
	c.rst += bit(packet.FlagRST)
	c.psh += bit(packet.FlagPSH)
	c.urg += bit(packet.FlagURG)
	c.ece += bit(packet.FlagECE)
	c.cwr += bit(packet.FlagCWR)
	c.ae += bit(packet.FlagAE)
}

// newConnection reports whether a SYN begins another session on the flow's
// 5-tuple: the one at hand has ended, and this is not its own SYN again.
func (f *flow) newConnection(p *packet.Packet) bool {
	if f.kind != kindTCP || f.closedAt == 0 || p.Flags&(packet.FlagSYN|packet.FlagACK|packet.FlagRST) != packet.FlagSYN {
		return false
	}
	t := &f.tcp
	switch {
	case t.haveSyn:
		return p.Seq != t.synSeq
	case t.haveSynAck:
		return p.Seq+1 != t.synAckAck
	}
	return true
}

// tcpHeader is the length of a TCP header without options.
const tcpHeader = 20

// tcpPacket updates the session's state by a packet and puts its payload in order.
func (b *Builder) tcpPacket(f *flow, p *packet.Packet, dir dissect.Dir) {
	t := &f.tcp
	if p.Truncated && len(p.L4) < tcpHeader {
		f.seg.payload[dir] += uint64(b.payloadLen(p)) // its place in the stream is not known
		return
	}
	flags := p.Flags
	f.seg.flags.add(flags)
	if p.Window == 0 && flags&packet.FlagRST == 0 {
		f.seg.flags.zero[dir]++
	}
	switch {
	case flags&packet.FlagSYN != 0 && flags&packet.FlagACK == 0:
		b.syn(f, p, dir)
	case flags&packet.FlagSYN != 0:
		b.synAck(f, p, dir)
	}
	if flags&packet.FlagACK != 0 && flags&packet.FlagSYN == 0 {
		b.ack(f, p, dir)
	}

	if n := p.PayloadLen; n > 0 && flags&packet.FlagRST == 0 { // the payload of a RST is a message of the stack (RFC 9293 section 3.5.3)
		seq := p.Seq
		if flags&packet.FlagSYN != 0 {
			seq++
		}
		f.now(p.TimeNanos)
		f.streams[dir].segment(seq, p.Payload, n, b.payloadLen(p), &f.sides[dir], int(b.cfg.ReassemblyBytes))
	}
	if flags&packet.FlagFIN != 0 {
		t.fin[dir] = true
	}
	// A RST that comes first ends nothing: it answers what was not captured.
	if f.closedAt == 0 && (flags&packet.FlagRST != 0 && f.total > 1 || t.fin[0] && t.fin[1]) {
		b.end(f, p.TimeNanos)
	}
}

func (b *Builder) syn(f *flow, p *packet.Packet, dir dissect.Dir) {
	t := &f.tcp
	if dir != dissect.Client {
		return // a simultaneous open; the source is who began
	}
	f.seg.tcpNoted = true
	switch {
	case !t.haveSyn:
		t.haveSyn, t.synSeq, t.isns, t.synTime = true, p.Seq, 1, p.TimeNanos
		t.synAckFirst = t.haveSynAck
		f.streams[dir].begin(p.Seq + 1)
	case p.Seq != t.synSeq:
		t.isns++
		t.synSeq = p.Seq
		f.streams[dir].flush(&f.sides[dir])
		f.streams[dir].restart(p.Seq + 1)
	}
	if t.haveSynAck && t.synAckAck == p.Seq+1 {
		t.synValid = true
	}
}

func (b *Builder) synAck(f *flow, p *packet.Packet, dir dissect.Dir) {
	t := &f.tcp
	if dir != dissect.Server {
		return
	}
	f.seg.tcpNoted = true
	switch {
	case !t.haveSynAck:
		f.streams[dir].begin(p.Seq + 1)
	case p.Seq != t.synAckSeq:
		f.streams[dir].flush(&f.sides[dir])
		f.streams[dir].restart(p.Seq + 1)
	}
	f.streams[dir.Other()].begin(p.Ack) // where the SYN was not captured
	t.haveSynAck, t.synAckSeq, t.synAckAck = true, p.Seq, p.Ack
	if t.haveSyn && p.Ack == t.synSeq+1 {
		t.synValid = true
	}
}

func (b *Builder) ack(f *flow, p *packet.Packet, dir dissect.Dir) {
	t := &f.tcp
	// The handshake ends with the client's ACK, which may carry data. The reference takes the first ACK without any,
	// of either side.
	const core = packet.FlagFIN | packet.FlagRST | packet.FlagPSH | packet.FlagACK
	ends := dir == dissect.Client
	if b.cfg.Reference {
		ends = p.Flags&core == packet.FlagACK
	}
	if ends && t.haveSyn && t.ackTime == 0 && !t.synAckFirst {
		t.ackTime = p.TimeNanos
	}
	if dir == dissect.Client {
		if t.haveSyn && !t.haveSynAck && !t.noSynAck {
			t.noSynAck = true
			b.connOf(f).s.AddTag("no-syn-ack")
		}
		if t.haveSynAck && p.Ack == t.synAckSeq+1 {
			t.synAckValid = true
		}
	}
	other := &f.streams[dir.Other()]
	if !other.begun {
		return
	}
	// One more than was seen is the other side's FIN or SYN.
	if ahead := int32(p.Ack - other.next); ahead > 1 && ahead <= maxWindow && !t.ackedUnseen[dir] {
		t.ackedUnseen[dir] = true
		b.connOf(f).s.AddTag([2]string{"acked-unseen-segment-src", "acked-unseen-segment-dst"}[dir])
	}
	if len(other.queue) > 0 && !b.cfg.Reference {
		f.now(p.TimeNanos)
		other.onAck(p.Ack, f.total, &f.sides[dir.Other()])
	}
}

// initRTT returns half the time of the handshake in ms, as the reference rounds
// it: seconds and the rest apart, each cut to whole ms.
func (t *tcpState) initRTT() (int64, bool) {
	if !t.haveSyn || t.ackTime == 0 || t.ackTime < t.synTime {
		return 0, false
	}
	sec := t.ackTime/1e9 - t.synTime/1e9
	us := t.ackTime%1e9/1e3 - t.synTime%1e9/1e3
	return (sec*1000 + us/1000) / 2, true
}
