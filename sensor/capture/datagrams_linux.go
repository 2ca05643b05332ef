package capture

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batchMessages are received by one system call at most.
	batchMessages = 64
	// datagramBytes is the largest payload of UDP, rounded up; memory is touched only as far as datagrams reach.
	datagramBytes = 64 << 10
	// controlBytes holds a time and a counter.
	controlBytes = 128
	// sockDrops is the place of the drops in what SO_MEMINFO tells (linux/sock_diag.h), of 32-bit numbers.
	sockDrops, memInfoCount = 8, 9
)

// datagrams receives UDP in batches (recvmmsg), with the kernel's time of
// reception and its counter of datagrams that found no room. It allocates
// nothing after it was made, and belongs to one goroutine.
type datagrams struct {
	conn         *net.UDPConn
	receiveBytes int // what the kernel gave

	raw     syscall.RawConn
	headers []mmsghdr
	vectors []unix.Iovec
	names   []unix.RawSockaddrAny
	control []byte
	buffers []byte

	waitCall func(fd uintptr) bool // made once, so that calls allocate nothing
	pollCall func(fd uintptr)
	n        int
	errno    syscall.Errno
	dropped  uint32 // the kernel's counter when last seen; it wraps
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// datagram is one message of a batch, valid until the next.
type datagram struct {
	data  []byte
	from  netip.Addr
	nanos int64  // when the kernel received it, since 1970
	drops uint32 // datagrams lost since the one before
}

// listenDatagrams opens a socket with a receive buffer of so many bytes, or what
// the kernel allows.
func listenDatagrams(ctx context.Context, address string, receiveBytes int) (*datagrams, error) {
	d := &datagrams{}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { d.receiveBytes, err = setUpSocket(int(fd), receiveBytes) }); e != nil {
			return e
		}
		return err
	}}
	conn, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	d.conn = conn.(*net.UDPConn)
	if d.raw, err = d.conn.SyscallConn(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	d.headers, d.vectors = make([]mmsghdr, batchMessages), make([]unix.Iovec, batchMessages)
	d.names, d.control = make([]unix.RawSockaddrAny, batchMessages), make([]byte, batchMessages*controlBytes)
	d.buffers = make([]byte, batchMessages*datagramBytes)
	for i := range d.headers {
		d.vectors[i].Base = &d.buffers[i*datagramBytes]
		d.vectors[i].SetLen(datagramBytes)
		h := &d.headers[i].header
		h.Iov = &d.vectors[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&d.names[i])) //nolint:gosec // as recvmmsg(2) wants it
		h.Control = &d.control[i*controlBytes]
	}
	d.waitCall = d.receiveBatch
	d.pollCall = func(fd uintptr) { d.receiveBatch(fd) }
	return d, nil
}

// setUpSocket sets the options and returns the size of the receive buffer.
func setUpSocket(fd, receiveBytes int) (int, error) {
	for _, o := range []int{unix.SO_TIMESTAMPNS, unix.SO_RXQ_OVFL} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o, 1); err != nil {
			return 0, fmt.Errorf("set socket option %d: %w", o, err)
		}
	}
	// With CAP_NET_ADMIN the size may be above net.core.rmem_max.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBytes) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBytes); err != nil {
			return 0, fmt.Errorf("set receive buffer: %w", err)
		}
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return got / 2, err // the kernel doubles it for its own needs
}

// poll returns the number of datagrams at hand, without waiting.
func (d *datagrams) poll() (int, error) { return d.result(d.raw.Control(d.pollCall)) }

// receive waits for datagrams up to the connection's read deadline and returns
// their number, or os.ErrDeadlineExceeded.
func (d *datagrams) receive() (int, error) { return d.result(d.raw.Read(d.waitCall)) }

func (d *datagrams) result(err error) (int, error) {
	switch {
	case err != nil:
		return 0, err
	case d.errno != 0:
		return 0, fmt.Errorf("recvmmsg: %w", d.errno)
	}
	return d.n, nil
}

// receiveBatch takes what is at hand. It returns false when that is nothing.
func (d *datagrams) receiveBatch(fd uintptr) bool {
	d.n, d.errno = 0, 0
	for i := range d.headers {
		h := &d.headers[i].header
		h.Namelen = unix.SizeofSockaddrAny
		h.SetControllen(controlBytes)
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&d.headers[0])), batchMessages, unix.MSG_DONTWAIT, 0, 0) //nolint:gosec // as recvmmsg(2) wants it
		switch errno {
		case 0:
			d.n = int(n)
			return true
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		default:
			d.errno = errno
			return true
		}
	}
}

// message returns message i of the last batch.
func (d *datagrams) message(i int) datagram {
	h := &d.headers[i]
	m := datagram{data: d.buffers[i*datagramBytes:][:h.length:h.length], from: d.address(i)}
	rest := d.control[i*controlBytes:][:min(int(h.header.Controllen), controlBytes)]
	for len(rest) >= unix.SizeofCmsghdr {
		c, value, after, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			break
		}
		rest = after
		if c.Level != unix.SOL_SOCKET {
			continue
		}
		switch {
		case c.Type == unix.SCM_TIMESTAMPNS && len(value) >= int(unsafe.Sizeof(unix.Timespec{})): //nolint:gosec // a size only
			m.nanos = timespecNanos(value)
		case c.Type == unix.SO_RXQ_OVFL && len(value) >= 4:
			m.drops = d.lost(binary.NativeEndian.Uint32(value))
		}
	}
	if m.nanos == 0 {
		m.nanos = time.Now().UnixNano()
	}
	return m
}

// timespecNanos decodes a struct timespec.
func timespecNanos(b []byte) int64 {
	if unsafe.Sizeof(unix.Timespec{}) == 16 { //nolint:gosec // a size only
		return int64(binary.NativeEndian.Uint64(b))*1e9 + int64(binary.NativeEndian.Uint64(b[8:]))
	}
	return int64(int32(binary.NativeEndian.Uint32(b)))*1e9 + int64(binary.NativeEndian.Uint32(b[4:]))
}

// address returns the sender of message i.
func (d *datagrams) address(i int) netip.Addr {
	name := &d.names[i]
	switch name.Addr.Family {
	case unix.AF_INET:
		return netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr) //nolint:gosec // by its family
	case unix.AF_INET6:
		return netip.AddrFrom16((*unix.RawSockaddrInet6)(unsafe.Pointer(name)).Addr).Unmap() //nolint:gosec // by its family
	}
	return netip.Addr{}
}

// lost returns what the kernel's counter says since it was seen last.
func (d *datagrams) lost(counter uint32) uint32 {
	n := counter - d.dropped
	if n > 1<<31 { // an older message than one that was counted already
		return 0
	}
	d.dropped = counter
	return n
}

// readDrops returns the drops since the counter was seen last: of those after the
// last datagram no other tells.
func (d *datagrams) readDrops() uint32 {
	var info [memInfoCount]uint32
	size := uint32(unsafe.Sizeof(info)) //nolint:gosec // a size only
	var errno syscall.Errno
	err := d.raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0) //nolint:gosec // as getsockopt(2) wants it
	})
	if err != nil || errno != 0 || size < 4*(sockDrops+1) {
		return 0 // before Linux 4.12; then the next datagram tells
	}
	return d.lost(info[sockDrops])
}
