package pcapfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// benchFile writes 256 MiB of packets of mixed sizes, 500 bytes on average.
func benchFile(b *testing.B, ng bool) (string, int64) {
	name := filepath.Join(b.TempDir(), "bench")
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	data := bytes.Repeat([]byte("wirelake"), 200)
	sizes := []int{60, 1514, 60, 90, 1514, 60, 200}
	w, err := NewWriter(f, 1, 0)
	var n *NgWriter
	if ng {
		n, err = NewNgWriter(f, "")
		if err == nil {
			_, err = n.AddInterface(Interface{LinkType: 1})
		}
	}
	for i, total := 0, 0; total < 256<<20 && err == nil; i++ {
		d := data[:sizes[i%len(sizes)]]
		total += len(d) + 16
		if ng {
			err = n.Write(&Record{TimeNanos: int64(i), WireLen: len(d), Data: d})
		} else {
			err = w.Write(int64(i), len(d), d)
		}
	}
	if ng {
		err = errors.Join(err, n.Flush())
	} else {
		err = errors.Join(err, w.Flush())
	}
	st, statErr := f.Stat()
	if err := errors.Join(err, statErr, f.Close()); err != nil {
		b.Fatal(err)
	}
	return name, st.Size()
}

func BenchmarkReader(b *testing.B) {
	for _, c := range []struct {
		name string
		ng   bool
	}{{"pcap", false}, {"pcapng", true}} {
		b.Run(c.name, func(b *testing.B) {
			name, size := benchFile(b, c.ng)
			b.SetBytes(size)
			b.ReportAllocs()
			packets := 0
			for b.Loop() {
				f, err := os.Open(name)
				if err != nil {
					b.Fatal(err)
				}
				r, err := NewReader(f, name)
				if err != nil {
					b.Fatal(err)
				}
				var rec Record
				for packets = 0; ; packets++ {
					if err := r.Next(&rec); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
				_ = f.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(packets), "ns/packet")
		})
	}
	// The yardstick: the same file read with the same buffer, records not looked at.
	b.Run("bare-read", func(b *testing.B) {
		name, size := benchFile(b, false)
		b.SetBytes(size)
		buf := make([]byte, windowBytes)
		for b.Loop() {
			f, err := os.Open(name)
			if err != nil {
				b.Fatal(err)
			}
			for err == nil {
				_, err = f.Read(buf)
			}
			_ = f.Close()
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	data := bytes.Repeat([]byte("wirelake"), 64)
	for _, c := range []string{"pcap", "pcapng"} {
		b.Run(c, func(b *testing.B) {
			w, err := NewWriter(io.Discard, 1, 0)
			n, ngErr := NewNgWriter(io.Discard, "")
			if ngErr == nil {
				_, ngErr = n.AddInterface(Interface{LinkType: 1})
			}
			if err := errors.Join(err, ngErr); err != nil {
				b.Fatal(err)
			}
			rec := Record{WireLen: len(data), Data: data}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if c == "pcap" {
					err = w.Write(1, len(data), data)
				} else {
					err = n.Write(&rec)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
