package chunk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"wirelake/internal/objstore"
	"wirelake/internal/packet"
)

// testPacket is a packet as a test made it.
type testPacket struct {
	key     packet.Key
	dir     packet.Dir
	nanos   int64
	wireLen int
	data    []byte
}

// object is an object in memory, read as a store reads one.
type object struct {
	b    []byte
	gets int
}

func (o *object) GetRange(_ context.Context, key string, off, n int64) ([]byte, objstore.Object, error) {
	o.gets++
	size := int64(len(o.b))
	if off < 0 {
		off, n = max(0, size+off), -off
	}
	if off > size {
		return nil, objstore.Object{}, objstore.ErrRange
	}
	return bytes.Clone(o.b[off:min(size, off+n)]), objstore.Object{Key: key, Size: size}, nil
}

const testKey = "chunks/sensor=s1/lane=eth0-0/day=2026-03-03/01772532000000000000-0000000007.pcap.zst"

func testMeta() Meta {
	return Meta{Sensor: "s1", Lane: "eth0-0", Interface: "eth0", File: "/captures/é.pcap", LinkType: 1, Snaplen: 65535,
		Sequence: 7, KeyNanos: 1772532000_000000000, Generator: "wirelake test", KernelDrops: 3, SpoolDrops: 4}
}

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.MaxBytes, cfg.Workers = 64<<20, 2
	return cfg
}

// sealPackets makes a chunk of the packets.
func sealPackets(tb testing.TB, cfg Config, packets []testPacket) ([]byte, Summary) {
	tb.Helper()
	b, err := NewBuilder(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range packets {
		p := &packets[i]
		if err := b.add(&p.key, p.dir, p.nanos, p.wireLen, p.data); err != nil {
			tb.Fatalf("add packet %d: %v", i, err)
		}
	}
	var out bytes.Buffer
	sum, err := b.Seal(testMeta(), &out)
	if err != nil {
		tb.Fatal(err)
	}
	if sum.SizeBytes != int64(out.Len()) {
		tb.Fatalf("summary says %d bytes, %d were written", sum.SizeBytes, out.Len())
	}
	return out.Bytes(), sum
}

// fill adds the packets to b.
func fill(tb testing.TB, b *Builder, packets []testPacket) {
	tb.Helper()
	for i := range packets {
		p := &packets[i]
		if err := b.add(&p.key, p.dir, p.nanos, p.wireLen, p.data); err != nil {
			tb.Fatal(err)
		}
	}
}

func open(tb testing.TB, b []byte) *Reader {
	tb.Helper()
	r, err := Open(context.Background(), &object{b: b}, testKey)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func ipv4Key(i int) packet.Key {
	var a, b [16]byte
	binary.BigEndian.PutUint32(a[:], 0x0a000000+uint32(i%50))
	binary.BigEndian.PutUint32(b[:], 0xc0a80000+uint32(i%7))
	k, _ := packet.NewKey(packet.KindIPv4, packet.ProtoTCP, a, b, uint16(1024+i), 443)
	return k
}

// drawPackets draws flows of all kinds and sizes, their packets interleaved.
func drawPackets(t *rapid.T) []testPacket {
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	noise := rand.NewChaCha8([32]byte{byte(rng.Uint32()), byte(rng.Uint32())})
	unit := rapid.SampledFrom([]int64{1, 1e3, 1e6, 1e9}).Draw(t, "unit")
	flows := rapid.IntRange(0, 30).Draw(t, "flows")
	var all []testPacket
	for f := range flows {
		var k packet.Key
		switch rng.IntN(5) {
		case 0:
			var a, b [16]byte
			a[0], a[15], b[0], b[15] = 0x20, byte(rng.IntN(4)), 0xfe, byte(rng.IntN(4))
			k, _ = packet.NewKey(packet.KindIPv6, packet.ProtoUDP, a, b, uint16(rng.IntN(1<<16)), 53)
		case 1:
			k, _ = packet.NewKey(packet.KindMAC, 0, [16]byte{2, 0, 0, 0, byte(f), 1}, [16]byte{255, 255, 255, 255, 255, 255}, 0x806, 0x806)
		case 2:
			k = packet.Key{Kind: packet.KindUnknown, PortA: uint16(f), PortB: uint16(f)}
		default:
			k = ipv4Key(f)
		}
		n := 1 + rng.IntN(20)
		size := []int{40, 200, 1500, 9000, 70000}[min(4, rng.IntN(12))]
		if rng.IntN(60) == 0 {
			n, size = 2, 600_000
		}
		kind := rng.IntN(3)
		for range n {
			p := testPacket{key: k, dir: packet.Dir(rng.IntN(2)), data: make([]byte, rng.IntN(size+1))}
			p.nanos = (1772532000_000000000 + rng.Int64N(60_000_000_000)) / unit * unit
			p.wireLen = len(p.data)
			switch rng.IntN(20) {
			case 0:
				p.wireLen += rng.IntN(100_000) // cut by a snaplen
			case 1:
				p.wireLen /= 2 // nonsense, yet it must come back
			}
			switch kind {
			case 0:
				_, _ = noise.Read(p.data) // never fails
			case 1:
				copy(p.data, bytes.Repeat([]byte("GET /index.html HTTP/1.1\r\nHost: "), len(p.data)/33+1))
			}
			all = append(all, p)
		}
	}
	if rapid.Bool().Draw(t, "in time order") {
		slices.SortStableFunc(all, func(a, b testPacket) int { return int(a.nanos - b.nanos) })
	} else {
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	return all
}

// byFlow returns the packets of each flow in capture order, and the flows by
// their earliest packet, then as first seen.
func byFlow(packets []testPacket) [][]testPacket {
	number := map[packet.Key]int{}
	var flows [][]testPacket
	for _, p := range packets {
		n, ok := number[p.key]
		if !ok {
			n = len(flows)
			number[p.key] = n
			flows = append(flows, nil)
		}
		flows[n] = append(flows[n], p)
	}
	first := func(f []testPacket) int64 {
		v := f[0].nanos
		for _, p := range f {
			v = min(v, p.nanos)
		}
		return v
	}
	slices.SortStableFunc(flows, func(a, b []testPacket) int { return int(first(a) - first(b)) })
	return flows
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

func sameRecord(t failer, what string, got *Record, want *testPacket) {
	t.Helper()
	if got.TimeNanos != want.nanos || got.WireLen != want.wireLen || !bytes.Equal(got.Data, want.data) {
		t.Fatalf("%s: record at %d of %d/%d bytes, want one at %d of %d/%d bytes with the same content",
			what, got.TimeNanos, len(got.Data), got.WireLen, want.nanos, len(want.data), want.wireLen)
	}
}

func sameRecords(t failer, what string, next func(*Record) error, want []testPacket) {
	t.Helper()
	var r Record
	for i := range want {
		if err := next(&r); err != nil {
			t.Fatalf("%s: record %d of %d: %v", what, i, len(want), err)
		}
		sameRecord(t, what, &r, &want[i])
	}
	if err := next(&r); !errors.Is(err, io.EOF) {
		t.Fatalf("%s: after %d records: %v, want io.EOF", what, len(want), err)
	}
}

func rawSize(packets []testPacket) (n uint64) {
	for i := range packets {
		n += recordHeaderSize + uint64(len(packets[i].data))
	}
	return n
}

// TestEveryRecordComesBack checks that random packets come back byte for byte:
// by flow, by any range of a flow, in a scan, and from the decompressed stream.
func TestEveryRecordComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		packets := drawPackets(t)
		b, err := NewBuilder(testConfig())
		if err != nil {
			t.Fatal(err)
		}
		for i := range packets {
			if err := b.add(&packets[i].key, packets[i].dir, packets[i].nanos, packets[i].wireLen, packets[i].data); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		sum, err := b.Seal(testMeta(), &out)
		if err != nil {
			t.Fatal(err)
		}
		flows := byFlow(packets)
		ctx := context.Background()
		src := &object{b: out.Bytes()}
		r, err := Open(ctx, src, testKey)
		if err != nil {
			t.Fatal(err)
		}
		if r.Meta() != sum.Meta || r.ContentSum() != sum.ContentSum || len(r.Flows()) != len(flows) || r.Meta().Packets != uint64(len(packets)) {
			t.Fatalf("chunk of %+v with %d flows, want %+v with %d", r.Meta(), len(r.Flows()), sum.Meta, len(flows))
		}
		var stream []testPacket
		for i, f := range flows {
			e := r.Flows()[i]
			checkEntry(t, e, f, uint64(pcapHeaderBytes)+rawSize(stream))
			stream = append(stream, f...)
			records, err := r.ReadFlow(ctx, i)
			if err != nil {
				t.Fatal(err)
			}
			sameRecords(t, "by flow", records.Next, f)

			from := rapid.IntRange(0, len(f)-1).Draw(t, "from")
			to := rapid.IntRange(from+1, len(f)).Draw(t, "to")
			length := rawSize(f[from:to])
			off, size, skip := r.CompressedRange(e.Offset+rawSize(f[:from]), length)
			part, err := DecodeRange(testKey, off, out.Bytes()[off:off+size], skip, length)
			if err != nil {
				t.Fatal(err)
			}
			sameRecords(t, "by range", part.Next, f[from:to])
		}
		checkFrameSizes(t, r, flows)

		n := 0
		offset := uint64(pcapHeaderBytes)
		err = r.ReadFlows(ctx, func(e *FlowEntry, records *FlowRecords) error {
			if n%3 == 1 { // read one record only, and leave the others
				var rec Record
				if err := records.Next(&rec); err != nil {
					return err
				}
				sameRecord(t, "first of flow", &rec, &flows[n][0])
			} else {
				at := offset
				sameRecords(t, "scan", func(rec *Record) error {
					err := records.Next(rec)
					if err == nil && rec.Offset != at {
						t.Fatalf("record at %d of the stream, want %d", rec.Offset, at)
					}
					at += rec.RawLen()
					return err
				}, flows[n])
			}
			offset += e.Length
			n++
			return nil
		})
		if err != nil || n != len(flows) {
			t.Fatalf("scan: %d flows of %d: %v", n, len(flows), err)
		}
		checkStream(t, out.Bytes(), stream)
	})
}

func checkEntry(t failer, e FlowEntry, f []testPacket, offset uint64) {
	t.Helper()
	want := FlowEntry{Key: f[0].key, FirstNanos: f[0].nanos, LastNanos: f[0].nanos, Offset: offset, Length: rawSize(f)}
	for _, p := range f {
		want.FirstNanos, want.LastNanos = min(want.FirstNanos, p.nanos), max(want.LastNanos, p.nanos)
		want.Packets[p.dir]++
		want.Bytes[p.dir] += uint64(p.wireLen)
	}
	if e != want {
		t.Fatalf("index has %+v, want %+v", e, want)
	}
}

// checkFrameSizes holds the format's promise of what is fetched for a flow.
func checkFrameSizes(t failer, r *Reader, flows [][]testPacket) {
	t.Helper()
	large := map[uint64]bool{} // offsets in the stream of records larger than a frame
	for i, f := range flows {
		off := r.Flows()[i].Offset
		for j := range f {
			if n := rawSize(f[j : j+1]); n > FlowFrameBytes {
				large[off] = true
				off += n
			} else {
				off += n
			}
		}
	}
	for _, f := range r.Frames() {
		if f.RawSize > FlowFrameBytes && !large[f.RawOffset] {
			t.Fatalf("frame at %d has %d bytes of content", f.Offset, f.RawSize)
		}
	}
	for i := range flows {
		e := r.Flows()[i]
		first, last := frameAt(r.Frames(), e.Offset), frameAt(r.Frames(), e.Offset+e.Length-1)
		switch {
		case e.Length <= SharedFrameBytes && (first != last || r.Frames()[first].RawSize > SharedFrameBytes):
			t.Fatalf("flow of %d bytes is in frames %d to %d, the first of %d", e.Length, first, last, r.Frames()[first].RawSize)
		case e.Length > SharedFrameBytes && (r.Frames()[first].RawOffset != e.Offset || r.Frames()[last].RawOffset+uint64(r.Frames()[last].RawSize) != e.Offset+e.Length):
			t.Fatalf("flow of %d bytes shares its frames", e.Length)
		}
	}
}

// checkStream decompresses the chunk as any zstd does and reads the pcap in it.
func checkStream(t failer, b []byte, want []testPacket) {
	t.Helper()
	dec, err := zstd.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("zstd: %v", err)
	}
	defer dec.Close()
	stream, err := io.ReadAll(dec)
	if err != nil {
		t.Fatalf("zstd: %v", err)
	}
	if !bytes.Equal(stream[:pcapHeaderBytes], appendPcapHeader(nil, 1, 65535)) {
		t.Fatalf("pcap header is %x", stream[:pcapHeaderBytes])
	}
	rest := stream[pcapHeaderBytes:]
	sameRecords(t, "stream", func(r *Record) error {
		if len(rest) == 0 {
			return io.EOF
		}
		n, reason := decodeRecord(rest, r)
		if reason != "" {
			return errors.New(reason)
		}
		rest = rest[n:]
		return nil
	}, want)
}

// mixedPackets are some of every kind of flow; small enough to damage each byte.
func mixedPackets(flows, perFlow, size int) []testPacket {
	rng := rand.New(rand.NewPCG(5, 6))
	noise := rand.NewChaCha8([32]byte{7})
	ramp := make([]byte, size)
	for i := range ramp {
		ramp[i] = byte(i)
	}
	var all []testPacket
	for i := range perFlow {
		for f := range flows {
			p := testPacket{key: ipv4Key(f), dir: packet.Dir(i & 1), nanos: 1772532000_000000000 + int64(i*1000+f)*1000, data: make([]byte, 1+rng.IntN(size))}
			copy(p.data, ramp)
			if f%2 == 1 {
				_, _ = noise.Read(p.data) // never fails
			}
			p.wireLen = len(p.data)
			all = append(all, p)
		}
	}
	return all
}

// TestFlippedByte damages every byte of a chunk. Reading it must end in an error
// with the key and a place in the object, and no wrong packet may come before it.
func TestFlippedByte(t *testing.T) {
	packets := mixedPackets(5, 3, 120)
	flows := byFlow(packets)
	b, _ := sealPackets(t, testConfig(), packets)
	whole := open(t, b)
	for at := range b {
		for _, mask := range []byte{1, 0x80} {
			bad := bytes.Clone(b)
			bad[at] ^= mask
			checkDamaged(t, bad, whole, flows, at)
		}
	}
}

func TestTruncated(t *testing.T) {
	packets := mixedPackets(5, 3, 120)
	flows := byFlow(packets)
	b, _ := sealPackets(t, testConfig(), packets)
	whole := open(t, b)
	for n := range b {
		checkDamaged(t, b[:n], whole, flows, n)
	}
}

// TestDamageInLargeChunk damages places of a chunk of many frames, part of which
// Open does not fetch.
func TestDamageInLargeChunk(t *testing.T) {
	packets := mixedPackets(40, 300, 400)
	flows := byFlow(packets)
	b, _ := sealPackets(t, testConfig(), packets)
	if len(b) < 2*tailBytes {
		t.Fatalf("chunk of %d bytes is not large", len(b))
	}
	whole := open(t, b)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		at := rng.IntN(len(b))
		bad := bytes.Clone(b)
		bad[at] ^= byte(1 + rng.IntN(255))
		checkDamaged(t, bad, whole, flows, at)
		checkDamaged(t, b[:at], whole, flows, at)
	}
}

func checkDamaged(t *testing.T, bad []byte, whole *Reader, flows [][]testPacket, at int) {
	t.Helper()
	ctx := context.Background()
	r, err := Open(ctx, &object{b: bad}, testKey, WithDecoder(whole.dec))
	if err == nil {
		n := 0
		err = r.ReadFlows(ctx, func(_ *FlowEntry, records *FlowRecords) error {
			var rec Record
			for i := 0; ; i++ {
				if err := records.Next(&rec); err != nil {
					n++
					if errors.Is(err, io.EOF) {
						return nil
					}
					return err
				}
				sameRecord(t, "damaged chunk", &rec, &flows[n][i])
			}
		})
	}
	var c *CorruptError
	switch {
	case err == nil:
		t.Fatalf("byte %d of %d damaged: no error", at, whole.size)
	case errors.Is(err, ErrVersion) && !strings.Contains(err.Error(), testKey):
		t.Fatalf("byte %d damaged: error does not name the key: %v", at, err)
	case !errors.Is(err, ErrVersion) && (!errors.As(err, &c) || c.Key != testKey || c.Offset < 0 || c.Offset > whole.size):
		t.Fatalf("byte %d of %d damaged: error does not say where: %v", at, whole.size, err)
	}

	// Ranges found before the damage: the right packets, or an error.
	for i, e := range whole.Flows() {
		off, size, skip := whole.CompressedRange(e.Offset, e.Length)
		if off+size > int64(len(bad)) {
			size = max(0, int64(len(bad))-off)
		}
		if whole.size > 1<<20 && (int64(at) < off || int64(at) > off+size) {
			continue
		}
		part := whole.dec.Range(testKey, off, bad[min(off, int64(len(bad))):][:size], skip, e.Length)
		var rec Record
		for j := 0; ; j++ {
			err := part.Next(&rec)
			if errors.Is(err, io.EOF) && j == len(flows[i]) {
				break
			}
			if err != nil {
				if !errors.As(err, &c) || c.Key != testKey {
					t.Fatalf("byte %d damaged: range error does not say where: %v", at, err)
				}
				break
			}
			sameRecord(t, "range of a damaged chunk", &rec, &flows[i][j])
		}
	}
}

// TestScanEnds checks that a scan ends with the error of its function, and with
// that of its context, and leaves nothing running.
func TestScanEnds(t *testing.T) {
	b, _ := sealPackets(t, testConfig(), mixedPackets(40, 300, 400))
	r := open(t, b)
	before := runtime.NumGoroutine()
	errStop := errors.New("stop")
	for n := range 20 {
		calls := 0
		err := r.ReadFlows(t.Context(), func(*FlowEntry, *FlowRecords) error {
			if calls++; calls > n {
				return errStop
			}
			return nil
		})
		if !errors.Is(err, errStop) || calls != n+1 {
			t.Fatalf("scan ends with %v after %d flows", err, calls)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		err = r.ReadFlows(ctx, func(*FlowEntry, *FlowRecords) error {
			if calls--; calls == 0 {
				cancel(errStop)
			}
			return nil
		})
		cancel(nil)
		if err != nil && !errors.Is(err, errStop) {
			t.Fatalf("cancelled scan ends with %v", err)
		}
	}
	for wait := time.Now(); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Since(wait) > time.Minute {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
