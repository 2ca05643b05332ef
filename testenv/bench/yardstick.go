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
func (b *bench) inTurns(yardstick, ours func() (spent, error)) (yard, took spent, err error) {
	var wall, cpu [2][]time.Duration
	for range b.rounds {
		var s [2]spent
		if s[0], err = yardstick(); err != nil {
			return yard, took, fmt.Errorf("yardstick: %w", err)
		}
		if s[1], err = ours(); err != nil {
			return yard, took, err
		}
		log.Printf("yardstick %.3f s, %.3f s of CPU; measured %.3f s, %.3f s of CPU",
			s[0].took.Seconds(), s[0].cpu.Seconds(), s[1].took.Seconds(), s[1].cpu.Seconds())
		for i := range s {
			wall[i], cpu[i] = append(wall[i], s[i].took), append(cpu[i], s[i].cpu)
		}
	}
	return spent{median(wall[0]), median(cpu[0])}, spent{median(wall[1]), median(cpu[1])}, nil
}

// compress compresses the file with zstd's fastest level in frames of 256 KiB on one core, and returns the time of
// that; reading is left out.
func compress(path string) (s spent, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		return s, err
	}
	defer enc.Close() //nolint:errcheck // nothing is written through it
	in := make([]byte, 256<<10)
	var out []byte
	for {
		n, err := io.ReadFull(f, in)
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return s, err
		}
		before, err := cpuOfSelf()
		if err != nil {
			return s, err
		}
		began := time.Now()
		out = enc.EncodeAll(in[:n], out[:0])
		s.took += time.Since(began)
		after, err := cpuOfSelf()
		if err != nil {
			return s, err
		}
		s.cpu += after - before
	}
}

// put uploads the file as it is, with the client that wirelake has.
func put(ctx context.Context, s objstore.Store, path string) (spent, error) {
	f, err := os.Open(path)
	if err != nil {
		return spent{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return spent{}, err
	}
	took, err := timed(func() error {
		_, err := s.Put(ctx, "whole.pcap", f, info.Size())
		return err
	})
	if err != nil {
		return spent{}, err
	}
	return took, s.Delete(ctx, "whole.pcap")
}

// bulkWorkers is how many bulk requests the bare load has under way: what keeps two cores busy.
const bulkWorkers = 2

// load sends prepared bulk bodies into the empty index of a day, and refreshes it.
func load(ctx context.Context, es *elastic.Client, day string, bodies []*elastic.Body) (spent, error) {
	if err := es.EnsureTemplate(ctx); err != nil {
		return spent{}, err
	}
	if _, err := es.EnsureIndex(ctx, day); err != nil {
		return spent{}, err
	}
	return timed(func() error {
		group, work := errgroup.WithContext(ctx)
		group.SetLimit(bulkWorkers)
		for _, body := range bodies {
			group.Go(func() error {
				rejected, err := es.Bulk(work, day, body)
				if err == nil && rejected > 0 {
					err = fmt.Errorf("%d documents rejected", rejected)
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		return es.Refresh(ctx, day)
	})
}
