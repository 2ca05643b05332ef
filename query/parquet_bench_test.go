package query

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"wirelake/internal/dissect"
	"wirelake/internal/expr"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/sessionfile/sessiontest"
	"wirelake/internal/spi"
	"wirelake/testenv"
)

// million writes a file of a million sessions and returns its engine and path.
func million(b *testing.B) (*Parquet, string) {
	b.Helper()
	dir := b.TempDir()
	if kept := os.Getenv("WIRELAKE_BENCH_DIR"); kept != "" {
		dir = kept // a file made by an earlier run is used again
	}
	path := filepath.Join(dir, "sessions/day="+sessiontest.Start().Format(time.DateOnly)+"/sensor=sensor-1/million.parquet")
	reg := dissect.New().Registry()
	if _, err := os.Stat(path); err != nil {
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			b.Fatal(err)
		}
		schema, err := sessionfile.NewSchema(reg)
		if err != nil {
			b.Fatal(err)
		}
		out, err := os.Create(path) //nolint:gosec // G304: of the benchmark
		if err != nil {
			b.Fatal(err)
		}
		buf := bufio.NewWriterSize(out, 1<<20)
		w, err := sessionfile.NewWriter(buf, schema, sessionfile.Options{Sensor: "sensor-1"})
		if err != nil {
			b.Fatal(err)
		}
		for d := range sessiontest.Documents(reg, 1_000_000) {
			if err := w.Write(d); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Close(); err != nil {
			b.Fatal(err)
		}
		if err := buf.Flush(); err != nil {
			b.Fatal(err)
		}
		if err := out.Close(); err != nil {
			b.Fatal(err)
		}
	}
	store, err := objstore.Open(context.Background(), "file://"+dir, objstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	engine, err := NewParquet(objstore.Instrument(store, nil, "query"), reg, DefaultParquetConfig(), nil)
	if err != nil {
		b.Fatal(err)
	}
	return engine, path
}

// BenchmarkParquetSearch searches a million sessions and prints beside each search what DuckDB takes for the same
// answer on the same file with one thread: the number of matches and the newest 50 of them.
func BenchmarkParquetSearch(b *testing.B) {
	engine, path := million(b)
	for _, q := range []struct{ name, expr, sql string }{
		{"address", "ip == 10.2.75.210", "source.ip = '10.2.75.210' OR destination.ip = '10.2.75.210'"},
		{"address-rare", "ip.dst == 93.184.216.34", "destination.ip = '93.184.216.34'"},
		{"tls-prefix", "host.tls == login1*", "len(list_filter(tls.client.server_name, lambda x: starts_with(x, 'login1'))) > 0"},
		{"uri-substring", `http.uri == "*login/77*"`, "len(list_filter(http.uri, lambda x: contains(x, 'login/77'))) > 0"},
		{"uri-substring-many", `http.uri == "*login*"`, "len(list_filter(http.uri, lambda x: contains(x, 'login'))) > 0"},
		{"bytes", "bytes > 100000", `network.bytes > 100000`},
	} {
		b.Run(q.name, func(b *testing.B) {
			e, err := expr.Parse(q.expr, engine.reg, sessiontest.Start())
			if err != nil {
				b.Fatal(err)
			}
			s := &Search{Expr: e, Fields: []spi.FieldID{}, Sort: []Sort{{spi.FirstPacket, true}}, Length: 50}
			var result *Result
			before := cpuTime(b)
			for b.Loop() {
				if result, err = engine.Search(context.Background(), s); err != nil {
					b.Fatal(err)
				}
			}
			cpu := (cpuTime(b) - before) / time.Duration(b.N)
			took, duckCPU, total := duckTime(b, path, q.sql)
			if total != result.Total {
				b.Fatalf("DuckDB finds %d, the engine %d", total, result.Total)
			}
			ours := b.Elapsed() / time.Duration(b.N)
			b.ReportMetric(took.Seconds()*1000, "duckdb-ms")
			b.ReportMetric(ours.Seconds()/took.Seconds(), "ratio")
			b.ReportMetric(cpu.Seconds()*1000, "cpu-ms")
			b.ReportMetric(duckCPU.Seconds()*1000, "duckdb-cpu-ms")
			b.ReportMetric(float64(total), "matches")
		})
	}
}

// BenchmarkParquetPage is what the GUI asks first: the newest 50 of a million sessions as whole documents, and the
// timeline of all.
func BenchmarkParquetPage(b *testing.B) {
	engine, _ := million(b)
	all := &expr.Expr{Root: expr.All{}}
	newest := []Sort{{spi.FirstPacket, true}}
	for name, s := range map[string]*Search{
		"rows":     {Expr: all, Sort: newest, Length: 50},
		"timeline": {Expr: all, Histogram: &Histogram{Field: spi.LastPacket, Interval: time.Minute}},
	} {
		b.Run(name, func(b *testing.B) {
			before := cpuTime(b)
			for b.Loop() {
				if _, err := engine.Search(context.Background(), s); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpuTime(b)-before).Seconds()*1000/float64(b.N), "cpu-ms")
		})
	}
}

// duckScript prints the fastest of five runs of the first query, in seconds of the clock and of the processor, and
// the answer of the second query.
const duckScript = `
import sys, time, duckdb
con = duckdb.connect(config={"threads": 1})
con.execute("SET enable_progress_bar = false")
best = cpu = 1e9
for _ in range(5):
    began, began_cpu = time.perf_counter(), time.process_time()
    con.execute(sys.argv[1]).fetchall()
    best, cpu = min(best, time.perf_counter() - began), min(cpu, time.process_time() - began_cpu)
print(best, cpu, con.execute(sys.argv[2]).fetchone()[0])
`

// duckTime returns the fastest of five searches for the newest 50 rows in one process, on one thread, and, not
// timed, the number of matches: the engine gives both in the time that it is measured with.
func duckTime(b *testing.B, path, where string) (took, cpu time.Duration, total int64) {
	b.Helper()
	sql := func(what string) string {
		return fmt.Sprintf("SELECT %s FROM read_parquet('%s') WHERE %s", what, path, where)
	}
	rows := sql("id, epoch_ms(firstPacket) AS t, epoch_ms(lastPacket), node") + " ORDER BY t DESC LIMIT 50"
	out, err := exec.Command(testenv.Python(b), "-c", duckScript, rows, sql("count(*)")).Output() //nolint:gosec // G204: of the benchmark
	if err != nil {
		b.Fatal(err)
	}
	var seconds, cpuSeconds float64
	if _, err := fmt.Sscan(string(out), &seconds, &cpuSeconds, &total); err != nil {
		b.Fatalf("duckdb printed %q: %v", out, err)
	}
	return time.Duration(seconds * float64(time.Second)), time.Duration(cpuSeconds * float64(time.Second)), total
}

// cpuTime returns the time that this process has had of all processors: beside what takes time
// on a machine that does other things too, it says what a search costs.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkParquetGet fetches sessions by their ids, as for a large page that Elasticsearch found.
func BenchmarkParquetGet(b *testing.B) {
	engine, _ := million(b)
	ctx := context.Background()
	found, err := engine.Search(ctx, &Search{Expr: &expr.Expr{Root: expr.All{}}, Fields: []spi.FieldID{spi.ID}, Length: 10_000, Sort: []Sort{{Field: spi.FirstPacket}}})
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 100, 10_000} {
		ids := make([]string, n)
		for i := range ids {
			ids[i] = found.Rows[i].String(spi.ID)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				docs, _, err := engine.Get(ctx, ids, nil)
				if err != nil || docs[n-1] == nil {
					b.Fatalf("not all found: %v", err)
				}
			}
		})
	}
}
