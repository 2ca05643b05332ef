package session

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/packet"
	"wirelake/internal/pcapfile/pcaptest"
	"wirelake/internal/spi"
)

// corpus returns capture files: those of a collection beside the repository, or the sample that ships with it.
func corpus(t *testing.T) []string {
	t.Helper()
	if files := pcaptest.Corpus(t); len(files) > 0 {
		return files
	}
	return []string{pcaptest.Sample(t)}
}

// corpusPackets is the most packets of a capture that the tests take: none of the collection has as many.
const corpusPackets = 3000

// framesOf returns the packets of a capture.
func framesOf(c *pcaptest.Capture) []frame {
	var out []frame
	for _, rec := range c.Records[:min(len(c.Records), corpusPackets)] {
		out = append(out, frame{nanos: rec.TimeNanos, data: rec.Data, cut: max(0, rec.WireLen-len(rec.Data))})
	}
	return out
}

// five is what must be right of a flow whatever its packets carry.
type five struct {
	packets     int64
	first, last int64 // ms
}

// TestDamagedCorpus damages whole captures, and holds that nothing panics or hangs, that no session takes more
// than [maxSessionBytes], and that each flow still has its addresses, ports, packets and times.
func TestDamagedCorpus(t *testing.T) {
	type damage struct {
		name string
		do   func(rng *rand.Rand, headers []int, fs []frame) []frame
	}
	all := []damage{
		{"as they are", func(_ *rand.Rand, _ []int, fs []frame) []frame { return fs }},
		{"every tenth byte behind the headers", func(rng *rand.Rand, headers []int, fs []frame) []frame {
			for i, f := range fs {
				for j := headers[i] + rng.IntN(10); j < len(f.data); j += 10 {
					f.data[j] ^= byte(1 + rng.IntN(255))
				}
			}
			return fs
		}},
		{"every tenth byte", func(rng *rand.Rand, _ []int, fs []frame) []frame {
			for _, f := range fs {
				for j := rng.IntN(10); j < len(f.data); j += 10 {
					f.data[j] ^= byte(1 + rng.IntN(255))
				}
			}
			return fs
		}},
		{"dropped", func(rng *rand.Rand, _ []int, fs []frame) (out []frame) {
			for _, f := range fs {
				if rng.IntN(8) > 0 {
					out = append(out, f)
				}
			}
			return out
		}},
		{"repeated", func(rng *rand.Rand, _ []int, fs []frame) (out []frame) {
			for _, f := range fs {
				for range 1 + rng.IntN(3) {
					out = append(out, f)
				}
			}
			return out
		}},
		{"reordered", func(rng *rand.Rand, _ []int, fs []frame) []frame {
			for i := range fs {
				j := min(i+rng.IntN(12), len(fs)-1)
				fs[i], fs[j] = fs[j], fs[i]
			}
			return fs
		}},
	}
	set := dissect.New()
	w := newWatch(t)
	defer w.end()
	var largest int64
	for n, name := range corpus(t) {
		capture := pcaptest.ReadCut(t, name)
		link, frames := capture.LinkType(), framesOf(&capture)
		headers := make([]int, len(frames))
		d := packet.NewDecoder(link, packet.Options{})
		var p packet.Packet
		for i, f := range frames {
			f.decode(d, &p)
			headers[i] = len(f.data) - len(p.Payload)
		}
		for k, damage := range all {
			fs := make([]frame, len(frames))
			for i, f := range frames {
				fs[i] = frame{nanos: f.nanos, data: bytes.Clone(f.data), cut: f.cut}
			}
			fs = damage.do(rand.New(rand.NewPCG(uint64(n), uint64(k))), headers, fs)
			what := filepath.Base(name) + ", " + damage.name
			if most := w.run(what, len(fs), func() int64 { return checkFive(t, set, what, link, fs) }); most > largest {
				largest = most
				t.Logf("%s: a session of %d bytes", what, most)
			}
		}
	}
}

// maxSessionBytes is the most memory that a session may take.
const maxSessionBytes = 1 << 20

// checkFive makes sessions of the frames, and compares their five with those that the decoder alone finds. It
// returns the most memory that a session had.
func checkFive(t *testing.T, set *dissect.Set, what string, link uint32, frames []frame) (most int64) {
	t.Helper()
	d := packet.NewDecoder(link, packet.Options{})
	var p packet.Packet
	want, got := map[packet.Key]five{}, map[packet.Key]five{}
	merge := func(m map[packet.Key]five, k packet.Key, o five) {
		if f, ok := m[k]; ok {
			o = five{f.packets + o.packets, min(f.first, o.first), max(f.last, o.last)}
		}
		m[k] = o
	}
	b := New(set, DefaultConfig(), nil, func(s *Session) {
		packets, _ := s.Doc.Int(spi.NetworkPackets)
		first, _ := s.Doc.Int(spi.FirstPacket)
		last, _ := s.Doc.Int(spi.LastPacket)
		merge(got, s.Key, five{packets, min(first, last), max(first, last)})
		src, dst := s.Doc.String(spi.SourceIP), s.Doc.String(spi.DestinationIP)
		a, z := s.Key.Src(packet.AtoB).Addr().String(), s.Key.Dst(packet.AtoB).Addr().String()
		if s.Key.IsIP() && (src != a || dst != z) && (src != z || dst != a) {
			t.Errorf("%s: %v is between %s and %s", what, s.Key, src, dst)
		}
		for v := range s.Doc.Each(spi.Tags) {
			if strings.HasPrefix(v.Str, "dissector-panic") {
				t.Errorf("%s: %s", what, v.Str)
			}
		}
	})
	for _, f := range frames {
		f.decode(d, &p)
		ms := floorMillis(f.nanos)
		merge(want, p.Key, five{1, ms, ms})
		b.Packet(&p, Position{})
		if b.latest != nil {
			most = max(most, b.latest.memory())
		}
	}
	b.Flush()
	if most > maxSessionBytes {
		t.Errorf("%s: a session took %d bytes", what, most)
	}
	// A document's times are those of the packets that came first and last.
	inOrder := slices.IsSortedFunc(frames, func(a, b frame) int { return cmp.Compare(a.nanos, b.nanos) })
	for k, w := range want {
		g := got[k]
		if g.packets != w.packets || inOrder && (g.first != w.first || g.last != w.last) {
			t.Errorf("%s: %v has %+v, want %+v", what, k, g, w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: sessions of %d flows, want %d", what, len(got), len(want))
	}
	return most
}
