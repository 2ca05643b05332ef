package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
)

// portNote is what is noted of an interface while it is captured from, for the case that
// the process is killed and its rings are gone: how many packets had passed the
// interface when the kernel had given so many to the rings. It is kept in the log of the
// first worker, as JSON.
type portNote struct {
	Machine string   `json:"machine"` // boot and network namespace: the counters are of no other
	Index   int      `json:"index"`   // of the interface
	Passing uint64   `json:"passing"` // packets that the interface received and sent
	Given   uint64   `json:"given"`   // of them, those that came to the rings: put in, or dropped
	Rings   []uint64 `json:"rings"`   // identities, by worker
	Stopped bool     `json:"stopped"` // no packet was given after that
	Settled bool     `json:"settled"` // all that was given is in the log
}

// of says whether the note was taken of a port.
func (n *portNote) of(p *port) bool {
	for _, r := range p.rings {
		if r.worker >= len(n.Rings) || n.Rings[r.worker] != r.state.id {
			return false
		}
	}
	return true
}

// look reads how many packets the interface has received and sent so far.
func (p *port) look() {
	n, err := interfacePackets(p.link.name, p.link.loopback)
	if err != nil {
		p.log.Debug("packets of the interface are not counted", "interface", p.link.name, "error", err) //nolint:sloglint // no request is behind it
	}
	p.passing, p.counted = n, err == nil
}

// interfacePackets reads the kernel's own counters of an interface. What a loopback
// interface sends it receives.
func interfacePackets(name string, loopback bool) (uint64, error) {
	b, err := os.ReadFile("/proc/thread-self/net/dev") // not sysfs, which may show another network namespace
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		device, counts, ok := strings.Cut(line, ":")
		f := strings.Fields(counts)
		if !ok || strings.TrimSpace(device) != name || len(f) < 10 {
			continue
		}
		received, err := strconv.ParseUint(f[1], 10, 64)
		if err != nil || loopback {
			return received, err
		}
		sent, err := strconv.ParseUint(f[9], 10, 64)
		return received + sent, err
	}
	return 0, errNoInterface
}

// thisMachine names what counters of interfaces belong to.
func thisMachine() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	namespace, err := os.Readlink("/proc/thread-self/ns/net")
	return strings.TrimSpace(string(boot)) + " " + namespace, err
}

// note writes down how far the port is; settled says that all that was given to it is in
// the log.
func (p *port) note(log Log, settled bool) error {
	machine, err := thisMachine()
	if err != nil {
		return err
	}
	stopped := p.stopping.Load() || p.emptied
	if !stopped { // what passes between this and the next counts as missed, rather than not at all
		p.look()
	}
	if !p.counted {
		return nil
	}
	n := portNote{Machine: machine, Index: p.link.index, Passing: p.passing, Stopped: stopped, Settled: settled}
	if n.Given, err = p.given(); err != nil {
		return err
	}
	for _, r := range p.rings {
		for len(n.Rings) <= r.worker {
			n.Rings = append(n.Rings, 0)
		}
		n.Rings[r.worker] = r.state.id
	}
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return log.Note(b)
}

// given is how many packets came to the rings of the port.
func (p *port) given() (n uint64, err error) {
	for _, r := range p.rings {
		t, err := r.statistics()
		if err != nil {
			return 0, err
		}
		n += t.accepted + t.drops
	}
	return n, nil
}

// noted returns the note of the process, or the port, before, when it is of this
// machine and this interface; nil else.
func (p *port) noted(log Log) (*portNote, error) {
	b, err := log.Noted()
	if err != nil || len(b) == 0 {
		return nil, err
	}
	var n portNote
	if err := json.Unmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("note on the interface: %w", err)
	}
	machine, err := thisMachine()
	if err != nil || n.Machine != machine || n.Index != p.link.index {
		return nil, err
	}
	return &n, nil
}

// account counts what passed the interface since the last note and is in no log nor on
// its way there, as packets that the first ring dropped, and begins to take notes of the port.
func (s *AFPacket) account(ctx context.Context, p *port, lanes *lanes) error {
	log, ok := lanes.sinks[0].(Log)
	if !ok {
		return nil
	}
	n, err := p.noted(log)
	if err != nil || n == nil {
		return errors.Join(err, p.note(log, false))
	}
	if n.Stopped && n.of(p) && p.outdated { // by a process that was killed while it emptied the rings
		p.passing, p.counted, p.emptied = n.Passing, true, true
		return p.note(log, n.Settled)
	}
	missed, err := s.missed(p, n, lanes)
	if err != nil {
		return err
	}
	if missed > 0 {
		p.rings[0].lose(uint64(missed))
		s.log.WarnContext(ctx, "packets passed the interface while it was not captured from: they count as lost in the kernel", "packets", missed, "at_most", s.filter != "")
	}
	return p.note(log, false)
}

// missed is how many packets passed since a note was taken, less those that are known.
func (s *AFPacket) missed(p *port, n *portNote, lanes *lanes) (int64, error) {
	if n.of(p) && !n.Stopped {
		return 0, nil // the kernel has counted what the rings did not take
	}
	given, err := p.given()
	if err != nil {
		return 0, err
	}
	if p.look(); !p.counted {
		return 0, nil
	}
	missed := int64(p.passing - n.Passing) //nolint:gosec // far below 2^63
	switch {
	case n.of(p): // nothing was given to these rings while the filter took nothing
		return missed, nil
	case n.Settled:
		return missed - int64(given), nil //nolint:gosec // far below 2^63
	}
	known, err := lanes.known(s.name, n.Rings)
	return missed + int64(n.Given) - int64(known) - int64(given), err //nolint:gosec // far below 2^63
}

// known returns how many packets of rings are in the log, or counted there as lost.
func (l *lanes) known(name string, rings []uint64) (uint64, error) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	var sum uint64
	var errs []error
	for worker, id := range rings {
		wait.Go(func() { // each may have to read a file
			p, err := l.resume(name, worker)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			} else if p.Ring == id {
				sum += p.Passed + p.Drops
			}
		})
	}
	wait.Wait()
	return sum, errors.Join(errs...)
}

// resume returns where the log of a worker ended, also of one that is not needed any more.
func (l *lanes) resume(name string, worker int) (p Position, err error) {
	var sink Sink
	if worker < len(l.sinks) {
		sink = l.sinks[worker]
	} else {
		if sink, err = l.open(workerLane(name, worker), l.iface); err != nil {
			return p, err
		}
		defer func() { err = errors.Join(err, sink.Close()) }()
	}
	if log, ok := sink.(Log); ok {
		p, err = log.Resume()
	}
	return p, err
}

// noteLater writes a note that is not urgent; one that fails is told once.
func (s *AFPacket) noteLater(ctx context.Context, p *port, lanes *lanes) {
	log, ok := lanes.sinks[0].(Log)
	if !ok {
		return
	}
	err := p.note(log, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && s.noting == nil {
		s.log.WarnContext(ctx, "what passes the interface is not noted: should the process be killed, it is not known how much was missed", "error", err)
	}
	s.noting = err
}

// unnote takes the note away: from now on it is right that nothing is captured.
func (l *lanes) unnote() error {
	if len(l.sinks) == 0 {
		return nil
	}
	if log, ok := l.sinks[0].(Log); ok {
		return log.Note(nil)
	}
	return nil
}
