package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"wirelake/sensor/capture"
)

// place follows the packets of a lane through the ring that they come from, and keeps
// what the log must say of it before the next packet. It is the capturing goroutine's.
type place struct {
	at      capture.Position // as of the last call of At, drops as of now
	base    uint64           // packets taken then
	skipped uint64           // packets taken of which there is no record
	pending Losses           // not in the log yet
	marked  bool             // the log has all of this up to the last packet's record

	// As of the last moment when all was in the log, or in a buffer for it.
	settled uint64           // packets taken
	next    capture.Position // of the next
}

// Taken is how many packets were given to Packet so far.
func (l *Lane) Taken() uint64 { return l.packets + l.place.skipped }

// Written is how many of them are in the log for good. It is safe for concurrent use.
func (l *Lane) Written() uint64 { return l.written.Load() }

// Hurry asks the writer to write what was flushed, sooner than it would.
func (l *Lane) Hurry() { notify(l.hurry) }

// At says where the next packet stands in its ring.
func (l *Lane) At(p capture.Position) {
	l.settle()
	l.place.at, l.place.base, l.place.marked = p, l.Taken(), false
	l.limit = 0
}

// position is where the next packet stands.
func (l *Lane) position() capture.Position {
	p := l.place.at
	if p.Ring == 0 {
		return capture.Position{}
	}
	n := l.Taken() - l.place.base
	p.Packet += n
	p.Passed += n
	return p
}

// settle notes that all packets so far are in the log, if so.
func (l *Lane) settle() {
	if l.place.marked {
		l.place.settled, l.place.next = l.Taken(), l.position()
	}
}

// lost notes losses that the log must tell before the next packet.
func (l *Lane) lost(n Losses) {
	l.settle()
	l.place.pending.add(n)
	l.place.marked = false
	l.limit = 0
}

// skip notes that a packet was not taken into the log, and is counted as n.
func (l *Lane) skip(n Losses) {
	l.lost(n)
	l.place.skipped++
}

// mark puts what must come before the next packet into the buffer, which has room for it.
func (l *Lane) mark() {
	b := l.buf
	l.limit = len(b.b)
	if l.place.marked {
		return
	}
	at := l.lastNanos
	if !l.place.pending.none() || at == 0 {
		at = time.Now().UnixNano()
	}
	b.now.n = len(appendMark(b.b[:b.now.n], l.nonce, at, l.place.pending, l.position()))
	b.now.lost.add(l.place.pending)
	l.place.pending, l.place.marked = Losses{}, true
}

// Resume returns where the log ended that an earlier process left. It reads the last
// segment, or asks what is noted of it when that is sealed.
func (l *Lane) Resume() (capture.Position, error) {
	for {
		l.spool.mu.Lock()
		p, by := l.state.Position, l.state.PositionBy
		var paths []string
		for _, g := range l.segments {
			if g.found && g.Number >= by {
				paths = append(paths, g.Path)
			}
		}
		l.spool.mu.Unlock()
		end, err := endOf(paths, p)
		if errors.Is(err, fs.ErrNotExist) { // sealed meanwhile: then there is one less
			continue
		}
		if err != nil {
			return p, fmt.Errorf("lane %s: %w", l.name, err)
		}
		if end.Ring == p.Ring && end.Before(p) {
			return p, nil
		}
		return end, nil
	}
}

// endOf returns where the last of the segments ends, when the first begins at p.
func endOf(paths []string, p capture.Position) (capture.Position, error) {
	first := len(paths)
	for placed := false; first > 0 && !placed; {
		first--
		var err error
		if _, placed, err = walk(paths[first], p, true); err != nil {
			return p, err
		}
	}
	for _, path := range paths[first:] {
		var err error
		if p, _, err = walk(path, p, false); err != nil {
			return p, err
		}
	}
	return p, nil
}

// walk reads a segment that begins at p, and returns where it ends, or only whether it
// says itself where it begins.
func walk(path string, p capture.Position, onlyBegin bool) (_ capture.Position, placed bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return p, false, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	r, err := NewReader(f, path, nil)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, ErrCorrupt), errors.Is(err, ErrVersion):
		return p, false, nil // nothing of it can be sealed either
	case err != nil:
		return p, false, err
	}
	r.From(p)
	var rec Record
	for {
		err := r.Next(&rec)
		switch {
		case errors.Is(err, io.EOF), err == nil && onlyBegin:
			return r.Position(), r.placed, nil
		case err != nil:
			return p, false, err
		}
	}
}

// noteFile holds the note of a lane. It is written in place, in one piece of always the
// same length: the page cache has the old or the new one, and it is of no use on a
// machine that was started anew.
const noteFile = "note"

// Note keeps a few bytes for the next process; none take the note away. It is safe for
// concurrent use.
func (l *Lane) Note(b []byte) (err error) {
	if len(b) > capture.MaxNoteBytes {
		return fmt.Errorf("note of lane %s: %d bytes, at most %d", l.name, len(b), capture.MaxNoteBytes)
	}
	path := filepath.Join(l.dir, noteFile)
	if len(b) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := l.makeFolder(); err != nil {
			return err
		}
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	whole := make([]byte, capture.MaxNoteBytes)
	for i := copy(whole, b); i < len(whole); i++ {
		whole[i] = '\n'
	}
	_, err = f.WriteAt(whole, 0)
	return err
}

// Noted returns the note, without what fills it up; nil when there is none.
func (l *Lane) Noted() ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(l.dir, noteFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for len(b) > 0 && b[len(b)-1] == '\n' {
		b = b[:len(b)-1]
	}
	return b, err
}
