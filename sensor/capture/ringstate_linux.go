package capture

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// privateBytes is the room in each block that the kernel leaves to its user; only that
// of the first block is used.
const privateBytes = 128

// ringState is what the memory of a ring says of itself, so that another process can go
// on with it. It lies in the private area of the first block, right behind the block's
// header, and is valid after a kill between any two instructions.
type ringState struct {
	magic   [8]byte
	id      uint64 // random, not 0
	current uint32 // which of slots counts
	_       uint32
	slots   [2]ringSlot
}

// ringSlot is the state of a ring at a time. A new state is built in the slot that does
// not count, and counts from one store on.
type ringSlot struct {
	released uint64 // sequence number of the last block that was given back
	passed   uint64 // packets in the blocks up to that one
	accepted uint64 // packets that the kernel put into the ring
	drops    uint64 // packets that found no room in it, and those that passed by before it was there
	// fresh is what the kernel counted besides. It starts to count anew with each reading,
	// so it is made to write here: a process that is killed behind the system call has read
	// nothing that is not in the ring's memory.
	fresh unix.TpacketStatsV3
	_     uint32
}

var ringMagic = [8]byte{'W', 'L', 'R', 'I', 'N', 'G', 0, 1} //nolint:gochecknoglobals // a constant; the last byte is the version

// errRing says that a kept socket is none of ours, or of another version.
var errRing = errors.New("the socket is no ring of this program")

// stateOf returns the state in the memory of a ring.
func stateOf(mem []byte) *ringState {
	return (*ringState)(unsafe.Pointer(&mem[blockHeader])) //nolint:gosec // aligned to 8, and privateBytes long
}

// initialize makes the state of a new ring.
func (s *ringState) initialize() {
	var id [8]byte
	for s.id = 0; s.id == 0; s.id = binary.LittleEndian.Uint64(id[:]) {
		_, _ = rand.Read(id[:]) // never fails
	}
	s.magic = ringMagic
}

// check says whether the state can be gone on with.
func (s *ringState) check() error {
	if s.magic != ringMagic || s.id == 0 || s.current > 1 {
		return fmt.Errorf("%w: it begins with %q", errRing, s.magic[:])
	}
	return nil
}

// totals returns the state that counts now.
func (s *ringState) totals() ringSlot {
	t := s.slots[atomic.LoadUint32(&s.current)]
	t.accepted += uint64(t.fresh.Packets - t.fresh.Drops)
	t.drops += uint64(t.fresh.Drops)
	t.fresh = unix.TpacketStatsV3{}
	return t
}

// set makes t count.
func (s *ringState) set(t ringSlot) {
	other := 1 - s.current
	s.slots[other] = t
	atomic.StoreUint32(&s.current, other)
}

// totals returns the state of the ring.
func (r *ring) totals() ringSlot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.totals()
}

// statistics reads what the kernel counted since the last reading, and returns the state with it.
func (r *ring) statistics() (ringSlot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// What was read last is added up first, and counts as added before the kernel writes over it.
	r.state.set(r.state.totals())
	s := &r.state.slots[r.state.current].fresh
	r.statsSize = unix.SizeofTpacketStatsV3
	// Not unix.GetsockoptTpacketStatsV3, which allocates and writes elsewhere.
	_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(r.fd), unix.SOL_PACKET, unix.PACKET_STATISTICS,
		uintptr(unsafe.Pointer(s)), uintptr(unsafe.Pointer(&r.statsSize)), 0) //nolint:gosec // both live in the call
	if e != 0 {
		return ringSlot{}, fmt.Errorf("PACKET_STATISTICS: %w", os.NewSyscallError("getsockopt", e))
	}
	return r.state.totals(), nil
}

// lose adds packets to the drops of the ring that the kernel does not know of.
func (r *ring) lose(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.state.totals()
	t.drops += n
	r.state.set(t)
}
