package spool

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"wirelake/sensor/capture"
)

// Policy says which packets go when the spool is full.
type Policy string

// The policies.
const (
	DropOldest Policy = "drop-oldest" // the oldest that are not sent, by whole segments and chunks
	DropNew    Policy = "drop-new"    // those that come
)

// Config says how a spool works. All fields must be set.
type Config struct {
	Dir    string
	Sensor string

	SegmentBytes int64         // a segment ends at this size
	Span         time.Duration // and at this age
	Sync         time.Duration // how much a crash of the machine may lose

	Quota   int64  // bytes of segments and chunks, of all lanes
	Policy  Policy // when the quota is reached, or the disk is full
	Reserve int64  // free bytes of the file system that packets leave to others, and to sealing
	Cache   int64  // bytes of chunks kept after their upload; 0 for none

	Logger *slog.Logger
	// Trouble is told what fails, for the status; may be nil. It must not call back.
	Trouble func(error)
}

// Spool is an open spool. Its methods are safe for concurrent use.
type Spool struct {
	cfg  Config
	id   string
	lock *os.File
	log  *slog.Logger

	mu        sync.Mutex
	lanes     map[string]*Lane
	used      int64 // bytes of segments and chunks
	closed    bool
	recovered int

	free    int64     // of the file system when it was last asked, less what was written since
	freeAt  time.Time // when that was
	reserve int64
	wanted  int64         // bytes for which there was no room
	pressed atomic.Bool   // the disk was full although there should be room
	stuck   atomic.Bool   // the janitor found nothing to delete
	kick    chan struct{} // wakes the janitor

	cache cache

	closing chan struct{} // closed: the writers end
	giveUp  chan struct{} // closed: they wait no longer for the disk
	drained chan struct{} // closed: no segment comes any more
	writers sync.WaitGroup
	janitor sync.WaitGroup
}

// identity is what the file spool.json holds.
type identity struct {
	Version int    `json:"version"`
	ID      string `json:"id"`     // random; tells one spool from another
	Sensor  string `json:"sensor"` // whose packets are in it
}

const (
	lockFile     = "lock"
	identityFile = "spool.json"
	lanesFolder  = "lanes"
	cacheFolder  = "cache"
	segmentExt   = ".wal"
	tempExt      = ".tmp"
)

// ErrLocked says that another process uses the spool.
var ErrLocked = errors.New("the spool is in use by another process")

// Open opens the spool of a sensor, making its folder when it is not there, and
// finds what an earlier process left in it. The error wraps ErrLocked when another
// process has it open.
func Open(cfg Config) (s *Spool, err error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s = &Spool{cfg: cfg, log: cfg.Logger, lanes: map[string]*Lane{}, closing: make(chan struct{}), giveUp: make(chan struct{}),
		drained: make(chan struct{}), kick: make(chan struct{}, 1)}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, lanesFolder), 0o750); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if s.lock, err = os.OpenFile(filepath.Join(cfg.Dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("spool %s: %w", cfg.Dir, errors.Join(err, s.lock.Close()))
			s = nil
		}
	}()
	if err := unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return s, ErrLocked
		}
		return s, fmt.Errorf("lock: %w", err)
	}
	if err := s.identify(); err != nil {
		return s, err
	}
	// The folders must be there after a power failure, or what is synced in them is not.
	for _, dir := range []string{cfg.Dir, filepath.Dir(filepath.Clean(cfg.Dir))} {
		if err := syncDir(dir); err != nil {
			return s, err
		}
	}
	total, _, err := diskSize(cfg.Dir)
	if err != nil {
		return s, fmt.Errorf("size of the file system: %w", err)
	}
	s.reserve = min(cfg.Reserve, total/4)
	if err := s.recover(); err != nil {
		return s, err
	}
	if err := s.openCache(); err != nil {
		return s, err
	}
	s.janitor.Go(s.clean)
	return s, nil
}

// identify reads whose spool this is, or says so.
func (s *Spool) identify() error {
	path := filepath.Join(s.cfg.Dir, identityFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		s.id = rand.Text()
		return writeJSON(path, identity{Version: Version, ID: s.id, Sensor: s.cfg.Sensor})
	}
	if err != nil {
		return err
	}
	var id identity
	if err := json.Unmarshal(b, &id); err != nil {
		return fmt.Errorf("%s: %w", identityFile, err)
	}
	if id.Version != Version {
		return fmt.Errorf("%s: %w: version %d, supported is %d", identityFile, ErrVersion, id.Version, Version)
	}
	if id.Sensor != s.cfg.Sensor {
		return fmt.Errorf("it belongs to sensor %s, not to %s: its packets would get the wrong name; use another folder", id.Sensor, s.cfg.Sensor)
	}
	s.id = id.ID
	return nil
}

// ID identifies the spool: only one process can have it open.
func (s *Spool) ID() string { return s.id }

// Lane returns the lane of a name, which must be a valid name for a folder. The folder
// is made when there is something to write: a full disk is no reason to refuse a lane.
func (s *Spool) Lane(name string) (*Lane, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lane(name)
}

func (s *Spool) lane(name string) (*Lane, error) {
	if l := s.lanes[name]; l != nil {
		return l, nil
	}
	if name == "" || strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") || len(name) > 128 {
		return nil, fmt.Errorf("spool: %q is not the name of a lane", name)
	}
	dir := filepath.Join(s.cfg.Dir, lanesFolder, name)
	var nonce [4]byte
	_, _ = rand.Read(nonce[:]) // never fails
	l := &Lane{
		spool: s, name: name, dir: dir, log: s.log, nonce: binary.LittleEndian.Uint32(nonce[:]), table: castagnoli(),
		free: make(chan *buffer, buffersPerLane), full: make(chan *buffer, buffersPerLane),
		toSeal: make(chan struct{}, 1), toUpload: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
	}
	l.writer = &writer{l: l, syncer: &syncer{l: l, segments: make(chan *segmentFile, 16)}}
	s.lanes[name] = l
	return l, nil
}

// Lanes returns all lanes, by name.
func (s *Spool) Lanes() []*Lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Lane, 0, len(s.lanes))
	for _, l := range s.lanes {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *Lane) int { return strings.Compare(a.name, b.name) })
	return all
}

// Stop ends the log of all lanes, whose sinks are closed: what they hold is written
// and synced, and waits to be sealed. When ctx ends before the disk has taken it,
// the rest is counted as lost.
func (s *Spool) Stop(ctx context.Context) {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.mu.Unlock()
	if already {
		<-s.drained
		return
	}
	close(s.closing)
	stop := context.AfterFunc(ctx, func() { close(s.giveUp) })
	defer stop()
	s.writers.Wait()
	close(s.drained)
	s.janitor.Wait()
}

// Close unlocks the spool, after Stop. What is in it stays for the next Open.
func (s *Spool) Close() error { return s.lock.Close() }

func (s *Spool) trouble(err error) {
	if s.cfg.Trouble != nil {
		s.cfg.Trouble(err)
	}
}

// Stats is what is in a spool.
type Stats struct {
	Bytes      int64 // of segments and chunks
	Segments   int   // those being written included
	Chunks     int
	FreeBytes  int64 // of the file system
	CacheBytes int64
	Oldest     time.Time // of the packets in it
	Full       bool      // a lane drops packets
	Recovered  int       // segments and chunks that were there at Open
}

// Stats returns what is in the spool.
func (s *Spool) Stats() Stats {
	_, free, _ := diskSize(s.cfg.Dir) // 0 when it cannot be told
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Bytes: s.used, Recovered: s.recovered, CacheBytes: s.cache.bytes, FreeBytes: free}
	oldest := func(nanos int64) {
		if t := time.Unix(0, nanos).UTC(); st.Oldest.IsZero() || t.Before(st.Oldest) {
			st.Oldest = t
		}
	}
	for _, l := range s.lanes {
		st.Segments += len(l.segments)
		st.Chunks += len(l.chunks)
		if len(l.chunks) > 0 {
			oldest(l.chunks[0].KeyNanos)
		} else if len(l.segments) > 0 {
			oldest(l.segments[0].FirstNanos)
		}
		st.Full = st.Full || l.stalled.Load() != 0
	}
	return st
}

// newSegment makes the entry and the header of a lane's next segment.
func (s *Spool) newSegment(l *Lane, i capture.Interface, now time.Time, first int64) (*Segment, Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	item := &Segment{Lane: l, Number: l.next, FirstNanos: first, Created: now}
	item.Path = filepath.Join(l.dir, fmt.Sprintf("%010d%s", item.Number, segmentExt))
	l.next++
	return item, Header{
		Sensor: s.cfg.Sensor, Lane: l.name, Interface: i.Name, LinkType: i.LinkType, Snaplen: i.Snaplen,
		Number: item.Number, Created: now, Sequence: l.state.Sequence, KeyNanos: l.state.KeyNanos, Nonce: l.nonce,
	}
}

// begun, grown, ended and synced follow a segment while it is written.
func (s *Spool) begun(item *Segment, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	item.writing, item.syncing = true, true
	item.Lane.segments = append(item.Lane.segments, item)
	item.Bytes = bytes
	s.used += bytes
}

func (s *Spool) grown(item *Segment, bytes int64, by extent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	item.Bytes += bytes
	item.packets += uint64(by.packets)
	item.lost.add(by.lost)
	item.next = by.next
	s.used += bytes
}

func (s *Spool) ended(item *Segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	item.writing = false
}

func (s *Spool) synced(item *Segment) {
	s.mu.Lock()
	item.syncing = false
	s.mu.Unlock()
	notify(item.Lane.toSeal)
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
