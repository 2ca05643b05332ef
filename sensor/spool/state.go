package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wirelake/sensor/capture"
)

// laneState is the file lane.json: what a lane must know after a restart.
type laneState struct {
	Version  int    `json:"version"`
	Sequence uint64 `json:"sequence"`  // of the next chunk
	KeyNanos int64  `json:"key_nanos"` // of the last chunk

	// Losses that are in no chunk's meta yet: the next chunk gets them.
	Carried Losses `json:"carried"`
	// Taken is what of them the chunk of segment TakenBy got. It counts again when that
	// segment is still there: the chunk was not finished.
	Taken   Losses `json:"taken"`
	TakenBy uint64 `json:"taken_by"`
	// Left is what Carried got from that segment itself, which is in it again.
	Left Losses `json:"left"`
	// Dropping is a file whose packets Carried counts as lost already: when it is still
	// there, it was about to be deleted.
	Dropping string `json:"dropping,omitempty"`

	// Position is where the lane's next packet stands, when no segment from PositionBy on
	// says so.
	Position   capture.Position `json:"position"`
	PositionBy uint64           `json:"position_by"`
}

const stateFile = "lane.json"

func (s *laneState) carry(l Losses) { s.Carried.add(l) }

// goTo notes where the packet stands that comes after all segments before by. What is
// known of the same ring and comes later stays, and so does all when p says nothing.
func (s *laneState) goTo(p capture.Position, by uint64) {
	if p.Ring == 0 || by < s.PositionBy || p.Ring == s.Position.Ring && p.Before(s.Position) {
		s.PositionBy = max(s.PositionBy, by)
		return
	}
	s.Position, s.PositionBy = p, by
}

// loadState reads a lane's state; one that is missing or damaged is not fatal: the
// chunks, the segments and the store know the sequence too.
func (l *Lane) loadState() error {
	b, err := os.ReadFile(filepath.Join(l.dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var st laneState
	if err := json.Unmarshal(b, &st); err != nil {
		return fmt.Errorf("%s: %w", stateFile, err)
	}
	if st.Version != Version {
		return fmt.Errorf("%s: %w: version %d, supported is %d", stateFile, ErrVersion, st.Version, Version)
	}
	l.state = st
	return nil
}

// saveState stores the lane's state. The caller holds neither lock.
func (l *Lane) saveState() error {
	l.fileMu.Lock()
	defer l.fileMu.Unlock()
	l.spool.mu.Lock()
	st := l.state
	l.spool.mu.Unlock()
	return l.store(st)
}

// store writes the state file, under fileMu: a sync may take long, and the spool's lock must not wait for it.
func (l *Lane) store(st laneState) error {
	st.Version = Version
	if _, err := os.Stat(l.dir); errors.Is(err, fs.ErrNotExist) {
		if err := l.makeFolder(); err != nil {
			return fmt.Errorf("state of lane %s: %w", l.name, err)
		}
	}
	if err := writeJSON(filepath.Join(l.dir, stateFile), st); err != nil {
		return fmt.Errorf("state of lane %s: %w", l.name, err)
	}
	return nil
}

// writeJSON replaces a file, durably.
func writeJSON(path string, v any) (err error) {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+tempExt, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path+tempExt))
	}
	if err := os.Rename(path+tempExt, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
