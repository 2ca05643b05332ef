// Command bench measures wirelake against yardsticks, and prints each figure beside the yardstick of the same run:
//
//	go run ./testenv/bench                      # all, on a gigabyte: a quarter of an hour on two cores
//	go run ./testenv/bench -run dns,search
//	go run ./testenv/bench -size 64MiB -rounds 1
//
// A yardstick is work of the same machine on the same input that wirelake cannot do without: a bare upload of the
// file, a compressor on it, a bare bulk load of the same documents, DuckDB on the same Parquet file. Both are
// measured in turns, yardstick first, and the medians compared: so the ratios, unlike the figures, can be compared
// between machines. docs/benchmarks.md keeps them.
//
// It builds the wirelake binary and runs it as a process, with a real MinIO and a real Elasticsearch.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// options are the flags.
type options struct {
	run      string
	size     string
	sessions int
	rounds   int
	keep     bool
}

func main() {
	log.SetFlags(log.Ltime)
	testing.Init() // for testenv
	var o options
	flag.StringVar(&o.run, "run", "", "comma-separated: "+strings.Join(names(), ", ")+" (default: all)")
	flag.StringVar(&o.size, "size", "1GiB", "size of the mixed capture")
	flag.IntVar(&o.sessions, "sessions", 200_000, "sessions of the DNS capture, about")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each is measured; the median counts")
	flag.BoolVar(&o.keep, "keep", true, "keep the captures in .cache/bench for the next run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		stop()
		log.Fatal(err)
	}
}

// benchmarks are what can be run, in this order.
func benchmarks() []benchmark {
	return []benchmark{
		{"import", (*bench).imports},
		{"compaction", (*bench).compaction},
		{"ranges", (*bench).ranges},
		{"dns", (*bench).dns},
		{"search", (*bench).search},
		{"spi", (*bench).spi},
		{"protocols", (*bench).protocols},
	}
}

type benchmark struct {
	name string
	run  func(*bench, context.Context) error
}

func names() (out []string) {
	for _, m := range benchmarks() {
		out = append(out, m.name)
	}
	return out
}

func run(ctx context.Context, o options) (err error) {
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(o.run, ",") {
		if name != "" {
			wanted[name] = true
		}
	}
	for _, name := range names() {
		if len(wanted) > 0 && !wanted[name] {
			continue
		}
		delete(wanted, name)
	}
	if len(wanted) > 0 {
		return fmt.Errorf("-run: no benchmark is called %s; there are %s", strings.Join(slices.Sorted(maps.Keys(wanted)), ", "), strings.Join(names(), ", "))
	}
	if o.rounds < 1 {
		return fmt.Errorf("-rounds: %d is under 1", o.rounds)
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer b.close()
	chosen := strings.Split(o.run, ",")
	for _, m := range benchmarks() {
		if o.run != "" && !slices.Contains(chosen, m.name) {
			continue
		}
		log.Printf("%s …", m.name)
		if err := m.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return b.report.print(os.Stdout)
}
