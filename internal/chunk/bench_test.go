package chunk

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"

	"wirelake/internal/packet"
)

// capture is traffic for benchmarks: WIRELAKE_BENCH_PCAP, a pcap file of Ethernet
// in microseconds, or else packets made here.
func capture(tb testing.TB) (packets []testPacket, size int64) {
	tb.Helper()
	path := os.Getenv("WIRELAKE_BENCH_PCAP")
	if path == "" {
		packets = mixedPackets(400, 100, 1400)
		return packets, int64(rawSize(packets))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	dec := packet.NewDecoder(1, packet.Options{})
	var p packet.Packet
	for rest := b[pcapHeaderBytes:]; len(rest) >= recordHeaderSize; {
		le := binary.LittleEndian
		n := int(le.Uint32(rest[8:]))
		data := rest[recordHeaderSize:][:n:n]
		nanos := int64(le.Uint32(rest))*nanosPerSecond + int64(le.Uint32(rest[4:]))*1000
		dec.Decode(data, nanos, int(le.Uint32(rest[12:])), &p)
		packets = append(packets, testPacket{p.Key, p.Dir, nanos, int(p.WireLen), data})
		rest = rest[recordHeaderSize+n:]
	}
	return packets, int64(rawSize(packets))
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

func BenchmarkAdd(b *testing.B) {
	packets, size := capture(b)
	builder := benchBuilder(b, 1)
	fill(b, builder, packets)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		builder.Reset()
		fill(b, builder, packets)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(packets)), "ns/packet")
}

func benchmarkSeal(b *testing.B, workers int) {
	packets, size := capture(b)
	builder := benchBuilder(b, workers)
	fill(b, builder, packets)
	b.SetBytes(size)
	b.ReportAllocs()
	var sum Summary
	var err error
	for b.Loop() {
		if sum, err = builder.Seal(testMeta(), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(sum.IndexBytes)/float64(sum.Flows), "index-B/flow")
	b.ReportMetric(float64(sum.SizeBytes)/float64(size), "ratio")
	b.ReportMetric(float64(sum.RawFrames)/float64(sum.Frames), "raw-frames")
}

func BenchmarkSeal(b *testing.B)         { benchmarkSeal(b, 1) }
func BenchmarkSealTwoCores(b *testing.B) { benchmarkSeal(b, 2) }

// BenchmarkYardstick compresses the same bytes, in capture order, with klauspost's
// fastest level in frames of 256 KiB on one core.
func BenchmarkYardstick(b *testing.B) {
	packets, size := capture(b)
	raw := make([]byte, 0, size)
	for _, p := range packets {
		var h [recordHeaderSize]byte
		putRecordHeader(h[:], p.nanos, len(p.data), p.wireLen)
		raw = append(append(raw, h[:]...), p.data...)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		b.Fatal(err)
	}
	var out []byte
	b.SetBytes(size)
	for b.Loop() {
		n := 0
		for rest := raw; len(rest) > 0; {
			k := min(len(rest), 256<<10)
			out = enc.EncodeAll(rest[:k], out[:0])
			n += len(out)
			rest = rest[k:]
		}
		b.ReportMetric(float64(n)/float64(size), "ratio")
	}
}

func BenchmarkScan(b *testing.B) {
	packets, size := capture(b)
	builder := benchBuilder(b, 2)
	fill(b, builder, packets)
	var out bytes.Buffer
	if _, err := builder.Seal(testMeta(), &out); err != nil {
		b.Fatal(err)
	}
	r := open(b, out.Bytes())
	b.SetBytes(size)
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

func BenchmarkOpen(b *testing.B) {
	packets, _ := capture(b)
	builder := benchBuilder(b, 2)
	fill(b, builder, packets)
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

func BenchmarkNewDecoder(b *testing.B) {
	packets := mixedPackets(1, 10, 200)
	chunk, _ := sealPackets(b, testConfig(), packets)
	r := open(b, chunk)
	e := r.Flows()[0]
	off, size, skip := r.CompressedRange(e.Offset, e.Length)
	b.ReportAllocs()
	for b.Loop() {
		records, err := DecodeRange(testKey, off, chunk[off:off+size], skip, e.Length)
		if err != nil {
			b.Fatal(err)
		}
		var rec Record
		if err := records.Next(&rec); err != nil {
			b.Fatal(err)
		}
	}
}
