package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"log"
	"os/exec"
	"time"

	"wirelake/internal/elastic"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// archive is a capture that is imported into a folder of the bucket.
type archive struct {
	capture   string
	bytes     int64 // of the capture
	store     objstore.Store
	url       string
	compacted bool
}

// newArchive imports a capture.
func (b *bench) newArchive(ctx context.Context, profile, size string) (*archive, error) {
	a := &archive{}
	var err error
	if a.capture, a.bytes, err = b.capture(profile, size); err != nil {
		return nil, err
	}
	if a.store, a.url, err = b.store(ctx, profile); err != nil {
		return nil, err
	}
	_, err = b.importInto(ctx, a)
	return a, err
}

func (b *bench) importInto(ctx context.Context, a *archive) (usage, error) {
	return b.wirelake(ctx, nil, "import", "--store", a.url, "--quiet", a.capture)
}

// mixedArchive is the archive that several benchmarks use.
func (b *bench) mixedArchive(ctx context.Context) (_ *archive, err error) {
	if b.mixed == nil {
		b.mixed, err = b.newArchive(ctx, "mixed", b.size)
	}
	return b.mixed, err
}

// imports compares an import to MinIO with a bare upload of the file.
func (b *bench) imports(ctx context.Context) error {
	a, err := b.mixedArchive(ctx) // makes all that is needed, and warms the page cache
	if err != nil {
		return err
	}
	var rss int64
	yard, took, err := b.inTurns(
		func() (spent, error) { return put(ctx, a.store, a.capture) },
		func() (spent, error) {
			if err := clearStore(ctx, a.store, "chunks/"); err != nil {
				return spent{}, err
			}
			u, err := b.importInto(ctx, a)
			rss = max(rss, u.rss)
			return u.spent, err
		})
	if err != nil {
		return err
	}
	mb := float64(a.bytes) / 1e6
	b.report.add(
		row{what: "import to MinIO", measured: rate(mb, took.took, "MB"), yardstick: "bare PUT " + rate(mb, yard.took, "MB"),
			ratio: yard.took.Seconds() / took.took.Seconds(), byCPU: yard.cpu.Seconds() / took.cpu.Seconds(), least: true, required: 0.6, goal: 0.8},
		row{what: "import, memory at most", ratio: float64(rss >> 20), required: 512, unit: "MiB"})
	return nil
}

// compact runs the compactor on all of an archive that has been cleared, with Elasticsearch.
func (b *bench) compact(ctx context.Context, a *archive) (usage, error) {
	es, err := b.elasticsearch()
	if err != nil {
		return usage{}, err
	}
	if err := clearStore(ctx, a.store, "sessions/", "state/"); err != nil {
		return usage{}, err
	}
	if err := b.clearElastic(ctx, es); err != nil {
		return usage{}, err
	}
	u, err := b.wirelake(ctx, nil, "compactor", "--store", a.url, "--once", "--elasticsearch", b.node.URL())
	if err != nil {
		return u, err
	}
	a.compacted = true
	return u, b.settled(ctx)
}

// compaction compares the compactor with a compressor on the same file, and tells the bytes of what it writes.
func (b *bench) compaction(ctx context.Context) error {
	a, err := b.mixedArchive(ctx)
	if err != nil {
		return err
	}
	// The first run is for Elasticsearch's compiler.
	if _, err := b.compact(ctx, a); err != nil {
		return err
	}
	var rss int64
	yard, took, err := b.inTurns(
		func() (spent, error) { return compress(a.capture) },
		func() (spent, error) {
			u, err := b.compact(ctx, a)
			rss = max(rss, u.rss)
			return u.spent, err
		})
	if err != nil {
		return err
	}
	mb := float64(a.bytes) / 1e6
	b.report.add(
		row{what: "compaction with Elasticsearch", measured: rate(mb, took.took, "MB"), yardstick: "zstd fastest, one core " + rate(mb, yard.took, "MB"),
			ratio: yard.took.Seconds() / took.took.Seconds(), byCPU: yard.cpu.Seconds() / took.cpu.Seconds(), least: true, required: 0.35, goal: 0.55},
		row{what: "compaction, memory at most", ratio: float64(rss >> 20), unit: "MiB"})
	return b.sizes(ctx, a)
}

// sizes tells the bytes a session in Elasticsearch and in Parquet.
func (b *bench) sizes(ctx context.Context, a *archive) error {
	docs, indexBytes, err := b.indexed(ctx, b.client)
	if err != nil {
		return err
	}
	var parquet int64
	for obj, err := range a.store.List(ctx, "sessions/", "") {
		if err != nil {
			return err
		}
		parquet += obj.Size
	}
	rows, err := b.rows(ctx, a)
	if err != nil {
		return err
	}
	if docs != rows || rows == 0 {
		return fmt.Errorf("elasticsearch has %d documents, Parquet %d rows", docs, rows)
	}
	log.Printf("%d sessions", rows)
	b.report.add(
		row{what: fmt.Sprintf("Elasticsearch, %d sessions", docs), ratio: float64(indexBytes) / float64(docs), required: 500, unit: "B a session"},
		row{what: fmt.Sprintf("Parquet, %d sessions", rows), ratio: float64(parquet) / float64(rows), required: 200, unit: "B a session"})
	return nil
}

// files opens the Parquet files of an archive.
func (b *bench) files(ctx context.Context, a *archive) iter.Seq2[*sessionfile.File, error] {
	return func(yield func(*sessionfile.File, error) bool) {
		schema, err := sessionfile.NewSchema(b.set.Registry())
		if err != nil {
			yield(nil, err)
			return
		}
		reader, err := sessionfile.NewReader(a.store, schema)
		if err != nil {
			yield(nil, err)
			return
		}
		for obj, err := range a.store.List(ctx, "sessions/", "") {
			if err != nil {
				yield(nil, err)
				return
			}
			f, err := reader.Open(ctx, obj.Key)
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// rows counts the sessions of an archive.
func (b *bench) rows(ctx context.Context, a *archive) (n int64, err error) {
	for f, err := range b.files(ctx, a) {
		if err != nil {
			return 0, err
		}
		n += f.Rows()
	}
	return n, nil
}

// documents yields the sessions of an archive, with some of their fields.
func (b *bench) documents(ctx context.Context, a *archive, fields []spi.FieldID) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		for f, err := range b.files(ctx, a) {
			if err != nil {
				yield(nil, err)
				return
			}
			for d, err := range f.Documents(ctx, fields) {
				if !yield(d, err) || err != nil {
					return
				}
			}
		}
	}
}

// dns compares the compaction of many short sessions with a bare bulk load of their documents.
func (b *bench) dns(ctx context.Context) error {
	// A session of the generator's DNS takes 297 bytes of capture.
	a, err := b.newArchive(ctx, "dns", fmt.Sprint(b.sessions*297))
	if err != nil {
		return err
	}
	if _, err := b.compact(ctx, a); err != nil { // for Elasticsearch's compiler, and for the documents
		return err
	}
	es := b.client
	var bodies []*elastic.Body
	var day string
	n := 0
	for d, err := range b.documents(ctx, a, elastic.Needed(b.set.Registry())) {
		if err != nil {
			return err
		}
		if len(bodies) == 0 || bodies[len(bodies)-1].Len() >= es.BulkBytes() {
			bodies = append(bodies, &elastic.Body{})
		}
		bodies[len(bodies)-1].Add(d)
		first, _ := d.Int(spi.FirstPacket)
		if day == "" {
			day = time.UnixMilli(first).UTC().Format(time.DateOnly)
		}
		n++
	}
	yard, took, err := b.inTurns(
		func() (spent, error) {
			if err := b.clearElastic(ctx, es); err != nil {
				return spent{}, err
			}
			took, err := load(ctx, es, day, bodies)
			if err != nil {
				return spent{}, err
			}
			if docs, _, err := b.indexed(ctx, es); err != nil || docs != int64(n) {
				return spent{}, fmt.Errorf("%d of %d documents are in Elasticsearch: %w", docs, n, err)
			}
			return took, nil
		},
		func() (spent, error) {
			u, err := b.compact(ctx, a)
			return u.spent, err
		})
	if err != nil {
		return err
	}
	b.report.add(row{what: fmt.Sprintf("compaction of %d DNS sessions", n), measured: rate(float64(n), took.took, "sessions"),
		yardstick: "bare bulk load " + rate(float64(n), yard.took, "sessions"), ratio: yard.took.Seconds() / took.took.Seconds(), byCPU: yard.cpu.Seconds() / took.cpu.Seconds(), least: true, required: 0.25, goal: 0.4})
	return clearStore(ctx, a.store, "")
}

// spi compares dissection alone, on one core, with a compressor on the same file.
func (b *bench) spi(ctx context.Context) error {
	path, size, err := b.capture("mixed", b.size)
	if err != nil {
		return err
	}
	yard, took, err := b.inTurns(
		func() (spent, error) { return compress(path) },
		func() (spent, error) {
			u, err := b.wirelake(ctx, []string{"GOMAXPROCS=1"}, "spi", "--discard", path)
			return u.spent, err
		})
	if err != nil {
		return err
	}
	mb := float64(size) / 1e6
	b.report.add(row{what: "spi --discard, one core", measured: rate(mb, took.took, "MB"), yardstick: "zstd fastest, one core " + rate(mb, yard.took, "MB"),
		ratio: yard.took.Seconds() / took.took.Seconds(), byCPU: yard.cpu.Seconds() / took.cpu.Seconds(), least: true, required: 0.6, goal: 0.9})
	if err := b.profile(ctx, path); err != nil {
		return err
	}
	return b.spiDNS(ctx, mb/yard.took.Seconds())
}

// spiDNS measures dissection alone, on one core, of many short sessions. What is required was set where the
// compressor did 430 MB/s, and is scaled by what it does here.
func (b *bench) spiDNS(ctx context.Context, yardMB float64) error {
	path, _, err := b.capture("dns", fmt.Sprint(b.sessions*297))
	if err != nil {
		return err
	}
	binary, err := b.build()
	if err != nil {
		return err
	}
	var lines lineCounter                                                                // and not the text: a process is told to have taken what this one holds when it begins
	cmd := exec.CommandContext(ctx, binary, "spi", "--jsonl", "--reference=false", path) //nolint:gosec // of our own making
	cmd.Stdout = &lines
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("wirelake spi: %w", err)
	}
	sessions := int(lines)
	var took []time.Duration
	for range b.rounds {
		u, err := b.wirelake(ctx, []string{"GOMAXPROCS=1"}, "spi", "--discard", path)
		if err != nil {
			return err
		}
		took = append(took, u.took)
	}
	required := 70_000 * yardMB / 430
	b.report.add(row{what: fmt.Sprintf("spi --discard of %d DNS sessions, one core", sessions), measured: rate(float64(sessions), median(took), "sessions"),
		yardstick: fmt.Sprintf("required %.0f sessions/s", required), ratio: float64(sessions) / median(took).Seconds() / required, least: true, required: 1})
	return nil
}

// lineCounter counts lines that are written to it.
type lineCounter int

func (c *lineCounter) Write(b []byte) (int, error) {
	*c += lineCounter(bytes.Count(b, []byte("\n")))
	return len(b), nil
}
