package chunk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
)

// fuzzChunk is a chunk to begin fuzzing from, and its reader.
func fuzzChunk(f *testing.F) ([]byte, *Reader) {
	b, _ := sealPackets(f, testConfig(), mixedPackets(6, 4, 200))
	return b, open(f, b)
}

// FuzzIndex checks that the index decoder takes any bytes, and that what it
// accepts means the same after being encoded again. The CRC is made right, for
// otherwise nothing would come behind it.
func FuzzIndex(f *testing.F) {
	b, r := fuzzChunk(f)
	content := b[r.dataSize()+skippableHeaderSize:][:r.IndexBytes()-skippableHeaderSize]
	f.Add(content[:len(content)-checksumSize])
	enc, err := newEncoder(1)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) < indexHeaderSize {
			return
		}
		content := binary.LittleEndian.AppendUint32(bytes.Clone(body), crc32c(0, body))
		ix, _, reason := decodeIndex(content, slices.Clone(r.Frames()), r.dec.zstd)
		if reason != "" {
			return
		}
		again, err := ix.encode(enc)
		if err != nil {
			t.Fatal(err)
		}
		ix2, _, reason := decodeIndex(again[skippableHeaderSize:], slices.Clone(ix.frames), r.dec.zstd)
		if reason != "" {
			t.Fatalf("encoded again: %s", reason)
		}
		if ix2.meta != ix.meta || ix2.contentSum != ix.contentSum || !slices.Equal(ix2.flows, ix.flows) || !slices.Equal(ix2.frames, ix.frames) {
			t.Fatalf("%+v became %+v", ix, ix2)
		}
	})
}

// FuzzSeekTable checks that the seek table decoder takes any bytes, and that
// encoding what it accepts gives the same bytes.
func FuzzSeekTable(f *testing.F) {
	b, r := fuzzChunk(f)
	f.Add(b[r.dataSize()+r.IndexBytes():])
	f.Fuzz(func(t *testing.T, table []byte) {
		frames, indexSize, reason := decodeSeekTable(table)
		if reason != "" {
			return
		}
		if again := appendSeekTable(nil, frames, indexSize); !bytes.Equal(again, table) {
			t.Fatalf("%x became %x", table, again)
		}
	})
}

// FuzzRange checks that decoding a range takes any bytes, skip and length, gives
// no more than asked for, and no error but a CorruptError.
func FuzzRange(f *testing.F) {
	b, r := fuzzChunk(f)
	frame := r.Frames()[1]
	f.Add(b[frame.Offset:][:frame.Size], uint64(0), uint64(frame.RawSize))
	var raw encodedFrame
	raw.encodeRaw(bytes.Repeat([]byte{0, 1, 2, 3, 0, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 'd', 'a', 't', 'a'}, 20))
	f.Add(bytes.Join(raw.parts, nil), uint64(20), uint64(60))
	f.Fuzz(func(t *testing.T, compressed []byte, skip, length uint64) {
		records := r.dec.Range(testKey, 100, compressed, skip, length)
		var rec Record
		var got uint64
		for {
			err := records.Next(&rec)
			if errors.Is(err, io.EOF) {
				if got != length {
					t.Fatalf("%d raw bytes of records, asked for %d", got, length)
				}
				return
			}
			var c *CorruptError
			if err != nil {
				if !errors.As(err, &c) || c.Key != testKey || c.Offset < 100 || c.Offset > 100+int64(len(compressed)) {
					t.Fatalf("error %v", err)
				}
				return
			}
			got += rec.RawLen()
		}
	})
}

// FuzzOpen checks that any object opens and reads, or is refused with an error of ours.
func FuzzOpen(f *testing.F) {
	b, r := fuzzChunk(f)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Open(context.Background(), &object{b: b}, testKey, WithDecoder(r.dec))
		if err == nil {
			err = r.Verify(context.Background())
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatal(err)
		}
	})
}

// FuzzParseKey checks that a key is taken only as Key writes it.
func FuzzParseKey(f *testing.F) {
	f.Add(testKey)
	f.Fuzz(func(t *testing.T, key string) {
		if m, err := ParseKey(key); err == nil && Key(m) != key {
			t.Fatalf("%q parses to %+v, whose key is %q", key, m, Key(m))
		}
	})
}
