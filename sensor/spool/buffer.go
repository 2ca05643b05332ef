package spool

import (
	"sync/atomic"

	"wirelake/sensor/capture"
)

// bufferBytes is the size of a lane's buffers, and so of most writes: large enough
// that a system call costs nothing beside its copy, small enough for the CPU's caches.
const bufferBytes = 512 << 10

// firstBufferBytes is the size of a lane's first buffers, which is all that a quiet lane needs.
const firstBufferBytes = 64 << 10

// buffersPerLane bound the memory of a lane, and how long the disk may stall before
// the packets wait in the source's ring: at 1 Gbit/s 30 ms.
const buffersPerLane = 8

// buffer is filled by the goroutine that captures and written by the lane's writer.
// The part that is published never changes any more, so the writer may write it
// while more is added behind.
type buffer struct {
	b         []byte // to its full capacity
	n         int    // bytes filled; the capturing goroutine's, then the writer's
	records   uint32 // packets in them
	published atomic.Uint64

	lost  [3]atomic.Uint64   // what its records of losses say: Losses
	iface *capture.Interface // of its packets
	end   bool               // the segment ends with it

	written int    // the writer's: bytes of it that are in the file
	counted uint32 // and packets
	told    Losses // and losses
}

func (b *buffer) publish() { b.published.Store(uint64(b.records)<<32 | uint64(b.n)) } //nolint:gosec // at most MaxRecordBytes and a header

// visible returns the bytes and packets that are published.
func (b *buffer) visible() (n int, records uint32) {
	v := b.published.Load()
	return int(v & 0xffffffff), uint32(v >> 32)
}

func (b *buffer) reset() {
	b.n, b.records, b.written, b.counted, b.iface, b.end = 0, 0, 0, 0, nil, false
	b.told = Losses{}
	for i := range b.lost {
		b.lost[i].Store(0)
	}
	b.published.Store(0)
}

// note counts losses of which a record is in the buffer.
func (b *buffer) note(l Losses) {
	b.lost[0].Add(l.Kernel)
	b.lost[1].Add(l.Quota)
	b.lost[2].Add(l.Disk)
}

// untold returns the losses noted since the last call.
func (b *buffer) untold() Losses {
	all := Losses{Kernel: b.lost[0].Load(), Quota: b.lost[1].Load(), Disk: b.lost[2].Load()}
	more := all.less(b.told)
	b.told = all
	return more
}
