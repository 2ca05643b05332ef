package testenv

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// output collects what a process writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// tagAll returns settings under which a list and rules tag sessions.
func tagAll(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"list.txt":   "128.0.0.0/1\n10.0.0.0/8\n2000::/4\n",
		"rules.yaml": "lists:\n- {name: nets, file: list.txt, tags: [listed]}\nrules:\n- {name: web, expression: 'port.dst == [53,80,443] && tags == listed', tags: [listed-and-ruled]}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"WIRELAKE_RULES_FILE=" + filepath.Join(dir, "rules.yaml")}
}

// TestRulesReload follows a compactor as a process over changes of its rules: SIGHUP takes a good file, refuses a bad one
// with its line, and lists come from a server. Sessions that are saved afterwards have the newer tags.
func TestRulesReload(t *testing.T) {
	dir, store := t.TempDir(), t.TempDir()
	lists := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer lists.Close()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rules := func(tag string) {
		write("rules.yaml", fmt.Sprintf("lists:\n- {name: web, url: '%s/names.txt', tags: [known]}\nrules:\n- {name: listed, expression: tags == known, tags: [%s]}\n", lists.URL, tag))
	}
	write("names.txt", "adlens.example\n")
	rules("first")
	sample, err := filepath.Abs("sample/sample.pcap.gz")
	if err != nil {
		t.Fatal(err)
	}
	count := func(expression string) int {
		t.Helper()
		out := run(t, os.Environ(), "sessions", "--store", "file://"+store, "--format", "csv", "--fields", "id", expression)
		return max(0, strings.Count(out, "\n")-1)
	}

	run(t, os.Environ(), "import", "--quiet", "--sensor", "one", "--store", "file://"+store, sample)
	service := exec.Command(Wirelake(t), "compactor", "--store", "file://"+store, "--rules", filepath.Join(dir, "rules.yaml"))
	service.Env = append(os.Environ(), "WIRELAKE_COMPACTOR_INTERVAL=200ms", "WIRELAKE_COMPACTOR_BATCH_DELAY=100ms", "WIRELAKE_RULES_POLL=1h",
		"WIRELAKE_RULES_CACHE="+filepath.Join(dir, "cache"))
	var log output
	service.Stderr = &log
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- service.Wait() }()
	t.Cleanup(func() { _ = service.Process.Kill() })
	wait := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); !is(); time.Sleep(200 * time.Millisecond) {
			select {
			case err := <-ended:
				t.Fatalf("the compactor ended: %v\n%s", err, log.String())
			default:
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: not within two minutes\n%s", what, log.String())
			}
		}
	}
	hup := func() {
		t.Helper()
		if err := service.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	told := func(words ...string) func() bool {
		return func() bool {
			for line := range strings.Lines(log.String()) {
				if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
					return true
				}
			}
			return false
		}
	}

	wait("the first tags", func() bool { return count("node == one && tags == first") > 0 })
	n, all := count("node == one && tags == first"), count("node == one")
	if n == all || n != count("indicator.list == web && indicator.entry == adlens.example && rule.name == listed") {
		t.Errorf("%d of %d sessions have the tag of the rule", n, all)
	}

	write("rules.yaml", "rules:\n- name: broken\n  expression: tagz == known\n  tags: [never]\n")
	hup()
	wait("the refusal", told("rules refused, the old ones stay", "rules.yaml:3:15: unknown field tagz"))
	run(t, os.Environ(), "import", "--quiet", "--sensor", "two", "--store", "file://"+store, sample)
	wait("the old tags", func() bool { return count("node == two") == all })
	if got := count("node == two && tags == first"); got != n || count("tags == never") != 0 {
		t.Errorf("after a bad file %d sessions have the old tag, want %d", got, n)
	}

	rules("second")
	hup()
	wait("the new rules", told("rules loaded", "rules=1", "lists=1"))
	run(t, os.Environ(), "import", "--quiet", "--sensor", "three", "--store", "file://"+store, sample)
	wait("the new tags", func() bool { return count("node == three") == all })
	if got := count("node == three && tags == second"); got != n || count("node == three && tags == first") != 0 {
		t.Errorf("after the new file %d sessions have the new tag, want %d", got, n)
	}

	if err := service.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if code := service.ProcessState.ExitCode(); code != 0 {
			t.Errorf("SIGTERM ends the compactor with %d: %v", code, err)
		}
	case <-time.After(time.Minute):
		t.Error("the compactor does not end")
	}
}
