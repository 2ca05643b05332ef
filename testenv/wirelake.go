package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// sharedWirelake is the binary of this process's tests, built once.
var sharedWirelake shared[string] //nolint:gochecknoglobals // a process has no other owner

// Wirelake builds cmd/wirelake from the working tree and returns the path of the binary, for tests that run it as a
// process. It is never the binary that make build left.
func Wirelake(t testing.TB) string {
	t.Helper()
	path, err := sharedWirelake.get(buildWirelake)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func buildWirelake() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, ".cache", "test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// The tests of several packages run at once: one builds, and the rename leaves the others' running processes alone.
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() //nolint:errcheck // nothing is written to it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	path := filepath.Join(dir, "wirelake")
	cmd := exec.Command("go", "build", "-o", path+".new", "./cmd/wirelake")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/wirelake: %w\n%s", err, out)
	}
	return path, os.Rename(path+".new", path)
}
