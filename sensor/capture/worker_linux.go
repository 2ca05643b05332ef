package capture

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// captureNice is the niceness of the threads that capture.
	captureNice = -10
	// pollMillis is how long a worker waits for packets before it looks at the counters
	// of the kernel nevertheless; holdMillis how long when it has blocks to give back, and
	// fullMillis when all blocks of the ring are to be given back.
	pollMillis = 1000
	holdMillis = 50
	fullMillis = 1
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
	r.begin(sink, p.log)
	for !p.stopping.Load() {
		if more, err := r.step(&rec, sink, c); err != nil || more {
			if err != nil {
				return err
			}
			continue
		}
		if err := r.wait(); err != nil {
			return err
		}
	}
	if p.keep.Load() {
		return r.pause(&rec, sink, c)
	}
	return r.drain(&rec, sink, c)
}

// begin finds the place in the ring at which the process before stopped to deliver, by
// the log, and else by what the ring says of itself.
func (r *ring) begin(sink Sink, log *slog.Logger) {
	t := r.totals()
	r.next, r.released, r.passed = t.released+1, t.released, t.passed
	if last := r.block(max(t.released, 1)); sequenceOf(last) == t.released && t.released > 0 {
		atomic.StoreUint32(status(last), unix.TP_STATUS_KERNEL) // noted and not done; nothing when it was done
	}
	if r.log, _ = sink.(Log); r.log == nil {
		return
	}
	if !r.adopted {
		r.log.At(Position{Ring: r.state.id, Block: r.next})
		return
	}
	p, err := r.log.Resume()
	if err != nil {
		log.Error("the log does not say which packets of the ring it has: some may be archived twice", "error", err) //nolint:sloglint // no request is behind it
	}
	if p.Ring != r.state.id {
		if t.released > 0 { // another log had its packets
			r.told = t.drops
		}
	} else {
		r.told = p.Drops
		for r.next < p.Block {
			block, err := r.handedOver()
			if block == nil || err != nil {
				log.Error("the log has packets that the ring does not have", "position", p, "block", r.next, "error", err) //nolint:sloglint // no request is behind it
				break
			}
			r.took(block)
		}
		if r.next == p.Block {
			r.skip = p.Packet
		}
	}
	if p.Ring == r.state.id && p.Passed != r.passed+r.skip {
		log.Error("the log and the ring do not agree on how many packets there were", "log", p.Passed, "ring", r.passed+r.skip) //nolint:sloglint // no request is behind it
	}
	log.Info("capture goes on with a ring of the process before", "worker", r.worker, "block", r.next, "packet", r.skip, "drops", t.drops-min(r.told, t.drops)) //nolint:sloglint // no request is behind it
	r.log.At(Position{Ring: r.state.id, Block: r.next, Packet: r.skip, Passed: r.passed + r.skip, Drops: r.told})
}

// step delivers a block, if there is one, and what the kernel counted.
func (r *ring) step(rec *Record, sink Sink, c *counters) (more bool, err error) {
	r.release()
	block, err := r.handedOver()
	if err != nil {
		return false, err
	}
	losing := true
	if block != nil {
		losing = atomic.LoadUint32(status(block))&unix.TP_STATUS_LOSING != 0
		packets, bytes, err := r.deliver(block, rec, sink)
		c.packets.Add(packets)
		c.bytes.Add(bytes)
		if err != nil {
			return false, sinkError{err}
		}
		r.took(block)
	}
	t := r.totals()
	if losing { // the kernel says with a block whether it lost packets since its statistics were read
		if t, err = r.statistics(); err != nil {
			return false, err
		}
	}
	if lost := t.drops - r.told; lost > 0 {
		c.drops.Add(lost)
		r.told += lost
		sink.Drops(lost)
	}
	if err := sink.Flush(); err != nil {
		return false, sinkError{err}
	}
	if r.log == nil {
		r.release()
	} else if r.held() >= r.blocks/2 {
		r.log.Hurry()
	}
	return block != nil, nil
}

// wait returns when there is a block, the port is stopped, or it is time to look again.
func (r *ring) wait() error {
	millis := pollMillis
	switch n := r.held(); {
	case n == r.blocks:
		millis = fullMillis
	case n > 0:
		millis = holdMillis
	}
	n, err := unix.EpollWait(r.ready, r.events[:], millis)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return os.NewSyscallError("epoll_wait", err)
	}
	failed := false
	for _, e := range r.events[:max(n, 0)] {
		failed = failed || e.Events&unix.EPOLLERR != 0
	}
	if !failed {
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

// drain delivers what is in the ring, which no packet comes into any more: as many as
// the kernel says that it put there.
func (r *ring) drain(rec *Record, sink Sink, c *counters) error {
	// Twice: a packet may have passed the filter before and be counted only now.
	deadline := time.Now().Add(emptyTime)
	for empty := 0; empty < 2; {
		more, err := r.step(rec, sink, c)
		switch accepted := r.totals().accepted; {
		case err != nil:
			return err
		case more:
			continue
		case r.passed == accepted:
			empty++
		case time.Now().After(deadline):
			return fmt.Errorf("the kernel kept %d packets of the ring", accepted-r.passed)
		}
		time.Sleep(drainMillis * time.Millisecond)
	}
	if r.kept != "" { // what is in no file must not leave the manager's keeping
		r.finish(deadline)
	}
	return nil
}

// pause delivers what came before it was called. What comes later is the next process's,
// as is what the log cannot take now.
func (r *ring) pause(rec *Record, sink Sink, c *counters) error {
	until := time.Now().Add(2 * retireMillis * time.Millisecond) // by then the block is handed over that was being filled
	for last := r.next + r.blocks; time.Now().Before(until) || r.next < last; {
		more, err := r.step(rec, sink, c)
		if err != nil {
			return err
		}
		if !more {
			if time.Now().After(until) {
				break
			}
			time.Sleep(drainMillis * time.Millisecond)
		}
	}
	r.finish(time.Now().Add(emptyTime))
	return nil
}

// finish gives all blocks back that were read, when a log has written them, or leaves
// them when it has not by the deadline.
func (r *ring) finish(deadline time.Time) {
	for r.log != nil && time.Now().Before(deadline) {
		r.log.Hurry()
		r.release()
		if r.held() == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
}
