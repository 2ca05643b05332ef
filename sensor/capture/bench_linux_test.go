package capture

import (
	"log/slog"
	"testing"
	"time"

	"wirelake/testenv"
)

// tallySink counts packets, and looks at one byte of each.
type tallySink struct {
	packets int
	drops   uint64
	sum     byte
}

func (s *tallySink) Packet(r *Record) error {
	s.packets++
	s.sum ^= r.Data[len(r.Data)-1]
	return nil
}
func (s *tallySink) Drops(n uint64) { s.drops += n }
func (s *tallySink) Flush() error   { return nil }
func (s *tallySink) Close() error   { return nil }

// bursts fills the ring of a veth interface with burst packets of 700 bytes by fill, and delivers them by empty.
const burst = 5000

func bursts(t testing.TB) (fill, empty func(), sink *tallySink) {
	t.Helper()
	testenv.Veth(t, "va0", "vb0")
	frame := join(numbered(53, 0), make([]byte, 700))[:700]
	out := newSender(t, "vb0")
	l, err := findLink("va0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := openPort(smallRing(), l, "udp", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.close() })
	var rec Record
	var counts counters
	sink = &tallySink{}
	fill = func() {
		for range burst {
			out.send(frame)
		}
		time.Sleep(2 * retireMillis * time.Millisecond) // the last block is handed over
	}
	empty = func() {
		for end := sink.packets + burst; sink.packets < end; {
			more, err := p.rings[0].step(&rec, sink, &counts)
			if err != nil || !more || sink.drops > 0 {
				t.Fatalf("%d packets to come, more %v, %d drops, error %v", end-sink.packets, more, sink.drops, err)
			}
		}
	}
	return fill, empty, sink
}

// BenchmarkDeliver measures bursts of 5000 packets, from the ring to a sink that does nothing.
func BenchmarkDeliver(b *testing.B) {
	fill, empty, _ := bursts(b)
	b.ReportAllocs()
	b.SetBytes(burst * 700)
	for b.Loop() {
		b.StopTimer()
		fill()
		b.StartTimer()
		empty()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/burst, "ns/packet")
}

func TestDeliverDoesNotAllocate(t *testing.T) {
	fill, empty, _ := bursts(t)
	fill()
	first := true
	allocs := testing.AllocsPerRun(1, func() {
		if first { // AllocsPerRun runs it once before it counts
			first = false
			empty()
			fill()
			return
		}
		empty()
	})
	if allocs > burst/100 { // others of the process count, too
		t.Errorf("%v allocations for %d packets", allocs, burst)
	}
}
