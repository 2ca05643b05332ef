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

// exchangeID names a DHCP exchange: the transaction id and the client's hardware address (RFC 2131 section 2).
type exchangeID [4 + 6]byte

// exchange is where the messages of a DHCP exchange belong.
type exchange struct {
	key     packet.Key // of the exchange's first message
	request packet.Dir // direction in it of messages from the client
}

const maxExchanges = 4096 // remembered at once

// joinExchange makes one session of the messages of a DHCP exchange, as the reference does, whatever addresses they
// go between. Other packets are returned as they are.
func (b *Builder) joinExchange(p *packet.Packet) *packet.Packet {
	const bootRequest, xid, chaddr, cookie, options = 1, 4, 28, 236, 240
	if p.Key.Proto != packet.ProtoUDP || p.Fragment || p.Mark != packet.MarkNone || len(p.Payload) < options ||
		!bytes.Equal(p.Payload[cookie:options], []byte("\x63\x82\x53\x63")) ||
		p.Key.PortA != 67 && p.Key.PortA != 68 || p.Key.PortB != 67 && p.Key.PortB != 68 {
		return p
	}
	var id exchangeID
	copy(id[:4], p.Payload[xid:])
	copy(id[4:], p.Payload[chaddr:])
	fromClient := p.Payload[0] == bootRequest
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
		return p
	}
	b.joined = *p
	b.joined.Key, b.joined.Dir = e.key, e.request
	if !fromClient {
		b.joined.Dir = e.request.Reverse()
	}
	return &b.joined
}
