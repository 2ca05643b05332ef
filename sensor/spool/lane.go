package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"wirelake/sensor/capture"
)

// Lane is the log of one lane. As a [capture.Sink] it belongs to the goroutine that
// captures; its other methods are safe for concurrent use.
type Lane struct {
	spool *Spool
	name  string
	dir   string
	log   *slog.Logger
	nonce uint32
	table *crc32.Table

	// The capturing goroutine's.
	open    bool
	buf     *buffer // being filled; nil before the first packet, and while none is free
	limit   int     // bytes that buf may have after the next packet; 0 while a mark must come first
	iface   *capture.Interface
	buffers int    // made so far
	packets uint64 // counted here, published by Flush
	bytes   uint64
	place   place

	lastNanos int64

	current atomic.Pointer[buffer] // buf, for the writer
	free    chan *buffer
	full    chan *buffer
	hurry   chan struct{} // asks the writer to write now
	stalled atomic.Uint32 // why the writer cannot write: a cause, or 0
	written atomic.Uint64 // packets that are in the log for good

	counts laneCounts

	// What waits for sealing and for upload, oldest first; under the spool's lock.
	segments []*Segment
	chunks   []*Chunk
	state    laneState
	fileMu   sync.Mutex    // held while files of the lane change places, and before the spool's lock
	next     uint64        // number of the next segment
	started  bool          // the writer runs
	toSeal   chan struct{} // told when segments has grown
	toUpload chan struct{} // told when chunks has grown
	writer   *writer
}

// laneCounts are what a status tells of a lane.
type laneCounts struct {
	packets, bytes                      atomic.Uint64
	kernel, quotaNew, quotaOldest, disk atomic.Uint64
	malformed, damaged                  atomic.Uint64
	lastNanos                           atomic.Int64
}

// Causes for which the writer stalls.
const (
	stalledQuota = 1 + iota
	stalledDisk
)

// ErrClosed is what a sink that was closed returns.
var ErrClosed = errors.New("the lane of the spool is closed")

// Open makes l take packets of an interface. It is an error when it does already.
func (l *Lane) Open(i capture.Interface) error {
	l.spool.mu.Lock()
	defer l.spool.mu.Unlock()
	if l.spool.closed {
		return ErrClosed
	}
	if l.open {
		return fmt.Errorf("lane %s is open already", l.name)
	}
	if len(i.Name) > MaxNameBytes {
		return fmt.Errorf("lane %s: interface name of %d bytes, at most %d", l.name, len(i.Name), MaxNameBytes)
	}
	l.open, l.iface = true, &i
	if !l.started {
		l.started = true
		l.spool.writers.Go(l.writer.run)
		l.spool.writers.Go(l.writer.syncer.run)
	}
	return nil
}

// Name returns the lane's name.
func (l *Lane) Name() string { return l.name }

// Packet adds a packet to the log. It copies the data once, and allocates nothing.
func (l *Lane) Packet(r *capture.Record) error {
	n := len(r.Data)
	wire := r.WireLen
	if r.VLAN != 0 && n >= 12 {
		n += 4
		wire += 4
	}
	size := recordHeaderSize + n
	if r.Comment != "" {
		return l.commented(r, size, wire)
	}
	b := l.buf
	if b == nil || b.now.n+size > l.limit {
		var err error
		if b, err = l.room(size); b == nil {
			return err
		}
	}
	l.add(b, r, size, wire)
	return nil
}

// commented adds a packet, of size bytes with its header, and its comment in front of it. Both are written at once.
func (l *Lane) commented(r *capture.Record, size, wire int) error {
	text := r.Comment[:min(len(r.Comment), MaxCommentBytes)]
	front := recordHeaderSize + len(text)
	if front+size > recordHeaderSize+MaxRecordBytes { // the packet is of more worth
		front = 0
	}
	b, err := l.room(front + size)
	if b == nil {
		return err
	}
	if front > 0 {
		rec := b.b[b.now.n : b.now.n+front : b.now.n+front]
		copy(rec[recordHeaderSize:], text)
		putRecord(rec, l.nonce, kindText, r.TimeNanos, 0)
		b.now.n += front
	}
	l.add(b, r, size, wire)
	return nil
}

// add puts a packet into the buffer, which has room for it.
func (l *Lane) add(b *buffer, r *capture.Record, size, wire int) {
	n := size - recordHeaderSize
	at := b.now.n
	rec := b.b[at : at+size : at+size]
	if n == len(r.Data) {
		copy(rec[recordHeaderSize:], r.Data)
	} else {
		d := rec[recordHeaderSize:]
		copy(d, r.Data[:12])
		binary.BigEndian.PutUint32(d[12:], r.VLAN)
		copy(d[16:], r.Data[12:])
	}
	// putRecord, by hand for the hot path: it is not inlined.
	le := binary.LittleEndian
	le.PutUint64(rec, uint64(r.TimeNanos)) //nolint:gosec // two's complement
	le.PutUint32(rec[8:], uint32(n))       //nolint:gosec // room checks it against MaxRecordBytes
	le.PutUint32(rec[12:], uint32(wire))   //nolint:gosec // of a packet
	le.PutUint32(rec[16:], crc32.Update(l.nonce, l.table, rec[recordHeaderSize:]))
	le.PutUint32(rec[20:], crc32.Update(l.nonce, l.table, rec[:20]))
	b.now.n = at + size
	b.now.packets++
	l.packets++
	l.bytes += uint64(n)
	l.lastNanos = r.TimeNanos
}

// room returns a buffer with room for a record of size bytes, with the mark in it that
// must come before. Without an error it returns nil when the packet was dropped, and
// counted.
func (l *Lane) room(size int) (*buffer, error) {
	if !l.open {
		return nil, fmt.Errorf("%w: %s", ErrClosed, l.name)
	}
	if size > recordHeaderSize+MaxRecordBytes {
		l.counts.malformed.Add(1)
		l.skip(Losses{})
		return nil, nil //nolint:nilnil // the packet is counted
	}
	if b := l.buf; b != nil && b.now.n+markSize+size <= len(b.b) {
		l.mark()
		return b, nil
	}
	l.handOver(false)
	for {
		if l.freeBuffer(size) {
			return l.buf, nil
		}
		switch l.stalled.Load() {
		case stalledQuota:
			l.counts.quotaNew.Add(1)
			l.skip(Losses{Quota: 1})
			return nil, nil //nolint:nilnil // the packet is counted
		case stalledDisk:
			l.counts.disk.Add(1)
			l.skip(Losses{Disk: 1})
			return nil, nil //nolint:nilnil // the packet is counted
		}
		// The disk is slower than the packets come, and works: they wait in the
		// source's ring, where what is too much is counted.
		select {
		case b := <-l.free:
			l.begin(b, size)
			return l.buf, nil
		case <-time.After(time.Millisecond):
		}
	}
}

// freeBuffer takes an empty buffer if there is one, or one more can be made.
func (l *Lane) freeBuffer(size int) bool {
	select {
	case b := <-l.free:
		l.begin(b, size)
		return true
	default:
	}
	if l.buffers == buffersPerLane {
		return false
	}
	l.begin(l.newBuffer(), size)
	return true
}

// newBuffer makes one more buffer. The first ones are small: thousands of quiet lanes need no more.
func (l *Lane) newBuffer() *buffer {
	l.buffers++
	if l.buffers <= 2 {
		return &buffer{b: make([]byte, firstBufferBytes)}
	}
	return &buffer{b: make([]byte, bufferBytes)}
}

// begin takes an empty buffer, for a record of size bytes.
func (l *Lane) begin(b *buffer, size int) {
	if size+markSize > len(b.b) {
		b.b = make([]byte, size+markSize)
	}
	b.iface = l.iface
	l.buf = b
	l.current.Store(b)
	l.mark()
}

// handOver gives the buffer to the writer.
func (l *Lane) handOver(end bool) {
	b := l.buf
	if b == nil {
		return
	}
	b.end = end
	l.publish()
	l.buf = nil
	l.full <- b // never waits: it has room for all buffers
}

// publish lets the writer have what was added so far.
func (l *Lane) publish() {
	if l.buf != nil {
		l.settle()
		l.buf.now.settled, l.buf.now.next = l.place.settled, l.place.next
		l.buf.publish()
	}
	l.counts.packets.Store(l.packets)
	l.counts.bytes.Store(l.bytes)
	l.counts.lastNanos.Store(l.lastNanos)
}

// Drops counts packets that were lost before the source. While the spool takes none,
// and so the ring is full that they come from, they are lost for the spool's reason.
func (l *Lane) Drops(kernel uint64) {
	if kernel == 0 {
		return
	}
	why := l.stalled.Load()
	if l.place.at.Ring == 0 { // other sources do not wait for the spool
		why = 0
	}
	switch why {
	case stalledQuota:
		l.counts.quotaNew.Add(kernel)
		l.lost(Losses{Quota: kernel})
	case stalledDisk:
		l.counts.disk.Add(kernel)
		l.lost(Losses{Disk: kernel})
	default:
		l.counts.kernel.Add(kernel)
		l.lost(Losses{Kernel: kernel})
	}
	l.place.at.Drops += kernel
	if b := l.buf; b != nil && b.now.n+markSize <= len(b.b) {
		l.mark()
	}
}

// Flush lets the writer write what was added so far. It costs next to nothing.
func (l *Lane) Flush() error {
	if !l.open {
		return fmt.Errorf("%w: %s", ErrClosed, l.name)
	}
	l.tell()
	l.publish()
	return nil
}

// tell puts losses that are not in the log yet into a buffer, if there is one for them.
func (l *Lane) tell() {
	switch b := l.buf; {
	case l.place.pending.none():
	case b != nil && b.now.n+markSize <= len(b.b):
		l.mark()
	default:
		l.handOver(false)
		l.freeBuffer(0)
	}
}

// Close ends the segment. It returns when all is handed to the writer.
func (l *Lane) Close() error {
	if !l.open {
		return fmt.Errorf("%w: %s", ErrClosed, l.name)
	}
	l.tell()
	if l.buf == nil {
		l.freeBuffer(0) // carries the end; without one the disk is full, and the segment ends by its age, when it can
	}
	l.handOver(true)
	l.publish()
	l.spool.mu.Lock()
	defer l.spool.mu.Unlock()
	if !l.place.pending.none() {
		l.state.carry(l.place.pending)
		l.state.goTo(l.position(), l.next)
		l.place.pending = Losses{}
	}
	l.open, l.place.at = false, capture.Position{}
	return nil
}

// LaneStats is what a lane did since the spool was opened.
type LaneStats struct {
	Packets, Bytes uint64 // taken, captured bytes
	Losses         Losses
	QuotaOldest    uint64 // packets deleted from the full spool
	Malformed      uint64 // packets larger than a record can be
	Damaged        uint64 // stretches of the log that could not be read
	LastNanos      int64  // time of the last packet
}

// Stats returns what the lane did so far.
func (l *Lane) Stats() LaneStats {
	c := &l.counts
	return LaneStats{
		Packets: c.packets.Load(), Bytes: c.bytes.Load(),
		Losses:      Losses{Kernel: c.kernel.Load(), Quota: c.quotaNew.Load(), Disk: c.disk.Load()},
		QuotaOldest: c.quotaOldest.Load(), Malformed: c.malformed.Load(), Damaged: c.damaged.Load(), LastNanos: c.lastNanos.Load(),
	}
}
