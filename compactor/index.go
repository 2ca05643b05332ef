package compactor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"wirelake/internal/elastic"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
)

const (
	indexWorkers = 2         // bulk requests at once: one is built while Elasticsearch works on the other
	maxQueued    = 256 << 20 // hot documents that wait for Elasticsearch; past it they are read from Parquet later
	indexPause   = 5 * time.Second
	aheadDays    = 2 // of days after today that have an index, for clocks that are ahead
)

// indexer brings committed sessions into Elasticsearch. What it does not get in
// stays in the checkpoints' lists, and is read from Parquet when Elasticsearch
// is back, so Parquet never waits for it.
//
// For each day it keeps whether the index holds all of the day (elastic.Days):
// the first time a day is touched, its index is filled with the Parquet files
// that are there already; while files of it wait, it is not complete.
type indexer struct {
	store   objstore.Store
	es      *elastic.Client
	files   *sessionfile.Reader
	hotDays int
	log     *slog.Logger
	gauge   prometheus.Gauge

	filling sync.Mutex

	mu      sync.Mutex
	queue   []indexJob
	queued  int // bytes of hot documents in the queue
	running int
	waiting map[string]int    // files that are not indexed, by day
	days    map[string]string // elastic.Day.Fill of the days whose index is filled but for what waits
	wake    chan struct{}     // closed and made anew when there is work or work ends
	failed  error             // why the last attempt failed; nil after a success
}

// indexJob is one Parquet file to index.
type indexJob struct {
	lane   *lane
	file   string
	day    string
	bodies []*elastic.Body // its hot documents; nil: read the file
	etag   string          // of the file that has them
	bytes  int
	after  time.Time // not before
}

func newIndexer(store objstore.Store, es *elastic.Client, files *sessionfile.Reader, hotDays int, log *slog.Logger, gauge prometheus.Gauge) *indexer {
	return &indexer{store: store, es: es, files: files, hotDays: hotDays, log: log, gauge: gauge,
		waiting: make(map[string]int), days: make(map[string]string), wake: make(chan struct{})}
}

func (x *indexer) bodyBytes() int { return x.es.BulkBytes() }

// add queues the files of a committed batch with their hot documents.
func (x *indexer) add(ctx context.Context, l *lane, files []objstore.Object, hot map[string][]*elastic.Body) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, file := range files {
		job := indexJob{lane: l, file: file.Key, etag: file.ETag, day: dayOf(file.Key)}
		for _, b := range hot[job.day] {
			job.bytes += b.Len()
		}
		if x.queued+job.bytes <= maxQueued {
			job.bodies = hot[job.day]
			x.queued += job.bytes
		} else {
			job.bytes = 0
			x.log.DebugContext(ctx, "hot documents set aside, they will be read from Parquet", "file", file.Key)
		}
		x.push(job)
	}
}

// later queues files that a checkpoint lists as not indexed.
func (x *indexer) later(l *lane, files []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, file := range files {
		x.push(indexJob{lane: l, file: file, day: dayOf(file)})
	}
}

func (x *indexer) push(job indexJob) {
	x.queue = append(x.queue, job)
	x.waiting[job.day]++
	x.signal()
}

func (x *indexer) signal() {
	close(x.wake)
	x.wake = make(chan struct{})
	x.gauge.Set(float64(len(x.queue) + x.running))
}

// dayOf returns the day of a Parquet file's key.
func dayOf(key string) string {
	for _, part := range strings.Split(key, "/") {
		if day, ok := strings.CutPrefix(part, "day="); ok {
			return day
		}
	}
	return ""
}

// hot reports whether sessions of the day belong into Elasticsearch. Those of a clock that is ahead do not, yet: each
// day is an index, and a clock gone wrong would make any number of them. They are indexed when their day comes.
func (x *indexer) hot(day string) bool {
	now := time.Now().UTC()
	return day <= now.AddDate(0, 0, aheadDays).Format(time.DateOnly) &&
		(x.hotDays == 0 || day > now.AddDate(0, 0, -x.hotDays).Format(time.DateOnly))
}

// run works until ctx ends.
func (x *indexer) run(ctx context.Context) error {
	var group errgroup.Group
	for range indexWorkers {
		group.Go(func() error {
			for ctx.Err() == nil {
				x.work(ctx)
			}
			return nil
		})
	}
	group.Go(func() error {
		x.expire(ctx)
		return nil
	})
	return group.Wait()
}

// work takes one job, or waits for one.
func (x *indexer) work(ctx context.Context) {
	x.mu.Lock()
	at := -1
	pause := time.Hour
	for i := range x.queue {
		wait := time.Until(x.queue[i].after)
		if wait <= 0 {
			at = i
			break
		}
		pause = min(pause, wait)
	}
	if at < 0 {
		wake := x.wake
		x.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-wake:
		case <-time.After(pause):
		}
		return
	}
	job := x.queue[at]
	x.queue = append(x.queue[:at], x.queue[at+1:]...)
	x.running++
	x.mu.Unlock()

	x.finish(ctx, job, x.index(ctx, &job))
	// Only now: who waits for the last job counts on the day's state being stored.
	x.mu.Lock()
	x.running--
	x.signal()
	x.mu.Unlock()
}

// finish notes how a job ended.
func (x *indexer) finish(ctx context.Context, job indexJob, err error) {
	x.mu.Lock()
	x.queued -= job.bytes
	x.waiting[job.day]--
	x.failed = nil
	if err != nil && ctx.Err() == nil {
		x.failed = err
		// The documents are in Parquet: keep the file's name, not the memory.
		job.bodies, job.bytes, job.after = nil, 0, time.Now().Add(indexPause)
		x.push(job)
	}
	x.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			x.log.WarnContext(ctx, "sessions not indexed, they will be", "file", job.file, "error", err)
			x.lacks(ctx, job.day)
		}
		return
	}
	job.lane.indexed.add(job.file)
	x.settle(ctx, job.day)
}

// finished is the Parquet files that Elasticsearch has, until their lane takes them off its checkpoint. It grows with
// what waits, never blocks, and its zero value is empty.
type finished struct {
	mu    sync.Mutex
	files []string
}

func (f *finished) add(file string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files = append(f.files, file)
}

func (f *finished) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	files := f.files
	f.files = nil
	return files
}

// index brings one file's documents in.
func (x *indexer) index(ctx context.Context, job *indexJob) error {
	if !x.hot(job.day) {
		return nil
	}
	if err := x.prepare(ctx, job.day, job.file); err != nil {
		return err
	}
	if job.bodies == nil {
		return indexFile(ctx, x.store, x.files, x.es, job.file, job.day)
	}
	for i, b := range job.bodies {
		if _, err := x.es.Bulk(ctx, job.day, b); err != nil {
			return err
		}
		job.bodies[i] = nil
	}
	err := unchanged(ctx, x.store, job.file, job.etag)
	if errors.Is(err, sessionfile.ErrChanged) {
		return indexFile(ctx, x.store, x.files, x.es, job.file, job.day)
	}
	return err
}

// prepare makes the day's index the first time, and fills it with the Parquet
// files of the day that are older than it; except is on its way in already.
func (x *indexer) prepare(ctx context.Context, day, except string) error {
	x.filling.Lock() // one at a time: a second worker must not write before the index is there
	defer x.filling.Unlock()
	x.mu.Lock()
	_, filled := x.days[day]
	x.mu.Unlock()
	if filled {
		return nil
	}
	name, err := x.fill(ctx, day, except)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.days[day] = name
	return nil
}

// fill returns the elastic.Day.Fill that the index has been filled under.
func (x *indexer) fill(ctx context.Context, day, except string) (name string, err error) {
	days, err := elastic.LoadDays(ctx, x.store)
	if err != nil {
		return "", err
	}
	if err := x.es.EnsureTemplate(ctx); err != nil {
		return "", err
	}
	created, err := x.es.EnsureIndex(ctx, day)
	if err != nil {
		return "", err
	}
	if days[day].Whole && !created {
		return days[day].Fill, nil
	}
	if name, err = elastic.BeginFill(ctx, x.store, day); err != nil {
		return "", err
	}
	for obj, err := range x.store.List(ctx, "sessions/day="+day+"/", "") {
		if err != nil {
			return "", err
		}
		if obj.Key == except || !strings.HasSuffix(obj.Key, ".parquet") {
			continue
		}
		if err := indexFile(ctx, x.store, x.files, x.es, obj.Key, day); err != nil {
			return "", err
		}
	}
	return name, nil
}

// settle marks a day whole once nothing of it waits.
func (x *indexer) settle(ctx context.Context, day string) {
	x.mu.Lock()
	_, filled := x.days[day]
	ready := filled && x.waiting[day] == 0
	x.mu.Unlock()
	if !ready {
		return
	}
	// A day that is asked of Elasticsearch must show what it holds.
	if err := x.es.Refresh(ctx, day); err != nil {
		if ctx.Err() == nil {
			x.log.WarnContext(ctx, "day not refreshed", "day", day, "error", err)
		}
		return
	}
	x.update(ctx, day, true)
}

// lacks marks a day as not whole: sessions of it wait.
func (x *indexer) lacks(ctx context.Context, day string) { x.update(ctx, day, false) }

// update changes whether a day is whole. An index that another process has begun to fill since, as Reindex does, is that
// one's to declare whole; should it not come to the end, the day's next file has the index filled from here.
func (x *indexer) update(ctx context.Context, day string, whole bool) {
	x.mu.Lock()
	fill, filled := x.days[day]
	x.mu.Unlock()
	ours := filled
	err := elastic.UpdateDays(ctx, x.store, func(d elastic.Days) bool {
		old, held := d[day]
		if ours = filled; old.Whole {
			fill = old.Fill // by whomever
		} else if ours = ours && held && old.Fill == fill; whole && !ours {
			return false
		}
		d[day] = elastic.Day{Whole: whole, Fill: old.Fill}
		return !held || old.Whole != whole
	})
	if err != nil {
		if ctx.Err() == nil {
			x.log.WarnContext(ctx, "state of the day not stored", "day", day, "whole", whole, "error", err)
		}
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if ours {
		x.days[day] = fill
	} else {
		delete(x.days, day)
	}
}

// drain waits until nothing waits for Elasticsearch. It gives up when
// Elasticsearch is out of reach: the backlog is kept for the next run.
func (x *indexer) drain(ctx context.Context) error {
	for {
		x.mu.Lock()
		left, failed, wake := len(x.queue)+x.running, x.failed, x.wake
		x.mu.Unlock()
		if left == 0 {
			return nil
		}
		if failed != nil {
			return fmt.Errorf("%d Parquet files wait for Elasticsearch, the next run will index them: %w", left, failed)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-wake:
		}
	}
}

// expire deletes the indices of days that are hot no more.
func (x *indexer) expire(ctx context.Context) {
	if x.hotDays == 0 {
		return
	}
	for {
		if err := x.expireDays(ctx); err != nil && ctx.Err() == nil {
			x.log.WarnContext(ctx, "old days not deleted from Elasticsearch", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Minute):
		}
	}
}

func (x *indexer) expireDays(ctx context.Context) error {
	days, err := elastic.LoadDays(ctx, x.store)
	if err != nil {
		return err
	}
	var errs []error
	for day := range days {
		if x.hot(day) {
			continue
		}
		// Searches must stop asking for it before it goes.
		err := elastic.UpdateDays(ctx, x.store, func(d elastic.Days) bool {
			_, ok := d[day]
			delete(d, day)
			return ok
		})
		if err == nil {
			err = x.es.DeleteIndex(ctx, day)
		}
		errs = append(errs, err)
		x.log.InfoContext(ctx, "day deleted from Elasticsearch", "day", day)
	}
	return errors.Join(errs...)
}
