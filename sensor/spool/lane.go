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
	iface   *capture.Interface
	buffers int    // made so far
	pending Losses // not in the log yet
	packets uint64 // counted here, published by Flush
	bytes   uint64

	lastNanos int64

	current atomic.Pointer[buffer] // buf, for the writer
	free    chan *buffer
	full    chan *buffer
	stalled atomic.Uint32 // why the writer cannot write: a cause, or 0

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
	b := l.buf
	if b == nil || b.n+size > len(b.b) {
		var err error
		if b, err = l.nextBuffer(size); b == nil {
			return err
		}
	}
	at := b.n
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
	le.PutUint32(rec[8:], uint32(n))       //nolint:gosec // nextBuffer checks it against MaxRecordBytes
	le.PutUint32(rec[12:], uint32(wire))   //nolint:gosec // of a packet
	le.PutUint32(rec[16:], crc32.Update(l.nonce, l.table, rec[recordHeaderSize:]))
	le.PutUint32(rec[20:], crc32.Update(l.nonce, l.table, rec[:20]))
	b.n = at + size
	b.records++
	l.packets++
	l.bytes += uint64(n)
	l.lastNanos = r.TimeNanos
	return nil
}

// nextBuffer hands the buffer over and returns an empty one with room for size
// bytes. Without an error it returns nil when the packet was dropped, and counted.
func (l *Lane) nextBuffer(size int) (*buffer, error) {
	if !l.open {
		return nil, fmt.Errorf("%w: %s", ErrClosed, l.name)
	}
	if size > recordHeaderSize+MaxRecordBytes {
		l.counts.malformed.Add(1)
		return nil, nil //nolint:nilnil // the packet is counted
	}
	l.handOver(false)
	for {
		select {
		case b := <-l.free:
			return l.begin(b, size), nil
		default:
		}
		if l.buffers < buffersPerLane {
			return l.begin(l.newBuffer(), size), nil
		}
		switch l.stalled.Load() {
		case stalledQuota:
			l.pending.Quota++
			l.counts.quotaNew.Add(1)
			return nil, nil //nolint:nilnil // the packet is counted
		case stalledDisk:
			l.pending.Disk++
			l.counts.disk.Add(1)
			return nil, nil //nolint:nilnil // the packet is counted
		}
		// The disk is slower than the packets come, and works: they wait in the
		// source's ring, where what is too much is counted.
		select {
		case b := <-l.free:
			return l.begin(b, size), nil
		case <-time.After(time.Millisecond):
		}
	}
}

// newBuffer makes one more buffer. The first ones are small: thousands of quiet lanes need no more.
func (l *Lane) newBuffer() *buffer {
	l.buffers++
	if l.buffers <= 2 {
		return &buffer{b: make([]byte, firstBufferBytes)}
	}
	return &buffer{b: make([]byte, bufferBytes)}
}

// begin takes an empty buffer, and notes in it what was lost meanwhile.
func (l *Lane) begin(b *buffer, size int) *buffer {
	if size+recordHeaderSize+lossesSize > len(b.b) {
		b.b = make([]byte, size+recordHeaderSize+lossesSize)
	}
	b.iface = l.iface
	l.buf = b
	l.current.Store(b)
	l.noteLosses()
	return b
}

func (l *Lane) noteLosses() {
	if l.pending.none() || l.buf == nil || l.buf.n+recordHeaderSize+lossesSize > len(l.buf.b) {
		return
	}
	l.buf.n = len(appendLosses(l.buf.b[:l.buf.n], l.nonce, time.Now().UnixNano(), l.pending))
	l.buf.note(l.pending)
	l.pending = Losses{}
}

// handOver gives the buffer to the writer.
func (l *Lane) handOver(end bool) {
	b := l.buf
	if b == nil {
		return
	}
	b.end = end
	b.publish()
	l.buf = nil
	l.full <- b // never waits: it has room for all buffers
	l.publishCounts()
}

func (l *Lane) publishCounts() {
	l.counts.packets.Store(l.packets)
	l.counts.bytes.Store(l.bytes)
	l.counts.lastNanos.Store(l.lastNanos)
}

// Drops counts packets that were lost before the source.
func (l *Lane) Drops(kernel uint64) {
	if kernel == 0 {
		return
	}
	l.pending.Kernel += kernel
	l.counts.kernel.Add(kernel)
	l.noteLosses()
}

// Flush lets the writer write what was added so far. It costs next to nothing.
func (l *Lane) Flush() error {
	if !l.open {
		return fmt.Errorf("%w: %s", ErrClosed, l.name)
	}
	if l.buf != nil {
		l.noteLosses()
		l.buf.publish()
	}
	l.publishCounts()
	return nil
}

// Close ends the segment. It returns when all is handed to the writer.
func (l *Lane) Close() error {
	if !l.open {
		return fmt.Errorf("%w: %s", ErrClosed, l.name)
	}
	if l.buf == nil {
		select {
		case b := <-l.free: // carries the end, and the counts
			l.begin(b, 0)
		default:
			if l.buffers < buffersPerLane {
				l.begin(l.newBuffer(), 0)
			} // else the disk is full: the segment ends by its age, when it can
		}
	}
	l.noteLosses()
	l.handOver(true)
	l.publishCounts()
	l.spool.mu.Lock()
	defer l.spool.mu.Unlock()
	l.state.carry(l.pending)
	l.pending = Losses{}
	l.open = false
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
