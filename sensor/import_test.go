package sensor

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
)

// packets of a test capture: UDP between hosts, in time order.
type testPacket struct {
	nanos int64
	iface int
	data  []byte
}

const testStart = 1772532000_000000000 // 2026-03-03 10:00 UTC

func makePackets(n, size int, gap time.Duration) []testPacket {
	rng := rand.New(rand.NewPCG(uint64(n), uint64(size)))
	all := make([]testPacket, n)
	for i := range all {
		payload := make([]byte, rng.IntN(size+1))
		for j := range payload {
			payload[j] = byte(rng.Uint32()) >> (i % 5)
		}
		all[i] = testPacket{nanos: testStart + int64(i)*int64(gap)/1000*1000, data: udp(byte(rng.IntN(40)), uint16(rng.IntN(50)), payload)}
	}
	return all
}

// udp is an Ethernet frame.
func udp(host byte, port uint16, payload []byte) []byte {
	b := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0}
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(28+len(payload)))
	b = append(b, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, host, 10, 0, 1, 1)
	b = binary.BigEndian.AppendUint16(b, 40000+port)
	b = binary.BigEndian.AppendUint16(b, 53)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	b = append(b, 0, 0)
	return append(b, payload...)
}

// pcap writes packets as classic pcap with microseconds.
func pcap(packets []testPacket) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint32(b, 262144)
	b = le.AppendUint32(b, 1)
	for _, p := range packets {
		b = le.AppendUint32(b, uint32(p.nanos/1e9))
		b = le.AppendUint32(b, uint32(p.nanos%1e9/1e3))
		b = le.AppendUint32(b, uint32(len(p.data)))
		b = le.AppendUint32(b, uint32(len(p.data)))
		b = append(b, p.data...)
	}
	return b
}

// pcapng writes packets as pcapng with this many Ethernet interfaces, the last of which is raw IP.
func pcapng(packets []testPacket, ifaces int) []byte {
	le := binary.LittleEndian
	block := func(b []byte, kind uint32, body []byte) []byte {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		b = le.AppendUint32(b, kind)
		b = le.AppendUint32(b, uint32(len(body)+12))
		b = append(b, body...)
		return le.AppendUint32(b, uint32(len(body)+12))
	}
	b := block(nil, 0x0a0d0d0a, []byte{0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255})
	for i := range ifaces {
		link := byte(1)
		if i == ifaces-1 {
			link = 101
		}
		name := fmt.Appendf([]byte{2, 0, 6, 0}, "if%04d", i)
		b = block(b, 1, append([]byte{link, 0, 0, 0, 0, 0, 4, 0}, append(name, 0, 0, 0, 0, 0, 0)...))
	}
	for _, p := range packets {
		data := p.data
		if p.iface == ifaces-1 {
			data = data[14:]
		}
		us := uint64(p.nanos / 1000)
		body := le.AppendUint32(nil, uint32(p.iface))
		body = le.AppendUint32(body, uint32(us>>32))
		body = le.AppendUint32(body, uint32(us))
		body = le.AppendUint32(body, uint32(len(data)))
		body = le.AppendUint32(body, uint32(len(data)))
		b = block(b, 6, append(body, data...))
	}
	return b
}

func write(t testing.TB, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newStore(t testing.TB) objstore.Store {
	t.Helper()
	s, err := objstore.Open(t.Context(), "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func smallConfig() ImportConfig {
	c := DefaultImportConfig()
	c.ChunkBytes, c.MemoryBytes = 256<<10, 64<<20
	return c
}

func newImporter(t testing.TB, s objstore.Store, c ImportConfig, o ImportOptions) *Importer {
	t.Helper()
	o.Generator = "wirelake test"
	im, err := NewImporter(s, c, o)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// stored is what a store holds of chunks: by lane, in the order of their keys.
func stored(t testing.TB, s objstore.Store) (lanes map[string][]*chunk.Reader, bytesOf map[string][]byte) {
	t.Helper()
	lanes, bytesOf = map[string][]*chunk.Reader{}, map[string][]byte{}
	for obj, err := range s.List(t.Context(), "chunks/", "") {
		if err != nil {
			t.Fatal(err)
		}
		r, err := chunk.Open(t.Context(), s, obj.Key)
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := objstore.GetAll(t.Context(), s, obj.Key)
		if err != nil {
			t.Fatal(err)
		}
		bytesOf[obj.Key] = b
		lanes[r.Meta().Lane] = append(lanes[r.Meta().Lane], r)
	}
	return lanes, bytesOf
}

// checkLane checks the rules of a lane, and that its packets are these.
func checkLane(t testing.TB, chunks []*chunk.Reader, want []testPacket, cut int) {
	t.Helper()
	var got []testPacket
	for i, c := range chunks {
		m := c.Meta()
		if m.Sequence != uint64(i) || m.Final != (i == len(chunks)-1) || c.Key() != chunk.Key(m) || i > 0 && m.KeyNanos < chunks[i-1].Meta().KeyNanos {
			t.Errorf("chunk %d of %d: %+v", i, len(chunks), m)
		}
		var in []testPacket
		err := c.ReadFlows(context.Background(), func(_ *chunk.FlowEntry, records *chunk.FlowRecords) error {
			var r chunk.Record
			for {
				if err := records.Next(&r); err != nil {
					if errors.Is(err, io.EOF) {
						return nil
					}
					return err
				}
				in = append(in, testPacket{nanos: r.TimeNanos, data: bytes.Clone(r.Data)})
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.SortStableFunc(in, func(a, b testPacket) int { return int(a.nanos - b.nanos) })
		got = append(got, in...)
	}
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].nanos != want[i].nanos || !bytes.Equal(got[i].data, want[i].data[cut:]) {
			t.Fatalf("packet %d differs: %d ns %x, want %d ns %x", i, got[i].nanos, got[i].data, want[i].nanos, want[i].data[cut:])
		}
	}
}

func onlyLane(t testing.TB, lanes map[string][]*chunk.Reader) []*chunk.Reader {
	t.Helper()
	if len(lanes) != 1 {
		t.Fatalf("%d lanes, want 1", len(lanes))
	}
	for _, l := range lanes {
		return l
	}
	return nil
}

func TestImportFile(t *testing.T) {
	packets := makePackets(4000, 1000, time.Millisecond)
	s := newStore(t)
	path := write(t, t.TempDir(), "a.pcap", pcap(packets))
	res, err := newImporter(t, s, smallConfig(), ImportOptions{}).Import(t.Context(), []string{path})
	if err != nil {
		t.Fatal(err)
	}
	lanes, _ := stored(t, s)
	chunks := onlyLane(t, lanes)
	checkLane(t, chunks, packets, 0)
	f := res.Files[0]
	if len(chunks) < 5 || f.Chunks != len(chunks) || f.Packets != 4000 || f.Existed != 0 {
		t.Errorf("%d chunks, result %+v", len(chunks), f)
	}
	m := chunks[0].Meta()
	if m.File != path || m.Sensor != "import" || m.LinkType != 1 || m.Snaplen != 262144 || m.Generator != "wirelake test" {
		t.Errorf("meta %+v", m)
	}

	// Once more: nothing is to be done.
	res, err = newImporter(t, s, smallConfig(), ImportOptions{}).Import(t.Context(), []string{path})
	if err != nil {
		t.Fatal(err)
	}
	if f := res.Files[0]; f.Chunks != 0 || f.Existed != len(chunks) || f.StoredBytes != 0 {
		t.Errorf("second import: %+v", f)
	}
}

func TestImportInterfaces(t *testing.T) {
	packets := makePackets(3000, 800, time.Millisecond)
	for i := range packets {
		packets[i].iface = i % 3
	}
	s := newStore(t)
	path := write(t, t.TempDir(), "a.pcapng", pcapng(packets, 3))
	if _, err := newImporter(t, s, smallConfig(), ImportOptions{}).Import(t.Context(), []string{path}); err != nil {
		t.Fatal(err)
	}
	lanes, _ := stored(t, s)
	if len(lanes) != 3 {
		t.Fatalf("%d lanes, want 3", len(lanes))
	}
	for name, l := range lanes {
		i := int(name[len(name)-1] - '0')
		want := slices.DeleteFunc(slices.Clone(packets), func(p testPacket) bool { return p.iface != i })
		cut, link := 0, uint32(1)
		if i == 2 {
			cut, link = 14, 101
		}
		checkLane(t, l, want, cut)
		if m := l[0].Meta(); m.LinkType != link || m.Interface != fmt.Sprintf("if%04d", i) {
			t.Errorf("lane %s: %+v", name, m)
		}
	}
}

// TestImportStdinAndCompressed checks that a compressed stream is read to its end.
func TestImportStdinAndCompressed(t *testing.T) {
	packets := makePackets(500, 300, time.Millisecond)
	var gz bytes.Buffer
	z := gzip.NewWriter(&gz)
	if _, err := z.Write(pcap(packets)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s := newStore(t)
	im := newImporter(t, s, smallConfig(), ImportOptions{Stdin: &gz})
	res, err := im.Import(t.Context(), []string{"-"})
	if err != nil {
		t.Fatal(err)
	}
	lanes, _ := stored(t, s)
	l := onlyLane(t, lanes)
	checkLane(t, l, packets, 0)
	if l[0].Meta().File != "-" || res.Files[0].Path != "-" {
		t.Errorf("file %q, result %+v", l[0].Meta().File, res.Files[0])
	}
}

// TestImportFolder checks that files are lanes of their own, and that what is no
// capture is passed over in a folder, and refused by name.
func TestImportFolder(t *testing.T) {
	packets := makePackets(100, 300, time.Millisecond)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "b", "c"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "z.pcap", pcap(packets))
	write(t, filepath.Join(dir, "b"), "y.pcap", pcap(packets))
	write(t, filepath.Join(dir, "b", "c"), "empty.pcap", pcap(nil))
	notes := write(t, dir, "notes.txt", []byte("not a capture at all, only text"))
	s := newStore(t)
	im := newImporter(t, s, smallConfig(), ImportOptions{})
	res, err := im.Import(t.Context(), []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range res.Files {
		names = append(names, fmt.Sprint(filepath.Base(f.Path), f.NotCapture, f.Packets))
	}
	if got, want := strings.Join(names, " "), "empty.pcapfalse0 y.pcapfalse100 notes.txttrue0 z.pcapfalse100"; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("files %s, want %s", got, want)
	}
	lanes, _ := stored(t, s)
	if len(lanes) != 2 {
		t.Errorf("%d lanes, want 2", len(lanes))
	}
	for _, l := range lanes {
		checkLane(t, l, packets, 0)
	}
	if _, err := im.Import(t.Context(), []string{notes, dir}); err == nil || !strings.Contains(err.Error(), "notes.txt") {
		t.Errorf("import of text: %v", err)
	}
	if _, err := im.Import(t.Context(), []string{filepath.Join(dir, "nosuch")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("import of nothing: %v", err)
	}
}

// TestImportSeries checks that rotated files are one lane in time order, whose
// chunks name the file that each came from.
func TestImportSeries(t *testing.T) {
	packets := makePackets(3000, 700, time.Millisecond)
	dir := t.TempDir()
	b := write(t, dir, "b.pcap", pcap(packets[:1000]))
	a := write(t, dir, "a.pcap", pcap(packets[1000:2000]))
	c := write(t, dir, "c.pcap", pcap(packets[2000:]))
	s := newStore(t)
	im := newImporter(t, s, smallConfig(), ImportOptions{})
	res, err := im.ImportSeries(t.Context(), []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	lanes, _ := stored(t, s)
	l := onlyLane(t, lanes)
	checkLane(t, l, packets, 0)
	var files []string
	for _, c := range l {
		if f := c.Meta().File; len(files) == 0 || files[len(files)-1] != f {
			files = append(files, f)
		}
	}
	if want := []string{b, a, c}; !slices.Equal(files, want) {
		t.Errorf("files %v, want %v", files, want)
	}
	if res.Files[1].Packets != 1000 {
		t.Errorf("results %+v", res.Files)
	}
}

// A series that goes on behind its end says so; one that had not come to its end, or brings nothing new, does not.
func TestImportSeriesGrown(t *testing.T) {
	packets := makePackets(3000, 700, time.Millisecond)
	dir := t.TempDir()
	s := newStore(t)
	im := newImporter(t, s, smallConfig(), ImportOptions{})
	resumed := func() (said bool) {
		t.Helper()
		for obj, err := range s.List(t.Context(), chunk.ResumedPrefix, "") {
			if err == nil {
				err = s.Delete(t.Context(), obj.Key)
			}
			if err != nil {
				t.Fatal(err)
			}
			said = true
		}
		return said
	}
	series := func(what string, want bool) []*chunk.Reader {
		t.Helper()
		if _, err := im.ImportSeries(t.Context(), []string{dir}); err != nil {
			t.Fatal(err)
		}
		if got := resumed(); got != want {
			t.Errorf("%s: the lane is said to go on: %v, want %v", what, got, want)
		}
		lanes, _ := stored(t, s)
		return onlyLane(t, lanes)
	}
	write(t, dir, "a.pcap", pcap(packets[:1000]))
	l := series("the first import", false)
	if err := s.Delete(t.Context(), l[len(l)-1].Key()); err != nil {
		t.Fatal(err)
	}
	series("an import that was interrupted", false)
	series("again", false)
	write(t, dir, "b.pcap", pcap(packets[1000:2000]))
	write(t, dir, "c.pcap", pcap(packets[2000:]))
	var n uint64
	for _, c := range series("a series that has grown", true) {
		n += c.Meta().Packets
	}
	if n != uint64(len(packets)) {
		t.Errorf("%d packets are stored, want %d", n, len(packets))
	}
	series("the grown one again", false)
}

func TestImportDamage(t *testing.T) {
	packets := makePackets(600, 300, time.Millisecond)
	whole := pcap(packets)
	t.Run("last record cut", func(t *testing.T) {
		s := newStore(t)
		path := write(t, t.TempDir(), "cut.pcap", whole[:len(whole)-5])
		res, err := newImporter(t, s, smallConfig(), ImportOptions{}).Import(t.Context(), []string{path})
		f := res.Files[0]
		if err != nil || !f.Truncated || f.Packets != 599 || len(f.Problems) != 1 || !strings.Contains(f.Problems[0].Text, path) {
			t.Fatalf("%+v, %v", f, err)
		}
		at := int64(len(whole) - 16 - len(packets[599].data))
		if f.Problems[0].Offset != at {
			t.Errorf("offset %d, want %d", f.Problems[0].Offset, at)
		}
		lanes, _ := stored(t, s)
		checkLane(t, onlyLane(t, lanes), packets[:599], 0)
	})
	t.Run("corrupt in the middle", func(t *testing.T) {
		s := newStore(t)
		at := len(pcap(packets[:300]))
		bad := bytes.Clone(whole)
		copy(bad[at:], bytes.Repeat([]byte{0xff}, 16))
		path := write(t, t.TempDir(), "bad.pcap", bad)
		res, err := newImporter(t, s, smallConfig(), ImportOptions{}).Import(t.Context(), []string{path})
		f := res.Files[0]
		if !errors.Is(err, ErrDamaged) || f.Corrupt != 1 || f.Packets != 599 || f.Problems[0].Offset != int64(at) {
			t.Fatalf("%+v, %v", f, err)
		}
		lanes, _ := stored(t, s)
		checkLane(t, onlyLane(t, lanes), slices.Concat(packets[:300], packets[301:]), 0)
	})
	t.Run("time that pcap cannot hold", func(t *testing.T) {
		s := newStore(t)
		odd := slices.Clone(packets)
		odd[10].nanos = 1 << 62
		path := write(t, t.TempDir(), "odd.pcapng", pcapng(odd, 2))
		res, err := newImporter(t, s, smallConfig(), ImportOptions{}).Import(t.Context(), []string{path})
		f := res.Files[0]
		if err != nil || f.Skipped != 1 || f.Packets != 599 || len(f.Problems) != 1 || f.Problems[0].Offset == 0 {
			t.Fatalf("%+v, %v", f, err)
		}
	})
}

// TestImportSplitsByTime checks chunk_span, also when the clock steps back.
func TestImportSplitsByTime(t *testing.T) {
	packets := makePackets(100, 50, time.Second)
	cfg := smallConfig()
	cfg.ChunkSpan = 10 * time.Second
	s := newStore(t)
	path := write(t, t.TempDir(), "a.pcap", pcap(packets))
	if _, err := newImporter(t, s, cfg, ImportOptions{}).Import(t.Context(), []string{path}); err != nil {
		t.Fatal(err)
	}
	lanes, _ := stored(t, s)
	l := onlyLane(t, lanes)
	checkLane(t, l, packets, 0)
	if len(l) != 10 {
		t.Errorf("%d chunks, want 10", len(l))
	}

	back := slices.Clone(packets)
	for i := range back[50:] {
		back[50+i].nanos -= int64(time.Hour)
	}
	s = newStore(t)
	path = write(t, t.TempDir(), "b.pcap", pcap(back))
	if _, err := newImporter(t, s, cfg, ImportOptions{}).Import(t.Context(), []string{path}); err != nil {
		t.Fatal(err)
	}
	lanes, _ = stored(t, s)
	last := int64(0)
	for _, c := range onlyLane(t, lanes) {
		m := c.Meta()
		if m.KeyNanos < last {
			t.Errorf("key time steps back: %+v", m)
		}
		last = m.KeyNanos
	}
}

// TestImportManyLanes checks that many interfaces stay within the budget, that
// all packets are there, and that the same chunks come out every time.
func TestImportManyLanes(t *testing.T) {
	const ifaces = 150
	packets := makePackets(20_000, 400, time.Millisecond)
	for i := range packets {
		packets[i].iface = i % ifaces
		if i > 15_000 {
			packets[i].iface = 3
		}
	}
	cfg := smallConfig()
	cfg.ChunkBytes, cfg.MemoryBytes = 2<<20, 7<<20 // not all lanes fit
	path := write(t, t.TempDir(), "many.pcapng", pcapng(packets, ifaces))
	var first map[string][]byte
	for range 3 {
		s := newStore(t)
		if _, err := newImporter(t, s, cfg, ImportOptions{}).Import(t.Context(), []string{path}); err != nil {
			t.Fatal(err)
		}
		lanes, objects := stored(t, s)
		if len(lanes) != ifaces {
			t.Fatalf("%d lanes, want %d", len(lanes), ifaces)
		}
		for _, l := range lanes {
			name := l[0].Meta().Interface
			var i int
			if _, err := fmt.Sscanf(name, "if%d", &i); err != nil {
				t.Fatal(err)
			}
			cut := 0
			if i == ifaces-1 {
				cut = 14
			}
			checkLane(t, l, slices.DeleteFunc(slices.Clone(packets), func(p testPacket) bool { return p.iface != i }), cut)
		}
		if first == nil {
			first = objects
		}
		sameObjects(t, objects, first)
	}
}

func sameObjects(t testing.TB, got, want map[string][]byte) {
	t.Helper()
	for k, b := range want {
		if g, ok := got[k]; !ok {
			t.Errorf("object %q is missing", k)
		} else if !bytes.Equal(g, b) {
			t.Errorf("object %q differs", k)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("object %q is too many", k)
		}
	}
}

// TestImportChangedFile checks that a file which is not what it was is an error
// that says so, and nothing stored is replaced.
func TestImportChangedFile(t *testing.T) {
	packets := makePackets(3000, 1200, time.Millisecond)
	s := newStore(t)
	dir := t.TempDir()
	path := write(t, dir, "a.pcap", pcap(packets))
	if _, err := newImporter(t, s, smallConfig(), ImportOptions{}).Import(t.Context(), []string{path}); err != nil {
		t.Fatal(err)
	}
	_, before := stored(t, s)
	write(t, dir, "a.pcap", pcap(slices.Delete(slices.Clone(packets), 2500, 2501)))
	_, err := newImporter(t, s, smallConfig(), ImportOptions{}).Import(t.Context(), []string{path})
	if err == nil || !strings.Contains(err.Error(), "was the file changed") {
		t.Errorf("import of a changed file: %v", err)
	}
	_, after := stored(t, s)
	for k, b := range before {
		if !bytes.Equal(after[k], b) {
			t.Errorf("object %q was replaced", k)
		}
	}
}

// TestImportCancelled checks that the end of the context ends the import, and
// that what it stored is a beginning of what a whole import stores.
func TestImportCancelled(t *testing.T) {
	packets := makePackets(8000, 1000, time.Millisecond)
	path := write(t, t.TempDir(), "a.pcap", pcap(packets))
	clean := newStore(t)
	if _, err := newImporter(t, clean, smallConfig(), ImportOptions{}).Import(t.Context(), []string{path}); err != nil {
		t.Fatal(err)
	}
	_, want := stored(t, clean)
	errStop := errors.New("stop")
	for n := 1; n < 8; n += 2 {
		s := newStore(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := &stopAfter{Store: s, left: n, stop: func() { cancel(errStop) }}
		_, err := newImporter(t, stop, smallConfig(), ImportOptions{}).Import(ctx, []string{path})
		if !errors.Is(err, errStop) && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled import: %v", err)
		}
		_, got := stored(t, s)
		if len(got) == 0 || len(got) >= len(want) {
			t.Errorf("%d chunks after a cancelled import, all are %d", len(got), len(want))
		}
		for k, b := range got {
			if !bytes.Equal(want[k], b) {
				t.Errorf("object %q is not that of a clean import", k)
			}
		}
	}
}

// TestImportStdinInterrupted checks that what came from a pipe is stored when the
// import is stopped while it waits for more, and that it does stop.
func TestImportStdinInterrupted(t *testing.T) {
	packets := makePackets(3000, 700, time.Millisecond)
	for _, n := range []int{1, 100, len(packets)} {
		in, out := io.Pipe()
		ctx, cancel := context.WithCancelCause(t.Context())
		s := newStore(t)
		errStop := errors.New("stop")
		go func() {
			b := pcap(packets[:n])
			if _, err := out.Write(append(b, 1, 2, 3)); err != nil { // and the beginning of the next record
				t.Error(err)
			}
			time.Sleep(50 * time.Millisecond) // the last bytes are on their way from the pipe to the importer
			cancel(errStop)
		}()
		im := newImporter(t, s, smallConfig(), ImportOptions{Stdin: in})
		res, err := im.Import(ctx, []string{Stdin})
		if !errors.Is(err, errStop) || len(res.Files) != 1 || res.Files[0].Packets == 0 {
			t.Fatalf("interrupted import: %+v, %v", res, err)
		}
		lanes, _ := stored(t, s)
		checkLane(t, onlyLane(t, lanes), packets[:res.Files[0].Packets], 0)
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
}

// stopAfter ends the run after so many objects.
type stopAfter struct {
	objstore.Store
	left int
	stop func()
}

func (s *stopAfter) Put(ctx context.Context, key string, r io.Reader, size int64, opts ...objstore.PutOption) (objstore.Object, error) {
	o, err := s.Store.Put(ctx, key, r, size, opts...)
	if s.left--; s.left == 0 {
		s.stop()
	}
	return o, err
}

func TestImportConfigIsChecked(t *testing.T) {
	bad := ImportConfig{Sensor: "a b", ChunkBytes: 1, ChunkSpan: 1, MemoryBytes: 1, Uploads: 0}
	_, err := NewImporter(nil, bad, ImportOptions{})
	for _, want := range []string{"sensor", "chunk_bytes", "chunk_span", "memory_bytes", "uploads"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s: %v", want, err)
		}
	}
}
