package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wirelake/sensor/capture"
)

// TestComments holds that comments come back with their packets, cut where they are too long, also with packets of any size and
// where a segment ends.
func TestComments(t *testing.T) {
	cfg := testConfig(t)
	cfg.SegmentBytes = 1 << 20
	s := openSpool(t, cfg)
	l := lane(t, s, "pipe-0")
	long := strings.Repeat("x", MaxCommentBytes)
	text := func(i int) string {
		switch {
		case i%5 == 1:
			return "packet " + strings.Repeat("n", i)
		case i%50 == 2:
			return long
		}
		return ""
	}
	const n = 400
	for i := range n {
		r := capture.Record{TimeNanos: int64(i), WireLen: 2000, Data: packet(i), Comment: text(i)}
		if r.Comment == long {
			r.Comment += "and more"
		}
		if i == 7 {
			r.Data, r.VLAN = r.Data[:20], 0x81000005
		}
		if err := l.Packet(&r); err != nil {
			t.Fatal(err)
		}
	}
	large := make([]byte, MaxRecordBytes)
	if err := l.Packet(&capture.Record{TimeNanos: n, WireLen: len(large), Data: large, Comment: "no room"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	if got := l.Stats(); got.Packets != n+1 || got.Malformed != 0 {
		t.Errorf("stats %+v", got)
	}
	files, err := filepath.Glob(filepath.Join(cfg.Dir, lanesFolder, "pipe-0", "*"+segmentExt))
	if err != nil || len(files) < 2 {
		t.Fatalf("segments %q, %v", files, err)
	}
	i := 0
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(bytes.NewReader(b), path, func(d Damage) { t.Error(d) })
		if err != nil {
			t.Fatal(err)
		}
		for ; ; i++ {
			var rec Record
			err := r.Next(&rec)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			want := text(i)
			if i == n {
				want = ""
			}
			if rec.TimeNanos != int64(i) || rec.Comment != want {
				t.Fatalf("record %d at %d with a comment of %d bytes, want %d", i, rec.TimeNanos, len(rec.Comment), len(want))
			}
		}
	}
	if i != n+1 {
		t.Errorf("%d packets, want %d", i, n+1)
	}
}
