package spool

import (
	"sync"

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
	b     []byte // to its full capacity
	iface *capture.Interface
	end   bool // the segment ends with it

	now extent // what is in it: the capturing goroutine's

	mu        sync.Mutex
	published extent

	written extent // what of it is in the file: the writer's
}

// extent is how much of a buffer is meant, and what that is.
type extent struct {
	n       int    // bytes
	packets uint32 // of which there are records
	lost    Losses // which the records of losses tell

	settled uint64           // of all packets that the lane was given, those that are in the log with this
	next    capture.Position // of the packet that comes next
}

// publish lets the writer have what is in the buffer.
func (b *buffer) publish() {
	b.mu.Lock()
	b.published = b.now
	b.mu.Unlock()
}

// visible returns what the writer may write.
func (b *buffer) visible() extent {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.published
}

func (b *buffer) reset() {
	b.iface, b.end = nil, false
	b.now, b.written = extent{}, extent{}
	b.publish()
}
