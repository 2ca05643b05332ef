package spool

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"wirelake/sensor/capture"
)

// How long the writer waits before it tries again what the disk refused.
const (
	firstRetry = 10 * time.Millisecond
	lastRetry  = 500 * time.Millisecond
	tellEvery  = 10 * time.Second
)

// writer writes the buffers of a lane into segments.
type writer struct {
	l      *Lane
	seg    *segmentFile // being written; nil when there is none
	syncer *syncer
	told   time.Time        // when the log was last told of a stall
	next   capture.Position // of what comes behind all that is written
}

// segmentFile is a segment while it is written.
type segmentFile struct {
	item    *Segment
	f       *os.File
	iface   capture.Interface
	off     int64
	packets uint64
	bytes   uint64
	opened  time.Time // monotonic
	failed  chan struct{}
}

// run writes until the spool closes.
func (w *writer) run() {
	defer close(w.syncer.segments)
	s := w.l.spool
	tick := time.NewTicker(max(min(s.cfg.Sync/4, 100*time.Millisecond), 5*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case b := <-w.l.full:
			w.buffer(b)
		case <-w.l.hurry:
			w.published()
		case <-tick.C:
			w.published()
			if w.seg != nil && time.Since(w.seg.opened) >= s.cfg.Span {
				w.end()
			}
		case <-s.closing:
			w.published()
			w.end()
			return
		}
	}
}

// published writes what the lane has published of the buffer that it fills. Full
// ones come first: those handed over before this one are in the channel by now.
func (w *writer) published() {
	b := w.l.current.Load()
	for {
		select {
		case full := <-w.l.full:
			w.buffer(full)
			if full == b {
				b = nil
			}
			continue
		default:
		}
		break
	}
	if b != nil {
		w.part(b, b.visible())
	}
}

// buffer writes the rest of a full buffer, and gives it back.
func (w *writer) buffer(b *buffer) {
	w.l.current.CompareAndSwap(b, nil)
	w.part(b, b.visible())
	if b.end {
		w.end()
	}
	if cap(b.b) > bufferBytes {
		b.b = make([]byte, bufferBytes) // it was made for one large packet
	}
	b.reset()
	w.l.free <- b
}

// part writes a buffer up to an extent of it. A segment ends between parts, for they end with a record.
func (w *writer) part(b *buffer, to extent) {
	if to.n == b.written.n {
		return
	}
	piece, more := b.b[b.written.n:to.n], to
	more.n, more.packets, more.lost = len(piece), to.packets-b.written.packets, to.lost.less(b.written.lost)
	b.written = to
	first := int64(binary.LittleEndian.Uint64(piece)) //nolint:gosec // two's complement
	if w.seg != nil && w.mustRotate(b.iface, len(piece), first) {
		w.end()
	}
	if w.write(piece, more, b.iface) {
		w.l.written.Store(to.settled)
	}
}

func (w *writer) mustRotate(i *capture.Interface, n int, nanos int64) bool {
	cfg := &w.l.spool.cfg
	s := w.seg
	age := time.Since(s.opened)
	if s.off+int64(n) > cfg.SegmentBytes || age >= cfg.Span || *i != s.iface {
		return true
	}
	select {
	case <-s.failed:
		return true
	default:
	}
	// By the packets' clock as well, which runs faster when a capture is replayed and
	// jumps when it is set; but not more often than the disk can take.
	apart := nanos - s.item.FirstNanos
	return age >= cfg.Sync && (apart >= int64(cfg.Span) || apart <= -int64(cfg.Span))
}

// write puts whole records into the segment, and waits while the disk does not take
// them. When the spool closes meanwhile they are counted as lost, and it returns false.
func (w *writer) write(piece []byte, what extent, i *capture.Interface) bool {
	l, s := w.l, w.l.spool
	wait := firstRetry
	for {
		var err error
		cause := uint32(stalledDisk)
		switch {
		case !s.room(int64(len(piece))):
			cause = stalledQuota
		case w.seg == nil:
			err = w.begin(piece, i)
			if err == nil {
				continue
			}
		default:
			var n int
			n, err = w.seg.f.WriteAt(piece, w.seg.off)
			if err == nil {
				w.wrote(piece, what)
				if l.stalled.Swap(0) != 0 && w.mayTell() {
					l.log.Info("spool takes packets again", "lane", l.name)
				}
				return true
			}
			done := wholeRecords(piece[:n], w.next)
			w.wrote(piece[:done.n], done)
			piece, what.packets, what.lost = piece[done.n:], what.packets-done.packets, what.lost.less(done.lost)
			if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
				w.end() // this file may be beyond repair: a new one has a better chance
			} else {
				s.press()
			}
		}
		if s.mayFree() && (err == nil || errors.Is(err, unix.ENOSPC)) {
			cause = 0 // the janitor is at it
		} else if l.stalled.Swap(cause) == cause || !w.mayTell() {
			// It was told.
		} else {
			if cause == stalledQuota {
				l.log.Error("spool is full: packets are dropped", "lane", l.name, "policy", s.cfg.Policy, "quota", s.cfg.Quota)
			} else {
				l.log.Error("spool cannot be written: packets are dropped", "lane", l.name, "error", err)
				s.trouble(err)
			}
		}
		if cause == 0 {
			wait = time.Millisecond
		}
		select {
		case <-time.After(wait):
		case <-s.giveUp:
			l.lostAtClose(what, cause)
			return false
		}
		wait = min(max(2*wait, firstRetry), lastRetry)
		if cause == stalledQuota {
			wait = firstRetry // room may come at any time, and looking for it costs little
		}
	}
}

func (w *writer) wrote(piece []byte, what extent) {
	if len(piece) == 0 {
		return
	}
	w.seg.off += int64(len(piece))
	w.seg.packets += uint64(what.packets)
	w.seg.bytes += uint64(len(piece))
	w.next = what.next
	w.l.spool.grown(w.seg.item, int64(len(piece)), what)
	w.syncer.dirty.Store(true)
}

// mayTell reports whether the log can take one more line about a stall: a spool at
// its limit stalls and goes on many times a second.
func (w *writer) mayTell() bool {
	if time.Since(w.told) < tellEvery {
		return false
	}
	w.told = time.Now()
	return true
}

// wholeRecords returns how much of b is whole records, and what they are. The first
// stands at p.
func wholeRecords(b []byte, p capture.Position) (e extent) {
	e.next = p
	for len(b)-e.n >= recordHeaderSize {
		h := b[e.n:]
		size := recordHeaderSize + int(binary.LittleEndian.Uint32(h[8:])&MaxRecordBytes)
		if len(h) < size {
			break
		}
		kind, data := int(h[11]), h[recordHeaderSize:size]
		switch kind {
		case kindPacket:
			e.packets++
		case kindLosses:
			l, _ := decodeLosses(data)
			e.lost.add(l)
		}
		e.next = follow(e.next, kind, data)
		e.n += size
	}
	return e
}

// begin makes a segment for the records in piece.
func (w *writer) begin(piece []byte, i *capture.Interface) error {
	l := w.l
	now := time.Now()
	first := int64(binary.LittleEndian.Uint64(piece)) //nolint:gosec // two's complement
	item, h := l.spool.newSegment(l, *i, now, first)
	b, err := appendHeader(nil, &h)
	if err != nil {
		return err
	}
	head := len(b)
	b = appendMark(b, l.nonce, first, Losses{}, w.next) // so that this segment alone tells where its packets stand
	f, err := os.OpenFile(item.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := l.makeFolder(); err != nil {
			return err
		}
		f, err = os.OpenFile(item.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return errors.Join(err, f.Close(), os.Remove(item.Path))
	}
	w.seg = &segmentFile{item: item, f: f, iface: *i, off: int64(len(b)), bytes: uint64(len(b) - head), opened: now, failed: make(chan struct{})}
	item.next = w.next
	l.spool.begun(item, int64(len(b)))
	w.syncer.current.Store(w.seg)
	return nil
}

// makeFolder makes the lane's folder, durably.
func (l *Lane) makeFolder() error {
	if err := os.Mkdir(l.dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(l.dir))
}

// end closes the segment, if there is one; it is sealed once it is synced.
func (w *writer) end() {
	s := w.seg
	if s == nil {
		return
	}
	w.seg = nil
	b := appendEnd(nil, w.l.nonce, time.Now().UnixNano(), s.packets, s.bytes)
	if _, err := s.f.WriteAt(b, s.off); err == nil { // without it the segment is read up to its last record
		w.l.spool.grown(s.item, int64(len(b)), extent{next: w.next})
	}
	w.l.spool.ended(s.item)
	w.syncer.current.Store(nil)
	w.syncer.segments <- s
}

// lostAtClose counts what could not be written before the process ends.
func (l *Lane) lostAtClose(what extent, cause uint32) {
	lost := Losses{Disk: uint64(what.packets)}
	if cause == stalledQuota {
		lost = Losses{Quota: uint64(what.packets)}
	}
	l.counts.quotaNew.Add(lost.Quota)
	l.counts.disk.Add(lost.Disk)
	l.spool.mu.Lock()
	l.state.carry(lost)
	l.state.carry(what.lost)
	l.state.goTo(what.next, l.next)
	l.spool.mu.Unlock()
	if err := l.saveState(); err != nil {
		l.log.Error("losses not noted", "lane", l.name, "packets", what.packets, "error", err)
	}
}
