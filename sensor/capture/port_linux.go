package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

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
	keep     atomic.Bool // the rings stay as they are for the next process
	log      *slog.Logger

	emptied  bool   // a process before has let no packet in any more
	outdated bool   // the rings are not as they should be: only to be emptied
	workers  int    // that the rings were made for
	passing  uint64 // packets of the interface when it was looked at last
	counted  bool   // they can be counted
}

// openPort begins to capture from an interface that is up. Packets that come from now
// on wait in the rings, which k keeps from before the first comes.
func openPort(c AFPacketConfig, l link, filter string, k *Keeper, log *slog.Logger) (_ *port, err error) {
	compiled, err := compileFilter(filter, &l, int(c.Snaplen))
	if err != nil {
		return nil, err
	}
	p := &port{link: l, filter: socketFilter(compiled, uint32(c.Snaplen), l.loopback), wake: -1, log: log, workers: c.Workers}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.forget(k), p.close())
		}
	}()
	if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	p.hardware = c.HardwareTimestamps && hardwareTimes(l.name, log)
	// Nothing is taken until all workers are there: so each flow is in its lane from its
	// first packet, and no packet comes in twice.
	group := 0
	for i := range c.Workers {
		r, err := openRing(c, l)
		if err != nil {
			return nil, err
		}
		r.worker = i
		p.rings = append(p.rings, r)
		if err := r.listen(p.wake); err != nil {
			return nil, err
		}
		if err := setProgram(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, nothing()); err != nil {
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
	for _, r := range p.rings {
		if err := k.keep(r, c); err != nil { // capturing without is better than not at all
			log.Warn("the service manager does not keep the packet sockets: what comes while the process is started again is lost", "interface", l.name, "error", errors.Join(err, p.forget(k))) //nolint:sloglint // no request is behind it
			break
		}
	}
	if err := p.setFilter(p.filter); err != nil {
		return nil, err
	}
	return p, nil
}

// nothing is a filter that takes no packet.
func nothing() []unix.SockFilter { return []unix.SockFilter{{Code: bpfRetK}} }

// hardwareTimes has the card measure times, if it can.
func hardwareTimes(name string, log *slog.Logger) bool {
	err := enableHardwareTimestamps(name)
	if err != nil {
		log.Debug("packets get their times from the system's clock", "interface", name, "reason", err) //nolint:sloglint // no request is behind it
	}
	return err == nil
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

// stop makes all workers deliver what their rings hold, and end. Unless the rings are
// kept, no packet comes in any more.
func (p *port) stop() error {
	var errs []error
	if !p.keep.Load() {
		if !p.emptied {
			p.look()
		}
		for _, r := range p.rings {
			if err := setProgram(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, nothing()); err != nil {
				errs = append(errs, fmt.Errorf("filter of a socket: %w", err))
			}
		}
	}
	p.stopping.Store(true)
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, err := unix.Write(p.wake, one[:])
	return errors.Join(append(errs, os.NewSyscallError("write eventfd", err))...)
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

// kept reports whether the rings outlive the process.
func (p *port) kept() bool {
	for _, r := range p.rings {
		if r.kept == "" {
			return false
		}
	}
	return true
}

// forget takes the rings out of the service manager's keeping.
func (p *port) forget(k *Keeper) error {
	var errs []error
	for _, r := range p.rings {
		errs = append(errs, k.forget(r))
	}
	return errors.Join(errs...)
}
