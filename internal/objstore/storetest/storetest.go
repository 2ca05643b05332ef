// Package storetest is the contract of objstore.Store as tests. Every
// implementation passes the same suite, over a good connection and a bad one.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"wirelake/internal/objstore"
)

// Run tests that the stores that open gives keep the contract. Each is empty and
// lasts as long as the test it was opened for.
func Run(t *testing.T, open func(t *testing.T) objstore.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, objstore.Store)
	}{
		{"what is put is got", testRoundTrip},
		{"sources that can be read anywhere", testSources},
		{"an empty object is an object", testEmpty},
		{"ranges at the edges", testRanges},
		{"missing keys", testMissing},
		{"a put replaces", testReplace},
		{"a source of the wrong length stores nothing", testWrongLength},
		{"a source that fails stores nothing", testFailingSource},
		{"put if absent", testIfAbsent},
		{"put if match", testIfMatch},
		{"of 16 writers one creates", testIfAbsentRace},
		{"of 16 writers one replaces, again and again", testIfMatchRace},
		{"conditions exclude each other", testBothConditions},
		{"delete", testDelete},
		{"invalid keys", testKeys},
		{"keys with all that is allowed", testStrangeKeys},
		{"list in the order of bytes", testListOrder},
		{"list from a key", testListFrom},
		{"list prefixes", testListPrefixes},
		{"a reader keeps what it opened, or says so", testReadWhileReplaced},
		{"cancelled contexts", testCancelled},
		{"many readers and writers", testConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Bytes returns n bytes that do not repeat, the same for the same seed.
func Bytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(b) // never fails
	return b
}

func put(t *testing.T, s objstore.Store, key string, b []byte, opts ...objstore.PutOption) objstore.Object {
	t.Helper()
	o, err := objstore.PutBytes(t.Context(), s, key, b, opts...)
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	if o.Key != key || o.Size != int64(len(b)) || o.ETag == "" {
		t.Fatalf("put %q of %d bytes returned %+v", key, len(b), o)
	}
	return o
}

func wantContent(t *testing.T, s objstore.Store, key string, want []byte) objstore.Object {
	t.Helper()
	got, o, err := objstore.GetAll(t.Context(), s, key)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("get %q: %d bytes that differ from the %d put", key, len(got), len(want))
	}
	if o.Key != key || o.Size != int64(len(want)) || o.ETag == "" || o.ModTime.IsZero() {
		t.Fatalf("get %q described it as %+v", key, o)
	}
	return o
}

func wantErr(t *testing.T, what string, err, want error, key string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	} else if !strings.Contains(err.Error(), key) {
		t.Errorf("%s: the error does not name %q: %v", what, key, err)
	}
}

func testRoundTrip(t *testing.T, s objstore.Store) {
	for _, n := range []int{1, 100, 64 << 10, 1<<20 + 7} {
		want := Bytes(uint64(n), n)
		key := fmt.Sprintf("a/b c/%d", n)
		written := put(t, s, key, want, objstore.ContentType("application/zstd"))
		read := wantContent(t, s, key, want)
		head, err := s.Head(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if head != read || head.ETag != written.ETag {
			t.Errorf("described as %+v by head, %+v by get, %+v by put", head, read, written)
		}
		// Of unknown length, and in small pieces.
		if _, err := s.Put(t.Context(), key, iotest.HalfReader(bytes.NewReader(want)), -1); err != nil {
			t.Fatal(err)
		}
		wantContent(t, s, key, want)
	}
}

// testSources puts from readers that stand in the middle, larger than a part.
func testSources(t *testing.T, s objstore.Store) {
	content := Bytes(30, 21<<20)
	path := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	readEnd, writeEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = readEnd.Close() })
	go func() {
		_, _ = writeEnd.Write(content) // a failure shows in what is read
		_ = writeEnd.Close()
	}()
	for name, r := range map[string]io.Reader{"bytes.Reader": bytes.NewReader(content), "os.File": file, "a pipe": readEnd} {
		const skip = 1234
		if _, err := io.CopyN(io.Discard, r, skip); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), "from "+name, r, int64(len(content)-skip)); err != nil {
			t.Errorf("put from %s: %v", name, err)
			continue
		}
		wantContent(t, s, "from "+name, content[skip:])
	}
	// A file that turns out shorter, or longer.
	for _, size := range []int64{20 << 20, 22 << 20} {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), "wrong", file, size); err == nil {
			t.Errorf("put of a file of 21 MiB announced as %d is no error", size)
		}
	}
	if _, err := s.Head(t.Context(), "wrong"); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("head: %v", err)
	}
}

func testEmpty(t *testing.T, s objstore.Store) {
	put(t, s, "empty", nil)
	if _, err := s.Put(t.Context(), "empty-unknown", strings.NewReader(""), -1); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"empty", "empty-unknown"} {
		wantContent(t, s, key, []byte{})
		for _, r := range [][2]int64{{0, 0}, {0, 10}, {-1, 0}, {-100, 0}} {
			b, o, err := s.GetRange(t.Context(), key, r[0], r[1])
			if err != nil || len(b) != 0 || o.Size != 0 || o.Key != key {
				t.Errorf("range %d+%d of an empty object: %d bytes, %+v, %v", r[0], r[1], len(b), o, err)
			}
		}
		_, _, err := s.GetRange(t.Context(), key, 1, 1)
		wantErr(t, "range 1+1 of an empty object", err, objstore.ErrRange, key)
	}
}

func testRanges(t *testing.T, s objstore.Store) {
	const size = 100_000
	content := Bytes(1, size)
	etag := put(t, s, "ranges", content).ETag
	for _, r := range []struct{ off, n, from, to int64 }{
		{0, 1, 0, 1},
		{0, size, 0, size},
		{0, size + 1, 0, size},
		{0, math.MaxInt64, 0, size},
		{1, math.MaxInt64, 1, size},
		{0, 0, 0, 0},
		{17, 0, 17, 17},
		{17, 4096, 17, 17 + 4096},
		{size - 1, 1, size - 1, size},
		{size - 1, 100, size - 1, size},
		{size, 0, size, size},
		{size, 1, size, size},
		{size, math.MaxInt64, size, size},
		{-1, 0, size - 1, size},
		{-9, 3, size - 9, size},
		{-size, 0, 0, size},
		{-size - 1, 0, 0, size},
		{-10 * size, 0, 0, size},
		{math.MinInt64, 0, 0, size},
	} {
		got, o, err := s.GetRange(t.Context(), "ranges", r.off, r.n)
		if err != nil {
			t.Errorf("range %d+%d: %v", r.off, r.n, err)
			continue
		}
		if want := content[r.from:r.to]; !bytes.Equal(got, want) {
			t.Errorf("range %d+%d: got %d bytes, want %d", r.off, r.n, len(got), len(want))
		}
		if o.Size != size || o.Key != "ranges" || o.ETag != etag {
			t.Errorf("range %d+%d: object is %+v", r.off, r.n, o)
		}
	}
	for _, r := range [][2]int64{{size + 1, 1}, {size + 1, 0}, {10 * size, 10}, {math.MaxInt64, math.MaxInt64}} {
		_, _, err := s.GetRange(t.Context(), "ranges", r[0], r[1])
		wantErr(t, fmt.Sprintf("range %d+%d", r[0], r[1]), err, objstore.ErrRange, "ranges")
	}
	if _, _, err := s.GetRange(t.Context(), "ranges", 0, -1); err == nil {
		t.Error("a negative length is no error")
	}
}

func testMissing(t *testing.T, s objstore.Store) {
	put(t, s, "there/object", []byte("x"))
	for _, key := range []string{"missing", "missing/as/well", "there", "there/objec", "there/object2", "there/object/below"} {
		_, _, err := s.Get(t.Context(), key)
		wantErr(t, "get", err, objstore.ErrNotFound, key)
		for _, off := range []int64{0, -1, 5} {
			_, _, err = s.GetRange(t.Context(), key, off, 1)
			wantErr(t, "get range", err, objstore.ErrNotFound, key)
		}
		_, _, err = s.GetRange(t.Context(), key, 0, 0)
		wantErr(t, "get empty range", err, objstore.ErrNotFound, key)
		_, err = s.Head(t.Context(), key)
		wantErr(t, "head", err, objstore.ErrNotFound, key)
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("delete of the missing %q: %v", key, err)
		}
	}
	wantContent(t, s, "there/object", []byte("x"))
	for o, err := range s.List(t.Context(), "nothing/", "") {
		t.Errorf("list of nothing gives %+v, %v", o, err)
	}
	if p, err := s.ListPrefixes(t.Context(), "nothing/", "/"); len(p) != 0 || err != nil {
		t.Errorf("prefixes of nothing are %q, %v", p, err)
	}
}

func testReplace(t *testing.T, s objstore.Store) {
	seen := map[string]bool{}
	for i := range 20 {
		content := Bytes(uint64(i%2), 10) // what was there before last comes again
		if i%2 == 0 {
			content = append(content, byte(i))
		}
		o := put(t, s, "replaced", content)
		wantContent(t, s, "replaced", content)
		seen[o.ETag] = true
	}
	if len(seen) < 11 { // 10 contents differ, and one comes ten times
		t.Errorf("%d ETags for 11 contents", len(seen))
	}
}

func testWrongLength(t *testing.T, s objstore.Store) {
	for _, size := range []int64{0, 9, 11, 6 << 20} {
		_, err := s.Put(t.Context(), "wrong", strings.NewReader("ten bytes!"), size)
		if err == nil || !strings.Contains(err.Error(), "wrong") {
			t.Errorf("put of 10 bytes announced as %d: %v", size, err)
		}
	}
	for _, size := range []int64{12<<20 - 1, 12<<20 + 1, 1} { // above the size of a part
		if _, err := s.Put(t.Context(), "wrong", bytes.NewReader(Bytes(2, 12<<20)), size); err == nil {
			t.Errorf("put of 12 MiB announced as %d is no error", size)
		}
	}
	_, err := s.Head(t.Context(), "wrong")
	wantErr(t, "head", err, objstore.ErrNotFound, "wrong")
	wantKeys(t, s, "", "", nil)
}

func testFailingSource(t *testing.T, s objstore.Store) {
	broken := errors.New("the capture file is gone")
	for _, n := range []int{0, 10, 17 << 20} {
		for _, size := range []int64{-1, int64(n) + 10} {
			src := io.MultiReader(bytes.NewReader(Bytes(3, n)), iotest.ErrReader(broken))
			if _, err := s.Put(t.Context(), "failing", src, size); !errors.Is(err, broken) {
				t.Errorf("put of a source that fails after %d bytes: %v", n, err)
			}
		}
	}
	wantKeys(t, s, "", "", nil)
}

func testIfAbsent(t *testing.T, s objstore.Store) {
	first := put(t, s, "lease", []byte("first"), objstore.IfAbsent())
	_, err := objstore.PutBytes(t.Context(), s, "lease", []byte("second"), objstore.IfAbsent())
	wantErr(t, "put if absent over an object", err, objstore.ErrExists, "lease")
	if o := wantContent(t, s, "lease", []byte("first")); o.ETag != first.ETag {
		t.Errorf("ETag is %q, was %q", o.ETag, first.ETag)
	}
	if err := s.Delete(t.Context(), "lease"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "lease", []byte("third"), objstore.IfAbsent())
	wantContent(t, s, "lease", []byte("third"))
}

func testIfMatch(t *testing.T, s objstore.Store) {
	_, err := objstore.PutBytes(t.Context(), s, "state", []byte("x"), objstore.IfMatch("0123"))
	wantErr(t, "put if match over nothing", err, objstore.ErrMismatch, "state")
	first := put(t, s, "state", []byte("first"))
	second := put(t, s, "state", []byte("second"), objstore.IfMatch(first.ETag))
	for _, stale := range []string{first.ETag, "", "0123", "*"} {
		_, err = objstore.PutBytes(t.Context(), s, "state", []byte("third"), objstore.IfMatch(stale))
		wantErr(t, fmt.Sprintf("put if match of ETag %q", stale), err, objstore.ErrMismatch, "state")
	}
	if o := wantContent(t, s, "state", []byte("second")); o.ETag != second.ETag {
		t.Errorf("ETag is %q, was %q", o.ETag, second.ETag)
	}
	for o, err := range s.List(t.Context(), "state", "") {
		if err != nil || o.ETag != second.ETag {
			t.Errorf("list gives %+v, %v, want ETag %q", o, err, second.ETag)
		}
		put(t, s, "state", []byte("fourth"), objstore.IfMatch(o.ETag))
	}
	if err := s.Delete(t.Context(), "state"); err != nil {
		t.Fatal(err)
	}
	_, err = objstore.PutBytes(t.Context(), s, "state", []byte("x"), objstore.IfMatch(second.ETag))
	wantErr(t, "put if match over a deleted object", err, objstore.ErrMismatch, "state")
}

// race runs n writers at once and returns which ones succeeded.
func race(t *testing.T, n int, lost error, write func(writer int) error) []int {
	t.Helper()
	var mu sync.Mutex
	var won []int
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			err := write(i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, i)
			} else if !errors.Is(err, lost) {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	close(start)
	wg.Wait()
	return won
}

const writers = 16

func testIfAbsentRace(t *testing.T, s objstore.Store) {
	for round := range 10 {
		key := fmt.Sprintf("race/%d/lease", round)
		content := func(writer int) []byte { return fmt.Appendf(nil, "round %d writer %d", round, writer) }
		won := race(t, writers, objstore.ErrExists, func(i int) error {
			_, err := objstore.PutBytes(t.Context(), s, key, content(i), objstore.IfAbsent())
			return err
		})
		if len(won) != 1 {
			t.Fatalf("round %d: writers %v won", round, won)
		}
		wantContent(t, s, key, content(won[0]))
	}
}

// testIfMatchRace counts to rounds*writers by compare and swap.
func testIfMatchRace(t *testing.T, s objstore.Store) {
	put(t, s, "counter", []byte("0"))
	const rounds = 5
	for round := range rounds {
		o, err := s.Head(t.Context(), "counter")
		if err != nil {
			t.Fatal(err)
		}
		content := func(writer int) []byte { return fmt.Appendf(nil, "round %d writer %d", round, writer) }
		won := race(t, writers, objstore.ErrMismatch, func(i int) error {
			_, err := objstore.PutBytes(t.Context(), s, "counter", content(i), objstore.IfMatch(o.ETag))
			return err
		})
		if len(won) != 1 {
			t.Fatalf("round %d: writers %v won", round, won)
		}
		wantContent(t, s, "counter", content(won[0]))
	}
}

func testBothConditions(t *testing.T, s objstore.Store) {
	if _, err := objstore.PutBytes(t.Context(), s, "both", nil, objstore.IfAbsent(), objstore.IfMatch("x")); err == nil {
		t.Error("IfAbsent with IfMatch is no error")
	}
}

func testDelete(t *testing.T, s objstore.Store) {
	put(t, s, "d/e/f", []byte("x"))
	put(t, s, "d/g", []byte("y"))
	for range 2 {
		if err := s.Delete(t.Context(), "d/e/f"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Head(t.Context(), "d/e/f")
	wantErr(t, "head", err, objstore.ErrNotFound, "d/e/f")
	wantKeys(t, s, "", "", []string{"d/g"})
	// Nothing is left of the folder.
	if p, err := s.ListPrefixes(t.Context(), "d/", "/"); err != nil || len(p) != 0 {
		t.Errorf("prefixes after deleting are %q, %v", p, err)
	}
}

func testKeys(t *testing.T, s objstore.Store) {
	for _, key := range []string{
		"", "/", "/absolute", "trailing/", "a//b", ".", "..", "../up", "a/../b", "a/..", "a/./b",
		"new\nline", "nul\x00", "del\x7f", "no\xffutf8", strings.Repeat("k", objstore.MaxKeyBytes+1),
	} {
		_, _, err := s.Get(t.Context(), key)
		if !errors.Is(err, objstore.ErrKey) {
			t.Errorf("get %q: %v", key, err)
		}
		if _, _, err = s.GetRange(t.Context(), key, 0, 1); !errors.Is(err, objstore.ErrKey) {
			t.Errorf("get range %q: %v", key, err)
		}
		if _, err = objstore.PutBytes(t.Context(), s, key, nil); !errors.Is(err, objstore.ErrKey) {
			t.Errorf("put %q: %v", key, err)
		}
		if _, err = objstore.PutBytes(t.Context(), s, key, nil, objstore.IfAbsent()); !errors.Is(err, objstore.ErrKey) {
			t.Errorf("put %q if absent: %v", key, err)
		}
		if _, err = s.Head(t.Context(), key); !errors.Is(err, objstore.ErrKey) {
			t.Errorf("head %q: %v", key, err)
		}
		if err = s.Delete(t.Context(), key); !errors.Is(err, objstore.ErrKey) {
			t.Errorf("delete %q: %v", key, err)
		}
	}
	for _, prefix := range []string{"../", "a/../", "/", "//", "/etc/"} {
		for o, err := range s.List(t.Context(), prefix, "") {
			t.Errorf("list %q gives %+v, %v", prefix, o, err)
		}
	}
}

func testStrangeKeys(t *testing.T, s objstore.Store) {
	keys := []string{
		"chunks/sensor=a b/lane=eth0+1/day=2024-02-29/00001709210096000000-0000000001.pcap.zst",
		"ü/日本語/🙂", "%41%2F", "a&b=c?d#e", `quote"and'back\slash`, "...", "a/.hidden", "~(!*)", "<x>&amp;",
		strings.Repeat("long/", 30) + strings.Repeat("k", 200),
	}
	for i, key := range keys {
		put(t, s, key, Bytes(uint64(i), 10+i))
	}
	for i, key := range keys {
		wantContent(t, s, key, Bytes(uint64(i), 10+i))
	}
	slices.Sort(keys)
	wantKeys(t, s, "", "", keys)
}

// keysOf lists and checks that the order is strict.
func keysOf(t *testing.T, s objstore.Store, prefix, after string) []string {
	t.Helper()
	var keys []string
	for o, err := range s.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatalf("list %q after %q: %v", prefix, after, err)
		}
		if len(keys) > 0 && o.Key <= keys[len(keys)-1] {
			t.Fatalf("list %q: %q follows %q", prefix, o.Key, keys[len(keys)-1])
		}
		keys = append(keys, o.Key)
	}
	return keys
}

func wantKeys(t *testing.T, s objstore.Store, prefix, after string, want []string) {
	t.Helper()
	if got := keysOf(t, s, prefix, after); !slices.Equal(got, want) {
		t.Errorf("list %q after %q:\n got %q\nwant %q", prefix, after, got, want)
	}
}

// tree is a set of keys whose order by bytes differs from that by folders.
func tree() []string {
	keys := []string{
		"a-b", "a.x", "a/b", "a/b-c/d", "a/b.c", "a/c/1", "a/c/10", "a/c/2", "a0", "b/x",
		"chunks/sensor=a/lane=1/x", "chunks/sensor=a/lane=1/y", "chunks/sensor=a-b/lane=1/x", "chunks/sensor=b/z",
	}
	// In a file store "a/b" is no folder, so nothing goes below it.
	slices.Sort(keys)
	return keys
}

func testListOrder(t *testing.T, s objstore.Store) {
	keys := tree()
	for i := len(keys) - 1; i >= 0; i-- {
		put(t, s, keys[i], []byte(keys[i]))
	}
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/b-", "a/c", "a/c/", "a/c/1", "b", "chunks/", "chunks/sensor=a/", "zzz", "A"} {
		var want []string
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k)
			}
		}
		wantKeys(t, s, prefix, "", want)
	}
	for o, err := range s.List(t.Context(), "a/", "") {
		if err != nil {
			t.Fatal(err)
		}
		head, err := s.Head(t.Context(), o.Key)
		if err != nil || head.Key != o.Key || head.Size != o.Size || head.ETag != o.ETag {
			t.Errorf("list has %+v, head %+v, %v", o, head, err)
		}
		break // the sequence can be left early
	}
}

func testListFrom(t *testing.T, s objstore.Store) {
	keys := tree()
	for _, k := range keys {
		put(t, s, k, []byte(k))
	}
	afters := append([]string{"!", "a", "a/", "a/b-c", "a/b-c/", "a/c/1/", "chunks/sensor=a", "chunks/sensor=a/", "zzz"}, keys...)
	for _, prefix := range []string{"", "a/", "a/c/", "chunks/sensor=a/"} {
		for _, after := range afters {
			var want []string
			for _, k := range keys {
				if strings.HasPrefix(k, prefix) && k > after {
					want = append(want, k)
				}
			}
			wantKeys(t, s, prefix, after, want)
		}
	}
}

func testListPrefixes(t *testing.T, s objstore.Store) {
	for _, k := range tree() {
		put(t, s, k, []byte(k))
	}
	for _, c := range []struct {
		prefix, delim string
		want          []string
	}{
		{"", "/", []string{"a/", "b/", "chunks/"}},
		{"a/", "/", []string{"a/b-c/", "a/c/"}},
		{"a", "/", []string{"a/"}},
		{"a/b", "/", []string{"a/b-c/"}},
		{"a/c/", "/", nil},
		{"chunks/", "/", []string{"chunks/sensor=a-b/", "chunks/sensor=a/", "chunks/sensor=b/"}},
		{"chunks/sensor=a", "/", []string{"chunks/sensor=a-b/", "chunks/sensor=a/"}},
		{"chunks/", "=", []string{"chunks/sensor="}},
		{"", "-", []string{"a-", "a/b-", "chunks/sensor=a-"}},
		{"missing/", "/", nil},
	} {
		got, err := s.ListPrefixes(t.Context(), c.prefix, c.delim)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("prefixes of %q by %q: got %q, %v, want %q", c.prefix, c.delim, got, err, c.want)
		}
	}
	if _, err := s.ListPrefixes(t.Context(), "", ""); err == nil {
		t.Error("an empty delimiter is no error")
	}
}

// testReadWhileReplaced replaces an object under a reader. A store may go on
// with the old content or fail; it must not mix the two or end early.
func testReadWhileReplaced(t *testing.T, s objstore.Store) {
	old := Bytes(5, 3<<20)
	put(t, s, "read", old)
	r, o, err := s.Get(t.Context(), "read")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	head := make([]byte, 1000)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	put(t, s, "read", Bytes(6, 2<<20))
	rest, err := io.ReadAll(r)
	if err != nil && !errors.Is(err, objstore.ErrMismatch) {
		t.Errorf("reading on: %v", err)
	}
	if got := append(head, rest...); !bytes.Equal(got, old[:len(got)]) || err == nil && int64(len(got)) != o.Size {
		t.Errorf("read %d bytes, want the old %d", len(got), len(old))
	}
	wantContent(t, s, "read", Bytes(6, 2<<20))
}

func testCancelled(t *testing.T, s objstore.Store) {
	put(t, s, "there", Bytes(7, 1<<20))
	ctx, cancel := context.WithCancel(t.Context())
	r, _, err := s.Get(ctx, "there")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	check := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", what, err)
		}
	}
	_, err = io.Copy(io.Discard, r)
	check("reading on", err)
	_, _, err = s.Get(ctx, "there")
	check("get", err)
	_, _, err = s.GetRange(ctx, "there", 0, 1)
	check("get range", err)
	_, err = objstore.PutBytes(ctx, s, "new", []byte("x"))
	check("put", err)
	_, err = objstore.PutBytes(ctx, s, "new", []byte("x"), objstore.IfAbsent())
	check("put if absent", err)
	_, err = s.Head(ctx, "there")
	check("head", err)
	check("delete", s.Delete(ctx, "there"))
	for _, err := range s.List(ctx, "", "") {
		check("list", err)
	}
	_, err = s.ListPrefixes(ctx, "", "/")
	if err != nil { // there is nothing to descend into
		check("list prefixes", err)
	}

	// Cancelled on the way: a large put stores nothing.
	ctx, cancel = context.WithCancel(t.Context())
	src := &cancellingReader{r: bytes.NewReader(Bytes(8, 20<<20)), after: 10 << 20, cancel: cancel}
	_, err = s.Put(ctx, "large", src, 20<<20)
	check("put of 20 MiB", err)
	wantKeys(t, s, "", "", []string{"there"})
}

// cancellingReader cancels once it has given some bytes.
type cancellingReader struct {
	r      io.Reader
	after  int64
	cancel func()
}

func (c *cancellingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.after -= int64(n); c.after <= 0 {
		c.cancel()
	}
	return n, err
}

func testConcurrent(t *testing.T, s objstore.Store) {
	if !strings.HasPrefix(s.URL(), "file:") {
		// MinIO answers 403 to a put whose folder another request's delete removes at that moment.
		const stays = "shared/folder/stays"
		if _, err := objstore.PutBytes(t.Context(), s, stays, nil); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Delete(t.Context(), stays); err != nil {
				t.Error(err)
			}
			wantKeys(t, s, "", "", nil)
		}()
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 10 {
				// The folder comes and goes under the others' hands.
				key := fmt.Sprintf("shared/folder/%d-%d", w, i)
				content := Bytes(uint64(w*100+i), 2000)
				if _, err := objstore.PutBytes(t.Context(), s, key, content, objstore.IfAbsent()); err != nil {
					t.Errorf("put: %v", err)
					return
				}
				got, _, err := s.GetRange(t.Context(), key, 500, 1000)
				if err != nil || !bytes.Equal(got, content[500:1500]) {
					t.Errorf("get %q: %d bytes, %v", key, len(got), err)
				}
				for _, err := range s.List(t.Context(), "shared/", "") {
					if err != nil {
						t.Errorf("list: %v", err)
					}
				}
				if err := s.Delete(t.Context(), key); err != nil {
					t.Errorf("delete: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for w := range 8 {
		wantKeys(t, s, fmt.Sprintf("shared/folder/%d-", w), "", nil)
	}
}
