package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// port is an interface being captured from: a ring a worker, as long as the interface
// is the same one.
type port struct {
	link     link
	rings    []*ring
	filter   []unix.SockFilter // on all sockets
	hardware bool              // the card measures the times
	wake     int               // eventfd that ends the waiting of all workers
	stopping atomic.Bool
}

// openPort begins to capture from an interface that is up. Packets that come from now
// on wait in the rings.
func openPort(c AFPacketConfig, l link, filter string, log *slog.Logger) (_ *port, err error) {
	compiled, err := compileFilter(filter, &l, int(c.Snaplen))
	if err != nil {
		return nil, err
	}
	p := &port{link: l, filter: socketFilter(compiled, uint32(c.Snaplen), l.loopback), wake: -1}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	if c.HardwareTimestamps {
		if err := enableHardwareTimestamps(l.name); err == nil {
			p.hardware = true
		} else {
			log.Debug("packets get their times from the system's clock", "interface", l.name, "reason", err) //nolint:sloglint // no request is behind it
		}
	}
	// Nothing is taken until all workers are there: so each flow is in its lane from its
	// first packet, and no packet comes in twice.
	nothing := []unix.SockFilter{{Code: bpfRetK}}
	group := 0
	for i := range c.Workers {
		r, err := openRing(c, l)
		if err != nil {
			return nil, err
		}
		p.rings = append(p.rings, r)
		if err := setProgram(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, nothing); err != nil {
			return nil, fmt.Errorf("filter of a socket: %w", err)
		}
		if p.hardware {
			if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_TIMESTAMP, unix.SOF_TIMESTAMPING_RAW_HARDWARE); err != nil {
				return nil, fmt.Errorf("PACKET_TIMESTAMP: %w", err)
			}
		}
		if err := r.bind(); err != nil {
			return nil, err
		}
		if c.Workers > 1 {
			if group, err = r.joinFanout(i, group); err != nil {
				return nil, err
			}
		}
	}
	if c.Promiscuous { // the kernel counts who wants it, and ends it with the socket
		m := unix.PacketMreq{Ifindex: int32(l.index), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(p.rings[0].fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			return nil, fmt.Errorf("promiscuous mode: %w", err)
		}
	}
	return p, p.setFilter(p.filter)
}

// joinFanout makes the ring one of those that share the packets of an interface. The
// first makes the group, and returns its number.
func (r *ring) joinFanout(worker, group int) (int, error) {
	option := group | unix.PACKET_FANOUT_CBPF<<16
	if worker == 0 { // the kernel finds a number that no other program has
		option = (unix.PACKET_FANOUT_CBPF | unix.PACKET_FANOUT_FLAG_UNIQUEID) << 16
	}
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT, option); err != nil {
		return 0, fmt.Errorf("PACKET_FANOUT: %w", err)
	}
	if worker > 0 {
		return group, nil
	}
	got, err := unix.GetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
	if err != nil {
		return 0, fmt.Errorf("PACKET_FANOUT: %w", err)
	}
	code, err := fanoutProgram(r.link.ethernet())
	if err != nil {
		return 0, err
	}
	if err := setProgram(r.fd, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, code); err != nil {
		return 0, fmt.Errorf("PACKET_FANOUT_DATA: %w", err)
	}
	return got & 0xffff, nil
}

// setFilter exchanges the filter of all sockets.
func (p *port) setFilter(code []unix.SockFilter) error {
	for i, r := range p.rings {
		if err := setProgram(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, code); err != nil {
			err = fmt.Errorf("filter of a socket: %w", err)
			for _, r := range p.rings[:i] { // all lanes have the same filter
				err = errors.Join(err, setProgram(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, p.filter))
			}
			return err
		}
	}
	p.filter = code
	return nil
}

// stop makes all workers deliver what their rings hold, and end.
func (p *port) stop() error {
	p.stopping.Store(true)
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, err := unix.Write(p.wake, one[:])
	return os.NewSyscallError("write eventfd", err)
}

// close gives back all that the port has. No worker runs any more.
func (p *port) close() error {
	var errs []error
	for _, r := range p.rings {
		errs = append(errs, r.close())
	}
	if p.wake >= 0 {
		errs = append(errs, os.NewSyscallError("close", unix.Close(p.wake)))
	}
	return errors.Join(errs...)
}

const (
	// captureNice is the niceness of the threads that capture.
	captureNice = -10
	// pollMillis is how long a worker waits for packets before it looks at the counters
	// of the kernel nevertheless.
	pollMillis = 1000
	// drainMillis is between two looks at a ring that is being emptied, and emptyTime
	// the time for it: the kernel hands over the last block after retireMillis.
	drainMillis = 20
	emptyTime   = 5 * time.Second
)

// work delivers the packets of a ring to the sink until the port is stopped, and what
// the ring then holds. Errors of the sink are sinkError.
func (p *port) work(r *ring, sink Sink, c *counters) error {
	// It waits in the kernel, with a thread of its own that comes before all else of the
	// machine if it may (CAP_SYS_NICE, LimitNICE= of systemd): a ring that is emptied too
	// late is a loss. Never unlocked: the thread ends with the goroutine.
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, captureNice)
	var rec Record
	for !p.stopping.Load() {
		if more, err := r.step(&rec, sink, c); err != nil || more {
			if err != nil {
				return err
			}
			continue
		}
		if err := r.wait(p.wake); err != nil {
			return err
		}
	}
	return r.drain(&rec, sink, c)
}

// step delivers a block, if there is one, and what the kernel counted.
func (r *ring) step(rec *Record, sink Sink, c *counters) (more bool, err error) {
	block := r.next()
	if block != nil {
		packets, bytes, err := r.deliver(block, rec, sink)
		c.packets.Add(packets)
		c.bytes.Add(bytes)
		r.release(block)
		if err != nil {
			return false, sinkError{err}
		}
	}
	lost, err := r.drops()
	if err != nil {
		return false, err
	}
	if lost > 0 {
		c.drops.Add(lost)
		sink.Drops(lost)
	}
	if err := sink.Flush(); err != nil {
		return false, sinkError{err}
	}
	return block != nil, nil
}

// wait returns when there is a block, the port is stopped, or after pollMillis.
func (r *ring) wait(wake int) error {
	fds := [2]unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds[:], pollMillis); err != nil && !errors.Is(err, unix.EINTR) {
		return os.NewSyscallError("poll", err)
	}
	if fds[0].Revents&unix.POLLERR == 0 {
		return nil
	}
	// Reading it clears it. The interface went down: the kernel goes on when it comes up.
	code, err := unix.GetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if e := unix.Errno(code); e != 0 && e != unix.ENETDOWN {
		return fmt.Errorf("packet socket: %w", e)
	}
	return nil
}

// drain lets no packet in any more, and delivers those that are in the ring: as many as
// the kernel says that it put there.
func (r *ring) drain(rec *Record, sink Sink, c *counters) error {
	if err := setProgram(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, []unix.SockFilter{{Code: bpfRetK}}); err != nil {
		return fmt.Errorf("filter of a socket: %w", err)
	}
	// Twice: a packet may have passed the filter before and be counted only now.
	deadline := time.Now().Add(emptyTime)
	for empty := 0; empty < 2; {
		more, err := r.step(rec, sink, c)
		switch {
		case err != nil:
			return err
		case more:
			continue
		case r.taken == r.accepted:
			empty++
		case time.Now().After(deadline):
			return fmt.Errorf("the kernel kept %d packets of the ring", r.accepted-r.taken)
		}
		time.Sleep(drainMillis * time.Millisecond)
	}
	return nil
}
