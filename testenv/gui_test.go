package testenv

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// guiTimeout bounds the browser tests: some forty of a few seconds, or of many on two busy cores.
const guiTimeout = 30 * time.Minute

// TestGUI runs the browser tests of web/e2e in Chromium against `wirelake up` on a folder that holds the sample capture.
func TestGUI(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	need(t, filepath.Join(root, "web", "dist", "index.html"), "the GUI is not built: run make web")
	need(t, filepath.Join(root, "web", "node_modules", "playwright-core"), "the GUI's node modules are missing: run testenv/setup.sh web")
	chromium := Program(t, "chromium")
	node := Program(t, "node")

	base := startUp(t, root, fillSensors)
	tests, err := filepath.Glob(filepath.Join(root, "web", "e2e", "*.test.mjs"))
	if err != nil || len(tests) == 0 {
		t.Fatalf("no browser tests in web/e2e: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), guiTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, append([]string{"--test", "--test-concurrency=1"}, tests...)...)
	cmd.Dir = filepath.Join(root, "web")
	cmd.Env = append(os.Environ(),
		"WIRELAKE_URL="+base, "CHROMIUM="+chromium, "SCREENSHOTS="+filepath.Join(root, ".cache", "gui-failures"), "FORCE_COLOR=0")
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("browser tests: %v (pictures of failures: .cache/gui-failures)\n%s", err, out)
	}
	if bytes.Contains(out, []byte("\n# pass 0\n")) {
		t.Fatalf("no browser test ran\n%s", out)
	}
}

// startUp imports the sample into a new folder, starts `wirelake up` on it and returns its base URL. The import is a run of
// its own, so that the archive is whole before the first page is opened.
// Fill adds to the store in between.
func startUp(t *testing.T, root string, fill func(t *testing.T, store string)) string {
	t.Helper()
	program := Wirelake(t)
	store := "file://" + filepath.Join(t.TempDir(), "store")
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("wirelake %s: %v\n%s", args[0], err, out)
		}
	}
	run("import", "--store", store, filepath.Join(root, "testenv", "sample", "sample.pcap.gz"))
	fill(t, store)
	run("compactor", "--store", store, "--once")
	addr := FreeAddr(t)
	p, err := startProcess("wirelake up", t.TempDir(), nil, program, "up", "--store", store, "--listen", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	if err := p.waitReady("http://"+addr+"/readyz", func(status int) bool { return status == http.StatusOK }); err != nil {
		t.Fatal(err)
	}
	return "http://" + addr
}

func need(t *testing.T, path, otherwise string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s (%v)", otherwise, err)
	}
}
