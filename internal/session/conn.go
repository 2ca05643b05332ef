package session

import (
	"wirelake/internal/dissect"
	"wirelake/internal/packet"
	"wirelake/internal/spi"
)

// conn is what dissecting a session takes: the dissectors' session with its
// document. Conns are pooled.
type conn struct {
	s   dissect.Session
	doc *spi.Document
}

// side is the sink of one direction's stream.
type side struct {
	b   *Builder
	f   *flow
	dir dissect.Dir
}

func (d *side) deliver(b []byte) {
	d.f.notePayload(d.dir, b)
	d.b.connOf(d.f).s.Stream(d.dir, b)
}

func (d *side) gap(missing int) {
	if c := d.f.conn; c != nil {
		c.s.Gap(d.dir, missing)
	}
}

func (d *side) wanted() bool { return d.f.conn == nil || d.f.conn.s.Wants(d.dir) }

// now tells the dissectors the time of the current packet.
func (f *flow) now(nanos int64) {
	if f.conn != nil {
		f.conn.s.Now = nanos
	}
}

// connOf returns the flow's conn, made when it has none yet.
func (b *Builder) connOf(f *flow) *conn {
	if f.conn != nil {
		return f.conn
	}
	c := b.newConn()
	c.s.Begin(b.set, dissect.Limits{Buffer: int(b.cfg.BufferBytes)}, c.doc)
	s := &c.s
	src, dst := f.key.Src(f.client), f.key.Dst(f.client)
	s.Src, s.SrcPort = src.Addr(), src.Port()
	s.Dst, s.DstPort = dst.Addr(), dst.Port()
	s.First, s.Now = f.first, f.last
	s.Reference, s.Expected, s.Keys = b.cfg.Reference, &b.expected, b.cfg.Keys
	if b.waiting.Max > 0 {
		s.Early = &b.waiting
	}
	switch {
	case f.key.IsIP():
		s.IPProtocol = f.proto
		switch f.kind {
		case kindTCP:
			s.Transport = dissect.TCP
		case kindUDP:
			s.Transport = dissect.UDP
		case kindSCTP:
			s.Transport = dissect.SCTP
		default:
			s.Transport = dissect.IP
		}
	default:
		s.Transport = dissect.Ethernet
		s.SrcPort, s.DstPort = 0, 0
	}
	f.conn = c
	return c
}

func (b *Builder) newConn() *conn {
	if n := len(b.freeConns); n > 0 {
		c := b.freeConns[n-1]
		b.freeConns = b.freeConns[:n-1]
		return c
	}
	doc := b.set.Registry().NewDocument()
	doc.SetLimit(int(b.cfg.DocumentBytes))
	doc.EndAtZero(b.cfg.Reference)
	return &conn{doc: doc}
}

func (b *Builder) releaseConn(c *conn) {
	c.doc.Reset()
	if len(b.freeConns) < maxFree {
		b.freeConns = append(b.freeConns, c)
	}
}

// datagram gives the payload of a packet that is not TCP to the dissectors.
func (b *Builder) datagram(f *flow, p *packet.Packet, dir dissect.Dir) {
	f.seg.payload[dir] += uint64(b.payloadLen(p))
	if !b.dissected(p.Mark) {
		return
	}
	c := b.connOf(f)
	f.now(p.TimeNanos)
	switch c.s.Transport {
	case dissect.UDP:
		f.notePayload(dir, p.Payload)
		c.s.Datagram(dir, 0, p.Payload)
	case dissect.SCTP:
		b.sctpPacket(f, c, p, dir)
	case dissect.IP:
		c.s.Datagram(dir, uint32(f.proto), p.L4)
	case dissect.Ethernet:
		c.s.Datagram(dir, uint32(p.L3Type), p.L3)
	}
}

// dissected reports whether packets of the mark are given to the dissectors. The reference leaves protocols that the
// decoder does not know at that; many have a name, and some are read.
func (b *Builder) dissected(mark packet.Mark) bool {
	switch mark {
	case packet.MarkNone:
		return true
	case packet.MarkUnknownEther, packet.MarkUnknownIP:
		return !b.cfg.Reference
	}
	return false
}
