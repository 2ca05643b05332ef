package pcapfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

func TestPcapVariants(t *testing.T) {
	recs := []rawRecord{
		{sec: 1700000000, frac: 123456, data: []byte("one")},
		{sec: 4200000000, frac: 999999, wireLen: 1500, data: []byte("two, cut by the snaplen")},
		{sec: 1700000002, frac: 0, data: []byte{0}},
	}
	for _, c := range []struct {
		name  string
		order binary.AppendByteOrder
		magic uint32
		unit  int64
	}{
		{"little-endian microseconds", le, magicMicros, 1000},
		{"big-endian microseconds", be, magicMicros, 1000},
		{"little-endian nanoseconds", le, magicNanos, 1},
		{"big-endian nanoseconds", be, magicNanos, 1},
		{"modified", le, magicModified, 1000},
		{"modified, big-endian", be, magicModified, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			plain := pcapBytes(c.order, c.magic, 0xf000_0001, recs...) // upper half: check sequence length
			for name, b := range map[string][]byte{"plain": plain, "gzip": gzipped(t, plain), "zstd": zstded(t, plain), "xz": xzed(t, plain)} {
				got, ifaces, errs := readAll(t, b)
				if len(errs) > 0 || len(got) != len(recs) {
					t.Fatalf("%s: %d records and errors %v, want %d records", name, len(got), errs, len(recs))
				}
				if ifaces[0].LinkType != 1 || ifaces[0].Snaplen != 65535 {
					t.Errorf("%s: interface %+v, want link type 1, snaplen 65535", name, ifaces[0])
				}
				at := int64(fileHeadBytes)
				for i, w := range recs {
					wire := int(max(w.wireLen, uint32(len(w.data))))
					nanos := int64(w.sec)*1e9 + int64(w.frac)*c.unit
					g := got[i]
					if g.TimeNanos != nanos || g.WireLen != wire || !bytes.Equal(g.Data, w.data) || g.Offset != at {
						t.Errorf("%s: record %d is %+v, want time %d, wire length %d, offset %d, %q", name, i, g, nanos, wire, at, w.data)
					}
					at += int64(len(w.data)) + 16
					if c.magic == magicModified {
						at += 8
					}
				}
			}
		})
	}
}

func TestOldPcapVersionsSwapLengths(t *testing.T) {
	b := pcapBytes(le, magicMicros, 1, rawRecord{sec: 1, data: []byte("abcd")}, rawRecord{sec: 2, data: []byte("ef")})
	for _, minor := range []byte{2, 3} {
		b[6] = minor
		le.PutUint32(b[24+8:], 9) // the first field is the wire length
		le.PutUint32(b[24+12:], 4)
		got, _, errs := readAll(t, b)
		if len(errs) > 0 || len(got) != 2 || got[0].WireLen != 9 || string(got[0].Data) != "abcd" {
			t.Errorf("version 2.%d: %+v %v, want wire length 9 and %q", minor, got, errs, "abcd")
		}
	}
}

func TestNotACapture(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty": {}, "three bytes": {1, 2, 3}, "text": []byte("hello, this is no capture at all"),
		"gzip of text":              gzipped(t, []byte("hello, this is no capture at all")),
		"pcapng without byte order": append(be.AppendUint32(nil, blockSection), make([]byte, 24)...),
	} {
		if _, err := NewReader(bytes.NewReader(b), "f.bin"); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "f.bin") {
			t.Errorf("%s: error %v, want ErrFormat that names the file", name, err)
		}
	}
	if _, err := NewReader(iotest.ErrReader(io.ErrClosedPipe), "f"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v, want that of the stream", err)
	}
	var cut *TruncatedError
	if _, err := NewReader(bytes.NewReader(pcapBytes(le, magicMicros, 1)[:23]), "f"); !errors.As(err, &cut) {
		t.Errorf("error %v, want TruncatedError", err)
	}
}

func TestStreamErrorIsNotCorruption(t *testing.T) {
	plain := pcapBytes(le, magicMicros, 1, rawRecord{sec: 1, data: []byte("one")}, rawRecord{sec: 2, data: []byte("two")})
	for name, b := range map[string][]byte{"plain": plain, "gzip": gzipped(t, plain)} {
		in := io.MultiReader(bytes.NewReader(b[:len(b)-12]), iotest.ErrReader(io.ErrClosedPipe))
		r, err := NewReader(in, "f")
		if err != nil {
			if errors.Is(err, io.ErrClosedPipe) {
				continue
			}
			t.Fatal(err)
		}
		_, _, errs := drain(t, r)
		if len(errs) != 1 || !errors.Is(errs[0], io.ErrClosedPipe) {
			t.Errorf("%s: errors %v, want that of the stream", name, errs)
		}
	}
}

func TestPcapng(t *testing.T) {
	for name, o := range map[string]binary.AppendByteOrder{"little-endian": le, "big-endian": be} {
		t.Run(name, func(t *testing.T) {
			var b []byte
			add := func(p []byte) { b = append(b, p...) }
			add(sectionBlock(o))
			add(ifaceBlock(o, 1, 0, append(opt(o, 2, []byte("eth0\x00")), opt(o, 9, []byte{9})...)))
			add(ifaceBlock(o, 113, 96, append(opt(o, 3, []byte("cooked")), opt(o, 14, o.AppendUint64(nil, 3600))...)))
			add(block(o, blockNames, []byte{0, 0, 0, 0}))
			add(enhanced(o, 0, 1700000000_123456789, []byte("nanos"), append(opt(o, 1, []byte("first")), opt(o, 1, []byte("second"))...)))
			add(enhanced(o, 1, 1700000000_123456, []byte("micros"), nil))
			add(block(o, blockStats, make([]byte, 12)))
			add(block(o, blockSimple, append(o.AppendUint32(nil, 4), "simp"...)))
			add(block(o, blockSecrets, make([]byte, 8)))
			add(block(o, blockCustom, make([]byte, 8)))
			old := append(o.AppendUint16(o.AppendUint16(nil, 1), 7), make([]byte, 0)...)
			old = o.AppendUint32(old, uint32(uint64(1700000001_000001)>>32))
			old = o.AppendUint32(old, uint32(uint64(1700000001_000001)&0xffffffff))
			old = o.AppendUint32(o.AppendUint32(old, 3), 60)
			add(block(o, blockPacket, append(old, "old"...)))
			other := binary.AppendByteOrder(be)
			if o == binary.AppendByteOrder(be) {
				other = le
			}
			add(sectionBlock(other))
			add(ifaceBlock(other, 101, 2, opt(other, 9, []byte{0x80 | 10}))) // 1/1024 s
			add(enhanced(other, 0, 5*1024+512, []byte{0x45}, nil))
			add(block(other, blockSimple, append(other.AppendUint32(nil, 9), 1, 2))) // cut at the snaplen

			got, ifaces, errs := readAll(t, b)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			want := []Record{
				{TimeNanos: 1700000000_123456789, WireLen: 5, Interface: 0, Data: []byte("nanos"), Comment: "first\nsecond"},
				{TimeNanos: 1700003600_123456000, WireLen: 6, Interface: 1, Data: []byte("micros")},
				{TimeNanos: 1700003600_123456000, WireLen: 4, Interface: 0, Data: []byte("simp")},
				{TimeNanos: 1700003601_000001000, WireLen: 60, Interface: 1, Data: []byte("old")},
				{TimeNanos: 5_500000000, WireLen: 1, Interface: 2, Data: []byte{0x45}},
				{TimeNanos: 5_500000000, WireLen: 9, Interface: 2, Data: []byte{1, 2}},
			}
			for i := range got {
				got[i].Offset = 0
			}
			if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
				t.Errorf("records\n%s\nwant\n%s", g, w)
			}
			wantIfaces := []Interface{
				{LinkType: 1, Name: "eth0", UnitsPerSec: 1e9},
				{LinkType: 113, Snaplen: 96, Description: "cooked", UnitsPerSec: 1e6, OffsetSec: 3600},
				{LinkType: 101, Snaplen: 2, UnitsPerSec: 1024},
			}
			if g, w := fmt.Sprint(ifaces), fmt.Sprint(wantIfaces); g != w {
				t.Errorf("interfaces %s, want %s", g, w)
			}
		})
	}
}

func TestTimestampsSaturate(t *testing.T) {
	for _, c := range []struct {
		i    Interface
		ts   uint64
		want int64
	}{
		{Interface{UnitsPerSec: 1}, 1<<64 - 1, 9223372035_000000000},
		{Interface{UnitsPerSec: 1, OffsetSec: 1<<63 - 1}, 5, 9223372035_000000000},
		{Interface{UnitsPerSec: 1, OffsetSec: -1 << 63}, 5, -9223372035_000000000},
		{Interface{UnitsPerSec: 1 << 63}, 1<<63 + 1<<62, 1_500000000},
		{Interface{UnitsPerSec: 1e19}, 15e18, 1_500000000},
		{Interface{UnitsPerSec: 1e6}, 1700000000_000001, 1700000000_000001000},
	} {
		if got := c.i.nanos(c.ts); got != c.want {
			t.Errorf("time %d of %+v is %d, want %d", c.ts, c.i, got, c.want)
		}
	}
}

func TestLivePipeIsReadAsItComes(t *testing.T) {
	pr, pw := io.Pipe()
	b := pcapBytes(le, magicMicros, 1, rawRecord{sec: 1, data: []byte("one")}, rawRecord{sec: 2, data: []byte("two")})
	step := make(chan struct{})
	go func() {
		// The head of 64 bytes that detection looks at holds the first record.
		_, _ = pw.Write(b[:24+19+19-1])
		<-step
		_, _ = pw.Write(b[24+19+19-1:])
		_ = pw.Close()
	}()
	go func() { step <- struct{}{} }()
	r, err := NewReader(pr, "-")
	if err != nil {
		t.Fatal(err)
	}
	got, _, errs := drain(t, r)
	if len(got) != 2 || len(errs) != 0 {
		t.Fatalf("%d records, errors %v, want 2 records", len(got), errs)
	}
}

func TestOneByteReads(t *testing.T) {
	b := pcapBytes(be, magicNanos, 1, rawRecord{sec: 1, data: []byte("one")}, rawRecord{sec: 2, data: bytes.Repeat([]byte("x"), 5000)})
	for name, in := range map[string][]byte{"plain": b, "zstd": zstded(t, b)} {
		r, err := NewReader(iotest.OneByteReader(bytes.NewReader(in)), "f")
		if err != nil {
			t.Fatal(name, err)
		}
		if got, _, errs := drain(t, r); len(got) != 2 || len(errs) != 0 || len(got[1].Data) != 5000 {
			t.Errorf("%s: %d records, errors %v", name, len(got), errs)
		}
	}
}
