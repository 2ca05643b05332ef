package chunk

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestComments checks that every comment is found at the offset of its packet's record.
func TestComments(t *testing.T) {
	packets := mixedPackets(40, 5, 300)
	b, err := NewBuilder(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{} // comment by the record's bytes and time
	mem := 0
	for i := range packets {
		p := &packets[i]
		if err := b.add(&p.key, p.dir, p.nanos, p.wireLen, p.data); err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			text := strings.Repeat("ü", i+1)
			b.Comment(text)
			want[text] = string(p.data)
		}
		if now := b.MemBytes(); now <= mem {
			t.Fatal("memory does not grow")
		} else {
			mem = now
		}
	}
	var out bytes.Buffer
	if _, err := b.Seal(testMeta(), &out); err != nil {
		t.Fatal(err)
	}
	r := open(t, out.Bytes())
	if len(r.Comments()) != len(want) {
		t.Fatalf("%d comments, want %d", len(r.Comments()), len(want))
	}
	next := 0
	err = r.ReadFlows(context.Background(), func(e *FlowEntry, records *FlowRecords) error {
		offset := e.Offset
		var rec Record
		for {
			err := records.Next(&rec)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if next < len(r.Comments()) && r.Comments()[next].Offset == offset {
				if c := r.Comments()[next]; want[c.Text] != string(rec.Data) {
					t.Errorf("comment %d is of another packet", next)
				}
				next++
			}
			offset += rec.RawLen()
		}
	})
	if err != nil || next != len(want) {
		t.Errorf("%d comments of %d are at a record: %v", next, len(want), err)
	}
	b.Reset()
	fill(t, b, packets)
	out.Reset()
	if _, err := b.Seal(testMeta(), &out); err != nil || len(open(t, out.Bytes()).Comments()) != 0 {
		t.Errorf("comments outlive Reset: %v", err)
	}
}

// TestCommentLimits checks that a comment is cut between characters, and that many of them fill a chunk.
func TestCommentLimits(t *testing.T) {
	b, err := NewBuilder(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	p := vectorPackets()[0]
	b.Comment("of nothing")
	n := 0
	for ; ; n++ {
		err := b.add(&p.key, p.dir, p.nanos, p.wireLen, p.data)
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b.Comment("x" + strings.Repeat("ü", MaxCommentBytes))
	}
	if n != maxCommentsBytes/MaxCommentBytes+1 {
		t.Errorf("full after %d comments", n)
	}
	var out bytes.Buffer
	if _, err := b.Seal(testMeta(), &out); err != nil {
		t.Fatal(err)
	}
	for _, c := range open(t, out.Bytes()).Comments() {
		if len(c.Text) != MaxCommentBytes { // 1 + 2*32767
			t.Fatalf("comment of %d bytes", len(c.Text))
		}
	}
}
