package sensor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"wirelake/internal/sensorstatus"
	"wirelake/sensor/capture"
)

// troubles keeps the last thing that went wrong.
type troubles struct {
	mu   sync.Mutex
	last *sensorstatus.Trouble
}

func (t *troubles) note(err error) {
	if err == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = &sensorstatus.Trouble{Time: time.Now().UTC(), Text: err.Error()}
}

func (t *troubles) get() *sensorstatus.Trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// rates remembers what the status before said.
type rates struct {
	at     time.Time
	before map[string]capture.State // by name of the source

	unwritten bool // the last status did not reach the store

	lost uint64

	mu     sync.Mutex
	lostAt time.Time // when packets were last lost
	offset *float64
}

// How long what was lost keeps the sensor from being ready, and how long uploads may fail.
const (
	lossShows   = time.Minute
	failingLong = 5 * time.Minute
)

// tellStatus writes the status object until ctx ends.
func (s *Sensor) tellStatus(ctx context.Context) {
	tick := time.NewTicker(sensorstatus.Interval)
	defer tick.Stop()
	for {
		s.writeStatus(ctx, false)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Sensor) writeStatus(ctx context.Context, stopped bool) {
	st := s.Status()
	s.addRates(&st)
	st.Stopped = stopped
	// A sensor whose name is another's must not write over what that one says.
	if s.owner.Check() != nil && !stopped {
		return
	}
	attempt, cancel := context.WithTimeout(ctx, sensorstatus.Interval)
	defer cancel()
	began := time.Now()
	o, err := sensorstatus.Put(attempt, s.store, &st)
	took := time.Since(began)
	if err == nil {
		o, err = s.store.Head(attempt, o.Key)
	}
	if err != nil {
		if ctx.Err() == nil {
			if !s.rates.unwritten { // the store may be away for a week
				s.log.WarnContext(ctx, "status not written", "error", err)
			}
			s.rates.unwritten = true
			s.trouble.note(err)
		}
		return
	}
	if s.rates.unwritten {
		s.log.InfoContext(ctx, "status written again")
	}
	s.rates.unwritten = false
	// The store noted the time somewhere while the request ran.
	offset := began.Add(took / 2).Sub(o.ModTime).Seconds()
	s.rates.mu.Lock()
	s.rates.offset = &offset
	s.rates.mu.Unlock()
}

// sayStopped writes the last status, and gives the name free.
func (s *Sensor) sayStopped(ctx context.Context) error {
	if s.owner.Check() != nil {
		return nil // the store is away, or the name another's: the lease runs out
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stateTimeout)
	defer cancel()
	s.writeStatus(ctx, true)
	if err := s.owner.Release(ctx); err != nil {
		s.log.WarnContext(ctx, "sensor name not released: its lease runs out", "error", err)
	}
	return nil
}

// Status returns how the sensor is now. Rates are left out.
func (s *Sensor) Status() sensorstatus.Status {
	st := sensorstatus.Status{
		Sensor: s.cfg.Name, Program: s.opts.Generator, Host: host(), PID: os.Getpid(), Started: s.started.UTC(), Written: time.Now().UTC(),
		Error: s.trouble.get(),
	}
	st.Version = sensorstatus.Version
	for _, c := range s.states() {
		st.Interfaces = append(st.Interfaces, sensorstatus.Interface{Name: c.Name, Kind: c.Kind, Up: c.Up, Error: c.Error, Timestamps: c.Timestamps,
			Packets: c.Packets, Bytes: c.Bytes, KernelDrops: c.KernelDrops, Malformed: c.Malformed, Secrets: c.Secrets})
	}
	d := &st.Drops
	if s.spool != nil {
		s.spoolStatus(&st)
	}
	n := &s.counts
	d.Duplicates = n.duplicates.Load()
	st.Uploads = sensorstatus.Uploads{
		Chunks: n.uploads.Load(), Bytes: n.uploadBytes.Load(), Failures: n.failures.Load(), Existed: n.existed.Load(), Conflicts: n.conflicts.Load(),
		Last: stamp(n.lastUpload.Load()), FailingSince: stamp(n.failingSince.Load()),
	}
	st.Sealed = sensorstatus.Sealed{
		Packets: n.sealedPackets.Load(), RawBytes: n.sealedRaw.Load(), Bytes: n.sealedBytes.Load(),
		CutPackets: n.cutPackets.Load(), CutBytes: n.cutBytes.Load(), CPUSeconds: time.Duration(n.sealCPU.Load()).Seconds(),
	}
	s.rates.mu.Lock()
	st.ClockOffset = s.rates.offset
	s.rates.mu.Unlock()
	for _, err := range s.problems(&st) {
		st.Problems = append(st.Problems, err.Error())
	}
	return st
}

// states returns how all sources are.
func (s *Sensor) states() []capture.State {
	all := make([]capture.State, 0, len(s.sources))
	for _, src := range s.sources {
		all = append(all, src.State())
	}
	if s.opts.Others != nil {
		all = append(all, s.opts.Others()...)
	}
	return all
}

// spoolStatus fills in lanes, drops and what is in the spool.
func (s *Sensor) spoolStatus(st *sensorstatus.Status) {
	d := &st.Drops
	for _, l := range s.spool.Lanes() {
		c := l.Stats()
		s.mu.Lock()
		live := s.lanes[l.Name()]
		s.mu.Unlock()
		lane := sensorstatus.Lane{Name: l.Name(), Packets: c.Packets, Bytes: c.Bytes, LastPacket: stamp(c.LastNanos),
			Drops: c.Losses.Kernel + c.Losses.Quota + c.Losses.Disk + c.QuotaOldest + c.Malformed + c.Damaged}
		if live != nil {
			live.mu.Lock()
			lane.LastKey = live.lastKey
			live.mu.Unlock()
		}
		st.Lanes = append(st.Lanes, lane)
		d.Kernel += c.Losses.Kernel
		d.QuotaNew += c.Losses.Quota
		d.Disk += c.Losses.Disk
		d.QuotaOldest += c.QuotaOldest
		d.Damaged += c.Damaged
		d.Malformed += c.Malformed
	}
	p := s.spool.Stats()
	st.Spool = sensorstatus.Spool{
		Folder: s.cfg.Spool, BacklogBytes: p.Bytes, Segments: p.Segments, Chunks: p.Chunks, QuotaBytes: int64(s.cfg.Quota), FreeBytes: p.FreeBytes,
		CacheBytes: p.CacheBytes, Policy: s.cfg.Policy, Full: p.Full, OldestUnsent: p.Oldest, Recovered: p.Recovered, OddTimes: s.counts.oddTimes.Load(),
	}
}

func stamp(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

// addRates fills in what is told by the time since the status before.
func (s *Sensor) addRates(st *sensorstatus.Status) {
	r := &s.rates
	now := time.Now()
	seconds := now.Sub(r.at).Seconds()
	before := map[string]capture.State{}
	for i := range st.Interfaces {
		c := &st.Interfaces[i]
		if b, ok := r.before[c.Name]; ok && seconds > 0 && c.Packets >= b.Packets {
			c.PacketsPerSecond = float64(c.Packets-b.Packets) / seconds
			c.BitsPerSecond = 8 * float64(c.Bytes-b.Bytes) / seconds
			c.DropsPerSecond = float64(c.KernelDrops-b.KernelDrops) / seconds
		}
		before[c.Name] = capture.State{Packets: c.Packets, Bytes: c.Bytes, KernelDrops: c.KernelDrops}
	}
	r.at, r.before = now, before
}

// problems says why the sensor is not ready. Losses count for a while after they
// happened, so that a check every half a minute sees them.
func (s *Sensor) problems(st *sensorstatus.Status) []error {
	var all []error
	r := &s.rates
	r.mu.Lock()
	if lost := st.Drops.Lost(); lost != r.lost {
		r.lost, r.lostAt = lost, time.Now()
	}
	if since := time.Since(r.lostAt); !r.lostAt.IsZero() && since < lossShows {
		d := st.Drops
		all = append(all, fmt.Errorf(sensorstatus.LossProblem+" %v ago: kernel %d, quota %d, disk %d, damaged %d, malformed %d in all",
			since.Round(time.Second), d.Kernel, d.QuotaOldest+d.QuotaNew, d.Disk, d.Damaged, d.Malformed))
	}
	r.mu.Unlock()
	if st.Spool.Full {
		all = append(all, errors.New("the spool takes no packets"))
	}
	if since := st.Uploads.FailingSince; !since.IsZero() && time.Since(since) > failingLong {
		all = append(all, fmt.Errorf("nothing could be uploaded for %v", time.Since(since).Round(time.Second)))
	}
	return all
}

// Ready returns why the sensor is not ready, as /readyz tells it.
func (s *Sensor) Ready(context.Context) error {
	if !s.running.Load() {
		return errors.New("not started")
	}
	st := s.Status()
	return errors.Join(s.problems(&st)...)
}
