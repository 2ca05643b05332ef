package pcapfile

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzReader holds the reader to its promises on any bytes: it ends, records lie inside the file and in
// order, and errors are of the documented types.
func FuzzReader(f *testing.F) {
	recs, _ := numbered(4)
	ng, _ := numberedNg(4)
	pcap := pcapBytes(be, magicMicros, 1, recs...)
	ng = append(ng, secretsBlock(le, 0x544c534b, 6, "lines\n")...)
	for _, b := range [][]byte{pcap, pcapBytes(le, magicModified, 1, recs...), ng, gzipped(f, pcap), zstded(f, ng), xzed(f, pcap)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b), "fuzz")
		if err != nil {
			return
		}
		defer func() { _ = r.Close() }()
		r.OnTLSKeys(func(lines []byte) {
			if len(lines) > maxBlockBytes {
				t.Fatalf("%d bytes of secrets", len(lines))
			}
		})
		last := int64(-1)
		for calls := 0; ; calls++ {
			// Decompressed, a file may hold a thousand times its bytes.
			if calls > 1000*len(b)+10 {
				t.Fatal("the reader does not end")
			}
			var rec Record
			err := r.Next(&rec)
			var te *TruncatedError
			var ce *CorruptError
			switch {
			case err == nil:
			case errors.Is(err, io.EOF):
				return
			case errors.As(err, &te), errors.As(err, &ce):
				continue
			default:
				t.Fatalf("error %v", err)
			}
			if rec.Offset <= last {
				t.Fatalf("record at %d after one at %d", rec.Offset, last)
			}
			last = rec.Offset
			if rec.Interface < 0 || rec.Interface >= len(r.Interfaces()) || len(rec.Data) > MaxRecordBytes || rec.WireLen < 0 {
				t.Fatalf("record %+v", rec)
			}
		}
	})
}
