package session

import (
	"encoding/binary"
	"slices"

	"wirelake/internal/dissect"
	"wirelake/internal/packet"
)

// Limits of putting one direction of an SCTP association in order.
const (
	sctpMaxQueued = 256      // chunks that wait for those in front of them
	sctpMaxHeld   = 64 << 10 // and their bytes
)

// The chunks that matter here (RFC 9260 section 3.3, RFC 3758 section 3.2, RFC 8260 section 2). I-DATA lets messages be
// interleaved; WebRTC's stacks use it.
const (
	sctpData        = 0
	sctpInit        = 1
	sctpInitAck     = 2
	sctpIData       = 64
	sctpForwardTSN  = 192
	sctpIForwardTSN = 194

	sctpDataHeader  = 16
	sctpIDataHeader = 20
	sctpInitLen     = 20
)

// sctpChunk is a DATA chunk that waits (RFC 9260 section 3.3.1).
type sctpChunk struct {
	tsn   uint32
	key   uint32 // stream and sequence number in it, the same for all fragments of a message
	ppid  uint32
	flags byte
	taken bool // its message was delivered with an earlier chunk
	data  []byte
}

const sctpBegins, sctpEnds = 2, 1 // flags of a message's first and last fragment

// sctpStream puts the DATA chunks of one direction in order of their numbers, each once, and the fragments of a
// message together (section 6.9).
type sctpStream struct {
	begun bool
	next  uint32 // number of the chunk to deliver next
	queue []sctpChunk
	held  int
}

// add takes a chunk. It calls deliver with the messages that are complete; their bytes are valid during the call.
func (st *sctpStream) add(c sctpChunk, deliver func(ppid uint32, b []byte)) {
	if !st.begun {
		st.begun, st.next = true, c.tsn
	}
	if int32(c.tsn-st.next) < 0 {
		return // again
	}
	if len(st.queue) == 0 && c.tsn == st.next && c.flags&(sctpBegins|sctpEnds) == sctpBegins|sctpEnds {
		st.next++
		deliver(c.ppid, c.data)
		return
	}
	at, again := slices.BinarySearchFunc(st.queue, c.tsn-st.next, func(q sctpChunk, ahead uint32) int {
		return int(int64(q.tsn-st.next) - int64(ahead))
	})
	if again {
		return
	}
	c.data = slices.Clone(c.data)
	st.held += len(c.data)
	st.queue = slices.Insert(st.queue, at, c)
	st.drain(deliver)
	for len(st.queue) > sctpMaxQueued || st.held > sctpMaxHeld {
		st.skip(deliver)
	}
}

// drain delivers the messages at the front of the queue that are complete.
func (st *sctpStream) drain(deliver func(ppid uint32, b []byte)) {
	for len(st.queue) > 0 && st.queue[0].tsn == st.next {
		head := &st.queue[0]
		switch {
		case head.taken || head.flags&sctpBegins == 0: // delivered, or its beginning is lost
		case head.flags&sctpEnds != 0:
			deliver(head.ppid, head.data)
		case !st.join(deliver):
			return
		}
		st.pop()
	}
}

// pop drops the chunk at the front.
func (st *sctpStream) pop() {
	st.next = st.queue[0].tsn + 1
	st.held -= len(st.queue[0].data)
	st.queue = slices.Delete(st.queue, 0, 1)
}

// join delivers the message that begins at the front, if its end is there.
func (st *sctpStream) join(deliver func(ppid uint32, b []byte)) bool {
	last := slices.IndexFunc(st.queue, func(c sctpChunk) bool {
		return c.key == st.queue[0].key && c.flags&sctpEnds != 0 && !c.taken
	})
	if last < 0 || st.queue[last].tsn-st.next != uint32(last) { //nolint:gosec // at most sctpMaxQueued
		return false // what is missing may be of the message
	}
	var whole []byte
	for i := range st.queue[:last+1] {
		if c := &st.queue[i]; c.key == st.queue[0].key && !c.taken {
			whole = append(whole, c.data...)
			c.taken = true
		}
	}
	deliver(st.queue[0].ppid, whole)
	return true
}

// skip gives up what the front of the queue waits for: the chunks in front of it, or the rest of its message.
func (st *sctpStream) skip(deliver func(ppid uint32, b []byte)) {
	if st.queue[0].tsn == st.next {
		st.pop()
	} else {
		st.next = st.queue[0].tsn
	}
	st.drain(deliver)
}

// flush delivers what can be: no more chunks come.
func (st *sctpStream) flush(deliver func(ppid uint32, b []byte)) {
	for len(st.queue) > 0 {
		st.skip(deliver)
	}
}

// advance says that chunks up to the number are given up by the sender.
func (st *sctpStream) advance(tsn uint32, deliver func(ppid uint32, b []byte)) {
	for len(st.queue) > 0 && int32(tsn-st.queue[0].tsn) >= 0 {
		st.skip(deliver)
	}
	if st.begun && int32(tsn+1-st.next) > 0 {
		st.next = tsn + 1
		st.drain(deliver)
	}
}

// sctpPacket gives the messages in a packet to the dissectors, in the order they were sent.
func (b *Builder) sctpPacket(f *flow, c *conn, p *packet.Packet, dir dissect.Dir) {
	deliver := func(ppid uint32, data []byte) {
		f.notePayload(dir, data)
		c.s.Datagram(dir, ppid, data)
	}
	if f.sctp == nil {
		f.sctp = new([2]sctpStream)
	}
	st := &f.sctp[dir]
	for rest := p.Payload; len(rest) >= 4; {
		n := int(rest[2])<<8 | int(rest[3])
		if n < 4 || n > len(rest) {
			return
		}
		chunk := rest[:n]
		switch {
		case rest[0] == sctpData && n >= sctpDataHeader:
			st.add(sctpChunk{
				tsn: binary.BigEndian.Uint32(chunk[4:]), key: binary.BigEndian.Uint32(chunk[8:]), ppid: binary.BigEndian.Uint32(chunk[12:]),
				flags: chunk[1], data: chunk[sctpDataHeader:],
			}, deliver)
		case rest[0] == sctpIData && n >= sctpIDataHeader && !b.cfg.Reference: // which knows nothing of it
			st.add(iData(chunk), deliver)
		case (rest[0] == sctpInit || rest[0] == sctpInitAck) && n >= sctpInitLen:
			st.flush(deliver) // of an association before this one
			*st = sctpStream{begun: true, next: binary.BigEndian.Uint32(chunk[16:]), queue: st.queue[:0]}
		case (rest[0] == sctpForwardTSN || rest[0] == sctpIForwardTSN) && n >= 8:
			st.advance(binary.BigEndian.Uint32(chunk[4:]), deliver)
		}
		n = (n + 3) &^ 3 // chunks are padded to 4 bytes
		rest = rest[min(n, len(rest)):]
	}
}

// iData returns an I-DATA chunk (RFC 8260 section 2.1): a message has a number of its own in its stream, and the payload
// protocol id stands in the first fragment only, where the others have theirs.
func iData(chunk []byte) sctpChunk {
	u32 := binary.BigEndian.Uint32
	stream, message := u32(chunk[8:])&0xffff0000, u32(chunk[12:])
	return sctpChunk{tsn: u32(chunk[4:]), key: stream | message&0xffff, ppid: u32(chunk[16:]), flags: chunk[1], data: chunk[sctpIDataHeader:]}
}

// flushSCTP delivers what waits in both directions.
func (b *Builder) flushSCTP(f *flow) {
	for dir := range f.sctp {
		f.sctp[dir].flush(func(ppid uint32, data []byte) {
			f.notePayload(dissect.Dir(dir), data) //nolint:gosec // 0 or 1
			f.conn.s.Datagram(dissect.Dir(dir), ppid, data)
		})
	}
}
