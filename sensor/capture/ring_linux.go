package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
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
// All but its file descriptor belongs to the goroutine of one worker.
type ring struct {
	fd        int
	mem       []byte // blocks, shared with the kernel
	blockSize int
	at        int // index of the next block
	link      link
	snaplen   int
	taken     uint64 // packets that blocks had so far
	stats     unix.TpacketStatsV3
	accepted  uint64 // packets that the kernel put into the ring so far, as of the last statistics
}

// Layout of a block and of a packet in it (linux/if_packet.h: tpacket_block_desc,
// tpacket3_hdr, sockaddr_ll), in the byte order of the machine.
const (
	blockStatus = 8
	blockCount  = 12
	blockFirst  = 16

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
	r := &ring{fd: fd, blockSize: int(c.BlockBytes), link: l, snaplen: int(c.Snaplen)}
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
		Retire_blk_tov: retireMillis,
	}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return nil, fmt.Errorf("ring of %d blocks of %v: %w: a smaller one (blocks, block_bytes) may do", c.Blocks, c.BlockBytes, err)
	}
	r.mem, err = unix.Mmap(fd, 0, int(c.BlockBytes)*c.Blocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("ring of %d blocks of %v: %w", c.Blocks, c.BlockBytes, os.NewSyscallError("mmap", err))
	}
	return r, nil
}

// bind lets packets of the interface come in, those that the filter of the socket takes.
func (r *ring) bind() error {
	err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: r.link.index})
	if err != nil {
		return os.NewSyscallError("bind", err)
	}
	return nil
}

// close gives the ring back; packets in it are gone.
func (r *ring) close() error {
	var errs []error
	if r.mem != nil {
		errs = append(errs, os.NewSyscallError("munmap", unix.Munmap(r.mem)))
	}
	return errors.Join(append(errs, os.NewSyscallError("close", unix.Close(r.fd)))...)
}

func (r *ring) status(block []byte) *uint32 {
	return (*uint32)(unsafe.Pointer(&block[blockStatus])) //nolint:gosec // aligned: blocks are pages
}

// next returns the next block that the kernel has handed over, nil when there is none.
func (r *ring) next() []byte {
	block := r.mem[r.at*r.blockSize:][:r.blockSize]
	if atomic.LoadUint32(r.status(block))&unix.TP_STATUS_USER == 0 {
		return nil
	}
	return block
}

// release gives the block that next returned back to the kernel.
func (r *ring) release(block []byte) {
	atomic.StoreUint32(r.status(block), unix.TP_STATUS_KERNEL)
	r.at++
	if r.at*r.blockSize == len(r.mem) {
		r.at = 0
	}
}

// deliver hands the packets of a block to the sink.
func (r *ring) deliver(block []byte, rec *Record, sink Sink) (packets, wireBytes uint64, err error) {
	u16, u32 := binary.NativeEndian.Uint16, binary.NativeEndian.Uint32
	n := u32(block[blockCount:])
	at := u32(block[blockFirst:])
	for range n {
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
	r.taken += uint64(n)
	return packets, wireBytes, nil
}

// drops returns how many packets found no room in the ring since the last call. The
// kernel starts to count anew with each reading, so that each drop is told once.
func (r *ring) drops() (uint64, error) {
	s, size := &r.stats, uint32(unix.SizeofTpacketStatsV3)
	// Not unix.GetsockoptTpacketStatsV3, which allocates, and this is done for each block.
	_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(r.fd), unix.SOL_PACKET, unix.PACKET_STATISTICS,
		uintptr(unsafe.Pointer(s)), uintptr(unsafe.Pointer(&size)), 0) //nolint:gosec // both live in the call
	if e != 0 {
		return 0, fmt.Errorf("PACKET_STATISTICS: %w", os.NewSyscallError("getsockopt", e))
	}
	r.accepted += uint64(s.Packets - s.Drops)
	return uint64(s.Drops), nil
}

// networkOrder swaps the bytes where the machine's order is another.
func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}
