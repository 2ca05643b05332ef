package compactor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"wirelake/internal/elastic"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// maxHotBytes bounds the hot documents that a batch keeps for Elasticsearch.
// Past it they are read from the batch's Parquet files instead, once those are committed.
const maxHotBytes = 192 << 20

// batch collects the documents of the chunks that one commit covers: a Parquet
// file a day, spooled to the local disk, and the hot documents for Elasticsearch.
type batch struct {
	sensor, lane string
	first        uint64 // sequence number of its first chunk: names its files
	suffix       string // told apart from a batch of chunks with the same number

	schema *sessionfile.Schema
	days   map[string]*spooledFile
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
	f := b.days[day]
	if f == nil {
		var err error
		if f, err = newSpooledFile(b.schema, b.sensor); err != nil {
			return err
		}
		b.days[day] = f
	}
	b.rows++
	if err := f.w.Write(d); err != nil {
		return err
	}
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

// put writes the batch's files to the store, replacing what an attempt that was
// cut short left under the same keys, and returns the keys. Check is asked before each.
func (b *batch) put(ctx context.Context, store objstore.Store, check func() error) (keys []string, size int64, err error) {
	names := make([]string, 0, len(b.days))
	for day := range b.days {
		names = append(names, day)
	}
	slices.Sort(names)
	for _, day := range names {
		f := b.days[day]
		info, err := f.finish()
		if err != nil {
			return nil, 0, err
		}
		if err := check(); err != nil {
			return nil, 0, err
		}
		if _, err := store.Put(ctx, b.key(day), f.tmp, info.Bytes); err != nil {
			return nil, 0, err
		}
		keys = append(keys, b.key(day))
		size += info.Bytes
	}
	return keys, size, nil
}

// discard lets go of the spooled files.
func (b *batch) discard() error {
	var errs []error
	for _, f := range b.days {
		errs = append(errs, f.tmp.Close())
	}
	clear(b.days)
	return errors.Join(errs...)
}
