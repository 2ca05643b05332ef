package query

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"wirelake/internal/chunk"
	"wirelake/internal/config"
	"wirelake/internal/expr/exprtest"
	"wirelake/internal/objstore"
	"wirelake/internal/packet"
	"wirelake/internal/pcapfile/pcaptest"
	"wirelake/internal/spi"
)

// wire is a packet of the tests.
type wire struct {
	flow int
	time int64
	data []byte
}

// archive is chunks of known packets, and a session document for each flow.
type archive struct {
	store  objstore.Store
	docs   []*spi.Document
	wires  []wire // in order of time
	frames map[int]int64
	links  map[int]uint32
}

const archiveStart = int64(1_709_600_000_000_000_000)

// newArchive makes two lanes of three chunks each: of small flows, some in all chunks, of flows of some MiB that do not
// compress, and, in the second lane, of another link type.
func newArchive(t testing.TB) *archive {
	t.Helper()
	ctx := context.Background()
	plain, err := objstore.Open(ctx, "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := &archive{store: objstore.Instrument(plain, nil, "query"), frames: map[int]int64{}, links: map[int]uint32{}}
	reg := exprtest.Registry()
	rng := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // G404: the same at every call
	const flows = 60
	for f := range 2 * flows {
		d := reg.NewDocument()
		d.SetString(spi.ID, fmt.Sprintf("240305-%026d", f))
		a.docs = append(a.docs, d)
	}
	builder, err := chunk.NewBuilder(chunk.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	for lane := range 2 {
		link := uint32(1 + lane*100) // Ethernet, raw IP
		at := archiveStart + int64(lane)*137
		for sequence := range uint64(3) {
			builder.Reset()
			keys := map[packet.Key]int{}
			first := at
			for range 12000 {
				f := lane*flows + int(float64(flows)*rng.Float64()*rng.Float64())
				if f%flows > 30 && int(sequence) != f%3 {
					continue // in one chunk only
				}
				n := 60 + rng.IntN(100)
				if f%flows == 0 {
					n = 1400
				}
				data := make([]byte, n)
				if f%flows == 0 {
					for i := range data {
						data[i] = byte(rng.Uint32())
					}
				}
				binary.BigEndian.PutUint32(data, uint32(len(a.wires)))    //nolint:gosec // G115: few
				p := packet.Packet{TimeNanos: at, WireLen: uint32(n + 7)} //nolint:gosec // G115: few
				p.Key = packet.Key{Proto: 6, Kind: packet.KindIPv4}
				p.Key.A[0], p.Key.B[0], p.Key.PortA = 10, 20, uint16(f) //nolint:gosec // G115: few
				if err := builder.Add(&p, data); err != nil {
					t.Fatal(err)
				}
				keys[p.Key] = f
				a.wires = append(a.wires, wire{f, at, data})
				a.links[f] = link
				at += int64(1 + rng.IntN(2_000_000))
			}
			meta := chunk.Meta{Sensor: "s", Lane: fmt.Sprintf("lane-%d", lane), LinkType: link, Snaplen: 65535, Sequence: sequence, KeyNanos: first}
			var b bytes.Buffer
			if _, err := builder.Seal(meta, &b); err != nil {
				t.Fatal(err)
			}
			key := chunk.Key(meta)
			if _, err := objstore.PutBytes(ctx, a.store, key, b.Bytes()); err != nil {
				t.Fatal(err)
			}
			a.index(t, key, link, keys)
		}
	}
	slices.SortStableFunc(a.wires, func(x, y wire) int { return int(x.time - y.time) })
	seen := map[int]bool{}
	for _, w := range a.wires {
		if !seen[w.flow] {
			seen[w.flow] = true
			a.docs[w.flow].SetInt(spi.FirstPacket, w.time/1e6)
		}
	}
	a.docs = slices.DeleteFunc(a.docs, func(d *spi.Document) bool { return !d.Has(spi.FirstPacket) })
	return a
}

// index writes into the documents where the packets of their flows are.
func (a *archive) index(t testing.TB, key string, link uint32, keys map[packet.Key]int) {
	t.Helper()
	r, err := chunk.Open(context.Background(), a.store, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Flows() {
		f, ok := keys[e.Key]
		if !ok {
			t.Fatalf("unknown flow %v", e.Key)
		}
		off, size, skip := r.CompressedRange(e.Offset, e.Length)
		a.frames[f] += size
		d := a.docs[f]
		o, _ := d.NewObject(spi.ChunkList, spi.Root)
		d.SetStringIn(o, spi.ChunkKey, key)
		d.SetIntIn(o, spi.ChunkLinkType, int64(link))
		d.SetIntIn(o, spi.ChunkOffset, off)
		d.SetIntIn(o, spi.ChunkLength, size)
		d.SetIntIn(o, spi.ChunkSkip, int64(skip))     //nolint:gosec // G115: within a chunk
		d.SetIntIn(o, spi.ChunkSize, int64(e.Length)) //nolint:gosec // G115: within a chunk
	}
}

func (a *archive) fetcher(t testing.TB, change func(*PacketsConfig)) *Fetcher {
	t.Helper()
	cfg := DefaultPacketsConfig()
	if change != nil {
		change(&cfg)
	}
	f, err := NewFetcher(a.store, cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// flowOf returns the flow that a session is of.
func flowOf(d *spi.Document) (f int) {
	_, _ = fmt.Sscanf(d.String(spi.ID)[7:], "%d", &f)
	return f
}

// compare reads a capture and compares it, record for record, with the packets wanted.
func (a *archive) compare(t *testing.T, capture []byte, want func(flow int) bool) {
	t.Helper()
	export := pcaptest.ReadBytes(t, capture, "export")
	n := 0
	for _, w := range a.wires {
		if !want(w.flow) {
			continue
		}
		if n == len(export.Records) {
			t.Fatalf("%d packets, more were wanted", n)
		}
		rec := export.Records[n]
		link := export.Interfaces[rec.Interface].LinkType
		if rec.TimeNanos != w.time || !bytes.Equal(rec.Data, w.data) || rec.WireLen != len(w.data)+7 || link != a.links[w.flow] {
			t.Fatalf("packet %d: time %d, %d bytes, link type %d; want %d, %d, %d", n, rec.TimeNanos, len(rec.Data), link, w.time, len(w.data), a.links[w.flow])
		}
		n++
	}
	if n != len(export.Records) {
		t.Fatalf("%d packets, want %d", len(export.Records), n)
	}
}

func TestExportIsRecordForRecord(t *testing.T) {
	a := newArchive(t)
	for name, change := range map[string]func(*PacketsConfig){
		"defaults":               nil,
		"small pieces":           func(c *PacketsConfig) { c.PieceBytes = minPieceBytes },
		"small batches, no gaps": func(c *PacketsConfig) { c.BatchBytes, c.JoinGap, c.Fetches = minPieceBytes, 0, 1 },
		"one request for all":    func(c *PacketsConfig) { c.JoinGap = config.GiB },
	} {
		t.Run(name, func(t *testing.T) {
			f := a.fetcher(t, change)
			var out bytes.Buffer
			stats, err := f.Export(context.Background(), &out, PCAPNG, yieldAll(a.docs))
			if err != nil {
				t.Fatal(err)
			}
			if stats.Packets != int64(len(a.wires)) || stats.Sessions != int64(len(a.docs)) || stats.Gone+stats.OtherLinkType > 0 {
				t.Errorf("%+v", stats)
			}
			a.compare(t, out.Bytes(), func(int) bool { return true })

			out.Reset()
			stats, err = f.Export(context.Background(), &out, PCAP, yieldAll(a.docs))
			if err != nil {
				t.Fatal(err)
			}
			first := a.links[flowOf(a.docs[0])]
			if stats.OtherLinkType == 0 || stats.Sessions+stats.OtherLinkType != int64(len(a.docs)) {
				t.Errorf("%+v", stats)
			}
			a.compare(t, out.Bytes(), func(flow int) bool { return a.links[flow] == first })
		})
	}
}

// TestSessionFetchesItsFramesOnly holds each session to one range a chunk and the bytes of its frames.
func TestSessionFetchesItsFramesOnly(t *testing.T) {
	a := newArchive(t)
	f := a.fetcher(t, nil)
	for _, d := range a.docs {
		flow := flowOf(d)
		var out bytes.Buffer
		var count objstore.Counter
		stats, err := f.Export(objstore.WithCounter(context.Background(), &count), &out, PCAP, yieldAll([]*spi.Document{d}))
		if err != nil {
			t.Fatal(err)
		}
		a.compare(t, out.Bytes(), func(f int) bool { return f == flow })
		chunks := int64(0)
		for range d.Objects(spi.ChunkList, spi.Root) {
			chunks++
		}
		if count.Gets.Load() != chunks || stats.Ranges != chunks || count.Bytes.Load() != a.frames[flow] || stats.RangeBytes != a.frames[flow] {
			t.Errorf("flow %d: %d GETs of %d bytes (told %d, %d), want %d of %d", flow, count.Gets.Load(), count.Bytes.Load(), stats.Ranges, stats.RangeBytes, chunks, a.frames[flow])
		}
		n := 0
		for p, err := range f.Session(context.Background(), d) {
			if err != nil {
				t.Fatal(err)
			}
			if p.LinkType != a.links[flow] {
				t.Fatalf("link type %d", p.LinkType)
			}
			n++
		}
		if int64(n) != stats.Packets {
			t.Errorf("Session yields %d packets, Export %d", n, stats.Packets)
		}
	}
}

func TestExpiredChunks(t *testing.T) {
	a := newArchive(t)
	f := a.fetcher(t, nil)
	ctx := context.Background()
	var gone string
	for obj, err := range a.store.List(ctx, "chunks/sensor=s/lane=lane-0/", "") {
		if err != nil {
			t.Fatal(err)
		}
		gone = obj.Key // the last
	}
	if err := a.store.Delete(ctx, gone); err != nil {
		t.Fatal(err)
	}
	touched := int64(0)
	for _, d := range a.docs {
		for v := range d.Each(spi.ChunkKey) {
			if v.Str == gone {
				touched++
				for _, err := range f.Session(ctx, d) {
					if err != nil && !errors.Is(err, ErrGone) {
						t.Fatalf("session without its chunk: %v", err)
					}
				}
			}
		}
	}
	stats, err := f.Export(ctx, io.Discard, PCAPNG, yieldAll(a.docs))
	if err != nil || stats.Gone != touched || touched == 0 {
		t.Errorf("%d sessions gone of %d, %v", stats.Gone, touched, err)
	}
}

func TestDamagedChunkIsNamed(t *testing.T) {
	a := newArchive(t)
	ctx := context.Background()
	key := a.docs[0].String(spi.ChunkKey)
	b, _, err := objstore.GetAll(ctx, a.store, key)
	if err != nil {
		t.Fatal(err)
	}
	off, _ := a.docs[0].Int(spi.ChunkOffset)
	b[off+100] ^= 0x40
	if _, err := objstore.PutBytes(ctx, a.store, key, b); err != nil {
		t.Fatal(err)
	}
	var damage *chunk.CorruptError
	for _, err = range a.fetcher(t, nil).Session(ctx, a.docs[0]) {
		if err != nil {
			break
		}
	}
	if !errors.As(err, &damage) || damage.Key != key {
		t.Errorf("a flipped bit: %v", err)
	}

	// An export loses the packets of the sessions in the damaged frame, and no others.
	length, _ := a.docs[0].Int(spi.ChunkLength)
	whole, lossy := 0, int64(0)
	for _, d := range a.docs {
		for o := range d.Objects(spi.ChunkList, spi.Root) {
			at, _ := d.IntIn(o, spi.ChunkOffset)
			n, _ := d.IntIn(o, spi.ChunkLength)
			packets, _ := d.IntIn(o, spi.ChunkPackets)
			if d.StringIn(o, spi.ChunkKey) == key && at < off+length && off < at+n {
				lossy++
			} else {
				whole += int(packets)
			}
		}
	}
	stats, err := a.fetcher(t, nil).Export(ctx, io.Discard, PCAPNG, yieldAll(a.docs))
	if err != nil {
		t.Fatalf("an export ends at the damage: %v", err)
	}
	if !errors.As(stats.Damage, &damage) || damage.Key != key || stats.Damaged == 0 || stats.Damaged > lossy || stats.Packets < int64(whole) {
		t.Errorf("%+v, want at most %d sessions damaged and %d packets at least", stats, lossy, whole)
	}
	if stats.Sessions != int64(len(a.docs)) {
		t.Errorf("%d sessions of %d", stats.Sessions, len(a.docs))
	}

	// A chunk that was cut short, or replaced by a shorter one, is damage too.
	if _, err := objstore.PutBytes(ctx, a.store, key, b[:off]); err != nil {
		t.Fatal(err)
	}
	stats, err = a.fetcher(t, nil).Export(ctx, io.Discard, PCAPNG, yieldAll(a.docs))
	if err != nil || stats.Damaged == 0 || stats.Gone != 0 || !errors.As(stats.Damage, &damage) {
		t.Errorf("a chunk cut short: %+v, %v", stats, err)
	}
}

// gate lets the first ranges through and then waits.
type gate struct {
	objstore.Store
	free chan struct{}
}

func (g *gate) GetRange(ctx context.Context, key string, off, n int64) ([]byte, objstore.Object, error) {
	select {
	case <-g.free:
		return g.Store.GetRange(ctx, key, off, n)
	case <-ctx.Done():
		return nil, objstore.Object{}, ctx.Err()
	}
}

type notify struct {
	wrote chan struct{}
	n     int
}

func (w *notify) Write(b []byte) (int, error) {
	if w.n == 0 {
		close(w.wrote)
	}
	w.n += len(b)
	return len(b), nil
}

// TestFirstBytesComeBeforeTheLastRange also ends an export while it waits.
func TestFirstBytesComeBeforeTheLastRange(t *testing.T) {
	a := newArchive(t)
	g := &gate{a.store, make(chan struct{})}
	f, err := NewFetcher(g, DefaultPacketsConfig(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := &notify{wrote: make(chan struct{})}
	ended := make(chan error)
	go func() {
		_, err := f.Export(ctx, w, PCAPNG, yieldAll(a.docs))
		ended <- err
	}()
	let := 0
	for waiting := true; waiting; {
		select {
		case g.free <- struct{}{}:
			let++
		case <-w.wrote:
			waiting = false
		case err := <-ended:
			t.Fatalf("ended after %d ranges: %v", let, err)
		}
	}
	// Something was written while a range is still waiting at the gate, or will be.
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled export: %v", err)
	}
}

var _ iter.Seq2[*spi.Document, error] = yieldAll(nil)
