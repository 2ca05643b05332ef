package sessionfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"

	"wirelake/internal/objstore"
	"wirelake/internal/spi"
)

// memory is a store of one object: fuzzing must not wait for a disk. What it does not have is never called.
type memory struct {
	objstore.Store
	b []byte
}

func (m *memory) GetRange(_ context.Context, key string, off, n int64) ([]byte, objstore.Object, error) {
	size := int64(len(m.b))
	obj := objstore.Object{Key: key, Size: size}
	if off < 0 {
		off, n = max(0, size+off), size
	}
	if off > size {
		return nil, obj, objstore.ErrRange
	}
	return bytes.Clone(m.b[off:min(size, off+n)]), obj, nil
}

func (m *memory) Get(context.Context, string) (io.ReadCloser, objstore.Object, error) {
	panic("not called")
}

func (m *memory) List(context.Context, string, string) iter.Seq2[objstore.Object, error] {
	panic("not called")
}

// readAll reads everything of a file that there is to read.
func readAll(s *Schema, b []byte) (docs []*spi.Document, err error) {
	r, err := NewReader(&memory{b: b}, s)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	f, err := r.Open(ctx, "some/key.parquet")
	if err != nil {
		return nil, err
	}
	for d, err := range f.Documents(ctx, nil) {
		if err != nil {
			return docs, err
		}
		docs = append(docs, d)
	}
	for i := range f.NumGroups() {
		g := f.Group(i)
		for _, field := range s.registry.Fields() {
			if c := g.Column(field.ID); c != nil {
				if _, err := c.MayHold(ctx, []string{"x"}); err != nil {
					return docs, err
				}
			}
		}
	}
	return docs, nil
}

// TestDamageIsAnErrorThatNamesThePlace flips bits and cuts. Whatever is damaged, what is
// read is right or an error, except in the parts that no checksum covers: the footer and the indexes.
func TestDamageIsAnErrorThatNamesThePlace(t *testing.T) {
	s := testSchema(t, testRegistry())
	docs := randomDocuments(s.registry, 100)
	good, _ := encode(t, s, docs)
	want := inOrder(docs)
	footer := len(good) - 8 - int(uint32(good[len(good)-8])|uint32(good[len(good)-7])<<8|uint32(good[len(good)-6])<<16)
	rng := rand.New(rand.NewPCG(5, 6))
	check := func(what string, at int, b []byte) {
		t.Helper()
		got, err := readAll(s, b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("%s at %d: %v", what, at, err)
			}
			if errors.Is(err, ErrCorrupt) && !strings.Contains(err.Error(), `"some/key.parquet"`) {
				t.Errorf("%s at %d: the error does not name the object: %v", what, at, err)
			}
			return
		}
		if at >= footer {
			return
		}
		for i, d := range got {
			if jsonOf(d, nil) != jsonOf(want[i], nil) {
				t.Fatalf("%s at %d: row %d is wrong and nothing says so", what, at, i)
			}
		}
	}
	for range 1500 {
		at := rng.IntN(len(good))
		b := bytes.Clone(good)
		b[at] ^= 1 << rng.IntN(8)
		check("flipped bit", at, b)
	}
	for range 100 {
		at := rng.IntN(len(good))
		check("cut", at, good[:at])
	}
}

func FuzzRead(f *testing.F) {
	s := testSchema(f, testRegistry())
	docs := randomDocuments(s.registry, 40)
	good, _ := encode(f, s, docs)
	f.Add(good)
	empty, _ := encode(f, s, nil)
	f.Add(empty)
	one, _ := encode(f, s, docs[:1])
	f.Add(one)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := readAll(s, b); err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}

// FuzzPage decodes what a page may hold behind a checksum that is right.
func FuzzPage(f *testing.F) {
	f.Add(uint8(0), 3, []byte{3, 0, 0, 0, 3, 1, 1, 2, 0, 0, 0, 6, 1, 1, 0x03, 0x02})
	f.Add(uint8(1), 2, []byte{128, 1, 4, 2, 0, 0})
	f.Add(uint8(2), 2, []byte{128, 1, 4, 2, 0, 0, 'a'})
	f.Add(uint8(3), 2, []byte{1, 0, 0, 0, 'a', 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, kind uint8, n int, b []byte) {
		if n < 0 || n > 1<<16 {
			return
		}
		switch kind % 5 {
		case 0:
			levels := make([]uint8, n)
			if _, err := decodeHybrid(levels, b, 3, 5); err == nil {
				for _, l := range levels {
					if l > 5 {
						t.Fatal("level above the limit")
					}
				}
			}
		case 1:
			if v, _, err := decodeDelta(nil, b, n); err == nil && len(v) != n {
				t.Fatalf("%d values, want %d", len(v), n)
			}
		case 2:
			if v, _, err := decodeDeltaLength(b, n, nil); err == nil {
				for i := range n {
					_ = v.at(i)
				}
			}
		case 3:
			if v, err := decodePlainTexts(b, n); err == nil {
				for i := range n {
					_ = v.at(i)
				}
			}
		case 4:
			_, _, _ = parsePageHeader(b)
		}
	})
}
