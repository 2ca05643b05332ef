package spool

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"wirelake/sensor/capture"
)

// How often the janitor looks, and how old what is known of the disk's free space may be.
const (
	cleanEvery = 100 * time.Millisecond
	freeFor    = 50 * time.Millisecond
)

// room reports whether n more bytes may be written, and takes them from what is known to be free.
func (s *Spool) room(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used+n > s.cfg.Quota || s.freeBytes()-n < s.reserve {
		s.wanted = max(s.wanted, n)
		notify(s.kick)
		return false
	}
	s.free -= n
	s.wanted = 0
	return true
}

// mayFree reports whether the janitor can still make room: then packets that come
// wait for it, and are not those that are dropped.
func (s *Spool) mayFree() bool { return s.cfg.Policy == DropOldest && !s.stuck.Load() }

// freeBytes returns the free bytes of the file system, under the lock.
func (s *Spool) freeBytes() int64 {
	if time.Since(s.freeAt) > freeFor {
		if _, free, err := diskSize(s.cfg.Dir); err == nil { // else what was known holds on
			s.free, s.freeAt = free, time.Now()
		}
	}
	return s.free
}

// press says that the disk is full although there should be room.
func (s *Spool) press() {
	s.pressed.Store(true)
	notify(s.kick)
}

// clean keeps some room free ahead of the writers, so that they need not wait for
// files to be deleted, until the spool stops.
func (s *Spool) clean() {
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.drained:
			return
		case <-s.kick:
		case <-tick.C:
		}
		for s.tight() {
			freed := s.dropOne()
			s.stuck.Store(!freed)
			if !freed {
				break
			}
			s.mu.Lock()
			s.freeAt = time.Time{} // what was deleted counts at once
			s.mu.Unlock()
		}
	}
}

// tight reports whether less than the room ahead is left.
func (s *Spool) tight() bool {
	if s.pressed.Swap(false) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ahead := s.ahead()
	return s.used+ahead > s.cfg.Quota || s.freeBytes()-max(s.wanted, min(ahead, s.reserve/2)) < s.reserve
}

// ahead is the room that the janitor keeps free, under the lock: what the lanes may
// fill in a moment, or a part of a small quota.
func (s *Spool) ahead() int64 {
	return max(s.wanted, min(s.cfg.Quota/16, max(4*bufferBytes*int64(len(s.lanes)), 64<<20)))
}

// dropOne makes room: first from the cache, then by the policy from the oldest item
// of all lanes that nobody works on. It reports whether it deleted anything.
func (s *Spool) dropOne() bool {
	s.mu.Lock()
	quotaFull := s.used+s.ahead() > s.cfg.Quota
	s.mu.Unlock()
	if !quotaFull && s.evict() { // the cache is no part of the quota
		return true
	}
	if s.cfg.Policy != DropOldest {
		return false
	}
	s.mu.Lock()
	var oldestSegment *Segment
	var oldestChunk *Chunk
	oldest := int64(1<<63 - 1)
	for _, l := range s.lanes {
		for _, c := range l.chunks {
			if !c.busy {
				if c.KeyNanos < oldest {
					oldest, oldestChunk, oldestSegment = c.KeyNanos, c, nil
				}
				break
			}
		}
		for _, g := range l.segments {
			if !g.busy {
				if at := g.Created.UnixNano(); !g.writing && at < oldest {
					oldest, oldestChunk, oldestSegment = at, nil, g
				}
				break
			}
		}
	}
	// Nobody else may take it now.
	switch {
	case oldestChunk != nil:
		s.forgetChunk(oldestChunk)
	case oldestSegment != nil:
		s.forgetSegment(oldestSegment)
	}
	s.mu.Unlock()
	switch {
	case oldestChunk != nil:
		c := oldestChunk
		s.dropped(c.Lane, c.Path, Losses{Kernel: c.Kernel, Quota: c.Packets + c.Dropped}, c.Packets, nil)
	case oldestSegment != nil:
		g := oldestSegment
		lost := g.lost
		packets := g.packets
		if g.found {
			lost, packets, g.next = s.content(g)
		}
		lost.Quota += packets
		s.dropped(g.Lane, g.Path, lost, packets, g)
	default:
		return false
	}
	return true
}

// dropped deletes a file whose packets are lost, and has the lane's next chunk tell of
// it. It is of the segment g, if that is not nil.
func (s *Spool) dropped(l *Lane, path string, lost Losses, packets uint64, g *Segment) {
	l.fileMu.Lock()
	defer l.fileMu.Unlock()
	// First it is noted, then done: a start that finds the file deletes it. The disk may be
	// too full for the note, and then there must be room first.
	s.mu.Lock()
	st := l.state
	s.mu.Unlock()
	st.carry(lost)
	if g != nil {
		st.goTo(g.next, g.Number+1)
	}
	st.Dropping = filepath.Base(path)
	noted := l.store(st)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error("spool is full and the oldest file cannot be deleted", "file", path, "error", err)
		s.trouble(err)
		s.mu.Lock()
		st = l.state
		s.mu.Unlock()
		if noted == nil { // it is found again at the next start
			noted = l.store(st)
		}
		if noted != nil {
			s.log.Error("state of the lane not noted", "lane", l.name, "error", noted)
		}
		return
	}
	s.log.Error("spool is full: the oldest packets are lost", "lane", l.name, "file", path, "packets", packets)
	l.counts.quotaOldest.Add(packets)
	s.mu.Lock()
	l.state.carry(lost)
	if g != nil {
		l.state.goTo(g.next, g.Number+1)
	}
	if noted == nil {
		l.state.Dropping = st.Dropping
	}
	st = l.state
	s.mu.Unlock()
	if noted != nil {
		noted = l.store(st)
	}
	if noted != nil {
		s.log.Error("losses not noted: after a crash no chunk would tell of them", "lane", l.name, "packets", packets, "error", noted)
	}
}

// content counts what is in a segment that an earlier process wrote.
func (s *Spool) content(g *Segment) (Losses, uint64, capture.Position) {
	r, closer, err := g.Open(nil)
	if err != nil {
		return Losses{}, 0, g.Lane.begins(g) // nothing of it could have been sealed
	}
	defer closer.Close() //nolint:errcheck // it was only read
	var rec Record
	for {
		if err := r.Next(&rec); err != nil {
			if !errors.Is(err, io.EOF) {
				s.log.Error("packets of a dropped segment not counted", "file", g.Path, "error", err)
			}
			return r.Losses(), r.Packets(), r.Position()
		}
	}
}
