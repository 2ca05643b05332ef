package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"wirelake/internal/objstore"
	"wirelake/internal/objstore/storetest"
)

func openFile(t *testing.T) objstore.Store {
	t.Helper()
	s, err := objstore.Open(t.Context(), "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFileStore(t *testing.T) {
	storetest.Run(t, openFile)
	storetest.RunLarge(t, storetest.MemoryLimit, openFile)
}

// TestMain runs the test program as one of several writers when it is asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		if err := countByCompareAndSwap(dir, perWriter); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	writerDir = "OBJSTORE_TEST_WRITER_DIR"
	perWriter = 100
)

// countByCompareAndSwap adds one to a number in the store, n times.
func countByCompareAndSwap(dir string, n int) error {
	ctx := context.Background()
	s, err := objstore.Open(ctx, "file://"+dir, objstore.Options{})
	if err != nil {
		return err
	}
	for range n {
		for {
			b, o, err := objstore.GetAll(ctx, s, "state/counter")
			opt := objstore.IfMatch(o.ETag)
			if errors.Is(err, objstore.ErrNotFound) {
				opt, b, err = objstore.IfAbsent(), []byte("0"), nil
			}
			if err != nil {
				return err
			}
			count, err := strconv.Atoi(string(b))
			if err != nil {
				return fmt.Errorf("a torn object: %w", err)
			}
			_, err = objstore.PutBytes(ctx, s, "state/counter", strconv.AppendInt(nil, int64(count+1), 10), opt)
			if err == nil {
				break
			}
			if !errors.Is(err, objstore.ErrMismatch) && !errors.Is(err, objstore.ErrExists) {
				return err
			}
		}
	}
	return nil
}

func TestFileStoreBetweenProcesses(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const processes = 4
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), program)
			cmd.Env = append(os.Environ(), writerDir+"="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(filepath.Join(dir, "state/counter"))
	if err != nil || string(b) != strconv.Itoa(processes*perWriter) {
		t.Errorf("counted to %q, %v, want %d", b, err, processes*perWriter)
	}
}

func TestFileStoreHidesUploads(t *testing.T) {
	dir := t.TempDir()
	uploads := filepath.Join(dir, ".objstore", "uploads")
	if err := os.MkdirAll(uploads, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"dead": 25 * time.Hour, "alive": time.Hour} {
		path := filepath.Join(uploads, name)
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	s, err := objstore.Open(t.Context(), dir, objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for o, err := range s.List(t.Context(), "", "") {
		t.Errorf("list gives %+v, %v", o, err)
	}
	for _, prefix := range []string{".objstore/", ".objstore/uploads/", ".obj"} {
		for o, err := range s.List(t.Context(), prefix, "") {
			t.Errorf("list %q gives %+v, %v", prefix, o, err)
		}
	}
	if p, err := s.ListPrefixes(t.Context(), "", "/"); err != nil || len(p) != 0 {
		t.Errorf("prefixes are %q, %v", p, err)
	}
	if _, err := s.Head(t.Context(), ".objstore/uploads/alive"); !errors.Is(err, objstore.ErrKey) {
		t.Errorf("head of an upload: %v", err)
	}
	if _, err := os.Stat(filepath.Join(uploads, "dead")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the upload of a dead process is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(uploads, "alive")); err != nil {
		t.Errorf("the upload of another process is gone: %v", err)
	}
}

// TestFileStoreFolderOfAnother shows the one thing that a folder cannot do and a
// bucket can.
func TestFileStoreFolderOfAnother(t *testing.T) {
	s := openFile(t)
	for _, key := range []string{"object", "folder/object"} {
		if _, err := objstore.PutBytes(t.Context(), s, key, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for _, opts := range [][]objstore.PutOption{nil, {objstore.IfAbsent()}} {
		for _, key := range []string{"object/below", "folder"} {
			_, err := objstore.PutBytes(t.Context(), s, key, []byte("y"), opts...)
			if !errors.Is(err, objstore.ErrKey) || !strings.Contains(err.Error(), "cannot be the folder of another") {
				t.Errorf("put %q: %v", key, err)
			}
		}
	}
	if _, err := objstore.PutBytes(t.Context(), s, strings.Repeat("k", 256), nil); !errors.Is(err, objstore.ErrKey) {
		t.Errorf("put of a name that is too long: %v", err)
	}
}

// FuzzFileKeys holds that no key leads out of the store's folder.
func FuzzFileKeys(f *testing.F) {
	for _, key := range []string{"a/b", "../x", "a/../../x", "/etc/passwd", ".objstore/locks/00", "a//b", "\x00", "a/.", ".../x"} {
		f.Add(key)
	}
	outside := f.TempDir()
	dir := filepath.Join(outside, "store")
	s, err := objstore.Open(f.Context(), dir, objstore.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, key string) {
		content := []byte("content")
		if _, err := objstore.PutBytes(t.Context(), s, key, content); err != nil {
			if !errors.Is(err, objstore.ErrKey) {
				t.Fatalf("put %q: %v", key, err)
			}
			return
		}
		var keys []string
		for o, err := range s.List(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, o.Key)
		}
		if len(keys) != 1 || keys[0] != key {
			t.Errorf("put %q, listed %q", key, keys)
		}
		if got, _, err := objstore.GetAll(t.Context(), s, key); err != nil || !bytes.Equal(got, content) {
			t.Errorf("get %q: %q, %v", key, got, err)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Error(err)
		}
		entries, err := os.ReadDir(outside)
		if err != nil || len(entries) != 1 {
			t.Errorf("put %q left %v beside the store, %v", key, entries, err)
		}
	})
}
