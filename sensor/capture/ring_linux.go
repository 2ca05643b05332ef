package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// retireMillis is how long the kernel fills a block before it hands it over as it is.
const retireMillis = 60

// ring is a packet socket with a ring buffer of version 3 (TPACKET_V3): the kernel
// fills blocks with packets, and gives each to the reader when it is full or
// retireMillis old. Linux: networking/packet_mmap.
//
// Blocks have sequence numbers from 1, and lie in the ring in their order. Those that
// the kernel handed over are read in that order, and given back in it: at once, or when
// a Log has written their packets.
//
// All but its file descriptors and state belongs to the goroutine of one worker.
type ring struct {
	fd        int
	ready     int    // epoll instance that tells of blocks
	mem       []byte // blocks, shared with the kernel
	blockSize int
	blocks    uint64
	worker    int
	kept      string // its name with the service manager, when that keeps it
	adopted   bool   // a process before has made it
	link      link
	events    [2]unix.EpollEvent
	snaplen   int

	next     uint64   // sequence number of the block to be read next
	released uint64   // and of the last that was given back
	upto     []uint64 // of each block that was read and is not given back: what of the log must be written for that
	skip     uint64   // packets of the next block that are in the log already
	passed   uint64   // packets that the blocks before had
	told     uint64   // drops that the sink was told
	log      Log      // the sink; nil when it is none

	mu        sync.Mutex
	state     *ringState // in mem
	statsSize uint32
}

// Layout of a block and of a packet in it (linux/if_packet.h: tpacket_block_desc,
// tpacket3_hdr, sockaddr_ll), in the byte order of the machine.
const (
	blockStatus   = 8
	blockCount    = 12
	blockFirst    = 16
	blockSequence = 24
	blockHeader   = 48

	packetNext    = 0
	packetSec     = 4
	packetNsec    = 8
	packetSnaplen = 12
	packetLen     = 16
	packetStatus  = 20
	packetMAC     = 24 // offset of the data
	packetTCI     = 32
	packetTPID    = 36
	packetAddress = 48 // sockaddr_ll
	packetData    = packetAddress + 20

	addressProtocol = 2
	addressHatype   = 8
	addressPkttype  = 10
	addressHalen    = 11
	addressAddr     = 12
)

// openRing makes a socket with its ring, bound to nothing yet: no packet comes in.
func openRing(c AFPacketConfig, l link) (_ *ring, err error) {
	kind := unix.SOCK_RAW
	if l.cooked {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(unix.AF_PACKET, kind|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return nil, fmt.Errorf("packet socket: %w: capturing needs root or CAP_NET_RAW", err)
	}
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", os.NewSyscallError("socket", err))
	}
	r := newRing(fd, int(c.BlockBytes), c.Blocks, l, int(c.Snaplen))
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return nil, fmt.Errorf("PACKET_VERSION: the kernel has no TPACKET_V3: %w", err)
	}
	const frame = 2048 // says nothing in version 3, but must be sound
	req := unix.TpacketReq3{
		Block_size: uint32(c.BlockBytes), Block_nr: uint32(c.Blocks),
		Frame_size: frame, Frame_nr: uint32(int(c.BlockBytes) / frame * c.Blocks),
		Retire_blk_tov: retireMillis, Sizeof_priv: privateBytes,
	}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return nil, fmt.Errorf("ring of %d blocks of %v: %w: a smaller one (blocks, block_bytes) may do", c.Blocks, c.BlockBytes, err)
	}
	if err := r.share(); err != nil {
		return nil, fmt.Errorf("ring of %d blocks of %v: %w", c.Blocks, c.BlockBytes, err)
	}
	r.state.initialize()
	return r, nil
}

func newRing(fd, blockSize, blocks int, l link, snaplen int) *ring {
	return &ring{fd: fd, ready: -1, blockSize: blockSize, blocks: uint64(blocks), link: l, snaplen: snaplen, next: 1, upto: make([]uint64, blocks)} //nolint:gosec // positive
}

// share maps the ring's memory, and makes what waits for blocks.
func (r *ring) share() (err error) {
	r.mem, err = unix.Mmap(r.fd, 0, r.blockSize*int(r.blocks), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE) //nolint:gosec // bounded by Validate
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	r.state = stateOf(r.mem)
	return nil
}

// listen makes what waits for blocks, and for wake.
func (r *ring) listen(wake int) (err error) {
	if r.ready, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create", err)
	}
	// Edge-triggered: the kernel says that there is a block as long as the last that it
	// handed over is not given back, and only new ones are news.
	for _, e := range []unix.EpollEvent{{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(r.fd)}, {Events: unix.EPOLLIN, Fd: int32(wake)}} { //nolint:gosec // file descriptors
		if err := unix.EpollCtl(r.ready, unix.EPOLL_CTL_ADD, int(e.Fd), &e); err != nil {
			return os.NewSyscallError("epoll_ctl", err)
		}
	}
	return nil
}

// bind lets packets of the interface come in, those that the filter of the socket takes.
func (r *ring) bind() error {
	err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: r.link.index})
	if err != nil {
		return os.NewSyscallError("bind", err)
	}
	return nil
}

// close ends this process's use of the ring. Packets in it are gone, unless the service
// manager keeps it.
func (r *ring) close() error {
	var errs []error
	if r.mem != nil {
		errs = append(errs, os.NewSyscallError("munmap", unix.Munmap(r.mem)))
	}
	if r.ready >= 0 {
		errs = append(errs, os.NewSyscallError("close", unix.Close(r.ready)))
	}
	return errors.Join(append(errs, os.NewSyscallError("close", unix.Close(r.fd)))...)
}

// block returns the block of a sequence number, or which has its place now.
func (r *ring) block(sequence uint64) []byte {
	return r.mem[int((sequence-1)%r.blocks)*r.blockSize:][:r.blockSize] //nolint:gosec // below blocks
}

func status(block []byte) *uint32 {
	return (*uint32)(unsafe.Pointer(&block[blockStatus])) //nolint:gosec // aligned: blocks are pages
}

func sequenceOf(block []byte) uint64 { return binary.NativeEndian.Uint64(block[blockSequence:]) }

// held is how many blocks were read and are not given back.
func (r *ring) held() uint64 { return r.next - 1 - r.released }

// handedOver returns the next block if the kernel has handed it over, nil when not.
func (r *ring) handedOver() ([]byte, error) {
	if r.held() == r.blocks {
		return nil, nil // all of the ring is ours
	}
	block := r.block(r.next)
	if atomic.LoadUint32(status(block))&unix.TP_STATUS_USER == 0 {
		return nil, nil
	}
	if got := sequenceOf(block); got != r.next {
		return nil, fmt.Errorf("packet ring: block %d where %d was to come", got, r.next)
	}
	return block, nil
}

// took notes that the next block was read.
func (r *ring) took(block []byte) {
	r.passed += uint64(binary.NativeEndian.Uint32(block[blockCount:]))
	i := (r.next - 1) % r.blocks
	r.upto[i] = 0
	if r.log != nil {
		r.upto[i] = r.log.Taken()
	}
	r.next++
	r.skip = 0
}

// release gives the blocks back whose packets are written.
func (r *ring) release() {
	written := uint64(0)
	if r.log != nil {
		written = r.log.Written()
	}
	for r.held() > 0 {
		sequence := r.released + 1
		if r.upto[(sequence-1)%r.blocks] > written {
			return
		}
		block := r.block(sequence)
		// First it is noted, then done: a process that is killed between leaves a block with
		// a number that is noted, which the next one gives back.
		r.mu.Lock()
		t := r.state.totals()
		t.released = sequence
		t.passed += uint64(binary.NativeEndian.Uint32(block[blockCount:]))
		r.state.set(t)
		r.mu.Unlock()
		atomic.StoreUint32(status(block), unix.TP_STATUS_KERNEL)
		r.released = sequence
	}
}

// deliver hands the packets of a block to the sink, but for those that are to be skipped.
func (r *ring) deliver(block []byte, rec *Record, sink Sink) (packets, wireBytes uint64, err error) {
	u16, u32 := binary.NativeEndian.Uint16, binary.NativeEndian.Uint32
	n := u32(block[blockCount:])
	at := u32(block[blockFirst:])
	if r.log != nil {
		r.log.At(Position{Ring: r.state.id, Block: r.next, Packet: r.skip, Passed: r.passed + r.skip, Drops: r.told})
	}
	skip := uint32(min(r.skip, uint64(n)))
	for range skip {
		at += u32(block[at+packetNext:])
	}
	for range n - skip {
		h := block[at:]
		_ = h[packetData] // one check of bounds for all fields
		start, size := int(u16(h[packetMAC:])), int(u32(h[packetSnaplen:]))
		rec.TimeNanos = int64(u32(h[packetSec:]))*1e9 + int64(u32(h[packetNsec:]))
		rec.WireLen = int(u32(h[packetLen:]))
		rec.VLAN = 0
		most := r.snaplen
		switch status := u32(h[packetStatus:]); {
		case r.link.cooked:
			start -= sllLen
			size += sllLen
			rec.WireLen += sllLen
			putSLL(h[start:], h)
		case status&unix.TP_STATUS_VLAN_VALID != 0 && r.link.ethernet():
			tpid := uint32(unix.ETH_P_8021Q)
			if status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
				tpid = uint32(u16(h[packetTPID:]))
			}
			rec.VLAN = tpid<<16 | u32(h[packetTCI:])&0xffff
			most -= 4 // with the tag put back it is not above snaplen
		}
		rec.Data = h[start:][:min(size, most)]
		if err := sink.Packet(rec); err != nil {
			return packets, wireBytes, err
		}
		packets++
		wireBytes += uint64(rec.WireLen)
		at += u32(h[packetNext:])
	}
	return packets, wireBytes, nil
}

// networkOrder swaps the bytes where the machine's order is another.
func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}
