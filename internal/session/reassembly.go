package session

import (
	"bytes"
	"slices"
)

// Limits of putting one direction of TCP in order.
const (
	// maxQueued is the most segments kept out of order: more are a gap that will not fill.
	maxQueued = 1024
	// ackedWait is how many packets of the flow a hole is waited for after the
	// other side acknowledged it: the capture has lost it, unless packets were
	// captured out of order.
	ackedWait = 16
	// maxWindow bounds how far ahead of the expected byte a segment may lie (RFC
	// 7323: windows are below 1 GiB); what is farther is not of this stream.
	maxWindow = 1 << 30
)

// sink takes a direction's bytes in order.
type sink interface {
	deliver(b []byte)
	gap(missing int)
	// wanted reports whether deliver has a use for the bytes; when not, they need not be kept.
	wanted() bool
}

// queued is a segment that came before the bytes in front of it.
type queued struct {
	seq    uint32
	n      uint32 // bytes of sequence space
	counts uint32 // how many of them count as payload, from the first on
	have   uint32 // how many of them were captured, likewise
	data   []byte // the captured bytes; nil when nobody wanted them: the extent is kept to count bytes once
}

// stream puts one direction of a TCP session in order. Of bytes that come twice
// the first win, as in the reference; what was handed on cannot be taken back.
type stream struct {
	begun   bool
	next    uint32 // sequence number of the next byte to deliver
	queue   []queued
	held    int    // bytes in queue
	acked   bool   // the other side acknowledged bytes behind the hole
	ackedAt uint32 // the flow's packet count then

	bytes    uint64 // payload that packets had, each byte once
	disorder bool   // a segment came after one that follows it
	conflict bool   // a byte came twice with different values
}

// begin sets the sequence number of the first byte, once.
func (st *stream) begin(seq uint32) {
	if !st.begun {
		st.begun, st.next = true, seq
	}
}

// restart forgets what was queued and expects seq next: the sender chose a new
// initial sequence number.
func (st *stream) restart(seq uint32) {
	st.release()
	st.begun, st.next = true, seq
}

func (st *stream) release() {
	clear(st.queue)
	st.queue, st.held, st.acked = st.queue[:0], 0, false
}

// segment takes the payload of one packet: n bytes, of which data was captured, the
// others not (snaplen), and counts are counted.
func (st *stream) segment(seq uint32, data []byte, n, counts uint32, to sink, limit int) {
	st.begin(seq)
	ahead := int32(seq - st.next)
	if ahead > maxWindow || ahead < -maxWindow || n > maxWindow {
		return
	}
	if ahead > 0 {
		st.enqueue(seq, n, counts, data, to.wanted())
		if st.held > limit || len(st.queue) > maxQueued {
			st.skip(to)
		}
		return
	}
	if len(st.queue) > 0 && int32(seq+n-st.next) > 0 {
		st.disorder = true
	}
	st.take(queued{seq: seq, n: n, counts: counts, have: uint32(len(data)), data: data}, to)
	st.drain(to)
}

// take delivers what of q is new. q begins at or before the next byte.
func (st *stream) take(q queued, to sink) {
	old := st.next - q.seq
	if int32(q.n-old) <= 0 {
		return // all of it came before: a retransmission or a keep-alive
	}
	st.next = q.seq + q.n
	from := old
	if old < q.counts {
		st.bytes += uint64(q.counts - old)
	}
	if old < q.have {
		if q.data != nil {
			to.deliver(q.data[old:])
			from = q.have
		}
	}
	if from < q.n {
		to.gap(int(q.n - from))
	}
}

// drain delivers what has become in order.
func (st *stream) drain(to sink) {
	i := 0
	for ; i < len(st.queue) && int32(st.queue[i].seq-st.next) <= 0; i++ {
		st.held -= len(st.queue[i].data)
		st.take(st.queue[i], to)
	}
	if i > 0 {
		st.queue = slices.Delete(st.queue, 0, i)
	}
	if len(st.queue) == 0 {
		st.acked = false
	}
}

// enqueue keeps a segment that is ahead. Where it overlaps what is queued, the
// queued bytes stay.
func (st *stream) enqueue(seq, n, counts uint32, data []byte, wanted bool) {
	off := seq - st.next // all queued segments lie ahead of next, so offsets from it order them
	at, _ := slices.BinarySearchFunc(st.queue, off, func(q queued, off uint32) int {
		if q.seq-st.next <= off {
			return -1
		}
		return 1
	})
	if at > 0 {
		prev := &st.queue[at-1]
		if end := prev.seq - st.next + prev.n; end > off {
			over := min(end-off, n)
			st.compare(prev, seq, data)
			seq, off, n = seq+over, off+over, n-over
			counts -= min(over, counts)
			data = data[min(int(over), len(data)):]
		}
	}
	for n > 0 {
		part, rest := n, uint32(0)
		var next *queued
		if at < len(st.queue) {
			next = &st.queue[at]
			if start := next.seq - st.next; start < off+n {
				part = start - off
				rest = n - part
			}
		}
		if part > 0 {
			if at < len(st.queue) {
				st.disorder = true
			}
			keep := data[:min(int(part), len(data))]
			q := queued{seq: seq, n: part, counts: min(part, counts), have: uint32(len(keep))}
			if wanted {
				q.data = append(make([]byte, 0, len(keep)), keep...)
				st.held += len(keep)
			}
			st.queue = slices.Insert(st.queue, at, q)
			at++
		}
		if rest == 0 {
			return
		}
		next = &st.queue[at]
		counts -= min(part, counts)
		data = data[min(int(part), len(data)):]
		st.compare(next, next.seq, data)
		over := min(next.n, rest)
		seq, off, n = next.seq+over, next.seq-st.next+over, rest-over
		counts -= min(over, counts)
		data = data[min(int(over), len(data)):]
		at++
	}
}

// compare notes whether data, which begins at seq within q, differs from q's bytes.
func (st *stream) compare(q *queued, seq uint32, data []byte) {
	at := seq - q.seq
	if at >= uint32(len(q.data)) {
		return
	}
	have := q.data[at:]
	n := min(len(have), len(data))
	if !bytes.Equal(have[:n], data[:n]) {
		st.conflict = true
	}
}

// skip gives up the hole in front of the queue.
func (st *stream) skip(to sink) {
	if len(st.queue) == 0 {
		return
	}
	missing := int(st.queue[0].seq - st.next)
	st.next = st.queue[0].seq
	st.acked = false
	to.gap(missing)
	st.drain(to)
}

// onAck is told of the other direction's acknowledgements. A hole that was
// acknowledged is given up when it has not filled soon after.
func (st *stream) onAck(ack, packets uint32, to sink) {
	if len(st.queue) == 0 {
		return
	}
	if !st.acked {
		if ahead := int32(ack - st.next); ahead > 0 && ahead <= maxWindow {
			st.acked, st.ackedAt = true, packets
		}
		return
	}
	if packets-st.ackedAt >= ackedWait {
		st.skip(to)
	}
}

// flush delivers everything queued, gaps marked: no more packets come.
func (st *stream) flush(to sink) {
	for len(st.queue) > 0 {
		st.skip(to)
	}
	st.queue = nil
}
