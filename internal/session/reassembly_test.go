package session

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// tape is a sink that keeps what it gets; gaps become "[n]".
type tape struct {
	b    []byte
	gaps int
	deaf bool
}

func (t *tape) deliver(b []byte) { t.b = append(t.b, b...) }

func (t *tape) gap(missing int) {
	t.gaps++
	t.b = fmt.Appendf(t.b, "[%d]", missing)
}

func (t *tape) wanted() bool { return !t.deaf }

const testLimit = 64 << 10

// give gives a segment of which missing bytes more were not captured, and do not count.
func give(st *stream, seq uint32, data []byte, missing uint32, to sink) {
	n := uint32(len(data))
	st.segment(seq, data, n+missing, n, to, testLimit)
}

// TestStreamCountsCutSegments feeds the same segments whole and cut: what they count is the same.
func TestStreamCountsCutSegments(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 300 {
		var whole, cut stream
		whole.begin(1000)
		cut.begin(1000)
		for range 60 {
			seq, n := uint32(1000+rng.IntN(2000)), uint32(1+rng.IntN(200))
			give(&whole, seq, make([]byte, n), 0, &tape{})
			cut.segment(seq, make([]byte, rng.IntN(int(n)+1)), n, n, &tape{}, testLimit)
		}
		whole.flush(&tape{})
		cut.flush(&tape{})
		if whole.bytes != cut.bytes || whole.next != cut.next {
			t.Fatalf("round %d: %d bytes counted to %d, of cut segments %d to %d", round, whole.bytes, whole.next, cut.bytes, cut.next)
		}
	}
}

func TestStream(t *testing.T) {
	type seg struct {
		seq     uint32
		data    string
		missing uint32
	}
	for _, c := range []struct {
		name     string
		first    uint32
		segs     []seg
		want     string
		bytes    uint64
		disorder bool
		conflict bool
	}{
		{"in order", 100, []seg{{100, "abc", 0}, {103, "def", 0}}, "abcdef", 6, false, false},
		{"a retransmission is dropped", 100, []seg{{100, "abc", 0}, {100, "abc", 0}, {103, "def", 0}}, "abcdef", 6, false, false},
		{"a partial retransmission gives its new part", 100, []seg{{100, "abc", 0}, {101, "bcde", 0}}, "abcde", 5, false, false},
		{"out of order", 100, []seg{{103, "def", 0}, {100, "abc", 0}}, "abcdef", 6, true, false},
		{"out of order, three", 100, []seg{{106, "ghi", 0}, {103, "def", 0}, {100, "abc", 0}}, "abcdefghi", 9, true, false},
		{"sequence numbers wrap", 0xfffffffe, []seg{{0xfffffffe, "ab", 0}, {0, "cd", 0}}, "abcd", 4, false, false},
		{"they wrap out of order", 0xfffffffe, []seg{{0, "cd", 0}, {0xfffffffe, "ab", 0}}, "abcd", 4, true, false},
		{"a keep-alive is dropped", 100, []seg{{100, "abc", 0}, {102, "c", 0}, {103, "d", 0}}, "abcd", 4, false, false},
		{"a hole at the end is marked", 100, []seg{{100, "abc", 0}, {106, "ghi", 0}}, "abc[3]ghi", 6, false, false},
		{"bytes not captured are marked", 100, []seg{{100, "abc", 2}, {105, "f", 0}}, "abc[2]f", 4, false, false},
		{"not captured, queued", 100, []seg{{103, "d", 2}, {106, "g", 0}, {100, "abc", 0}}, "abcd[2]g", 5, true, false},
		{"overlap: the first bytes win", 100, []seg{{103, "DEF", 0}, {100, "abcxyz", 0}}, "abcxyz", 6, true, false},
		{"overlap in the queue: the first bytes win", 100, []seg{{103, "DEF", 0}, {102, "xyzw", 0}, {100, "ab", 0}}, "abxDEF", 6, true, true},
		{"overlap in the queue with the same bytes is no conflict", 100, []seg{{103, "def", 0}, {102, "cde", 0}, {100, "ab", 0}}, "abcdef", 6, true, false},
		{"a segment over several queued", 100, []seg{{102, "c", 0}, {105, "f", 0}, {101, "bcdefg", 0}, {100, "a", 0}}, "abcdefg", 7, true, false},
		{"far out of the window is ignored", 100, []seg{{100, "abc", 0}, {100 + 1<<31, "zzz", 0}, {103, "d", 0}}, "abcd", 4, false, false},
	} {
		for _, deaf := range []bool{false, true} {
			var st stream
			to := &tape{deaf: deaf}
			st.begin(c.first)
			for _, s := range c.segs {
				give(&st, s.seq, []byte(s.data), s.missing, to)
			}
			st.flush(to)
			if got := string(to.b); got != c.want && !deaf {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
			if st.bytes != c.bytes {
				t.Errorf("%s (deaf %v): %d bytes, want %d", c.name, deaf, st.bytes, c.bytes)
			}
			if !deaf && (st.disorder != c.disorder || st.conflict != c.conflict) {
				t.Errorf("%s: disorder %v conflict %v, want %v %v", c.name, st.disorder, st.conflict, c.disorder, c.conflict)
			}
			if st.held != 0 {
				t.Errorf("%s: %d bytes held after flush", c.name, st.held)
			}
		}
	}
}

// TestStreamAnyOrder cuts a stream at random, repeats, overlaps and shuffles the
// parts, and holds that the stream comes out whole.
func TestStreamAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 2000 {
		text := make([]byte, rng.IntN(2000)+1)
		for i := range text {
			text[i] = byte(rng.Uint32())
		}
		base := rng.Uint32()
		type part struct{ from, to int }
		var parts []part
		for at := 0; at < len(text); {
			n := rng.IntN(200) + 1
			parts = append(parts, part{max(0, at-rng.IntN(20)), min(at+n, len(text))})
			at += n
		}
		for range rng.IntN(10) {
			parts = append(parts, parts[rng.IntN(len(parts))])
		}
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		var st stream
		to := &tape{}
		st.begin(base)
		for _, p := range parts {
			give(&st, base+uint32(p.from), text[p.from:p.to], 0, to)
		}
		if !bytes.Equal(to.b, text) || to.gaps != 0 || st.conflict {
			t.Fatalf("round %d: got %d bytes, %d gaps, conflict %v; want %d, 0, false", round, len(to.b), to.gaps, st.conflict, len(text))
		}
	}
}

func TestStreamGivesUpHoles(t *testing.T) {
	t.Run("too many bytes", func(t *testing.T) {
		var st stream
		to := &tape{}
		st.begin(0)
		for i := range uint32(100) {
			give(&st, 10+i*1000, make([]byte, 1000), 0, to)
			if st.held > testLimit+1000 {
				t.Fatalf("%d bytes held, limit %d", st.held, testLimit)
			}
		}
		if to.gaps != 1 || st.bytes != 66000 && st.bytes != 100000 {
			t.Errorf("%d gaps, %d bytes delivered; want the hole given up once", to.gaps, st.bytes)
		}
	})
	t.Run("too many segments", func(t *testing.T) {
		var st stream
		to := &tape{deaf: true}
		st.begin(0)
		for i := range uint32(100000) {
			give(&st, 10+i*2, []byte("x"), 0, to)
			if len(st.queue) > maxQueued+1 {
				t.Fatalf("%d segments queued, limit %d", len(st.queue), maxQueued)
			}
		}
	})
	t.Run("acknowledged by the other side", func(t *testing.T) {
		var st stream
		to := &tape{}
		st.begin(0)
		give(&st, 0, []byte("ab"), 0, to)
		give(&st, 5, []byte("fg"), 0, to)
		for i := range uint32(ackedWait) {
			st.onAck(7, 10+i, to)
		}
		if to.gaps != 0 {
			t.Fatal("given up at once: packets captured out of order would be lost")
		}
		st.onAck(7, 10+ackedWait, to)
		if got, want := string(to.b), "ab[3]fg"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// FuzzStream feeds segments made of the input and holds the promises: bytes are
// delivered once, memory is bounded, nothing is held after the end.
func FuzzStream(f *testing.F) {
	f.Add([]byte("\x00\x00\x03abc\x00\x05\x03fgh\x00\x03\x02de"), uint32(0xfffffff0))
	f.Fuzz(func(t *testing.T, b []byte, base uint32) {
		var st stream
		to := &tape{}
		st.begin(base)
		for len(b) >= 3 {
			off, n, missing := uint32(b[0]&0x3f)<<8|uint32(b[1]), int(b[2]&0x7f), uint32(0)
			if b[0]&0x40 != 0 {
				missing = uint32(b[1])
			}
			if b[0]&0x80 != 0 {
				st.onAck(base+off, uint32(len(b)), to)
			}
			b = b[3:]
			n = min(n, len(b))
			give(&st, base+off, b[:n], missing, to)
			b = b[n:]
			if st.held > testLimit+0x7f || len(st.queue) > maxQueued+1 {
				t.Fatalf("%d bytes in %d segments held", st.held, len(st.queue))
			}
			for i := 1; i < len(st.queue); i++ {
				if prev := st.queue[i-1]; prev.seq-st.next+prev.n > st.queue[i].seq-st.next {
					t.Fatal("queued segments overlap")
				}
			}
		}
		st.flush(to)
		if st.held != 0 || len(st.queue) != 0 {
			t.Fatalf("%d bytes in %d segments held after the end", st.held, len(st.queue))
		}
		if st.bytes > 1<<15 {
			t.Fatalf("%d bytes delivered of a stream of at most %d", st.bytes, 1<<15)
		}
	})
}

func BenchmarkStream(b *testing.B) {
	data := make([]byte, 1400)
	var st stream
	to := &counter{}
	seq := uint32(0)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		give(&st, seq, data, 0, to)
		seq += uint32(len(data))
	}
}

// counter is a sink that counts.
type counter struct{ n, gaps int }

func (c *counter) deliver(b []byte) { c.n += len(b) }
func (c *counter) gap(int)          { c.gaps++ }
func (c *counter) wanted() bool     { return true }
