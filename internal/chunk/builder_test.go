package chunk

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"wirelake/internal/packet"
)

func TestBuilderLimits(t *testing.T) {
	cfg := testConfig()
	cfg.MaxBytes, cfg.MaxFlows = pcapHeaderBytes+3*(recordHeaderSize+100), 2
	b, err := NewBuilder(cfg)
	if err != nil {
		t.Fatal(err)
	}
	k := [3]packet.Key{ipv4Key(0), ipv4Key(1), ipv4Key(2)}
	steps := []struct {
		rule  string
		flow  int
		nanos int64
		cap   int
		wire  int
		want  error
	}{
		{"a packet larger than the chunk fits an empty builder", 0, 5, 5000, 5000, nil},
		{"after it nothing does", 0, 5, 0, 0, ErrFull},
		{"reset", -1, 0, 0, 0, nil},
		{"time before 1970", 0, -1, 1, 1, ErrPacket},
		{"time after 2106", 0, MaxTimeNanos, 1, 1, ErrPacket},
		{"last nanosecond", 0, MaxTimeNanos - 1, 100, 100, nil},
		{"second flow", 1, 0, 100, 200, nil},
		{"third flow is above MaxFlows", 2, 0, 100, 100, ErrFull},
		{"negative length on the wire", 1, 0, 1, -1, ErrPacket},
		{"more captured bytes than any packet has", 1, 0, MaxCapturedBytes + 1, 0, ErrPacket},
		{"one byte over MaxBytes", 1, 0, 101, 101, ErrFull},
		{"to the byte", 0, 0, 100, 100, nil},
		{"full", 0, 0, 0, 0, ErrFull},
	}
	for _, s := range steps {
		if s.flow < 0 {
			b.Reset()
			continue
		}
		n, raw := b.Len(), b.RawBytes()
		err := b.add(&k[s.flow], 0, s.nanos, s.wire, make([]byte, s.cap))
		if !errors.Is(err, s.want) || (err == nil) != (s.want == nil) {
			t.Fatalf("%s: %v, want %v", s.rule, err, s.want)
		}
		if err != nil && (b.Len() != n || b.RawBytes() != raw) {
			t.Fatalf("%s: the builder changed", s.rule)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []Config{{MaxBytes: 0, MaxFlows: 1, Workers: 1}, {MaxBytes: MaxRawBytes + 1, MaxFlows: 1, Workers: 1},
		{MaxBytes: 1 << 20, MaxFlows: 0, Workers: 1}, {MaxBytes: 1 << 20, MaxFlows: MaxFlows + 1, Workers: 1}, {MaxBytes: 1 << 20, MaxFlows: 1}} {
		if _, err := NewBuilder(c); err == nil {
			t.Errorf("NewBuilder(%+v) works", c)
		}
	}
}

// TestSameBytes checks that a chunk is a function of its packets: not of the
// number of workers, nor of what the builder did before.
func TestSameBytes(t *testing.T) {
	packets := mixedPackets(60, 80, 900)
	var want []byte
	for _, workers := range []int{1, 2, 5} {
		cfg := testConfig()
		cfg.Workers = workers
		b, err := NewBuilder(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for round := range 3 {
			fill(t, b, packets[round*100:round*1000+500]) // something else before
			if _, err := b.Seal(testMeta(), io.Discard); err != nil {
				t.Fatal(err)
			}
			b.Reset()
			fill(t, b, packets)
			for range 2 { // a seal can be repeated
				var out bytes.Buffer
				if _, err := b.Seal(testMeta(), &out); err != nil {
					t.Fatal(err)
				}
				if want == nil {
					want = bytes.Clone(out.Bytes())
				}
				if !bytes.Equal(out.Bytes(), want) {
					t.Fatalf("%d workers, round %d: other bytes", workers, round)
				}
			}
			b.Reset()
		}
	}
}

func TestEmptyChunk(t *testing.T) {
	b, sum := sealPackets(t, testConfig(), nil)
	r := open(t, b)
	if m := r.Meta(); m.Packets != 0 || m.FirstNanos != 0 || len(r.Flows()) != 0 || sum.Frames != 1 {
		t.Errorf("empty chunk has %+v, %d flows, %d frames", m, len(r.Flows()), sum.Frames)
	}
	if err := r.Verify(context.Background()); err != nil {
		t.Error(err)
	}
	checkStream(t, b, nil)
}

// TestWriteFails checks that the writer's error comes back wherever it happens,
// and no goroutine stays behind.
func TestWriteFails(t *testing.T) {
	packets := mixedPackets(30, 60, 900)
	_, sum := sealPackets(t, testConfig(), packets)
	b, err := NewBuilder(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, b, packets)
	before := runtime.NumGoroutine()
	errDisk := errors.New("disk is full")
	for range 50 {
		w := &failingWriter{left: rand.IntN(int(sum.SizeBytes)), err: errDisk}
		if _, err := b.Seal(testMeta(), w); !errors.Is(err, errDisk) {
			t.Fatalf("Seal: %v, want %v", err, errDisk)
		}
	}
	for wait := time.Now(); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) { // the last steps of one that is done
		if time.Since(wait) > time.Minute {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
	var out bytes.Buffer
	if _, err := b.Seal(testMeta(), &out); err != nil || int64(out.Len()) != sum.SizeBytes {
		t.Errorf("Seal after failures: %d bytes, want %d: %v", out.Len(), sum.SizeBytes, err)
	}
}

type failingWriter struct {
	left int
	err  error
}

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, w.err
	}
	return len(b), nil
}

// TestAddAllocatesNothing holds the promise of the packet path.
func TestAddAllocatesNothing(t *testing.T) {
	packets := mixedPackets(100, 20, 600)
	b, err := NewBuilder(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, b, packets)
	if n := testing.AllocsPerRun(10, func() {
		b.Reset()
		fill(t, b, packets)
	}); n > 3 { // the first, small blocks
		t.Errorf("%v allocations for %d packets", n, len(packets))
	}
}

// TestOneGET checks that a usual chunk opens with one request and a large index
// with two.
func TestOneGET(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(8, 9))
	for _, c := range []struct{ flows, gets int }{{1, 1}, {20_000, 1}, {120_000, 2}} {
		packets := make([]testPacket, c.flows)
		for i := range packets {
			var a, b [16]byte
			for j := range 4 {
				a[j], b[j] = byte(rng.Uint32()), byte(rng.Uint32())
			}
			k, d := packet.NewKey(packet.KindIPv4, packet.ProtoUDP, a, b, uint16(rng.Uint32()), uint16(rng.Uint32()))
			packets[i] = testPacket{k, d, 1772532000_000000000 + rng.Int64N(1e11), 1000, make([]byte, 100)}
		}
		b, sum := sealPackets(t, testConfig(), packets)
		src := &object{b: b}
		r, err := Open(ctx, src, testKey)
		if err != nil {
			t.Fatal(err)
		}
		if src.gets != c.gets {
			t.Errorf("%d flows, index of %d bytes: %d GETs, want %d", c.flows, sum.IndexBytes, src.gets, c.gets)
		}
		if err := r.Verify(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestKey(t *testing.T) {
	m := testMeta()
	if got := Key(m); got != testKey {
		t.Errorf("Key(%+v) = %q, want %q", m, got, testKey)
	}
	got, err := ParseKey(testKey)
	if want := (Meta{Sensor: "s1", Lane: "eth0-0", KeyNanos: m.KeyNanos, Sequence: 7}); err != nil || got != want {
		t.Errorf("ParseKey(%q) = %+v, %v, want %+v", testKey, got, err, want)
	}
	for _, bad := range []string{
		"", "chunks/", testKey + "x", "x" + testKey,
		strings.Replace(testKey, "s1", "", 1),
		strings.Replace(testKey, "s1", "a b", 1),
		strings.Replace(testKey, "eth0", "-eth0", 1),
		strings.Replace(testKey, "2026-03-03", "2026-03-04", 1),
		strings.Replace(testKey, "0000000007", "7", 1),
		strings.Replace(testKey, "0177", "177", 1),
		strings.Replace(testKey, "/0177", "/-177", 1),
	} {
		if m, err := ParseKey(bad); err == nil {
			t.Errorf("ParseKey(%q) = %+v, want an error", bad, m)
		}
	}
	for name, ok := range map[string]bool{"a": true, "a.b_c-9": true, "-a": false, ".": false, "a/b": false, "ä": false, strings.Repeat("x", 129): false} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q): %v", name, err)
		}
	}
}

func TestSealChecksMeta(t *testing.T) {
	b, err := NewBuilder(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Meta){
		"sensor":    func(m *Meta) { m.Sensor = "a/b" },
		"lane":      func(m *Meta) { m.Lane = "" },
		"file":      func(m *Meta) { m.File = strings.Repeat("x", MaxNameBytes+1) },
		"key time":  func(m *Meta) { m.KeyNanos = -1 },
		"link type": func(m *Meta) { m.LinkType = 1 << 16 },
	} {
		m := testMeta()
		change(&m)
		if _, err := b.Seal(m, io.Discard); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("bad %s: %v", what, err)
		}
	}
}

// TestLooksRandom states what is compressed and what is not.
func TestLooksRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, FlowFrameBytes)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	base64 := make([]byte, FlowFrameBytes)
	for i := range base64 {
		base64[i] = digits[noise[i]&63]
	}
	tls := bytes.Clone(noise) // a header of 66 bytes and 16 of the record before 1448 of ciphertext
	for i := range tls {
		if i%1530 < 82 {
			tls[i] = byte(i % 1530)
		}
	}
	for _, c := range []struct {
		what string
		b    []byte
		want bool
	}{
		{"ciphertext", noise, true},
		{"ciphertext of a small frame", noise[:9000], true},
		{"ciphertext with packet headers", tls, true},
		{"base64", base64, false},
		{"text", bytes.Repeat([]byte("GET /index.html HTTP/1.1\r\n"), 4000), false},
		{"half text, half ciphertext", append(bytes.Repeat([]byte("text "), 20000), noise[:100000]...), false},
		{"too little to tell", noise[:500], false},
	} {
		if got := looksRandom(c.b); got != c.want {
			t.Errorf("looksRandom of %s: %v, want %v", c.what, got, c.want)
		}
	}
}

// TestSealLevelAndWorkers checks that another level gives the same stream in fewer
// bytes, also from a pool that has encoders of the first, and that each worker runs in the hook.
func TestSealLevelAndWorkers(t *testing.T) {
	packets := mixedPackets(40, 200, 400)
	words := strings.Fields("GET POST Host: Accept: text/html example.org index.html cookie session gzip deflate keep-alive close")
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range packets {
		for at := 0; at < len(packets[i].data); {
			at += copy(packets[i].data[at:], words[rng.IntN(len(words))])
		}
	}
	cfg := testConfig()
	cfg.Pool = &Pool{}
	fast, sum := sealPackets(t, cfg, packets)
	var workers atomic.Int32
	cfg.Worker = func(work func()) {
		workers.Add(1)
		work()
	}
	cfg.Level = zstd.SpeedBetterCompression
	better, sum2 := sealPackets(t, cfg, packets)
	if sum.ContentSum != sum2.ContentSum {
		t.Error("another level gives another stream")
	}
	if len(better) >= len(fast) {
		t.Errorf("%d bytes at the better level, %d at the fastest", len(better), len(fast))
	}
	if n := workers.Load(); int(n) != cfg.Workers {
		t.Errorf("%d workers ran in the hook, want %d", n, cfg.Workers)
	}
	cfg.Level = 99
	if _, err := NewBuilder(cfg); err == nil {
		t.Error("level 99 is taken")
	}
}
