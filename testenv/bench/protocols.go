package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"wirelake/internal/pcapfile"
)

// protocolSize is the size of a capture of one protocol.
const protocolSize = "64MiB"

// protocols measures dissection and compaction on one core, of the mixed capture and of each protocol alone.
func (b *bench) protocols(ctx context.Context) error {
	for _, profile := range []string{"mixed", "tls", "http", "quic", "dns", "ssh", "smtp", "ntp", "icmp", "syslog"} {
		if err := b.protocol(ctx, profile); err != nil {
			return fmt.Errorf("%s: %w", profile, err)
		}
	}
	return nil
}

func (b *bench) protocol(ctx context.Context, profile string) error {
	path, size, err := b.capture(profile, protocolSize)
	if err != nil {
		return err
	}
	packets, err := countPackets(path)
	if err != nil {
		return err
	}
	oneCore := []string{"GOMAXPROCS=1"}
	yard, spi, err := b.inTurns(
		func() (spent, error) { return compress(path) },
		func() (spent, error) {
			u, err := b.wirelake(ctx, oneCore, "spi", "--discard", path)
			return u.spent, err
		})
	if err != nil {
		return err
	}
	store := filepath.Join(b.dir, "protocols")
	defer func() { err = errors.Join(err, os.RemoveAll(store)) }()
	if _, err := b.wirelake(ctx, nil, "import", "--store", "file://"+store, "--quiet", path); err != nil {
		return err
	}
	_, compaction, err := b.inTurns(
		func() (spent, error) {
			return spent{}, errors.Join(os.RemoveAll(filepath.Join(store, "sessions")), os.RemoveAll(filepath.Join(store, "state")))
		},
		func() (spent, error) {
			u, err := b.wirelake(ctx, oneCore, "compactor", "--once", "--store", "file://"+store)
			return u.spent, err
		})
	if err != nil {
		return err
	}
	mb := float64(size) / 1e6
	add := func(what string, s spent) {
		b.report.add(row{
			what: what + " on one core, " + profile, measured: rate(mb, s.took, "MB") + ", " + rate(float64(packets), s.took, "packets"),
			yardstick: "zstd " + rate(mb, yard.took, "MB"), ratio: yard.took.Seconds() / s.took.Seconds(), byCPU: yard.cpu.Seconds() / s.cpu.Seconds(), least: true,
		})
	}
	add("spi --discard", spi)
	add("compactor", compaction)
	return nil
}

func countPackets(path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	r, err := pcapfile.NewReader(f, path)
	if err != nil {
		return 0, err
	}
	defer r.Close() //nolint:errcheck // it was only read
	var rec pcapfile.Record
	for ; ; n++ {
		if err := r.Next(&rec); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return 0, err
		}
	}
}

// profile prints where dissection spends its time.
func (b *bench) profile(ctx context.Context, path string) error {
	file := filepath.Join(b.dir, "spi.prof")
	defer os.Remove(file) //nolint:errcheck // it may not be there
	if _, err := b.wirelake(ctx, []string{"GOMAXPROCS=1"}, "spi", "--discard", "--cpu-profile", file, path); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount", "25", b.binary, file).Output() //nolint:gosec // of our own making
	if err != nil {
		return fmt.Errorf("go tool pprof: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		log.Print(strings.TrimRight(line, "\n"))
	}
	return nil
}
