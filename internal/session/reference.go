package session

import (
	"bytes"

	"wirelake/internal/packet"
)

// lookLimit is how many idle sessions of a kind the reference closes at one
// look: 10 for each of its two packet threads.
const lookLimit = 20

// look does what the reference does before each packet, with the time of the
// packet before: it closes sessions that have ended, then those idle for too long, the
// longest first and not all at once, then saves every TCP session that has been
// open for too long. So a session whose two times are due at once is
// closed, or saved and closed later without further packets. That a packet comes
// late closes nothing by itself.
func (b *Builder) look() {
	now := b.newest / 1e9
	if now == b.looked {
		return
	}
	b.looked = now
	ended := &b.lists[kindEnded]
	for f, next := ended.next, (*flow)(nil); f != ended; f = next {
		next = f.next
		if f.closedAt/1e9+int64(b.cfg.TCPCloseLag.Seconds()) < now {
			b.close(f)
		}
	}
	for k := range b.lists[:kindEnded] {
		list := &b.lists[k]
		for n := 0; list.next != list && list.next.newest/1e9+b.idle[k]/1e9 < now; n++ {
			if n == lookLimit {
				b.looked = 0 // go on at the next packet
				break
			}
			b.close(list.next)
		}
	}
	age := int64(b.cfg.SegmentAge.Seconds())
	if b.oldest+age >= now {
		return
	}
	b.oldest = now
	tcp := &b.lists[kindTCP]
	for f := tcp.next; f != tcp; f = f.next {
		if f.segStart/1e9+age < now {
			b.save(f, false)
			f.segStart = b.newest
		}
		b.oldest = min(b.oldest, f.segStart/1e9)
	}
}

// joinGroup makes one session of all IS-IS packets, and one of all LLDP's, as the reference does, whatever groups they go
// to. Other packets are returned as they are.
func (b *Builder) joinGroup(p *packet.Packet) *packet.Packet {
	const osi, isis, lldp = 0xfe, 0x83, 0x88cc // the discriminator of IS-IS is behind three bytes of LLC
	if p.Mark != packet.MarkNone || p.Key.Kind != packet.KindMAC && p.Key.Kind != packet.KindGroup ||
		p.L3Type != lldp && (p.L3Type != osi || len(p.L3) < 4 || p.L3[3] != isis) {
		return p
	}
	b.joined = *p
	b.joined.Key, b.joined.Dir = packet.Key{PortA: p.L3Type, PortB: p.L3Type, Kind: packet.KindGroup}, packet.AtoB
	return &b.joined
}

// exchangeID names a DHCP exchange: the transaction id, and of DHCPv4 the client's hardware address (RFC 2131
// section 2, RFC 8415 section 8).
type exchangeID [1 + 4 + 6]byte

// exchange is where the messages of a DHCP exchange belong.
type exchange struct {
	key     packet.Key // of the exchange's first message
	request packet.Dir // direction in it of messages from the client
}

const maxExchanges = 4096 // remembered at once

// joinExchange makes one session of the messages of a DHCP exchange, as the reference does, whatever addresses they
// go between. Other packets are returned as they are, and false.
func (b *Builder) joinExchange(p *packet.Packet) (*packet.Packet, bool) {
	if p.Key.Proto != packet.ProtoUDP || p.Fragment || p.Mark != packet.MarkNone {
		return p, false
	}
	var id exchangeID
	var fromClient bool
	switch {
	case dhcpPorts(&p.Key, 67, 68):
		const shortest, bootRequest, xid, chaddr, cookie, options = 256, 1, 4, 28, 236, 240
		if len(p.Payload) < shortest || !bytes.Equal(p.Payload[cookie:options], []byte("\x63\x82\x53\x63")) {
			return p, false
		}
		id[0] = 4
		copy(id[1:5], p.Payload[xid:])
		copy(id[5:], p.Payload[chaddr:])
		fromClient = p.Payload[0] == bootRequest
	case dhcpPorts(&p.Key, 546, 547):
		const head, relayForward, relayReply = 4, 12, 13
		if len(p.Payload) < head {
			return p, false
		}
		if typ := p.Payload[0]; typ == relayForward || typ == relayReply { // they have no transaction id
			return p, true
		}
		id[0] = 6
		copy(id[1:4], p.Payload[1:])
		fromClient = p.Key.Src(p.Dir).Port() == 546
	default:
		return p, false
	}
	e, ok := b.exchanges[id]
	if _, open := b.flows[e.key]; !ok || !open {
		e = exchange{key: p.Key, request: p.Dir}
		if !fromClient {
			e.request = p.Dir.Reverse()
		}
		if b.exchanges == nil || len(b.exchanges) >= maxExchanges {
			b.exchanges = make(map[exchangeID]exchange)
		}
		b.exchanges[id] = e
	}
	if e.key == p.Key {
		return p, true
	}
	b.joined = *p
	b.joined.Key, b.joined.Dir = e.key, e.request
	if !fromClient {
		b.joined.Dir = e.request.Reverse()
	}
	return &b.joined, true
}

// dhcpPorts reports whether both ends of a flow use one of the two ports.
func dhcpPorts(k *packet.Key, server, client uint16) bool {
	return (k.PortA == server || k.PortA == client) && (k.PortB == server || k.PortB == client)
}

// leaves2038 reports whether a TCP session that began before 2038 has a packet of after it, in 31 bits of seconds:
// the reference counts the packet, saves what it has, and reads the packet for the next document. One capture shows it; that
// the limit is that of 31 bits is what its name says.
func (f *flow) leaves2038(nanos int64) bool {
	const last = (1 << 31) * int64(1e9)
	return f.kind == kindTCP && nanos >= last && f.segStart < last
}
