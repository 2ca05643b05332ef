package compactor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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
	days   map[string]*dayFile
	rows   int64

	hot      map[string][]*elastic.Body // by day; nil when it is read from Parquet
	hotBytes int
	bodySize int
}

// dayFile is a Parquet file in the making.
type dayFile struct {
	tmp *os.File
	buf *bufio.Writer
	w   *sessionfile.Writer
}

func newBatch(sensor, lane string, first uint64, schema *sessionfile.Schema, hotBody int) *batch {
	b := &batch{sensor: sensor, lane: lane, first: first, schema: schema, days: make(map[string]*dayFile), bodySize: hotBody}
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
		if f, err = b.open(); err != nil {
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

func (b *batch) open() (*dayFile, error) {
	tmp, err := os.CreateTemp("", "wirelake-sessions-*.parquet")
	if err != nil {
		return nil, fmt.Errorf("spool sessions: %w", err)
	}
	// The name is given up at once: the file goes with the process, however that ends.
	if err := os.Remove(tmp.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("spool sessions: %w", err), tmp.Close())
	}
	f := &dayFile{tmp: tmp, buf: bufio.NewWriterSize(tmp, 256<<10)}
	f.w, err = sessionfile.NewWriter(f.buf, b.schema, sessionfile.Options{Sensor: b.sensor})
	if err != nil {
		return nil, errors.Join(err, tmp.Close())
	}
	return f, nil
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
		info, err := f.w.Close()
		if err != nil {
			return nil, 0, err
		}
		if err := f.buf.Flush(); err != nil {
			return nil, 0, fmt.Errorf("spool sessions: %w", err)
		}
		if _, err := f.tmp.Seek(0, io.SeekStart); err != nil {
			return nil, 0, fmt.Errorf("spool sessions: %w", err)
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
