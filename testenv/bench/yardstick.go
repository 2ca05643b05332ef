package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"wirelake/internal/elastic"
	"wirelake/internal/objstore"
)

// inTurns measures a yardstick and what is compared with it, one after the other, and returns the median of each.
func (b *bench) inTurns(yardstick, ours func() (time.Duration, error)) (yard, took time.Duration, err error) {
	var yards, tooks []time.Duration
	for range b.rounds {
		y, err := yardstick()
		if err != nil {
			return 0, 0, fmt.Errorf("yardstick: %w", err)
		}
		t, err := ours()
		if err != nil {
			return 0, 0, err
		}
		log.Printf("yardstick %.3f s, measured %.3f s, ratio %.3f", y.Seconds(), t.Seconds(), y.Seconds()/t.Seconds())
		yards, tooks = append(yards, y), append(tooks, t)
	}
	return median(yards), median(tooks), nil
}

// compress compresses the file with zstd's fastest level in frames of 256 KiB on one core, and returns the time of
// that; reading is left out.
func compress(path string) (took time.Duration, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		return 0, err
	}
	defer enc.Close() //nolint:errcheck // nothing is written through it
	in := make([]byte, 256<<10)
	var out []byte
	for {
		n, err := io.ReadFull(f, in)
		if errors.Is(err, io.EOF) {
			return took, nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, err
		}
		began := time.Now()
		out = enc.EncodeAll(in[:n], out[:0])
		took += time.Since(began)
	}
}

// put uploads the file as it is, with the client that wirelake has.
func put(ctx context.Context, s objstore.Store, path string) (time.Duration, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err = s.Put(ctx, "whole.pcap", f, info.Size()); err != nil {
		return 0, err
	}
	took := time.Since(began)
	return took, s.Delete(ctx, "whole.pcap")
}

// bulkWorkers is how many bulk requests the bare load has under way: what keeps two cores busy.
const bulkWorkers = 2

// load sends prepared bulk bodies into the empty index of a day, and refreshes it.
func load(ctx context.Context, es *elastic.Client, day string, bodies []*elastic.Body) (time.Duration, error) {
	if err := es.EnsureTemplate(ctx); err != nil {
		return 0, err
	}
	if _, err := es.EnsureIndex(ctx, day); err != nil {
		return 0, err
	}
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(bulkWorkers)
	for _, body := range bodies {
		group.Go(func() error {
			rejected, err := es.Bulk(ctx, day, body)
			if err == nil && rejected > 0 {
				err = fmt.Errorf("%d documents rejected", rejected)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	if err := es.Refresh(context.WithoutCancel(ctx), day); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}
