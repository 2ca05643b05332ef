package testenv

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"testing"
)

// duckdbScript runs the query of its first argument on as many threads as the second says.
const duckdbScript = `
import json, sys, duckdb
con = duckdb.connect(config={"threads": int(sys.argv[2])})
con.execute("set enable_progress_bar = false")  # it is written to standard output
cur = con.execute(sys.argv[1])
names = [d[0] for d in cur.description]
rows = [dict(zip(names, r)) for r in cur.fetchall()]
json.dump(rows, sys.stdout, default=str)
`

// DuckDB runs an SQL query in DuckDB, on one thread, and returns its rows by column name as encoding/json decodes
// them: numbers are json.Number, times and decimals are strings. Files are read with read_parquet('…').
func DuckDB(t testing.TB, query string) []map[string]any {
	t.Helper()
	cmd := exec.Command(Python(t), "-c", duckdbScript, query, "1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("duckdb: %v\n%s\n%s", err, query, stderr.Bytes())
	}
	dec := json.NewDecoder(&stdout)
	dec.UseNumber()
	var rows []map[string]any
	if err := dec.Decode(&rows); err != nil {
		t.Fatalf("duckdb: %v in the answer to %s", err, query)
	}
	return rows
}
