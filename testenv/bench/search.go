package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"wirelake/internal/expr"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/sessionfile/sessiontest"
	"wirelake/internal/spi"
	"wirelake/query"
)

// searches are what is asked of a million sessions, of wirelake and of DuckDB; the address is one that they have.
func searches(address string) []search {
	return []search{
		{"an address", "ip == " + address, "source.ip = '" + address + "' OR destination.ip = '" + address + "'"},
		{"a TLS name by prefix", "host.tls == login1*", "len(list_filter(tls.client.server_name, lambda x: starts_with(x, 'login1'))) > 0"},
		{"a URI substring", `http.uri == "*login/77*"`, "len(list_filter(http.uri, lambda x: contains(x, 'login/77'))) > 0"},
	}
}

type search struct{ what, expr, sql string }

const million = 1_000_000

// searchRepeats is how often a search is repeated in one turn, of which the median counts.
const searchRepeats = 5

// search compares searches over a million sessions in one Parquet file with DuckDB's on the same file, both on one thread.
func (b *bench) search(ctx context.Context) error {
	dir := filepath.Join(b.tmp, "million")
	path := filepath.Join(dir, "sessions", "day="+sessiontest.Start().Format(time.DateOnly), "sensor=sensor-1", "million.parquet")
	address, err := b.writeMillion(path)
	if err != nil {
		return err
	}
	store, err := objstore.Open(ctx, "file://"+dir, objstore.Options{})
	if err != nil {
		return err
	}
	for _, s := range searches(address) {
		e, err := expr.Parse(s.expr, b.set.Registry(), sessiontest.Start())
		if err != nil {
			return err
		}
		want := &query.Search{Expr: e, Fields: []spi.FieldID{}, Sort: []query.Sort{{Field: spi.FirstPacket, Descending: true}}, Length: 50}
		var found, counted int64
		yard, took, err := b.inTurns(
			func() (took spent, err error) {
				took, counted, err = b.duckDB(ctx, path, s.sql)
				return took, err
			},
			func() (took spent, err error) {
				took, found, err = b.parquetSearch(ctx, store, want)
				return took, err
			})
		if err != nil {
			return err
		}
		if found != counted {
			return fmt.Errorf("%s: wirelake finds %d sessions, DuckDB %d", s.expr, found, counted)
		}
		b.report.add(row{what: fmt.Sprintf("search of a million for %s, %d found", s.what, found),
			measured:  fmt.Sprintf("%.1f ms", took.took.Seconds()*1e3),
			yardstick: fmt.Sprintf("DuckDB, one thread %.1f ms", yard.took.Seconds()*1e3), ratio: yard.took.Seconds() / took.took.Seconds(), byCPU: yard.cpu.Seconds() / took.cpu.Seconds(), least: true, required: 1})
	}
	return nil
}

// writeMillion writes a Parquet file of a million sessions, and returns the source address of one from its middle.
func (b *bench) writeMillion(path string) (address string, err error) {
	reg := b.set.Registry()
	schema, err := sessionfile.NewSchema(reg)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buf := bufio.NewWriterSize(f, 1<<20)
	w, err := sessionfile.NewWriter(buf, schema, sessionfile.Options{Sensor: "sensor-1"})
	if err != nil {
		return "", err
	}
	n := 0
	for d := range sessiontest.Documents(reg, million) {
		if n++; n == million/2 {
			address = strings.Clone(d.String(spi.SourceIP))
		}
		if err := w.Write(d); err != nil {
			return "", err
		}
	}
	info, err := w.Close()
	if err != nil {
		return "", err
	}
	log.Printf("a million sessions are %d MB of Parquet", info.Bytes/1e6)
	return address, buf.Flush()
}

// parquetSearch searches with one thread for Go code, each time with a new engine: it knows nothing of the file yet, as
// DuckDB does not.
func (b *bench) parquetSearch(ctx context.Context, store objstore.Store, want *query.Search) (spent, int64, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var wall, cpu []time.Duration
	var total int64
	for range searchRepeats {
		runtime.GC()
		engine, err := query.NewParquet(store, b.set.Registry(), query.DefaultParquetConfig(), nil)
		if err != nil {
			return spent{}, 0, err
		}
		before, err := cpuOfSelf()
		if err != nil {
			return spent{}, 0, err
		}
		began := time.Now()
		result, err := engine.Search(ctx, want)
		if err != nil {
			return spent{}, 0, err
		}
		wall = append(wall, time.Since(began))
		after, err := cpuOfSelf()
		if err != nil {
			return spent{}, 0, err
		}
		cpu = append(cpu, after-before)
		if len(result.Warnings) > 0 {
			return spent{}, 0, fmt.Errorf("search: %v", result.Warnings)
		}
		total = result.Total
	}
	return spent{median(wall), median(cpu)}, total, nil
}

// duckScript prints the medians of the times and of the CPU times of several runs of the first query, in seconds, and the
// answer of the second.
const duckScript = `
import sys, statistics, time, duckdb
con = duckdb.connect(config={"threads": 1})
con.execute("set enable_progress_bar = false")
wall, cpu = [], []
for _ in range(int(sys.argv[3])):
    began, before = time.perf_counter(), time.process_time()
    con.execute(sys.argv[1]).fetchall()
    cpu.append(time.process_time() - before)
    wall.append(time.perf_counter() - began)
print(statistics.median(wall), statistics.median(cpu), con.execute(sys.argv[2]).fetchone()[0])
`

// duckDB searches for the newest 50 rows on one thread and, not timed, for the number of all: wirelake gives both in
// the time that it is measured with.
func (b *bench) duckDB(ctx context.Context, path, where string) (spent, int64, error) {
	sql := func(what string) string {
		return fmt.Sprintf("SELECT %s FROM read_parquet('%s') WHERE %s", what, path, where)
	}
	rows := sql("id, epoch_ms(firstPacket) AS t, epoch_ms(lastPacket), node") + " ORDER BY t DESC LIMIT 50"
	python := filepath.Join(b.root, ".cache", "venv", "bin", "python")
	cmd := exec.CommandContext(ctx, python, "-c", duckScript, rows, sql("count(*)"), fmt.Sprint(searchRepeats))
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return spent{}, 0, fmt.Errorf("duckdb (testenv/setup.sh venv installs it): %w\n%s", err, problem.Bytes())
	}
	var wall, cpu float64
	var total int64
	if _, err := fmt.Sscan(out.String(), &wall, &cpu, &total); err != nil {
		return spent{}, 0, fmt.Errorf("duckdb printed %q: %w", out.Bytes(), err)
	}
	return spent{time.Duration(wall * float64(time.Second)), time.Duration(cpu * float64(time.Second))}, total, nil
}
