package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// capture generates traffic once for the tests of this process: flows over two
// hours, so that sessions are open whenever a chunk ends.
var capture shared[string] //nolint:gochecknoglobals // a process has no other owner

func generated(t testing.TB) string {
	t.Helper()
	path, err := capture.get(func() (string, error) {
		root, err := Root()
		if err != nil {
			return "", err
		}
		dir := filepath.Join(root, ".cache", "test")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		path := filepath.Join(dir, "capture.pcap")
		cmd := exec.Command("go", "run", "./testenv/gen", "-size", "48MiB", "-window", "2h", "-start", "2026-03-03T23:00:00Z", "-o", path+".new")
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("generate traffic: %w\n%s", err, out)
		}
		return path, os.Rename(path+".new", path)
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// smallBatches are settings under which the capture makes many chunks and commits.
func smallBatches() []string {
	return append(os.Environ(), "WIRELAKE_IMPORT_CHUNK_BYTES=1MiB", "WIRELAKE_COMPACTOR_BATCH_BYTES=1MiB", "WIRELAKE_LOG_LEVEL=warn")
}

// run runs the binary to its end and returns what it wrote to standard output.
func run(t testing.TB, env []string, args ...string) string {
	t.Helper()
	out, err := tryRun(env, Wirelake(t), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryRun(env []string, program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return stdout.String(), nil
}

// rows returns every session of a folder's Parquet files as one line of JSON, in
// order of their ids, the way DuckDB reads them.
func rows(t testing.TB, dir string) []string {
	t.Helper()
	answer := DuckDB(t, fmt.Sprintf("select id, to_json(s)::varchar as doc from read_parquet('%s/sessions/**/*.parquet', hive_partitioning=true) s order by id", dir))
	out := make([]string, len(answer))
	for i, r := range answer {
		out[i] = fmt.Sprint(r["doc"])
	}
	return out
}

// TestCompactorKilledAnywhere kills compactors at random moments, and holds that
// the rows are those of one that was left alone: none twice, none missing, none different.
func TestCompactorKilledAnywhere(t *testing.T) {
	const kills = 30
	env := append(smallBatches(), tagAll(t)...)
	clean, hurt := t.TempDir(), t.TempDir()
	for _, dir := range []string{clean, hurt} {
		run(t, env, "import", "--quiet", "--store", "file://"+dir, generated(t))
	}
	began := time.Now()
	run(t, env, "compactor", "--once", "--store", "file://"+clean)
	whole := time.Since(began)
	began = time.Now()
	run(t, env, "compactor", "--once", "--store", "file://"+clean)
	idle := time.Since(began) // what a run takes that has nothing to do
	t.Logf("a run takes %v, %v of it to begin and end", whole, idle)

	random := rand.New(rand.NewPCG(1, 2))
	survived := 0
	progress := make(map[int]bool) // how far the killed runs had come
	for i := range kills {
		cmd := exec.Command(Wirelake(t), "compactor", "--once", "--store", "file://"+hurt)
		cmd.Env = env
		// A run goes on where the killed one was. Each is let come a file or two
		// further, however long that takes, and killed a random moment later.
		want := parquetFiles(t, hurt) + 1 + random.IntN(2)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for i%5 != 0 && len(ended) == 0 && parquetFiles(t, hurt) < want { // every fifth is killed right away
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(random.Int64N(int64(2*idle/3) + 1)))
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		if <-ended == nil {
			survived++
		}
		progress[parquetFiles(t, hurt)] = true
		if i%10 == 5 {
			checkUnique(t, hurt)
		}
	}
	run(t, env, "compactor", "--once", "--store", "file://"+hurt)
	want, got := rows(t, clean), rows(t, hurt)
	if len(want) < 500 {
		t.Fatalf("the clean run gave %d sessions, too few to tell anything", len(want))
	}
	if n := len(slices.DeleteFunc(slices.Clone(want), func(r string) bool { return !strings.Contains(r, `"listed-and-ruled"`) })); n < 50 {
		t.Fatalf("%d sessions are tagged, too few to tell anything", n)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d rows after %d kills, %d in a clean run; first difference: %s", len(got), kills, len(want), firstDifference(got, want))
	}
	t.Logf("%d rows, killed at %d stages, %d of %d runs ended before they were killed", len(got), len(progress), survived, kills)
	if len(progress) < 5 {
		t.Errorf("the kills came at %d stages of the work only", len(progress))
	}
}

// parquetFiles counts the session files of a folder.
func parquetFiles(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "sessions", "*", "*", "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// checkUnique holds that no id is there twice, whatever was left half done.
func checkUnique(t *testing.T, dir string) {
	t.Helper()
	if parquetFiles(t, dir) == 0 {
		return
	}
	for _, r := range DuckDB(t, fmt.Sprintf("select count(*) n, count(distinct id) ids from read_parquet('%s/sessions/**/*.parquet', hive_partitioning=true)", dir)) {
		if fmt.Sprint(r["n"]) != fmt.Sprint(r["ids"]) {
			t.Errorf("between kills: %v rows with %v ids", r["n"], r["ids"])
		}
	}
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("row %d\n got %s\nwant %s", i, got[i], want[i])
		}
	}
	return "one has more rows"
}

// indexed returns the hot documents of all of the test's indices by id.
func indexed(t testing.TB, es *Elastic) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	call := func(path, body string, into any) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, es.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() //nolint:errcheck // read to its end
		if res.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(res.Body) // as much as there is
			t.Fatalf("POST %s: %s: %s", path, res.Status, text)
		}
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	var ignored any
	call("/"+es.Prefix+"*/_refresh", "", &ignored)
	out := make(map[string]string)
	after := ""
	for {
		var answer struct {
			Hits struct {
				Hits []struct {
					ID     string          `json:"_id"`
					Source json.RawMessage `json:"_source"`
					Sort   json.RawMessage `json:"sort"`
				} `json:"hits"`
			} `json:"hits"`
		}
		call("/"+es.Prefix+"*/_search", `{"size":5000,"sort":["firstPacket","lastPacket","source.port","source.ip","_doc"]`+after+`}`, &answer)
		if len(answer.Hits.Hits) == 0 {
			return out
		}
		for _, h := range answer.Hits.Hits {
			if out[h.ID] != "" {
				t.Errorf("document %s came twice", h.ID)
			}
			out[h.ID] = string(h.Source)
		}
		after = `,"search_after":` + string(answer.Hits.Hits[len(answer.Hits.Hits)-1].Sort)
	}
}

// documents counts what the test's indices hold, 0 while the node does not answer.
func documents(es *Elastic) int {
	var answer struct {
		Count int `json:"count"`
	}
	for _, path := range []string{"/_refresh", "/_count"} {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, es.URL+"/"+es.Prefix+"*"+path, nil)
		if err != nil {
			return 0
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0
		}
		err = json.NewDecoder(res.Body).Decode(&answer)
		if res.Body.Close() != nil || err != nil {
			return 0
		}
	}
	return answer.Count
}

// elasticEnv adds the settings of an Elasticsearch to an environment.
func elasticEnv(env []string, addr string, es *Elastic) []string {
	return append(slices.Clone(env), "WIRELAKE_ELASTICSEARCH_URLS=http://"+addr, "WIRELAKE_ELASTICSEARCH_INDEX_PREFIX="+es.Prefix)
}

// impatient lets a compactor give up soon on an Elasticsearch that is away. One that is only slow, on a busy machine, is
// to be waited for.
func impatient(env []string) []string {
	return append(slices.Clone(env), "WIRELAKE_ELASTICSEARCH_RETRY_FOR=2s")
}

// TestElasticsearchTrouble holds that whatever happens to Elasticsearch, Parquet
// does not wait, and in the end the index has every session, once.
func TestElasticsearchTrouble(t *testing.T) {
	es := NewElasticsearch(t)
	env := smallBatches()
	reference := t.TempDir()
	run(t, env, "import", "--quiet", "--store", "file://"+reference, generated(t))
	run(t, elasticEnv(env, es.Addr(), es), "compactor", "--once", "--store", "file://"+reference)
	want := indexed(t, es)
	parquet := rows(t, reference)
	if len(want) != len(parquet) || len(want) < 500 {
		t.Fatalf("%d documents for %d rows", len(want), len(parquet))
	}
	check := func(t *testing.T, es *Elastic, dir string) {
		t.Helper()
		if got := rows(t, dir); !slices.Equal(got, parquet) {
			t.Errorf("%d rows of Parquet, want %d: %s", len(got), len(parquet), firstDifference(got, parquet))
		}
		got := indexed(t, es)
		for id, doc := range want {
			if got[id] != doc {
				t.Errorf("document %s\n got %s\nwant %s", id, got[id], doc)
				return
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d documents, want %d", len(got), len(want))
		}
	}
	imported := func(t *testing.T) string {
		t.Helper()
		dir := t.TempDir()
		run(t, env, "import", "--quiet", "--store", "file://"+dir, generated(t))
		return dir
	}

	t.Run("reindex gives the same documents", func(t *testing.T) {
		run(t, elasticEnv(env, es.Addr(), es), "reindex", "--store", "file://"+reference)
		check(t, es, reference)
	})
	t.Run("down at the start", func(t *testing.T) {
		es := &Elastic{URL: es.URL, Prefix: "down-", server: es.server}
		proxy := Proxy(t, es.Addr())
		proxy.Down()
		dir := imported(t)
		_, err := tryRun(impatient(elasticEnv(env, proxy.Addr(), es)), Wirelake(t), "compactor", "--once", "--store", "file://"+dir)
		if err == nil || !strings.Contains(err.Error(), "wait for Elasticsearch") {
			t.Errorf("with Elasticsearch down: got %v, want an error that says what waits for it", err)
		}
		if got := rows(t, dir); len(got) != len(parquet) {
			t.Errorf("%d rows of Parquet while Elasticsearch is down, want %d", len(got), len(parquet))
		}
		proxy.Up()
		run(t, elasticEnv(env, proxy.Addr(), es), "compactor", "--once", "--store", "file://"+dir)
		check(t, es, dir)
	})
	t.Run("configured after the sessions were written", func(t *testing.T) {
		es := &Elastic{URL: es.URL, Prefix: "late-", server: es.server}
		dir := imported(t)
		run(t, env, "compactor", "--once", "--store", "file://"+dir)
		run(t, elasticEnv(env, es.Addr(), es), "reindex", "--store", "file://"+dir)
		check(t, es, dir)
	})
	t.Run("slow, broken off, then well", func(t *testing.T) {
		es := &Elastic{URL: es.URL, Prefix: "broken-", server: es.server}
		proxy := Proxy(t, es.Addr())
		proxy.TruncateRequests(256 << 10)
		dir := imported(t)
		_, err := tryRun(impatient(elasticEnv(env, proxy.Addr(), es)), Wirelake(t), "compactor", "--once", "--store", "file://"+dir)
		if err == nil {
			t.Log("every bulk request got through between the breaks")
		}
		proxy.Clear()
		run(t, elasticEnv(env, proxy.Addr(), es), "compactor", "--once", "--store", "file://"+dir)
		check(t, es, dir)
	})
	t.Run("dies in the middle", func(t *testing.T) {
		own := NewElasticsearch(t)
		dir := imported(t)
		service := exec.Command(Wirelake(t), "compactor", "--store", "file://"+dir)
		service.Env = append(impatient(elasticEnv(env, own.Addr(), own)), "WIRELAKE_COMPACTOR_INTERVAL=200ms", "WIRELAKE_COMPACTOR_BATCH_DELAY=100ms")
		if err := service.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = service.Process.Kill()
			_ = service.Wait()
		})
		time.Sleep(700 * time.Millisecond)
		own.Stop()
		time.Sleep(time.Second)
		own.Start(t)
		deadline := time.Now().Add(5 * time.Minute)
		for documents(own) < len(want) && time.Now().Before(deadline) {
			time.Sleep(500 * time.Millisecond)
		}
		time.Sleep(time.Second) // what would come twice comes now
		check(t, own, dir)
	})
	t.Run("refuses with 429", func(t *testing.T) {
		own := NewElasticsearch(t, "thread_pool.write.size=1", "thread_pool.write.queue_size=1")
		dir := imported(t)
		run(t, append(elasticEnv(env, own.Addr(), own), "WIRELAKE_ELASTICSEARCH_BULK_BYTES=64KiB", "WIRELAKE_ELASTICSEARCH_RETRY_FOR=10m"), "compactor", "--once", "--store", "file://"+dir)
		check(t, own, dir)
	})
	t.Run("rejects a document", func(t *testing.T) {
		es := &Elastic{URL: es.URL, Prefix: "strict-", server: es.server}
		dir := imported(t)
		// An index made by hand, whose mapping does not know what DNS sessions have.
		for _, day := range []string{"2026.03.03", "2026.03.04"} {
			put(t, es.URL+"/strict-"+day, `{"mappings":{"dynamic":true,"properties":{"dns":{"type":"boolean"},"firstPacket":{"type":"date"},"lastPacket":{"type":"date"},"source":{"properties":{"ip":{"type":"ip"},"port":{"type":"long"}}}}}}`)
		}
		cmd := exec.Command(Wirelake(t), "compactor", "--once", "--store", "file://"+dir)
		cmd.Env = elasticEnv(env, es.Addr(), es)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v\n%s", err, stderr.Bytes())
		}
		got := indexed(t, es)
		dns := 0
		for id, doc := range want {
			if strings.Contains(doc, `"dns":`) {
				dns++
				if !strings.Contains(stderr.String(), id) {
					t.Fatalf("document %s was rejected, and the log does not name it", id)
				}
			}
		}
		if len(got) != len(want)-dns || dns == 0 {
			t.Errorf("%d documents, want the %d that are no DNS", len(got), len(want)-dns)
		}
	})
}

func put(t testing.TB, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // nothing is wanted of it
	if res.StatusCode != http.StatusOK {
		t.Fatalf("PUT %s: %s", url, res.Status)
	}
}

// TestDamagedChunk holds that a flipped byte costs the packets it is in: the
// compactor names the object, and everything else is there.
func TestDamagedChunk(t *testing.T) {
	env := smallBatches()
	clean, hurt := t.TempDir(), t.TempDir()
	for _, dir := range []string{clean, hurt} {
		run(t, env, "import", "--quiet", "--store", "file://"+dir, generated(t))
	}
	chunks, err := filepath.Glob(filepath.Join(hurt, "chunks", "*", "*", "*", "*.pcap.zst"))
	if err != nil || len(chunks) < 3 {
		t.Fatalf("%d chunks: %v", len(chunks), err)
	}
	victim := chunks[len(chunks)/2]
	b, err := os.ReadFile(victim)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/3] ^= 0x40
	if err := os.WriteFile(victim, b, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, env, "compactor", "--once", "--store", "file://"+clean)
	cmd := exec.Command(Wirelake(t), "compactor", "--once", "--store", "file://"+hurt)
	cmd.Env = env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	if !strings.Contains(stderr.String(), filepath.Base(victim)) {
		t.Errorf("the log does not name %s:\n%s", filepath.Base(victim), stderr.Bytes())
	}
	want, got := rows(t, clean), rows(t, hurt)
	same := make(map[string]bool, len(want))
	for _, r := range want {
		same[r] = true
	}
	lost := len(want)
	for _, r := range got {
		if same[r] {
			lost--
		}
	}
	if lost == 0 || lost > len(want)/20 {
		t.Errorf("a flipped byte cost or changed %d of %d sessions, want some, and at most one in twenty", lost, len(want))
	}
}
