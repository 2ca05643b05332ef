package session

import (
	"maps"
	"slices"
	"sort"
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/packet"
	"wirelake/internal/spi"
)

// positioned is a packet with where its record is in its chunk.
type positioned struct {
	p   *packet.Packet
	pos Position
}

// chunked cuts packets in time order into chunks of n and clusters each by flow,
// in order of the flows' first packets, as sealing does.
func chunked(packets []packet.Packet, n int) [][]positioned {
	var out [][]positioned
	for start := 0; start < len(packets); start += n {
		part := packets[start:min(start+n, len(packets))]
		first := make(map[packet.Key]int)
		order := make([]int, len(part))
		for i := range part {
			if _, ok := first[part[i].Key]; !ok {
				first[part[i].Key] = i
			}
			order[i] = i
		}
		sort.SliceStable(order, func(x, y int) bool { return first[part[order[x]].Key] < first[part[order[y]].Key] })
		chunk := make([]positioned, 0, len(part))
		offset := uint64(24)
		for _, i := range order {
			length := uint32(16 + part[i].CapLen)
			chunk = append(chunk, positioned{&part[i], Position{Chunk: uint32(len(out) + 1), Length: length, Offset: offset}})
			offset += uint64(length)
		}
		out = append(out, chunk)
	}
	return out
}

func chunkEnd(chunk []positioned) int64 {
	var last int64
	for _, c := range chunk {
		last = max(last, c.p.TimeNanos)
	}
	return last
}

func feed(b *Builder, chunks [][]positioned) {
	for _, c := range chunks {
		feedChunk(b, c)
		b.Advance(chunkEnd(c))
	}
}

// feedChunk feeds the packets of a chunk as the compactor does.
func feedChunk(b *Builder, c []positioned) {
	end := chunkEnd(c)
	for i, p := range c {
		b.Packet(p.p, p.pos)
		if i+1 == len(c) || c[i+1].p.Key != p.p.Key {
			b.FlowAdvance(end)
		}
	}
}

func jsonOf(docs map[string]document) map[string]string {
	out := make(map[string]string)
	for k, d := range docs {
		out[k] = d.json
	}
	return out
}

func compareDocs(t *testing.T, what string, got, want map[string]document) {
	t.Helper()
	if maps.Equal(jsonOf(got), jsonOf(want)) {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got[id].json != want[id].json {
			t.Fatalf("%s: document %s\n got %s\nwant %s", what, id, got[id].json, want[id].json)
		}
	}
	t.Fatalf("%s: got %d documents, want %d", what, len(got), len(want))
}

// TestOrderDoesNotMatter holds that packets in time order and clustered by flow,
// in chunks of any size, give the same documents.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(8) {
		packets := decodeFrames(t, traffic(seed, 300))
		b, want := collect(t, DefaultConfig())
		for i := range packets {
			b.Packet(&packets[i], Position{})
			if i%100 == 0 {
				b.Advance(packets[i].TimeNanos)
			}
		}
		b.Flush()
		if len(want) < 300 {
			t.Fatalf("seed %d: only %d documents", seed, len(want))
		}
		for _, size := range []int{50, 333, 1 << 20} {
			b, got := collect(t, DefaultConfig())
			feed(b, chunked(packets, size))
			b.Flush()
			compareDocs(t, "clustered", got, want)
			if n := b.Open(); n != 0 {
				t.Fatalf("%d sessions open after Flush", n)
			}
		}
	}
}

// TestFlowAdvance holds that the sessions which end within a chunk are saved while it is read, and not all kept
// until its end.
func TestFlowAdvance(t *testing.T) {
	packets := decodeFrames(t, traffic(1, 300))
	b, docs := collect(t, DefaultConfig())
	chunk := chunked(packets, len(packets))[0]
	feedChunk(b, chunk)
	open := b.Open()
	b.Advance(chunkEnd(chunk))
	if b.Open() != open || open > len(docs) || len(docs) == 0 {
		t.Errorf("%d sessions open and %d saved when the chunk was read, %d open after Advance", open, len(docs), b.Open())
	}
}

// TestEveryPacketCounts holds that each packet is in exactly one document, and
// that the ranges of the documents cover each record once.
func TestEveryPacketCounts(t *testing.T) {
	packets := decodeFrames(t, traffic(99, 500))
	b, docs := collect(t, DefaultConfig())
	chunks := chunked(packets, 400)
	feed(b, chunks)
	b.Flush()
	records := make(map[Position]bool)
	for _, c := range chunks {
		for _, p := range c {
			records[p.pos] = true
		}
	}
	var bytes, covered uint64
	n := int64(0)
	for p := range records {
		bytes += uint64(p.Length)
	}
	for _, d := range docs {
		n += d.packets
		for _, r := range d.ranges {
			covered += r.End - r.Start
		}
	}
	if n != int64(len(packets)) || covered != bytes {
		t.Errorf("documents hold %d packets in %d bytes, want %d in %d", n, covered, len(packets), bytes)
	}
}

// TestRestart stops after each chunk, restores the open flows in a new Builder
// from their packets, and holds that the documents are those of one run, none
// twice, none missing.
func TestRestart(t *testing.T) {
	packets := decodeFrames(t, traffic(7, 300))
	chunks := chunked(packets, 200)
	whole, want := collect(t, DefaultConfig())
	feed(whole, chunks)
	whole.Flush()
	for stop := 1; stop < len(chunks); stop++ {
		first, got := collect(t, DefaultConfig())
		feed(first, chunks[:stop])
		open := first.OpenFlows()
		lane := chunkEnd(chunks[stop-1])

		second, rest := collect(t, DefaultConfig())
		if err := second.Restore(open); err != nil {
			t.Fatal(err)
		}
		for _, c := range chunks[:stop] {
			for _, p := range c {
				second.Packet(p.p, p.pos)
			}
		}
		if len(rest) != 0 {
			t.Fatalf("stop %d: the replay emitted %d documents", stop, len(rest))
		}
		if err := second.Resume(lane); err != nil {
			t.Fatalf("stop %d: %v", stop, err)
		}
		if again := second.OpenFlows(); !slices.Equal(again, open) {
			t.Fatalf("stop %d: open flows after the replay differ:\n got %v\nwant %v", stop, again, open)
		}
		feed(second, chunks[stop:])
		second.Flush()
		for id, d := range rest {
			if _, twice := got[id]; twice {
				t.Fatalf("stop %d: %s emitted by both runs", stop, id)
			}
			got[id] = d
		}
		compareDocs(t, "restarted", got, want)
	}
}

// TestRestartMissing holds that a restored flow whose packets are gone is named.
func TestRestartMissing(t *testing.T) {
	packets := decodeFrames(t, talk(sec, 1, 2, 1000, 80, false, "x"))
	b, _ := collect(t, DefaultConfig())
	chunks := chunked(packets, 100)
	feed(b, chunks)
	again, _ := collect(t, DefaultConfig())
	if err := again.Restore(b.OpenFlows()); err != nil {
		t.Fatal(err)
	}
	if err := again.Resume(sec); err == nil {
		t.Error("got no error, want one that names the flow")
	}
}

// TestMemory floods the Builder with flows and holds that it stays in its budget
// and loses nothing.
func TestMemory(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MemoryBytes = 2 << 20
	var packets, docs int64
	b := New(dissect.New(), cfg, nil, func(s *Session) {
		n, _ := s.Doc.Int(spi.NetworkPackets)
		packets += n
		docs++
	})
	d := packet.NewDecoder(1, packet.Options{})
	var p packet.Packet
	const flood = 50000
	for i := range flood {
		f := tcpFrame(sec+int64(i), uint16(i), uint16(i>>8), uint16(i), 80, fSYN, uint32(i), 0, "")
		if i%3 == 0 {
			f = tcpFrame(sec+int64(i), uint16(i), 7, uint16(i), 80, fACK, uint32(i), 0, "GET / HTTP/1.1\r\nX-Long: "+string(make([]byte, 1000)))
		}
		d.Decode(f.data, f.nanos, len(f.data), &p)
		b.Packet(&p, Position{})
		if b.memory > int64(cfg.MemoryBytes) {
			t.Fatalf("packet %d: %d bytes, budget %d", i, b.memory, cfg.MemoryBytes)
		}
	}
	b.Flush()
	if b.SavedEarly() == 0 {
		t.Error("nothing was saved early")
	}
	if packets != flood || b.memory != 0 {
		t.Errorf("documents hold %d packets, want %d; memory after Flush %d, want 0", packets, flood, b.memory)
	}
}

// run feeds frames in order and returns the only document.
func run(t *testing.T, frames []frame) document {
	t.Helper()
	packets := decodeFrames(t, frames)
	b, docs := collect(t, DefaultConfig())
	for i := range packets {
		b.Packet(&packets[i], Position{Chunk: 1, Length: 1, Offset: uint64(i)})
	}
	b.Flush()
	if len(docs) != 1 {
		t.Fatalf("got %d documents, want 1", len(docs))
	}
	for _, d := range docs {
		return d
	}
	return document{}
}

func TestClosing(t *testing.T) {
	const a, b = 1, 2
	syn := func(at int64, seq uint32) frame { return tcpFrame(at, a, b, 1000, 80, fSYN, seq, 0, "") }
	for _, c := range []struct {
		name   string
		frames []frame
		want   int
	}{
		{"a SYN again is the same session", []frame{syn(0, 5), syn(sec, 5)}, 1},
		{"another initial sequence number without close is the same session", []frame{syn(0, 5), syn(sec, 6)}, 1},
		{"a new SYN after both FINs is another session", append(talk(0, a, b, 1000, 80, true, "x"), syn(sec, 5)), 2},
		{"the same SYN after both FINs is not", append(talk(0, a, b, 1000, 80, true, "x"), syn(sec, 1000)), 1},
		{"TCP idle under the limit stays open", []frame{syn(0, 5), syn(480*sec, 5)}, 1},
		{"TCP idle over the limit ends", []frame{syn(0, 5), syn(481*sec, 5)}, 2},
		{"UDP idle under the limit stays open", []frame{udpFrame(0, a, b, 5, 6, "x"), udpFrame(60*sec, b, a, 6, 5, "x")}, 1},
		{"UDP idle over the limit ends", []frame{udpFrame(0, a, b, 5, 6, "x"), udpFrame(61*sec, b, a, 6, 5, "x")}, 2},
		{"a RST ends after a short wait", append(talk(0, a, b, 1000, 80, false, "x"), tcpFrame(sec, b, a, 80, 1000, fRST, 0, 0, ""), tcpFrame(10*sec, a, b, 1000, 80, fACK, 1002, 0, "")), 2},
		{"a straggler behind a RST belongs to it", append(talk(0, a, b, 1000, 80, false, "x"), tcpFrame(sec, b, a, 80, 1000, fRST, 0, 0, ""), tcpFrame(2*sec, a, b, 1000, 80, fACK, 1002, 0, "")), 1},
	} {
		packets := decodeFrames(t, c.frames)
		b, docs := collect(t, DefaultConfig())
		for i := range packets {
			b.Packet(&packets[i], Position{})
		}
		b.Flush()
		if len(docs) != c.want {
			t.Errorf("%s: got %d sessions, want %d", c.name, len(docs), c.want)
		}
	}
}

// TestDirection holds that the source is the side that began, whichever packet
// was captured first.
func TestDirection(t *testing.T) {
	all := talk(0, 1, 2, 1000, 80, true, "GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nbody")
	whole, reversed := all, append([]frame{all[1], all[0]}, all[2:]...)
	for name, frames := range map[string][]frame{"SYN first": whole, "SYN-ACK first": reversed, "no SYN": all[1:]} {
		d := run(t, frames)
		doc, _, err := dissect.New().Registry().ParseJSON([]byte(d.json))
		if err != nil {
			t.Fatal(err)
		}
		if got := doc.String(spi.SourceIP); got != "10.0.0.1" {
			t.Errorf("%s: source is %s, want 10.0.0.1", name, got)
		}
		if got, _ := doc.Int(spi.ServerBytes); got != 23 {
			t.Errorf("%s: %d payload bytes of the server, want 23", name, got)
		}
	}
}

func TestGeneralFields(t *testing.T) {
	d := run(t, talk(1_700_000_000*sec, 1, 2, 40000, 80, true, "GET /x HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nbody"))
	want := `{"client":{"bytes":19},"destination":{"bytes":185,"ip":"10.0.0.2","mac":["02:00:00:00:00:02"],"packets":3,"port":80},`
	if len(d.json) < len(want) || d.json[:len(want)] != want {
		t.Errorf("got %s\nwant it to begin with %s", d.json, want)
	}
	if want := "231114-"; d.id[:7] != want || len(d.id) != 33 {
		t.Errorf("id %s: want %s and 26 characters", d.id, want)
	}
}

// TestCaptureCut holds that packets cut by a sensor's rule count with their bytes on the wire, and that what is missing is told.
func TestCaptureCut(t *testing.T) {
	frames := talk(1_700_000_000*sec, 1, 2, 40000, 80, true, "GET /x HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nbody")
	whole := run(t, frames)
	set := dissect.New()
	parse := func(d document) *spi.Document {
		doc, _, err := set.Registry().ParseJSON([]byte(d.json))
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	if parse(whole).Has(spi.CaptureCut) {
		t.Error("a whole session has capture.cut")
	}
	d := packet.NewDecoder(1, packet.Options{})
	b, docs := collect(t, DefaultConfig())
	var p packet.Packet
	cut := 0
	for i, f := range frames {
		d.Decode(f.data, f.nanos, len(f.data), &p)
		if n := len(p.Payload); n > 0 {
			cut += n
			d.Decode(f.data[:len(f.data)-n:len(f.data)-n], f.nanos, len(f.data), &p)
		}
		b.Packet(&p, Position{Chunk: 1, Length: 1, Offset: uint64(i)})
	}
	b.Flush()
	if len(docs) != 1 {
		t.Fatalf("%d documents", len(docs))
	}
	want := parse(whole)
	for _, got := range docs {
		doc := parse(got)
		for _, field := range []spi.FieldID{spi.NetworkBytes, spi.NetworkPackets, spi.SourceBytes, spi.DestinationBytes, spi.ClientBytes, spi.ServerBytes, spi.TotalDataBytes, spi.FlagsFIN} {
			a, _ := doc.Int(field)
			b, _ := want.Int(field)
			if a != b {
				t.Errorf("%s is %d, want %d", set.Registry().Field(field).Path, a, b)
			}
		}
		if n, _ := doc.Int(spi.CaptureCut); n != int64(cut) {
			t.Errorf("capture.cut is %d, want %d", n, cut)
		}
	}
}
