package sessionfile

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"wirelake/internal/spi"
	"wirelake/testenv"
)

// written puts documents into the file of a partition below a folder and returns the glob of all files.
func written(t *testing.T, s *Schema, docs []*spi.Document) string {
	t.Helper()
	dir := t.TempDir()
	b, _ := encode(t, s, docs)
	path := filepath.Join(dir, "sessions", "day=2024-03-05", "sensor=test", "a.parquet")
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// pyarrowScript prints every row as JSON, without what is null or an empty structure.
const pyarrowScript = `
import json, sys
import pyarrow.parquet as pq
import datetime
def plain(v):
    if isinstance(v, dict):
        out = {k: plain(x) for k, x in v.items()}
        return {k: x for k, x in out.items() if x is not None and x != {}}
    if isinstance(v, list):
        return [plain(x) for x in v]
    if isinstance(v, datetime.datetime):
        return round(v.timestamp() * 1000)
    return v
for row in pq.read_table(sys.argv[1], partitioning=None).to_pylist():
    print(json.dumps(plain(row)))
`

// TestPyarrowReadsEveryValue compares every document with what pyarrow makes of its row.
func TestPyarrowReadsEveryValue(t *testing.T) {
	s := testSchema(t, testRegistry())
	docs := randomDocuments(s.registry, pageRows+10)
	dir := written(t, s, docs)
	cmd := exec.Command(testenv.Python(t), "-c", pyarrowScript, filepath.Join(dir, "sessions/day=2024-03-05/sensor=test/a.parquet")) //nolint:gosec // G204: of the test
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(out)
	for i, d := range inOrder(docs) {
		var row json.RawMessage
		if err := dec.Decode(&row); err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
		got, unknown, err := s.registry.ParseJSON(row)
		if err != nil || len(unknown) > 0 {
			t.Fatalf("row %d: %v, unknown %v", i, err, unknown)
		}
		if got, want := normal(t, got), normal(t, d); got != want {
			t.Fatalf("row %d:\n got %s\nwant %s", i, got, want)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// normal returns the JSON of d as another program gives it: the objects that hold nothing are kept, keys are sorted.
func normal(t *testing.T, d *spi.Document) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(d.AppendJSON(nil, nil), &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDuckDBReads asks DuckDB, with Hive partitions, for sums that cross every kind of column.
func TestDuckDBReads(t *testing.T) {
	s := testSchema(t, testRegistry())
	docs := randomDocuments(s.registry, 5000)
	dir := written(t, s, docs)
	var rows, uris, answers, ttl, sent int64
	byIP := map[string]int64{}
	for _, d := range docs {
		rows++
		byIP[d.String(spi.SourceIP)]++
		for range d.Each(id(s.registry, "http.uri")) {
			uris++
		}
		for v := range d.Each(id(s.registry, "dns.answers.ttl")) {
			answers++
			ttl += v.Int
		}
		n, _ := d.Int(spi.NetworkBytes)
		sent += n
	}
	from := fmt.Sprintf("FROM read_parquet('%s/sessions/**/*.parquet', hive_partitioning=true)", dir)
	got := testenv.DuckDB(t, `SELECT count(*) AS rows, sum(len(http.uri))::BIGINT AS uris, sum(network.bytes)::BIGINT AS sent, min(sensor) AS sensor, min(day)::VARCHAR AS day `+from)[0]
	want := map[string]any{
		"rows": json.Number(fmt.Sprint(rows)), "uris": json.Number(fmt.Sprint(uris)), "sent": json.Number(fmt.Sprint(sent)),
		"sensor": "test", "day": "2024-03-05",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	got = testenv.DuckDB(t, `SELECT count(ttl) AS answers, sum(ttl)::BIGINT AS ttl FROM (SELECT unnest(q.answers).ttl AS ttl FROM (SELECT unnest(dns) AS q `+from+`))`)[0]
	want = map[string]any{"answers": json.Number(fmt.Sprint(answers)), "ttl": json.Number(fmt.Sprint(ttl))}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("answers: got %v, want %v", got, want)
	}
	for _, row := range testenv.DuckDB(t, `SELECT source.ip AS ip, count(*) AS n `+from+` GROUP BY 1`) {
		ip, _ := row["ip"].(string)
		if row["n"] != json.Number(fmt.Sprint(byIP[ip])) {
			t.Errorf("%s: %v rows, want %d", ip, row["n"], byIP[ip])
		}
		delete(byIP, ip)
	}
	if len(byIP) > 0 {
		t.Errorf("addresses missing: %v", byIP)
	}
	// DuckDB looks an address up in the bloom filters.
	one := docs[7].String(spi.SourceIP)
	if n := testenv.DuckDB(t, `SELECT count(*) AS n `+from+` WHERE source.ip = '`+one+`'`)[0]["n"]; n == json.Number("0") {
		t.Errorf("DuckDB does not find %s", one)
	}
}
