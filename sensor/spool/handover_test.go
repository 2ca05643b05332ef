package spool

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A spool is given to a user with all that is in it, and nothing else ever.
func TestHandOver(t *testing.T) {
	const user = 12345
	owner := func(path string) int {
		t.Helper()
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return int(info.Sys().(*syscall.Stat_t).Uid)
	}
	create := func(paths ...string) {
		t.Helper()
		for _, path := range paths {
			if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	fresh := filepath.Join(dir, "a", "spool")
	if err := HandOver(fresh, user, user); err != nil || owner(fresh) != user || owner(filepath.Dir(fresh)) == user {
		t.Errorf("a new folder: %v", err)
	}

	used := filepath.Join(dir, "used")
	segment, other := filepath.Join(used, "lanes", "eth0-0", "0000000000.wal"), filepath.Join(used, "other")
	outside := filepath.Join(dir, "outside")
	create(filepath.Join(used, "spool.json"), segment, other, outside)
	if err := os.Symlink(outside, filepath.Join(used, "lanes", "link")); err != nil {
		t.Fatal(err)
	}
	if err := HandOver(used, user, user); err != nil || owner(used) != user || owner(segment) != user {
		t.Errorf("a spool: %v", err)
	}
	if owner(other) == user || owner(outside) == user {
		t.Error("what is no spool was given away")
	}

	foreign := filepath.Join(dir, "foreign")
	home := filepath.Join(foreign, "home", "file")
	create(home)
	if err := HandOver(foreign, user, user); err == nil || !strings.Contains(err.Error(), "is no spool, and has home in it") || owner(home) == user || owner(foreign) == user {
		t.Errorf("a folder of others: %v", err)
	}
}
