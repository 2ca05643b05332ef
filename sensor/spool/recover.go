package spool

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recover finds what an earlier process left: segments, the last of them perhaps cut
// anywhere, chunks, and files that it was about to write.
func (s *Spool) recover() error {
	lanes, err := os.ReadDir(filepath.Join(s.cfg.Dir, lanesFolder))
	if err != nil {
		return err
	}
	for _, d := range lanes {
		if !d.IsDir() {
			continue
		}
		l, err := s.lane(d.Name())
		if err != nil {
			return err
		}
		if err := l.recover(); err != nil {
			return fmt.Errorf("lane %s: %w", l.name, err)
		}
		if l.forgettable() {
			if err := os.RemoveAll(l.dir); err != nil {
				return err
			}
			delete(s.lanes, l.name)
			continue
		}
		s.recovered += len(l.segments) + len(l.chunks)
	}
	return nil
}

// forgetAfter is for how long a lane is kept in which nothing happens: of networks that are
// mirrored for a while, and of peers, there may be new ones all the time.
const forgetAfter = 30 * 24 * time.Hour

// forgettable reports whether a lane's folder has nothing that the store does not tell as
// well: should packets come again, it knows the sequence. Rings outlive processes, and so
// does what is known of theirs.
func (l *Lane) forgettable() bool {
	if len(l.segments)+len(l.chunks) > 0 || !l.state.Carried.none() || l.state.Position.Ring != 0 {
		return false
	}
	files, err := os.ReadDir(l.dir)
	if err != nil {
		return false
	}
	for _, f := range files {
		if f.Name() != stateFile && filepath.Ext(f.Name()) != flowsExt {
			return false
		}
	}
	info, err := os.Stat(filepath.Join(l.dir, stateFile))
	return err == nil && time.Since(info.ModTime()) > forgetAfter
}

func (l *Lane) recover() error {
	if err := l.loadState(); err != nil {
		l.log.Error("state of a lane cannot be read; its chunks and the store tell the sequence", "lane", l.name, "error", err)
	}
	l.next = l.state.PositionBy // no number comes twice: what is noted of a segment is of one
	if name := l.state.Dropping; name != "" && name == filepath.Base(name) {
		if err := os.Remove(filepath.Join(l.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	files, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(l.dir, f.Name())
		switch number, isSegment := segmentNumber(f.Name()); {
		case isSegment:
			info, err := f.Info()
			if err != nil {
				return err
			}
			g := &Segment{Lane: l, Number: number, Path: path, Bytes: info.Size(), Created: info.ModTime(), found: true}
			g.FirstNanos = l.firstNanos(g)
			l.segments = append(l.segments, g)
			l.spool.used += g.Bytes
			l.next = max(l.next, number+1)
		case strings.HasSuffix(f.Name(), tempExt):
			if err := os.Remove(path); err != nil {
				return err
			}
		case strings.HasSuffix(f.Name(), chunkExt):
			if err := l.recoverChunk(path, f); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(l.segments, func(a, b *Segment) int { return cmp.Compare(a.Number, b.Number) })
	if err := l.removeUnfinished(); err != nil {
		return err
	}
	for _, g := range l.segments {
		if st := &l.state; g.Number == st.TakenBy { // its chunk was not finished
			st.carry(st.Taken)
			st.Carried = st.Carried.less(st.Left)
			st.Taken, st.Left = Losses{}, Losses{}
		}
	}
	for _, c := range l.chunks {
		l.state.Sequence, l.state.KeyNanos = max(l.state.Sequence, c.Sequence+1), max(l.state.KeyNanos, c.KeyNanos)
		l.spool.used += c.Bytes
		l.next = max(l.next, c.Segment+1)
	}
	return nil
}

func segmentNumber(name string) (uint64, bool) {
	text, ok := strings.CutSuffix(name, segmentExt)
	n, err := strconv.ParseUint(text, 10, 64)
	return n, ok && err == nil && len(text) == 10
}

func (l *Lane) recoverChunk(path string, f os.DirEntry) error {
	c, ok := parseChunkName(f.Name())
	if !ok {
		l.log.Warn("file in the spool that is no chunk of it", "file", path)
		return nil
	}
	info, err := f.Info()
	if err != nil {
		return err
	}
	c.Lane, c.Path, c.Bytes = l, path, info.Size()
	l.chunks = append(l.chunks, &c)
	return nil
}

// removeUnfinished deletes chunks whose segment is still there, which are sealed
// again, and of two for the same part of a segment the one that was being replaced.
func (l *Lane) removeUnfinished() error {
	slices.SortFunc(l.chunks, func(a, b *Chunk) int {
		return cmp.Or(cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Part, b.Part), cmp.Compare(a.Sequence, b.Sequence))
	})
	var keep []*Chunk
	for i, c := range l.chunks {
		unfinished := slices.ContainsFunc(l.segments, func(g *Segment) bool { return g.Number == c.Segment })
		replaced := i+1 < len(l.chunks) && l.chunks[i+1].Segment == c.Segment && l.chunks[i+1].Part == c.Part
		if !unfinished && !replaced {
			keep = append(keep, c)
			continue
		}
		if err := os.Remove(c.Path); err != nil {
			return err
		}
	}
	l.chunks = keep
	return nil
}

// firstNanos reads the time of a segment's first packet; 0 when there is none to be read.
func (l *Lane) firstNanos(g *Segment) int64 {
	f, err := os.Open(g.Path)
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // it was only read
	b := make([]byte, 16<<10)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) || n < minHeaderSize {
		return 0
	}
	size, err := headerSize(b[:n])
	if err != nil || n < size+8 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(b[size:])) //nolint:gosec // two's complement
}
