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
	told   time.Time // when the log was last told of a stall
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
		n, records := b.visible()
		w.part(b, n, records)
	}
}

// buffer writes the rest of a full buffer, and gives it back.
func (w *writer) buffer(b *buffer) {
	w.l.current.CompareAndSwap(b, nil)
	w.part(b, b.n, b.records)
	if b.end {
		w.end()
	}
	if cap(b.b) > bufferBytes {
		b.b = make([]byte, bufferBytes) // it was made for one large packet
	}
	b.reset()
	w.l.free <- b
}

// part writes a buffer up to n. A segment ends between parts, for they end with a record.
func (w *writer) part(b *buffer, n int, records uint32) {
	if n == b.written {
		return
	}
	piece, packets := b.b[b.written:n], records-b.counted
	b.written, b.counted = n, records
	lost := b.untold()
	first := int64(binary.LittleEndian.Uint64(piece)) //nolint:gosec // two's complement
	if w.seg != nil && w.mustRotate(b.iface, len(piece), first) {
		w.end()
	}
	w.write(piece, packets, lost, b.iface)
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
// them. When the spool closes meanwhile they are counted as lost.
func (w *writer) write(piece []byte, packets uint32, lost Losses, i *capture.Interface) {
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
				w.wrote(piece, packets, lost)
				if l.stalled.Swap(0) != 0 && w.mayTell() {
					l.log.Info("spool takes packets again", "lane", l.name)
				}
				return
			}
			done, count := wholeRecords(piece[:n])
			w.wrote(piece[:done], count, Losses{})
			piece, packets = piece[done:], packets-count
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
			l.lostAtClose(packets, lost, cause)
			return
		}
		wait = min(max(2*wait, firstRetry), lastRetry)
		if cause == stalledQuota {
			wait = firstRetry // room may come at any time, and looking for it costs little
		}
	}
}

func (w *writer) wrote(piece []byte, packets uint32, lost Losses) {
	if len(piece) == 0 {
		return
	}
	w.seg.off += int64(len(piece))
	w.seg.packets += uint64(packets)
	w.seg.bytes += uint64(len(piece))
	w.l.spool.grown(w.seg.item, int64(len(piece)), packets, lost)
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

// wholeRecords returns how many bytes of b are whole records, and the packets in them.
func wholeRecords(b []byte) (n int, packets uint32) {
	for len(b)-n >= recordHeaderSize {
		size := recordHeaderSize + int(binary.LittleEndian.Uint32(b[n+8:])&MaxRecordBytes)
		if len(b)-n < size {
			break
		}
		if b[n+11] == kindPacket {
			packets++
		}
		n += size
	}
	return n, packets
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
	w.seg = &segmentFile{item: item, f: f, iface: *i, off: int64(len(b)), opened: now, failed: make(chan struct{})}
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
		w.l.spool.grown(s.item, int64(len(b)), 0, Losses{})
	}
	w.l.spool.ended(s.item)
	w.syncer.current.Store(nil)
	w.syncer.segments <- s
}

// lostAtClose counts packets that could not be written before the process ends.
func (l *Lane) lostAtClose(packets uint32, untold Losses, cause uint32) {
	lost := Losses{Disk: uint64(packets)}
	if cause == stalledQuota {
		lost = Losses{Quota: uint64(packets)}
	}
	l.counts.quotaNew.Add(lost.Quota)
	l.counts.disk.Add(lost.Disk)
	l.spool.mu.Lock()
	l.state.carry(lost)
	l.state.carry(untold)
	l.spool.mu.Unlock()
	if err := l.saveState(); err != nil {
		l.log.Error("losses not noted", "lane", l.name, "packets", packets, "error", err)
	}
}
