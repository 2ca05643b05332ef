package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// syncer makes a lane's segments durable, beside the writer: an fdatasync may take
// as long as the disk likes.
type syncer struct {
	l        *Lane
	current  atomic.Pointer[segmentFile] // being written
	dirty    atomic.Bool                 // it was written since the last sync
	segments chan *segmentFile           // ended; closed when the writer is gone

	listed *segmentFile // whose name is durable
}

func (y *syncer) run() {
	tick := time.NewTicker(y.l.spool.cfg.Sync)
	defer tick.Stop()
	for {
		select {
		case s, ok := <-y.segments:
			if !ok {
				return
			}
			y.finish(s)
		case <-tick.C:
			if s := y.current.Load(); s != nil && y.dirty.Swap(false) {
				y.sync(s)
			}
		}
	}
}

// sync makes what is written of s durable, and its name.
func (y *syncer) sync(s *segmentFile) {
	err := fdatasync(s.f)
	if err == nil && y.listed != s {
		if err = syncDir(filepath.Dir(s.item.Path)); err == nil {
			y.listed = s
		}
	}
	if err == nil {
		return
	}
	// What was written since the last sync may be gone, and another sync would not say so again.
	y.l.log.Error("segment not synced: a power failure would lose what came since the last sync", "file", s.item.Path, "error", err)
	y.l.spool.trouble(fmt.Errorf("sync %s: %w", s.item.Path, err))
	select {
	case <-s.failed:
	default:
		close(s.failed) // the writer begins another
	}
}

// finish closes a segment that is ended, and hands it on to be sealed.
func (y *syncer) finish(s *segmentFile) {
	y.sync(s)
	if err := s.f.Close(); err != nil {
		y.l.log.Error("segment not closed", "file", s.item.Path, "error", err)
	}
	y.l.spool.synced(s.item)
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closed := d.Close(); err == nil {
		err = closed
	}
	return err
}
