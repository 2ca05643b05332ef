package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"wirelake/internal/dissect"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
)

// documentsByID returns all sessions of a store as the program prints them, by id.
func documentsByID(t *testing.T, env []string, store string) map[string]string {
	t.Helper()
	var docs []json.RawMessage
	if err := json.Unmarshal([]byte(run(t, env, "sessions", "--store", store, "--format", "json")), &docs); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string, len(docs))
	for _, d := range docs {
		var id struct{ ID string }
		if err := json.Unmarshal(d, &id); err != nil || out[id.ID] != "" {
			t.Fatalf("session %q is there twice, or: %v", id.ID, err)
		}
		out[id.ID] = string(d)
	}
	return out
}

// withoutHTTP writes the session files as a program would have that knew no HTTP, and returns the ids of the sessions
// that have it.
func withoutHTTP(t *testing.T, store objstore.Store) map[string]bool {
	t.Helper()
	ctx := context.Background()
	schema, err := sessionfile.NewSchema(dissect.New().Registry())
	if err != nil {
		t.Fatal(err)
	}
	reader, err := sessionfile.NewReader(store, schema)
	if err != nil {
		t.Fatal(err)
	}
	changed := map[string]bool{}
	for obj, err := range store.List(ctx, "sessions/", "") {
		if err != nil {
			t.Fatal(err)
		}
		f, err := reader.Open(ctx, obj.Key)
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		w, err := sessionfile.NewWriter(&file, schema, sessionfile.Options{Sensor: f.Sensor()})
		if err != nil {
			t.Fatal(err)
		}
		for d, err := range f.Documents(ctx, nil) {
			if err != nil {
				t.Fatal(err)
			}
			var members map[string]any
			if err := json.Unmarshal(d.AppendJSON(nil, nil), &members); err != nil {
				t.Fatal(err)
			}
			protocols := members["protocol"].([]any)
			if slices.Contains(protocols, any("http")) {
				changed[members["id"].(string)] = true
				delete(members, "http")
				members["protocol"] = slices.DeleteFunc(protocols, func(v any) bool { return v == "http" })
			}
			b, err := json.Marshal(members)
			if err != nil {
				t.Fatal(err)
			}
			less, _, err := schema.Registry().ParseJSON(b)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Write(less); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := objstore.PutBytes(ctx, store, obj.Key, file.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	return changed
}

// TestRedissect holds that a protocol unknown when sessions were saved is found in them later, on MinIO and in
// Elasticsearch, however often the work is interrupted; that no other session changes; and that sessions whose packets are
// gone stay.
func TestRedissect(t *testing.T) {
	bucket, es := MinIO(t), Elasticsearch(t)
	env := elasticEnv(append(smallBatches(), bucket.Env()...), es.Addr(), es)
	// Sessions that are saved in many parts, each dissected from the session's first packet on.
	env = append(env, "WIRELAKE_SESSION_SEGMENT_PACKETS=200", "WIRELAKE_COMPACTOR_BATCH_BYTES=6MiB")
	url := bucket.URL("redissect")
	run(t, env, "import", "--quiet", "--store", url, generated(t))
	run(t, env, "compactor", "--once", "--store", url)
	plain := slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "WIRELAKE_ELASTICSEARCH_URLS") })
	want, wantHot := documentsByID(t, plain, url), indexed(t, es)
	if len(want) < 500 || len(want) != len(wantHot) {
		t.Fatalf("%d sessions, %d in Elasticsearch", len(want), len(wantHot))
	}
	bucket.Setenv(t)
	store, err := objstore.Open(t.Context(), url, objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	same := func(what string, got, want map[string]string) {
		t.Helper()
		if len(got) != len(want) {
			t.Errorf("%s: %d sessions, want %d", what, len(got), len(want))
		}
		for id, doc := range want {
			if got[id] != doc {
				t.Fatalf("%s: session %s is\n%s\nwant\n%s", what, id, got[id], doc)
			}
		}
	}
	// Where nothing is to be found, nothing changes.
	all := func() {
		t.Helper()
		cmd := exec.Command(Wirelake(t), "redissect", "--quiet", "--store", url)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "stay as they are") {
			t.Errorf("redissect: %v\n%s", err, out)
		}
	}
	all()
	same("dissected again", documentsByID(t, plain, url), want)

	http := withoutHTTP(t, store)
	run(t, env, "reindex", "--store", url)
	less := documentsByID(t, plain, url)
	if n := strings.Count(run(t, env, "sessions", "--store", url, "--format", "csv", "protocols == http"), "\n"); n != 1 || len(http) < 50 {
		t.Fatalf("%d lines of sessions with HTTP before, of %d that have it", n, len(http))
	}

	// One of them, then all, killed again and again.
	names := slices.Sorted(maps.Keys(http))
	one := names[0]
	run(t, env, "redissect", "--quiet", "--store", url, "--expression", "id == "+one)
	less[one] = want[one]
	same("one dissected", documentsByID(t, plain, url), less)

	// Between Parquet and Elasticsearch: the expression does not find again what was replaced.
	one = names[1]
	away := exec.Command(Wirelake(t), "redissect", "--quiet", "--store", url, "--expression", "protocols != http && id == "+one)
	away.Env = append(impatient(plain), "WIRELAKE_ELASTICSEARCH_URLS=http://127.0.0.1:1")
	if out, err := away.CombinedOutput(); err == nil {
		t.Errorf("redissect without its Elasticsearch ended well\n%s", out)
	}
	less[one] = want[one]
	same("Parquet replaced", documentsByID(t, plain, url), less)
	run(t, env, "redissect", "--quiet", "--store", url, "--expression", "protocols != http && id == "+one)
	if got := indexed(t, es)[one]; got != wantHot[one] {
		t.Errorf("Elasticsearch has\n%s\nof a session dissected again, want\n%s", got, wantHot[one])
	}

	random := rand.New(rand.NewPCG(3, 4))
	const atLeast = 5
	kills := 0
	for done := false; !done; {
		cmd := exec.Command(Wirelake(t), "redissect", "--quiet", "--store", url, "--from", "2026-03-03", "--to", "2026-03-04", "--expression", "port == 80 || port == 8080")
		cmd.Env = env
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		delay := 50 + random.IntN(200) // shorter than a run on any machine, some longer than its start
		if kills >= atLeast {
			delay += 500 * kills
		}
		kill := time.AfterFunc(time.Duration(delay)*time.Millisecond, func() {
			_ = cmd.Process.Kill() // it may have ended
		})
		err := cmd.Wait()
		kill.Stop()
		var exit *exec.ExitError
		switch {
		case err == nil:
			done = true
		case errors.As(err, &exit) && exit.ExitCode() < 0:
			kills++
		default:
			t.Fatalf("%v\n%s", err, stderr.String())
		}
	}
	t.Logf("%d sessions with HTTP in %d, killed %d times", len(http), len(want), kills)
	if kills < 2 {
		t.Errorf("it was killed %d times only", kills)
	}
	all() // HTTP on other ports
	same("after kills", documentsByID(t, plain, url), want)
	same("Elasticsearch after kills", indexed(t, es), wantHot)

	// What has no packets any more keeps its document.
	withoutHTTP(t, store)
	less = documentsByID(t, plain, url)
	for obj, err := range store.List(t.Context(), "chunks/", "") {
		if err == nil {
			err = store.Delete(t.Context(), obj.Key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(Wirelake(t), "redissect", "--store", url, "--quiet")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "their chunks are not in the store any more") {
		t.Errorf("without chunks: %v\n%s", err, out)
	}
	same("without chunks", documentsByID(t, plain, url), less)
}
