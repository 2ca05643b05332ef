package pcapfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
)

// numbered returns n records whose data tells their number, and the offsets of their headers in a pcap file.
func numbered(n int) ([]rawRecord, []int) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var recs []rawRecord
	var at []int
	off := fileHeadBytes
	for i := range n {
		data := make([]byte, 20+rnd.IntN(300))
		for j := range data {
			data[j] = byte(rnd.Uint32())
		}
		le.PutUint32(data, uint32(i))
		recs = append(recs, rawRecord{sec: 1700000000 + uint32(i), frac: uint32(i), data: data})
		at = append(at, off)
		off += recordHeadBytes + len(data)
	}
	return recs, at
}

// numberedNg returns the same as a pcapng file.
func numberedNg(n int) ([]byte, []int) {
	recs, _ := numbered(n)
	b := append(sectionBlock(le), ifaceBlock(le, 1, 0, opt(le, 9, []byte{9}))...)
	var at []int
	for _, r := range recs {
		at = append(at, len(b))
		b = append(b, enhanced(le, 0, uint64(r.sec)*1e9+uint64(r.frac), r.data, nil)...)
	}
	return b, at
}

// numbersOf returns which of the numbered records were read unharmed.
func numbersOf(recs []Record) map[uint32]bool {
	want, _ := numbered(64)
	m := map[uint32]bool{}
	for _, r := range recs {
		if len(r.Data) >= 4 {
			if n := le.Uint32(r.Data); n < 64 && bytes.Equal(want[n].data, r.Data) {
				m[n] = true
			}
		}
	}
	return m
}

func TestEveryTruncation(t *testing.T) {
	recs, at := numbered(5)
	pcap := pcapBytes(le, magicNanos, 1, recs...)
	ng, ngAt := numberedNg(5)
	for name, c := range map[string]struct {
		b  []byte
		at []int
	}{"pcap": {pcap, at}, "pcapng": {ng, ngAt}} {
		ends := append(c.at[1:], len(c.b))
		for cut := c.at[0]; cut <= len(c.b); cut++ {
			whole := 0
			for _, e := range ends {
				if e <= cut {
					whole++
				}
			}
			got, _, errs := readAll(t, c.b[:cut])
			if len(got) != whole {
				t.Fatalf("%s cut at %d: %d records, want %d (errors %v)", name, cut, len(got), whole, errs)
			}
			start := c.at[0]
			if whole > 0 {
				start = ends[whole-1]
			}
			var te *TruncatedError
			switch {
			case cut == start:
				if len(errs) != 0 {
					t.Fatalf("%s cut at %d, between records: errors %v", name, cut, errs)
				}
			case len(errs) != 1 || !errors.As(errs[0], &te) || te.Offset != int64(start) || te.Have != int64(cut-start):
				t.Fatalf("%s cut at %d: errors %v, want one TruncatedError at %d with %d bytes", name, cut, errs, start, cut-start)
			}
		}
	}
}

func TestTruncatedCompression(t *testing.T) {
	recs, _ := numbered(64)
	b := pcapBytes(le, magicNanos, 1, recs...)
	for name, z := range map[string][]byte{"gzip": gzipped(t, b), "zstd": zstded(t, b), "xz": xzed(t, b)} {
		got, _, errs := readAll(t, z[:len(z)-len(z)/10])
		var te *TruncatedError
		if len(errs) != 1 || !errors.As(errs[0], &te) {
			t.Errorf("%s: errors %v, want one TruncatedError", name, errs)
		}
		for i := range got {
			if le.Uint32(got[i].Data) != uint32(i) {
				t.Errorf("%s: record %d is number %d", name, i, le.Uint32(got[i].Data))
			}
		}
		if name == "gzip" && len(got) < 50 {
			t.Errorf("%s: %d records of 64 before the cut", name, len(got))
		}
	}
}

func TestCorruptCompressionIsNamed(t *testing.T) {
	recs, _ := numbered(64)
	z := gzipped(t, pcapBytes(le, magicNanos, 1, recs...))
	z[len(z)-6] ^= 1 // the checksum
	got, _, errs := readAll(t, z)
	var ce *CorruptError
	if len(got) != 64 || len(errs) != 1 || !errors.As(errs[0], &ce) {
		t.Errorf("%d records, errors %v, want 64 and a CorruptError", len(got), errs)
	}
}

// Each record in turn is destroyed in several ways; all others must be read, and one error tell of it.
func TestNothingGoodIsLostAfterDamage(t *testing.T) {
	const n = 12
	recs, at := numbered(n)
	pcap := pcapBytes(le, magicNanos, 1, recs...)
	ng, ngAt := numberedNg(n)
	put := func(off int, v uint32) func([]byte, int) []byte {
		return func(b []byte, at int) []byte { le.PutUint32(b[at+off:], v); return b }
	}
	insert := func(b []byte, at int) []byte {
		return append(append(bytes.Clone(b[:at]), "garbage"...), b[at:]...)
	}
	zeros := func(b []byte, at int) []byte {
		return append(append(bytes.Clone(b[:at]), make([]byte, 5001)...), b[at:]...)
	}
	cutOut := func(b []byte, at int) []byte { return append(bytes.Clone(b[:at+3]), b[at+11:]...) }
	cases := []struct {
		name   string
		ng     bool
		damage func([]byte, int) []byte
		lost   int // records, beside those destroyed
	}{
		{"length of 4 GiB", false, put(8, 0xffffffff), 1},
		{"length beyond the end", false, put(8, 10<<20), 1},
		{"length a little too large", false, put(8, 400), 2},
		{"length too small", false, put(8, 3), 1},
		{"header of zeros", false, func(b []byte, at int) []byte { clear(b[at : at+16]); return b }, 1},
		{"bytes inserted", false, insert, 0},
		{"a hole of zeros", false, zeros, 0},
		{"bytes cut out", false, cutOut, 1},
		{"length of 4 GiB", true, put(4, 0xfffffffc), 1},
		{"length beyond the end", true, put(4, 10<<20), 1},
		{"length not a multiple of 4", true, put(4, 101), 1},
		{"packet longer than the block", true, put(20, 5000), 1},
		{"interface that is not there", true, put(8, 9), 1},
		{"bytes inserted", true, insert, 0},
		{"a hole of zeros", true, zeros, 0},
		{"bytes cut out", true, cutOut, 1},
	}
	for _, c := range cases {
		src, at := pcap, at
		if c.ng {
			src, at = ng, ngAt
		}
		for i := range n {
			b := c.damage(bytes.Clone(src), at[i])
			got, _, errs := readAll(t, b)
			if good := len(numbersOf(got)); good < n-c.lost {
				t.Errorf("%s (pcapng %v) at record %d: %d records of %d unharmed, want %d: %v", c.name, c.ng, i, good, n, n-c.lost, errs)
			}
			if len(errs) == 0 {
				t.Errorf("%s (pcapng %v) at record %d: no error", c.name, c.ng, i)
			}
			var ce *CorruptError
			// The last record has nothing behind it that would tell damage from a cut file.
			if last := i == n-1; len(errs) > 0 && !last && !errors.As(errs[0], &ce) {
				t.Errorf("%s (pcapng %v) at record %d: %v, want a CorruptError", c.name, c.ng, i, errs[0])
			}
			if ce != nil && (ce.Offset < int64(at[i]) || ce.Offset > int64(at[i])+600 || ce.Skipped <= 0) {
				t.Errorf("%s (pcapng %v) at record %d, offset %d: error tells %+v", c.name, c.ng, i, at[i], ce)
			}
		}
	}
}

func TestRandomDamageLosesLittle(t *testing.T) {
	recs, _ := numbered(64)
	ng, _ := numberedNg(64)
	for _, c := range []struct {
		name string
		src  []byte
		each int // records lost by one hit
	}{{"pcap", pcapBytes(le, magicNanos, 1, recs...), 2}, {"pcapng", ng, 2}} {
		for seed := range uint64(2_000) {
			rnd := rand.New(rand.NewPCG(3, seed))
			b := bytes.Clone(c.src)
			const hits = 5
			for range hits {
				b[200+rnd.IntN(len(b)-200)] ^= 1 << rnd.IntN(8)
			}
			got, _, errs := readAll(t, b)
			if good := len(numbersOf(got)); good < 64-c.each*hits {
				t.Errorf("%s: seed %d: %d flipped bits leave %d records of 64: %v", c.name, seed, hits, good, errs)
			}
		}
	}
}

// A length that is four bytes too large puts the reader in front of lengths that it takes for a time, of bytes of the
// packet that it takes for a length, and again after each record.
func TestLengthFourBytesOff(t *testing.T) {
	for _, magic := range []uint32{magicMicros, magicNanos} {
		recs, at := numbered(64)
		for i := range recs {
			copy(recs[i].data[4:], "\x00\x1b\x21")
			recs[i].frac = 999_000 - uint32(i)
			le.PutUint32(recs[i].data, 0x00211b00+uint32(i)) // passes for a length
		}
		for i := range 63 {
			b := pcapBytes(le, magic, 1, recs...)
			le.PutUint32(b[at[i]+8:], le.Uint32(b[at[i]+8:])+4)
			got, _, errs := readAll(t, b)
			good := 0
			for _, r := range got {
				if n := int(r.Data[0]); n < 64 && bytes.Equal(r.Data, recs[n].data) {
					good++
				}
			}
			if good < 62 || len(got) > 64 || len(errs) != 1 {
				t.Errorf("record %d: %d of 64 unharmed, %d in all, errors %v", i, good, len(got), errs)
			}
		}
	}
}

// Clocks jump: every record is read, whatever its time.
func TestTimesFarApart(t *testing.T) {
	for _, deviant := range []bool{false, true} {
		recs, _ := numbered(64)
		for i := range recs {
			switch {
			case i%5 == 0:
				recs[i].sec = uint32(i) // a clock not set yet
			case i > 40:
				recs[i].sec = 4_000_000_000
			}
			if deviant {
				recs[i].wireLen = 10
			}
		}
		got, _, errs := readAll(t, pcapBytes(le, magicMicros, 1, recs...))
		if len(numbersOf(got)) != 64 || len(errs) != 0 {
			t.Errorf("deviant %v: %d of 64 read, errors %v", deviant, len(numbersOf(got)), errs)
		}
	}
}

func TestHarmlessDeviationsAreRead(t *testing.T) {
	// Microseconds over a million, wire lengths below the captured: some writers do it in every record.
	for _, n := range []int{1, 20} {
		recs, _ := numbered(n)
		for i := range recs {
			recs[i].frac = 1_500_000
			recs[i].wireLen = 10
		}
		got, _, errs := readAll(t, pcapBytes(le, magicMicros, 1, recs...))
		if len(got) != n || len(numbersOf(got)) != n || len(errs) != 0 {
			t.Errorf("%d records, %d of them unharmed, errors %v, want %d and none", len(got), len(numbersOf(got)), errs, n)
		}
	}
}

func TestBlockLengthsDoNotAllocate(t *testing.T) {
	// The largest lengths that pass for lengths, in a file of some bytes.
	ng := append(sectionBlock(le), ifaceBlock(le, 1, 0, nil)...)
	ng = le.AppendUint32(le.AppendUint32(ng, blockEnhanced), maxBlockBytes)
	pcap := pcapBytes(le, magicMicros, 1)
	pcap = append(pcap, binary.LittleEndian.AppendUint32(make([]byte, 8), MaxRecordBytes)...)
	pcap = le.AppendUint32(pcap, MaxRecordBytes)
	for name, b := range map[string][]byte{"pcap": pcap, "pcapng": ng} {
		r, err := NewReader(bytes.NewReader(b), name)
		if err != nil {
			t.Fatal(err)
		}
		_, _, errs := drain(t, r)
		if len(errs) != 1 || len(r.w.buf) > 2*maxBlockBytes {
			t.Errorf("%s: errors %v, buffer of %d bytes", name, errs, len(r.w.buf))
		}
	}
}
