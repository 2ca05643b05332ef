package compactor

import (
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// overflow keeps documents on the local disk, as JSON, until the Parquet file of their day can be written.
type overflow struct {
	tmp  *os.File
	size int64
	buf  []byte // of the end of the file, not written yet
	docs []overflowDoc
	seen map[string]string // days, each once in memory
}

type overflowDoc struct {
	day string
	at  int64
	n   int
}

const overflowBuffer = 256 << 10

func newOverflow() (*overflow, error) {
	tmp, err := tempFile()
	if err != nil {
		return nil, err
	}
	return &overflow{tmp: tmp, seen: make(map[string]string)}, nil
}

func (o *overflow) add(d *spi.Document, day string) error {
	if own, ok := o.seen[day]; ok {
		day = own
	} else {
		o.seen[day] = day
	}
	before := len(o.buf)
	o.buf = d.AppendJSON(o.buf, nil)
	n := len(o.buf) - before
	o.docs = append(o.docs, overflowDoc{day: day, at: o.size, n: n})
	o.size += int64(n)
	if len(o.buf) < overflowBuffer {
		return nil
	}
	return o.flush()
}

func (o *overflow) flush() error {
	_, err := o.tmp.Write(o.buf)
	o.buf = o.buf[:0]
	if err != nil {
		return fmt.Errorf("spool sessions: %w", err)
	}
	return nil
}

// days iterates over the days and their documents, in order. Nothing can be added any more.
func (o *overflow) days() (iter.Seq2[string, []overflowDoc], error) {
	if err := o.flush(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(o.docs, func(a, b overflowDoc) int { return strings.Compare(a.day, b.day) })
	return func(yield func(string, []overflowDoc) bool) {
		for rest := o.docs; len(rest) > 0; {
			n := 1
			for n < len(rest) && rest[n].day == rest[0].day {
				n++
			}
			if !yield(rest[0].day, rest[:n]) {
				return
			}
			rest = rest[n:]
		}
	}, nil
}

// write writes documents of one day to its Parquet file. It may be called by several goroutines, once all are added.
func (o *overflow) write(docs []overflowDoc, w *sessionfile.Writer, reg *spi.Registry) error {
	var b []byte
	for _, doc := range docs {
		b = slices.Grow(b[:0], doc.n)[:doc.n]
		if _, err := o.tmp.ReadAt(b, doc.at); err != nil {
			return fmt.Errorf("spool sessions: %w", err)
		}
		d, _, err := reg.ParseJSON(b)
		if err != nil {
			return err
		}
		if err := w.Write(d); err != nil {
			return err
		}
	}
	return nil
}
