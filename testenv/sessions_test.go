package testenv_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wirelake/testenv"
)

// runBad runs the binary, which must fail with the code, and returns its standard error.
func runBad(t *testing.T, code int, args ...string) string {
	t.Helper()
	cmd := exec.Command(testenv.Wirelake(t), args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Errorf("wirelake %s: %v, want exit code %d\n%s", strings.Join(args, " "), err, code, stderr.String())
	}
	return stderr.String()
}

func TestSessionsCommand(t *testing.T) {
	sample, err := filepath.Abs("sample/sample.pcap.gz")
	if err != nil {
		t.Fatal(err)
	}
	store := "file://" + t.TempDir()
	run(t, "import", "--store", store, sample)
	run(t, "compactor", "--store", store, "--once")
	sessions := func(args ...string) []byte {
		return run(t, append([]string{"sessions", "--store", store}, args...)...)
	}
	var docs []struct {
		ID          string
		FirstPacket int64
		Chunk       []map[string]any
		Source      map[string]any
	}
	if err := json.Unmarshal(sessions("--format", "json"), &docs); err != nil {
		t.Fatal(err)
	}
	for i, d := range docs {
		if d.ID == "" || len(d.Chunk) == 0 || i > 0 && d.FirstPacket < docs[i-1].FirstPacket {
			t.Fatalf("document %d: no id, not whole, or out of order: %+v", i, d)
		}
	}
	all := len(docs)
	if all == 0 {
		t.Fatal("no sessions")
	}
	count := func(args ...string) int {
		t.Helper()
		var rows []map[string]any
		if err := json.Unmarshal(sessions(append(args, "--format", "json")...), &rows); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return len(rows)
	}
	tcp, other := count("ip.protocol == tcp"), count("ip.protocol != tcp")
	if tcp == 0 || other == 0 || tcp+other != all {
		t.Errorf("%d of TCP and %d others are not %d", tcp, other, all)
	}
	if n := count("tags == nothing"); n != 0 {
		t.Errorf("nothing is %d", n)
	}
	if n := count("--length", "5", "--start", "3"); n != 5 {
		t.Errorf("--length 5: %d", n)
	}
	early, late := count("--to", "1970-01-02"), count("--from", "1970-01-02")
	if early != 0 || late != all {
		t.Errorf("before 1970-01-02: %d, after: %d of %d", early, late, all)
	}
	rows, err := csv.NewReader(strings.NewReader(string(sessions("--format", "csv", "--fields", "id,bytes", "--order", "bytes:desc")))).ReadAll()
	if err != nil || len(rows) != all+1 || len(rows[0]) != 2 || rows[1][0] == "" {
		t.Errorf("CSV: %v, %d rows", err, len(rows))
	}
	if table := strings.Split(strings.TrimSpace(string(sessions("--length", "4"))), "\n"); len(table) != 5 || !strings.HasPrefix(table[0], "START TIME") {
		t.Errorf("table: %q", table)
	}
	cmd := exec.Command(testenv.Wirelake(t), "sessions", "--store", store, "id == "+docs[0].ID, "--explain")
	var explained strings.Builder
	cmd.Stderr = &explained
	if err := cmd.Run(); err != nil || !strings.Contains(explained.String(), "partitions: ") || !strings.Contains(explained.String(), "GETs") {
		t.Errorf("--explain: %v\n%s", err, explained.String())
	}

	for _, c := range []struct {
		args string
		want string
	}{
		{"ip.srd==1", "did you mean ip.src?"}, {"--format=xml", "--format"}, {"--fields=nonsense", "nonsense"}, {"--order=nonsense", "nonsense"},
		{"--from=nonsense", "from"}, {"--bounding=middle", "bounding"}, {"--from=2024 --to=2023", "after"}, {"--length=-1", "negative"},
	} {
		if stderr := runBad(t, 2, append([]string{"sessions", "--store", store}, strings.Fields(c.args)...)...); !strings.Contains(stderr, c.want) {
			t.Errorf("%s: %q does not say %q", c.args, stderr, c.want)
		}
	}
	runBad(t, 1, "sessions", "--store", "file://"+t.TempDir()+"/missing")
	runBad(t, 2, "query", "--store", store, "--listen", "0.0.0.0:0")
}
