package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wirelake/internal/config"
)

// AFPacket captures from a network interface of this machine, by a packet socket and a
// ring buffer for each worker (packet(7)).
//
// The interface need not be there, nor up, when it starts: it is taken when it comes,
// and taken again when it was deleted and made anew. What goes out is captured as well.
// Super-frames of GRO and TSO are kept as the kernel has them.
type AFPacket struct {
	counters
	name     string
	cfg      AFPacketConfig
	log      *slog.Logger
	keeper   *Keeper
	leftover bool  // it only empties rings of a process before
	noting   error // why the last note was not written

	hardware atomic.Bool // the card measures the times

	mu     sync.Mutex
	port   *port         // nil when there is none; who holds mu may use its sockets
	filter string        // in force, or to be when there is a port
	again  chan struct{} // asks for a new port
}

// NewAFPacket returns the source of one of the interfaces that cfg names. With a keeper
// its rings outlive the process.
func NewAFPacket(name string, cfg AFPacketConfig, k *Keeper, log *slog.Logger) (*AFPacket, error) {
	if err := errors.Join(checkInterfaceName(name), cfg.Validate()); err != nil {
		return nil, err
	}
	return &AFPacket{name: name, cfg: cfg, keeper: k, log: log.With("interface", name), filter: cfg.Filter, again: make(chan struct{}, 1)}, nil
}

// Open begins to capture; what comes in waits in the ring for Run. Calling it is worth
// while before privileges are dropped, and to learn what is wrong before all else is
// started. An interface that is not there or down is no error, a bad filter is.
func (s *AFPacket) Open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.port != nil {
		return nil
	}
	err := s.openLocked()
	if err == nil {
		return nil
	}
	told := s.State().Error == err.Error()
	s.setDown(err)
	if !isAway(err) {
		return fmt.Errorf("capture from %s: %w", s.name, err)
	}
	if !told {
		s.log.Warn("interface cannot be captured from yet", "error", err) //nolint:sloglint // no request is behind it
	}
	// libpcap may say of a sound filter that only an interface can have it.
	if err := checkFilter(s.filter); err != nil && !strings.Contains(err.Error(), "not supported") {
		return fmt.Errorf("capture from %s: %w", s.name, err)
	}
	return nil
}

// errDown says that an interface is there and not up.
var errDown = errors.New("the interface is down")

// isAway says that an interface has to come before it can be captured from.
func isAway(err error) bool { return errors.Is(err, errNoInterface) || errors.Is(err, errDown) }

func (s *AFPacket) openLocked() error {
	if kept := s.keeper.take(s.name); len(kept) > 0 {
		p, err := adoptPort(s.cfg, kept, s.filter, s.keeper, s.log)
		if err != nil {
			return err
		}
		if p != nil {
			p.outdated = p.outdated || s.leftover
			s.begin(p)
			return nil
		}
	}
	if s.leftover {
		return errNoInterface
	}
	l, err := findLink(s.name)
	if err != nil {
		return err
	}
	if !l.up {
		return errDown
	}
	p, err := openPort(s.cfg, l, s.filter, s.keeper, s.log)
	if err != nil {
		// It may have gone meanwhile, and then errors are of all kinds.
		now, gone := findLink(s.name)
		switch {
		case gone != nil:
			return gone
		case now.index != l.index || !now.up:
			return errDown
		}
		return err
	}
	s.begin(p)
	return nil
}

func (s *AFPacket) begin(p *port) {
	s.port = p
	s.hardware.Store(p.hardware)
	switch {
	case p.outdated:
		s.setDown(nil)
	case p.link.up:
		s.setUp()
	default:
		s.setDown(errDown)
	}
}

// Run delivers packets until ctx ends, and then what the rings hold. Lanes are named by
// interface and worker. An error is one of a sink, or of the first attempt to open the
// interface; later ones are in the State, and it is tried again.
func (s *AFPacket) Run(ctx context.Context, open Opener) (err error) {
	watch, err := watchLinks()
	if err != nil {
		return fmt.Errorf("capture from %s: %w", s.name, err)
	}
	defer func() { err = errors.Join(err, watch.close()) }()
	lanes := &lanes{open: open}
	defer func() { err = errors.Join(err, lanes.close()) }()
	if err := s.Open(); err != nil {
		return err
	}
	wait := linkCheck
	for {
		s.mu.Lock()
		p := s.port
		s.mu.Unlock()
		if p != nil {
			err := s.serve(ctx, p, lanes, watch)
			if err = s.closePort(err); isSinkError(err) {
				return fmt.Errorf("capture from %s: %w", s.name, err)
			} else if err != nil {
				s.setDown(err)
				s.log.ErrorContext(ctx, "capture was interrupted", "error", err)
			}
		}
		if ctx.Err() != nil || s.leftover {
			s.setDown(nil)
			if err := lanes.unnote(); err != nil {
				s.log.WarnContext(ctx, "the note on the interface was not taken away: the next start counts what passes until then as missed", "error", err)
			}
			return nil
		}
		err := s.reopen(ctx)
		if err == nil {
			wait = linkCheck
			continue
		}
		if wait = min(2*wait, backoffMost); isAway(err) { // to look costs nothing
			wait = linkCheck
		}
		select {
		case <-watch.events:
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// reopen tries to capture again.
func (s *AFPacket) reopen(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.openLocked()
	if err != nil {
		if s.State().Error != err.Error() {
			s.log.WarnContext(ctx, "interface cannot be captured from", "error", err)
		}
		s.setDown(err)
		return err
	}
	s.log.InfoContext(ctx, "interface is captured from")
	return nil
}

// closePort ends the port; err is what ended it.
func (s *AFPacket) closePort(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.port
	s.port = nil
	if !p.keep.Load() {
		err = errors.Join(err, p.forget(s.keeper))
	}
	return errors.Join(err, p.close())
}

// linkCheck is how often an interface is looked at although nothing was told of it.
const linkCheck = time.Second

// serve runs the workers of a port until ctx ends or the port cannot go on.
func (s *AFPacket) serve(ctx context.Context, p *port, lanes *lanes, watch *linkWatch) error {
	sinks, err := lanes.of(s.name, p.workers, s.cfg.Snaplen, &p.link)
	if err != nil {
		p.keep.Store(p.kept())
		return sinkError{err}
	}
	if err := s.account(ctx, p, lanes); err != nil { // no reason not to capture
		s.log.ErrorContext(ctx, "packets that were missed are not counted", "error", err)
	}
	ended := make(chan error, len(p.rings))
	for _, r := range p.rings {
		go func() { ended <- p.work(r, sinks[r.worker], &s.counters) }()
	}
	var errs []error
	running := len(p.rings)
	tick := time.NewTicker(linkCheck)
	defer tick.Stop()
	for stay := !p.outdated; stay; {
		select {
		case <-ctx.Done():
			stay = false
			p.keep.Store(p.kept())
		case err := <-ended:
			errs = append(errs, err)
			running--
			stay = false
			p.keep.Store(p.kept() && isSinkError(err)) // it is the spool that cannot go on
		case <-s.again:
			stay = false
		case <-watch.events:
			stay = s.look(ctx, p)
		case <-tick.C:
			stay = s.look(ctx, p)
			s.noteLater(ctx, p, lanes)
		}
	}
	// Nobody exchanges the filter of a port that is being emptied.
	s.mu.Lock()
	errs = append(errs, p.stop())
	s.mu.Unlock()
	if !p.keep.Load() {
		s.noteLater(ctx, p, lanes)
	}
	for range running {
		errs = append(errs, <-ended)
	}
	if log, ok := sinks[0].(Log); ok && !p.keep.Load() {
		errs = append(errs, p.note(log, true))
	}
	return errors.Join(errs...)
}

// look says whether the interface is still the one of the port. Down, it comes back
// without our doing.
func (s *AFPacket) look(ctx context.Context, p *port) bool {
	l, err := findLink(s.name)
	if err != nil || l.index != p.link.index {
		s.log.WarnContext(ctx, "interface is gone")
		s.setDown(errNoInterface)
		return false
	}
	switch was := s.State().Up; {
	case l.up && !was:
		s.setUp()
		s.log.InfoContext(ctx, "interface is up")
	case !l.up && was:
		s.setDown(errDown)
		s.log.WarnContext(ctx, "interface is down")
	}
	return true
}

// Reload exchanges the filter; packets that the one before took are delivered. While
// the interface is not up, the filter is checked as far as is possible without it.
func (s *AFPacket) Reload(filter string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.port
	if p != nil && !p.stopping.Load() {
		code, err := compileFilter(filter, &p.link, int(s.cfg.Snaplen))
		if err == nil {
			if err = p.setFilter(socketFilter(code, uint32(s.cfg.Snaplen), p.link.loopback)); err == nil {
				s.filter = filter
			}
			return err
		}
		if l, gone := findLink(s.name); gone == nil && l.up || errors.Is(err, errFilter) {
			return err
		}
	}
	if err := checkFilter(filter); err != nil {
		return err
	}
	s.filter = filter
	if p != nil { // it has the filter before: a new one is opened when the interface is up
		select {
		case s.again <- struct{}{}:
		default:
		}
	}
	return nil
}

// State tells how the capture is.
func (s *AFPacket) State() State {
	st := s.state(s.name, "afpacket")
	st.Timestamps = "software"
	if s.hardware.Load() {
		st.Timestamps = "hardware"
	}
	return st
}

// lanes keeps the sinks of a source from port to port.
type lanes struct {
	open  Opener
	iface Interface
	sinks []Sink
}

// of returns the sinks of an interface: those from before, unless its packets are of
// another link type now.
func (l *lanes) of(name string, workers int, snaplen config.Size, k *link) ([]Sink, error) {
	iface := Interface{Name: name, LinkType: k.linkType, Snaplen: uint32(snaplen)} //nolint:gosec // bounded by Validate
	if len(l.sinks) == workers && l.iface == iface {
		return l.sinks, nil
	}
	if err := l.close(); err != nil {
		return nil, err
	}
	l.iface = iface
	for i := range workers {
		sink, err := l.open(workerLane(name, i), iface)
		if err != nil {
			return nil, err
		}
		l.sinks = append(l.sinks, sink)
	}
	return l.sinks, nil
}

func (l *lanes) close() error {
	var errs []error
	for _, s := range l.sinks {
		errs = append(errs, s.Close())
	}
	l.sinks = nil
	return errors.Join(errs...)
}
