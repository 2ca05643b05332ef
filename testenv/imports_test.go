package testenv_test

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImportRules holds who may import whom: the three services meet in the object store only, through formats in
// internal/, and nothing that ships knows of the test environment.
func TestImportRules(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`, "wirelake/...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	forbidden := map[string][]string{
		"sensor":    {"compactor", "query", "cmd", "web", "testenv"},
		"compactor": {"sensor", "query", "cmd", "web", "testenv"},
		"query":     {"sensor", "compactor", "cmd", "testenv"},
		"internal":  {"sensor", "compactor", "query", "cmd", "web", "testenv"},
		"web":       {"sensor", "compactor", "query", "cmd", "internal", "testenv"},
		"cmd":       {"testenv"},
		"testenv":   {}, // it may use all of them
	}
	area := func(path string) string {
		_, rest, ours := strings.Cut(path, "wirelake/")
		if !ours || !strings.HasPrefix(path, "wirelake/") {
			return ""
		}
		first, _, _ := strings.Cut(rest, "/")
		return first
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, line := range lines {
		deps := strings.Fields(line)
		no, known := forbidden[area(deps[0])]
		if !known {
			t.Errorf("%s: no import rule for this folder", deps[0])
		}
		for _, dep := range deps[1:] {
			if slices.Contains(no, area(dep)) {
				t.Errorf("%s depends on %s", deps[0], dep)
			}
		}
	}
	if len(lines) < 2 {
		t.Errorf("go list names %d packages only", len(lines))
	}
}
