package spool

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"hash/crc32"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"wirelake/sensor/capture"
)

//nolint:gochecknoglobals // flags of the test program
var update = flag.Bool("update", false, "rewrite the test vector in docs/spool-format.md")

func vectorHeader() Header {
	return Header{
		Sensor: "edge1", Lane: "eth0-0", Interface: "eth0", LinkType: 1, Snaplen: 262144, Number: 7,
		Created: time.Unix(1772532000, 123456789).UTC(), Sequence: 9, KeyNanos: 1772531940_000000001, Nonce: 0xdecafbad,
	}
}

func appendPacket(dst []byte, nonce uint32, nanos int64, wire uint32, data []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, recordHeaderSize)...)
	dst = append(dst, data...)
	putRecord(dst[at:], nonce, kindPacket, nanos, wire)
	return dst
}

func appendComment(dst []byte, nonce uint32, nanos int64, text string) []byte {
	at := len(dst)
	dst = append(append(dst, make([]byte, recordHeaderSize)...), text...)
	putRecord(dst[at:], nonce, kindText, nanos, 0)
	return dst
}

func vector(tb testing.TB) []byte {
	tb.Helper()
	h := vectorHeader()
	b, err := appendHeader(nil, &h)
	if err != nil {
		tb.Fatal(err)
	}
	frame := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x81, 0, 0x20, 5, 0x08, 0x06, 0, 1}
	b = appendComment(b, h.Nonce, 1772532000_500000000, "who has?")
	b = appendPacket(b, h.Nonce, 1772532000_500000000, 64, frame)
	b = appendMark(b, h.Nonce, 1772532000_600000000, Losses{Kernel: 3, Quota: 2, Disk: 1}, capture.Position{})
	at := vectorPosition()
	b = appendMark(b, h.Nonce, 1772532000_700000000, Losses{}, at)
	at.Drops += 4
	b = appendMark(b, h.Nonce, 1772532000_800000000, Losses{Kernel: 4}, at)
	return appendEnd(b, h.Nonce, 1772532001_000000000, 1, uint64(len(frame)))
}

func vectorPosition() capture.Position {
	return capture.Position{Ring: 0xfeedfacecafebeef, Block: 12, Packet: 345, Passed: 6789, Drops: 3}
}

// TestFormatVector holds the page that specifies the format to what the code writes.
func TestFormatVector(t *testing.T) {
	const page = "../../docs/spool-format.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(text), "`TestFormatVector`:\n\n")
	if !ok {
		t.Fatal("the page has no vector")
	}
	head += "`TestFormatVector`:\n\n"
	dump := hex.EncodeToString(vector(t))
	for len(dump) > 0 {
		n := min(64, len(dump))
		head += "    " + dump[:n] + "\n"
		dump = dump[n:]
	}
	if *update {
		if err := os.WriteFile(page, []byte(head), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if head != string(text) {
		t.Error("the vector of docs/spool-format.md is not what the code writes: after a change of the format, run go test ./sensor/spool -run TestFormatVector -update")
	}
	r, err := NewReader(bytes.NewReader(vector(t)), "vector", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := vectorHeader(); !reflect.DeepEqual(r.Header, want) {
		t.Errorf("header %+v, want %+v", r.Header, want)
	}
	var rec Record
	if err := r.Next(&rec); err != nil || len(rec.Data) != 20 || rec.WireLen != 64 || rec.TimeNanos != 1772532000_500000000 || rec.Comment != "who has?" {
		t.Errorf("record %+v, %v", rec, err)
	}
	if err := r.Next(&rec); !errors.Is(err, io.EOF) || r.Losses() != (Losses{7, 2, 1}) || r.Packets() != 1 {
		t.Errorf("%v, losses %+v, %d packets", err, r.Losses(), r.Packets())
	}
	want := vectorPosition()
	want.Drops = 7
	if r.Position() != want {
		t.Errorf("position %+v, want %+v", r.Position(), want)
	}
}

// records reads a segment, and returns the packets' numbers.
func records(tb testing.TB, b []byte) (numbers []int, damages []Damage) {
	tb.Helper()
	r, err := NewReader(bytes.NewReader(b), "segment", func(d Damage) { damages = append(damages, d) })
	if err != nil {
		tb.Fatal(err)
	}
	var rec Record
	for {
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			return numbers, damages
		}
		if err != nil {
			tb.Fatal(err)
		}
		i := int(binary.BigEndian.Uint64(rec.Data[12:]))
		if !bytes.Equal(rec.Data, packet(i)) {
			tb.Fatalf("offset %d: packet %d is not what was written", rec.Offset, i)
		}
		numbers = append(numbers, i)
	}
}

// segmentOf returns a segment of n packets without an end, and where each record ends.
func segmentOf(tb testing.TB, n int) (b []byte, ends []int) {
	tb.Helper()
	h := vectorHeader()
	b, err := appendHeader(nil, &h)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		b = appendPacket(b, h.Nonce, int64(i), uint32(len(packet(i))), packet(i))
		ends = append(ends, len(b))
	}
	return b, ends
}

// TestCutAnywhere cuts a segment at every byte, and puts zeros or garbage behind the
// cut: every whole record before it comes back, and nothing else.
func TestCutAnywhere(t *testing.T) {
	b, ends := segmentOf(t, 3)
	head := ends[0] - recordHeaderSize - len(packet(0))
	garbage := bytes.Repeat([]byte{0x5a, 0, 0xff, 7}, 60)
	for cut := head; cut <= len(b); cut++ {
		whole := 0
		for whole < len(ends) && ends[whole] <= cut {
			whole++
		}
		for name, tail := range map[string][]byte{"cut": nil, "zeros": make([]byte, 300), "garbage": garbage} {
			numbers, damages := records(t, append(bytes.Clone(b[:cut]), tail...))
			if len(numbers) != whole {
				t.Fatalf("%s at %d: %d packets, want %d", name, cut, len(numbers), whole)
			}
			clean := len(tail) == 0 && (whole == 0 && cut == head || whole > 0 && ends[whole-1] == cut)
			if clean != (len(damages) == 0) || !clean && (len(damages) != 1 || !damages[0].Tail) {
				t.Fatalf("%s at %d: damages %v", name, cut, damages)
			}
			if !clean {
				start := head
				if whole > 0 {
					start = ends[whole-1]
				}
				if d := damages[0]; d.Offset != int64(start) || d.Bytes != int64(cut+len(tail)-start) {
					t.Fatalf("%s at %d: damage at %d of %d bytes, want %d of %d", name, cut, d.Offset, d.Bytes, start, cut+len(tail)-start)
				}
			}
		}
	}
}

// TestDamageCostsOneRecord flips each byte of a segment's records in turn.
func TestDamageCostsOneRecord(t *testing.T) {
	b, ends := segmentOf(t, 4)
	head := ends[0] - recordHeaderSize - len(packet(0))
	for at := head; at < len(b); at++ {
		bad := bytes.Clone(b)
		bad[at] ^= 0x41
		numbers, damages := records(t, bad)
		if len(numbers) != 3 || len(damages) != 1 {
			t.Fatalf("byte %d: packets %v, damages %v", at, numbers, damages)
		}
	}
}

// TestOldSegment holds that a segment of version 1 is read.
func TestOldSegment(t *testing.T) {
	b, ends := segmentOf(t, 3)
	head := ends[0] - recordHeaderSize - len(packet(0))
	b[8] = 1
	binary.LittleEndian.PutUint32(b[head-4:], crc32.Checksum(b[:head-4], castagnoli()))
	if numbers, damages := records(t, b); len(numbers) != 3 || len(damages) != 0 {
		t.Errorf("packets %v, damages %v", numbers, damages)
	}
}

// TestDamagedComment holds that a comment is of the packet behind it or of none.
func TestDamagedComment(t *testing.T) {
	h := vectorHeader()
	b, err := appendHeader(nil, &h)
	if err != nil {
		t.Fatal(err)
	}
	b = appendComment(b, h.Nonce, 0, "of the packet that is damaged")
	at := len(b)
	b = appendPacket(b, h.Nonce, 0, 60, packet(0))
	b = appendPacket(b, h.Nonce, 1, 60, packet(1))
	b[at] ^= 1
	r, err := NewReader(bytes.NewReader(b), "segment", nil)
	if err != nil {
		t.Fatal(err)
	}
	var rec Record
	if err := r.Next(&rec); err != nil || rec.TimeNanos != 1 || rec.Comment != "" {
		t.Errorf("%+v, %v", rec, err)
	}
}

func TestDamagedHeader(t *testing.T) {
	b, ends := segmentOf(t, 1)
	head := ends[0] - recordHeaderSize - len(packet(0))
	for at := range head {
		bad := bytes.Clone(b)
		bad[at] ^= 1
		_, err := NewReader(bytes.NewReader(bad), "lanes/a/0000000007.wal", nil)
		want := ErrCorrupt
		if at == 8 {
			want = ErrVersion
		}
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "lanes/a/0000000007.wal") {
			t.Fatalf("byte %d: %v", at, err)
		}
		if at > 0 {
			if _, err := NewReader(bytes.NewReader(b[:at]), "f", nil); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("header of %d bytes: %v", at, err)
			}
		}
	}
	if _, err := NewReader(bytes.NewReader(nil), "f", nil); !errors.Is(err, io.EOF) {
		t.Errorf("empty file: %v", err)
	}
}

// FuzzReader reads any bytes as a segment: no panic, no endless loop, memory bounded by the input.
func FuzzReader(f *testing.F) {
	f.Add(vector(f))
	b, _ := segmentOf(f, 2)
	f.Add(b)
	f.Add(b[:len(b)-5])
	f.Fuzz(func(t *testing.T, b []byte) {
		var passed int64
		r, err := NewReader(bytes.NewReader(b), "fuzz", func(d Damage) { passed += d.Bytes })
		if err != nil {
			return
		}
		var rec Record
		var taken int64
		for {
			err := r.Next(&rec)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			taken += recordHeaderSize + int64(len(rec.Data)) + int64(len(rec.Comment))
		}
		if taken+passed > int64(len(b)) {
			t.Fatalf("%d bytes of records and %d of damage in %d", taken, passed, len(b))
		}
	})
}
