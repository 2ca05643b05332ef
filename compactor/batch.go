package compactor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"wirelake/internal/elastic"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// maxHotBytes bounds the hot documents that a batch keeps for Elasticsearch.
// Past it they are read from the batch's Parquet files instead, once those are committed.
const maxHotBytes = 192 << 20

const (
	// openDays bounds the days whose Parquet files are written at once: each takes a descriptor and some 700 KiB. A batch
	// is of a day or two, unless its packets have times of all sorts: a capture of a quiet year, a clock gone wrong.
	openDays = 16
	// putDays is how many files are finished and uploaded at once.
	putDays = 4
)

// batch collects the documents of the chunks that one commit covers: a Parquet
// file a day, spooled to the local disk, and the hot documents for Elasticsearch.
type batch struct {
	sensor, lane string
	first        uint64 // sequence number of its first chunk: names its files
	suffix       string // told apart from a batch of chunks with the same number

	schema *sessionfile.Schema
	days   map[string]*spooledFile
	others *overflow // documents of days past openDays; nil for none
	rows   int64

	hot      map[string][]*elastic.Body // by day; nil when it is read from Parquet
	hotBytes int
	bodySize int
}

func newBatch(sensor, lane string, first uint64, schema *sessionfile.Schema, hotBody int) *batch {
	b := &batch{sensor: sensor, lane: lane, first: first, schema: schema, days: make(map[string]*spooledFile), bodySize: hotBody}
	if hotBody > 0 {
		b.hot = make(map[string][]*elastic.Body)
	}
	return b
}

// key is the object key of the batch's file of a day.
func (b *batch) key(day string) string {
	return fmt.Sprintf("sessions/day=%s/sensor=%s/%s-%010d%s.parquet", day, b.sensor, b.lane, b.first, b.suffix)
}

// add takes a document of the day. It does not keep d.
func (b *batch) add(d *spi.Document, day string) error {
	if err := b.spool(d, day); err != nil {
		return err
	}
	b.rows++
	if b.hot == nil {
		return nil
	}
	bodies := b.hot[day]
	if len(bodies) == 0 || bodies[len(bodies)-1].Len() >= b.bodySize {
		bodies = append(bodies, &elastic.Body{})
		b.hot[day] = bodies
	}
	body := bodies[len(bodies)-1]
	before := body.Len()
	body.Add(d)
	if b.hotBytes += body.Len() - before; b.hotBytes > maxHotBytes {
		b.hot = nil
	}
	return nil
}

// spool writes the document to the file of its day.
func (b *batch) spool(d *spi.Document, day string) (err error) {
	f := b.days[day]
	if f == nil && len(b.days) < openDays {
		if f, err = newSpooledFile(b.schema, b.sensor); err != nil {
			return err
		}
		b.days[day] = f
	}
	if f != nil {
		return f.w.Write(d)
	}
	if b.others == nil {
		if b.others, err = newOverflow(); err != nil {
			return err
		}
	}
	return b.others.add(d, day)
}

// put writes the batch's files to the store, replacing what an attempt that was
// cut short left under the same keys, and returns them. Check is asked before each.
func (b *batch) put(ctx context.Context, store objstore.Store, check func() error) (files []objstore.Object, err error) {
	var mu sync.Mutex // of files
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(putDays)
	one := func(day string, f *spooledFile) error {
		info, err := f.finish()
		if err != nil {
			return err
		}
		if err := check(); err != nil {
			return err
		}
		obj, err := store.Put(ctx, b.key(day), f.tmp, info.Bytes)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		files = append(files, obj)
		return nil
	}
	for day, f := range b.days {
		group.Go(func() error { return one(day, f) })
	}
	others, err := b.otherDays()
	if err != nil {
		return nil, errors.Join(err, group.Wait())
	}
	for day, docs := range others {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			f, err := newSpooledFile(b.schema, b.sensor)
			if err != nil {
				return err
			}
			if err = b.others.write(docs, f.w, b.schema.Registry()); err == nil {
				err = one(day, f)
			}
			return errors.Join(err, f.tmp.Close())
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b objstore.Object) int { return strings.Compare(a.Key, b.Key) })
	return files, nil
}

// otherDays returns the documents of the days past openDays.
func (b *batch) otherDays() (iter.Seq2[string, []overflowDoc], error) {
	if b.others == nil {
		return func(func(string, []overflowDoc) bool) {}, nil
	}
	return b.others.days()
}

// discard lets go of the spooled files.
func (b *batch) discard() error {
	var errs []error
	for _, f := range b.days {
		errs = append(errs, f.tmp.Close())
	}
	clear(b.days)
	if b.others != nil {
		errs = append(errs, b.others.tmp.Close())
		b.others = nil
	}
	return errors.Join(errs...)
}
