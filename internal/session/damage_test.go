package session

import (
	"math/rand/v2"
	"strings"
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/packet"
	"wirelake/internal/spi"
)

// TestDamaged damages traffic in every way that a network or a capture does, and
// holds that each packet still counts once in a session between the right ends,
// and that no dissector panics.
func TestDamaged(t *testing.T) {
	flip := func(rng *rand.Rand, fs []frame) []frame {
		for i := range fs {
			data := append([]byte(nil), fs[i].data...)
			for j := 14 + 20 + 20; j < len(data); j += 10 { // behind the headers
				data[j] ^= byte(rng.Uint32())
			}
			fs[i].data = data
		}
		return fs
	}
	cut := func(rng *rand.Rand, fs []frame) []frame {
		for i := range fs {
			fs[i].data = fs[i].data[:14+20+20-12+rng.IntN(len(fs[i].data)-(14+20+20-12)+1)] // not the ports
		}
		return fs
	}
	drop := func(rng *rand.Rand, fs []frame) []frame {
		var out []frame
		for _, f := range fs {
			if rng.IntN(10) > 0 {
				out = append(out, f)
			}
		}
		return out
	}
	repeat := func(rng *rand.Rand, fs []frame) []frame {
		var out []frame
		for _, f := range fs {
			for range rng.IntN(3) + 1 {
				out = append(out, f)
			}
		}
		return out
	}
	reorder := func(rng *rand.Rand, fs []frame) []frame {
		for i := range fs {
			j := min(i+rng.IntN(10), len(fs)-1)
			fs[i], fs[j] = fs[j], fs[i]
		}
		return fs
	}
	for name, damage := range map[string]func(*rand.Rand, []frame) []frame{
		"flipped": flip, "cut": cut, "dropped": drop, "repeated": repeat, "reordered": reorder,
	} {
		for seed := range uint64(5) {
			frames := damage(rand.New(rand.NewPCG(seed, 3)), traffic(seed, 200))
			d := packet.NewDecoder(1, packet.Options{})
			var p packet.Packet
			want := make(map[packet.Key]int64)
			b := New(dissect.New(), DefaultConfig(), nil, func(s *Session) {
				n, _ := s.Doc.Int(spi.NetworkPackets)
				want[s.Key] -= n
				for v := range s.Doc.Each(spi.Tags) {
					if strings.HasPrefix(v.Str, "dissector-panic") {
						t.Errorf("%s, seed %d: %s", name, seed, v.Str)
					}
				}
			})
			for _, f := range frames {
				d.Decode(f.data, f.nanos, len(f.data), &p)
				want[p.Key]++
				b.Packet(&p, Position{})
			}
			b.Flush()
			for k, n := range want {
				if n != 0 {
					t.Errorf("%s, seed %d: %v: %d packets too few in the documents", name, seed, k, n)
				}
			}
		}
	}
}
