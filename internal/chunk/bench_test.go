package chunk

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"wirelake/internal/packet"
)

// traffic is what is benchmarked: the packets of a capture, and their raw bytes.
type traffic struct {
	packets []testPacket
	size    int64
}

// BenchmarkChunk measures on 100 MiB of mixed traffic from the generator, or on
// WIRELAKE_BENCH_PCAP, a pcap file of Ethernet in microseconds.
func BenchmarkChunk(b *testing.B) {
	c := capture(b)
	b.Run("Add", c.benchmarkAdd)
	b.Run("Seal/workers=1", func(b *testing.B) { c.benchmarkSeal(b, 1) })
	b.Run("Seal/workers=2", func(b *testing.B) { c.benchmarkSeal(b, 2) })
	b.Run("Yardstick", c.benchmarkYardstick)
	b.Run("Scan", c.benchmarkScan)
	b.Run("Open", c.benchmarkOpen)
	b.Run("Range", c.benchmarkRange)
}

func capture(b *testing.B) *traffic {
	b.Helper()
	path := os.Getenv("WIRELAKE_BENCH_PCAP")
	if path == "" {
		path = filepath.Join(b.TempDir(), "mixed.pcap")
		if out, err := exec.Command("go", "run", "wirelake/testenv/gen", "-size", "100MiB", "-o", path).CombinedOutput(); err != nil {
			b.Fatalf("generate traffic: %v\n%s", err, out)
		}
	}
	file, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	c := &traffic{}
	dec := packet.NewDecoder(1, packet.Options{})
	var p packet.Packet
	for rest := file[pcapHeaderBytes:]; len(rest) >= recordHeaderSize; {
		le := binary.LittleEndian
		n := int(le.Uint32(rest[8:]))
		data := rest[recordHeaderSize:][:n:n]
		nanos := int64(le.Uint32(rest))*nanosPerSecond + int64(le.Uint32(rest[4:]))*1000
		dec.Decode(data, nanos, int(le.Uint32(rest[12:])), &p)
		c.packets = append(c.packets, testPacket{p.Key, p.Dir, nanos, int(p.WireLen), data})
		rest = rest[recordHeaderSize+n:]
	}
	c.size = int64(rawSize(c.packets))
	return c
}

func benchBuilder(tb testing.TB, workers int) *Builder {
	cfg := DefaultConfig()
	cfg.MaxBytes, cfg.Workers = MaxRawBytes, workers
	b, err := NewBuilder(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func (c *traffic) benchmarkAdd(b *testing.B) {
	builder := benchBuilder(b, 1)
	fill(b, builder, c.packets)
	b.SetBytes(c.size)
	b.ReportAllocs()
	for b.Loop() {
		builder.Reset()
		fill(b, builder, c.packets)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(c.packets)), "ns/packet")
}

func (c *traffic) benchmarkSeal(b *testing.B, workers int) {
	builder := benchBuilder(b, workers)
	fill(b, builder, c.packets)
	b.SetBytes(c.size)
	b.ReportAllocs()
	var sum Summary
	var err error
	for b.Loop() {
		if sum, err = builder.Seal(testMeta(), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(sum.IndexBytes)/float64(sum.Flows), "index-B/flow")
	b.ReportMetric(float64(sum.SizeBytes)/float64(c.size), "ratio")
	b.ReportMetric(float64(sum.RawFrames)/float64(sum.Frames), "raw-frames")
}

// benchmarkYardstick compresses the same bytes, in capture order, with klauspost's
// fastest level in frames of 256 KiB on one core.
func (c *traffic) benchmarkYardstick(b *testing.B) {
	raw := make([]byte, 0, c.size)
	for _, p := range c.packets {
		var h [recordHeaderSize]byte
		putRecordHeader(h[:], p.nanos, len(p.data), p.wireLen)
		raw = append(append(raw, h[:]...), p.data...)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		b.Fatal(err)
	}
	var out []byte
	b.SetBytes(c.size)
	for b.Loop() {
		n := 0
		for rest := raw; len(rest) > 0; {
			k := min(len(rest), 256<<10)
			out = enc.EncodeAll(rest[:k], out[:0])
			n += len(out)
			rest = rest[k:]
		}
		b.ReportMetric(float64(n)/float64(c.size), "ratio")
	}
}

func (c *traffic) benchmarkScan(b *testing.B) {
	builder := benchBuilder(b, 2)
	fill(b, builder, c.packets)
	var out bytes.Buffer
	if _, err := builder.Seal(testMeta(), &out); err != nil {
		b.Fatal(err)
	}
	r := open(b, out.Bytes())
	b.SetBytes(c.size)
	b.ReportAllocs()
	for b.Loop() {
		err := r.ReadFlows(context.Background(), func(_ *FlowEntry, records *FlowRecords) error {
			var rec Record
			for {
				if err := records.Next(&rec); err == io.EOF { //nolint:errorlint // as documented
					return nil
				} else if err != nil {
					return err
				}
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func (c *traffic) benchmarkOpen(b *testing.B) {
	builder := benchBuilder(b, 2)
	fill(b, builder, c.packets)
	var out bytes.Buffer
	sum, err := builder.Seal(testMeta(), &out)
	if err != nil {
		b.Fatal(err)
	}
	src := &object{b: out.Bytes()}
	dec, err := NewDecoder(1)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(context.Background(), src, testKey, WithDecoder(dec)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(sum.Flows), "flows")
}

// benchmarkRange decodes one small flow, as the query service does for a session.
func (c *traffic) benchmarkRange(b *testing.B) {
	builder := benchBuilder(b, 2)
	fill(b, builder, c.packets)
	var out bytes.Buffer
	if _, err := builder.Seal(testMeta(), &out); err != nil {
		b.Fatal(err)
	}
	r := open(b, out.Bytes())
	flow := -1
	for i, e := range r.Flows() {
		if e.Length > 4<<10 && e.Length < 16<<10 {
			flow = i
			break
		}
	}
	if flow < 0 {
		b.Fatal("no small flow in the traffic")
	}
	e := r.Flows()[flow]
	offset, size, skip := r.CompressedRange(e.Offset, e.Length)
	b.SetBytes(int64(e.Length))
	b.ReportAllocs()
	for b.Loop() {
		records := r.dec.Range(testKey, offset, out.Bytes()[offset:offset+size], skip, e.Length)
		var rec Record
		for {
			if err := records.Next(&rec); err == io.EOF { //nolint:errorlint // as documented
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}
