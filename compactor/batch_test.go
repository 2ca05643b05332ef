package compactor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"wirelake/internal/dissect"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// A batch whose packets have times of all sorts must not take a file and its buffers for every day at once.
func TestBatchOfManyDays(t *testing.T) {
	const days, perDay = 5 * openDays, 20
	set := dissect.New()
	schema, err := sessionfile.NewSchema(set.Registry())
	if err != nil {
		t.Fatal(err)
	}
	b := newBatch(testSensor, testLane, 7, schema, 0)
	want := map[string]string{} // documents as JSON by id
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range days * perDay {
		first := testStart/1e6 + int64(rnd.IntN(days))*24*3600*1000
		d := set.Registry().NewDocument()
		d.SetString(spi.ID, fmt.Sprintf("id-%d", i))
		d.SetInt(spi.FirstPacket, first)
		d.AddString(spi.Tags, "not UTF-8 \xff, \x00 and \u00e9")
		d.AddString(spi.Tags, strings.Repeat("long ", i))
		run := chunkRun{key: fmt.Sprintf("chunks/%d", i), linkType: 1, offset: 1 << 40, length: 3, skip: 1 << 33, size: 1, packets: 9}
		run.add(d)
		want[d.String(spi.ID)] = string(d.AppendJSON(nil, nil))
		if err := b.add(d, time.UnixMilli(first).UTC().Format(time.DateOnly)); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.days) != openDays {
		t.Errorf("%d files are open, want %d", len(b.days), openDays)
	}
	store := fileStore(t)
	files, err := b.put(t.Context(), store, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := b.discard(); err != nil {
		t.Fatal(err)
	}
	for obj, err := range store.List(t.Context(), "sessions/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 || obj.Key != files[0].Key || obj.Size != files[0].Size || obj.ETag != files[0].ETag {
			t.Fatalf("the store has %+v, told are %+v", obj, files)
		}
		files = files[1:]
	}
	if len(files) != 0 {
		t.Errorf("not stored: %+v", files)
	}
	for key, d := range documents(t, store) {
		id := d.String(spi.ID)
		if got := string(d.AppendJSON(nil, nil)); got != want[id] {
			t.Errorf("%s is\n%s\nwant\n%s", id, got, want[id])
		}
		first, _ := d.Int(spi.FirstPacket)
		if day := time.UnixMilli(first).UTC().Format(time.DateOnly); day != dayOf(key) {
			t.Errorf("%s of %s is in the file of %s", id, day, dayOf(key))
		}
		delete(want, id)
	}
	if len(want) != 0 {
		t.Errorf("%d documents are not stored", len(want))
	}
}

func TestBatchWhoseStoreFails(t *testing.T) {
	set := dissect.New()
	schema, err := sessionfile.NewSchema(set.Registry())
	if err != nil {
		t.Fatal(err)
	}
	b := newBatch(testSensor, testLane, 7, schema, 0)
	for i := range 3 * openDays {
		d := set.Registry().NewDocument()
		d.SetString(spi.ID, fmt.Sprint(i))
		if err := b.add(d, time.Unix(0, testStart).AddDate(0, 0, i).Format(time.DateOnly)); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	store, err := objstore.Open(t.Context(), "file://"+dir, objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// A file where a folder would have to be.
	if err := os.WriteFile(path.Join(dir, "sessions"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if files, err := b.put(context.Background(), store, func() error { return nil }); err == nil {
		t.Errorf("stored %+v", files)
	}
	if err := b.discard(); err != nil {
		t.Error(err)
	}
}
