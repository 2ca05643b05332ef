package compactor

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"wirelake/internal/objstore"
)

func fileStore(t testing.TB) objstore.Store {
	t.Helper()
	s, err := objstore.Open(t.Context(), "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func exampleCheckpoint() *checkpoint {
	return &checkpoint{
		Version: 1, Epoch: 3, Sensor: "edge", Lane: "eth0-0",
		Chunk: "chunks/sensor=edge/lane=eth0-0/day=2026-03-03/01772532000000058000-0000000001.pcap.zst", Next: 2, Nanos: 17,
		Open:      []openFlow{{Key: []byte{1, 2}, FirstNanos: 5, Chunk: "c", Offset: 24, Segments: 1}},
		Unindexed: []string{"sessions/day=2026-03-03/sensor=edge/x.parquet"},
		Skipped:   []skippedChunk{{Key: "k", Reason: "r"}},
	}
}

func TestCheckpointRoundTrip(t *testing.T) {
	store := fileStore(t)
	c := exampleCheckpoint()
	if err := c.save(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	got, err := loadCheckpoint(t.Context(), store, "edge", "eth0-0")
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Fatalf("got %+v, %v, want %+v", got, err, c)
	}
	// Whoever holds an older one must not write over it.
	got.Nanos = 18
	if err := got.save(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if err := c.save(t.Context(), store); !errors.Is(err, objstore.ErrMismatch) {
		t.Errorf("an older checkpoint was saved: %v", err)
	}
	fresh := &checkpoint{Version: 1, Sensor: "edge", Lane: "eth0-0"}
	if err := fresh.save(t.Context(), store); !errors.Is(err, objstore.ErrExists) {
		t.Errorf("a new checkpoint was saved over one that is there: %v", err)
	}
}

func TestCheckpointIsChecked(t *testing.T) {
	store := fileStore(t)
	put := func(key string, b []byte) {
		t.Helper()
		if _, err := objstore.PutBytes(t.Context(), store, key, b); err != nil {
			t.Fatal(err)
		}
	}
	newer := exampleCheckpoint()
	newer.Version = checkpointVersion + 1
	future, err := newer.encode()
	if err != nil {
		t.Fatal(err)
	}
	other, err := exampleCheckpoint().encode()
	if err != nil {
		t.Fatal(err)
	}
	for lane, tt := range map[string]struct {
		bytes []byte
		want  string
	}{
		"future":  {future, "version 2, this program knows up to 1"},
		"garbage": {[]byte("garbage"), "corrupt checkpoint"},
		"cut":     {other[:len(other)-3], "corrupt checkpoint"},
		"other":   {other, `it is of sensor "edge"`},
	} {
		put(checkpointKey("edge", lane), tt.bytes)
		_, err := loadCheckpoint(t.Context(), store, "edge", lane)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), checkpointKey("edge", lane)) {
			t.Errorf("%s: got %v, want an error with the key and %q", lane, err, tt.want)
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	b, err := exampleCheckpoint().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(enc.EncodeAll([]byte(`{"version":1,"open":[{}]}`), nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCheckpoint(b)
		if err != nil {
			return
		}
		again, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeCheckpoint(again)
		if err != nil || !reflect.DeepEqual(back, c) {
			t.Fatalf("got %+v, %v, want %+v", back, err, c)
		}
	})
}
