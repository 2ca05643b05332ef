package capture

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wirelake/internal/config"
	"wirelake/internal/packet"
	"wirelake/testenv"
)

// smallRing is a configuration for tests: a ring of some MiB, one worker.
func smallRing() AFPacketConfig {
	c := DefaultAFPacketConfig()
	c.BlockBytes, c.Blocks = 512*config.KiB, 16
	return c
}

// largeRing holds all that a test sends, however busy the machine is.
func largeRing() AFPacketConfig {
	c := DefaultAFPacketConfig()
	c.Blocks = 128
	return c
}

func newAFPacket(t testing.TB, name string, c AFPacketConfig) *AFPacket {
	t.Helper()
	s, err := NewAFPacket(name, c, nil, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// capturing runs a source that is up; end ends it and waits.
func capturing(t testing.TB, s *AFPacket, open Opener) (end func()) {
	t.Helper()
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	stop, ended := startWith(t, s, open)
	return func() {
		t.Helper()
		stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Fatal("Run does not end")
		}
	}
}

// TestWitness compares the capture with tcpdump's on the same interface, both ways: tags of all kinds, what is no IP,
// what a host sends and answers.
func TestWitness(t *testing.T) {
	testenv.Veth(t, "wa0", "wb0")
	far := testenv.NewNeighbour(t)
	far.Link("wc0", "10.77.0.1/24", "wd0", "10.77.0.2/24")

	body := bytes.Repeat([]byte("wirelake"), 1000)
	data := udp(1, 2, body[:100])
	v4, v6 := ip4("10.0.0.1", "10.0.0.2", 17, 0, data), ip6("fd00::1", "fd00::2", 17, data)
	frames := [][]byte{
		join(ether(false, 0x0800), v4),
		join(ether(true, 0x86dd), v6),
		join(ether(false, 0x8100), tag(42, 0x0800), v4),
		join(ether(false, 0x8100), tag(0xe000|42, 0x86dd), v6), // priority 7
		join(ether(false, 0x8100), tag(0xa000, 0x0800), v4),    // priority tag: VLAN 0
		join(ether(false, 0x8100), tag(0, 0x0800), v4),         // a tag of zeros
		join(ether(false, 0x88a8), tag(100, 0x8100), tag(42, 0x0800), v4),
		join(ether(true, 0x8100), tag(100, 0x8100), tag(42, 0x0800), v4),
		join(ether(false, 0x88a8), tag(100, 0x88a8), tag(42, 0x8100), tag(7, 0x86dd), v6),
		join(ether(false, 0x9100), tag(100, 0x8100), tag(42, 0x0800), v4),
		join(ether(false, 0x0806), make([]byte, 28)),
		join(ether(false, 38), []byte{0x42, 0x42, 3}, make([]byte, 35)), // spanning tree in LLC
		join(ether(false, 0x88cc), []byte{2, 7, 4, 2, 0, 0, 0, 0, 10, 0, 0}),
		join(ether(false, 0x0800), ip4("10.0.0.1", "10.0.0.2", 17, 0x2000, data)),
		join(ether(false, 0x0800), ip4("10.0.0.1", "10.0.0.2", 17, 13, data)),
		join(ether(false, 0x0800), ip4("10.0.0.1", "10.0.0.2", 17, 0, udp(5, 6, body))),
		join(ether(false, 0x8847), []byte{0, 1, 0x11, 64}, v4),
		ether(false, 0x0800),
	}
	for _, name := range []string{"wa0", "wc0"} {
		t.Run(name, func(t *testing.T) {
			w := testenv.NewWitness(t, name)
			rec := newRecorder(t)
			end := capturing(t, newAFPacket(t, name, smallRing()), rec.Open)
			n := 0
			if name == "wa0" {
				in, out := newSender(t, "wb0"), newSender(t, "wa0")
				for range 50 {
					in.send(frames...)
					out.send(frames...)
				}
				n = 100*len(frames) - in.lost() - out.lost()
			} else {
				testenv.Run(t, "ping", "-c", "5", "-i", "0.01", "-s", "1400", "10.77.0.2")
				testenv.Run(t, "ping", "-c", "3", "-i", "0.01", "-s", "6000", "10.77.0.2") // in fragments
				n = 5*2 + 3*10
			}
			want := witnessed(t, w, n)
			end()
			got := rec.lane(name + "-0")
			if got.open || got.drops != 0 || got.iface != (Interface{name, packet.LinkEthernet, 256 << 10}) {
				t.Errorf("lane: open %v, drops %d, interface %+v", got.open, got.drops, got.iface)
			}
			wantSame(t, got.packets, want)
		})
	}
}

// TestSuperFrames holds that frames which the kernel joined, or has not cut yet, are captured whole.
func TestSuperFrames(t *testing.T) {
	testenv.NeedNamespace(t)
	far := testenv.NewNeighbour(t)
	far.Link("sa0", "10.78.0.1/24", "sb0", "10.78.0.2/24")
	l, err := net.Listen("tcp", "10.78.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const size = 20 << 20
	received := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			received <- err
			return
		}
		n := 0
		buf := make([]byte, 1<<20)
		for n < size && err == nil {
			var k int
			k, err = conn.Read(buf)
			n += k
		}
		received <- errors.Join(err, conn.Close())
	}()
	w := testenv.NewWitness(t, "sa0")
	rec := newRecorder(t)
	end := capturing(t, newAFPacket(t, "sa0", largeRing()), rec.Open)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	far.Run("bash", "-c", fmt.Sprintf("head -c %d /dev/zero > /dev/tcp/10.78.0.1/%s", size, port))
	if err := <-received; err != nil {
		t.Fatal(err)
	}
	var carried int
	waitFor(t, "all of the transfer", func() bool {
		carried = 0
		for _, r := range rec.lane("sa0-0").packets {
			if r.Data[14+12+3] == 2 && len(r.Data) > 66 { // from 10.78.0.2
				carried += len(r.Data) - 66
			}
		}
		return carried >= size
	})
	time.Sleep(time.Second) // the connection is closed
	want := witnessed(t, w, len(rec.lane("sa0-0").packets))
	end()
	got := rec.lane("sa0-0").packets
	wantSame(t, got, want)
	longest := slices.MaxFunc(got, func(a, b Record) int { return len(a.Data) - len(b.Data) })
	if len(longest.Data) < 10000 || longest.WireLen != len(longest.Data) {
		t.Errorf("longest frame: %d of %d bytes; want a super-frame, whole", len(longest.Data), longest.WireLen)
	}
}

// TestLoopback holds that what goes out of a loopback interface is taken once, as it comes in.
func TestLoopback(t *testing.T) {
	testenv.NeedNamespace(t)
	for _, filter := range []string{"", "udp"} {
		rec := newRecorder(t)
		c := smallRing()
		c.Filter = filter
		w := testenv.NewWitness(t, "lo", "udp")
		end := capturing(t, newAFPacket(t, "lo", c), rec.Open)
		conn, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			t.Fatal(err)
		}
		sent := 0 // one that is told of the refusal of those before is not sent
		for i := range 20 {
			_, err := fmt.Fprintf(conn, "datagram %d", i)
			if err == nil {
				sent++
			} else if !errors.Is(err, unix.ECONNREFUSED) {
				t.Fatal(err)
			}
		}
		conn.Close()
		want := witnessed(t, w, sent)
		end()
		var got []Record
		for _, r := range rec.lane("lo-0").packets {
			if r.Data[14+9] == 17 {
				got = append(got, r)
			}
		}
		wantSame(t, got, want)
	}
}

// TestSnaplen holds that a packet is cut to the snaplen, tag included, and its length on the wire is kept.
func TestSnaplen(t *testing.T) {
	testenv.Veth(t, "na0", "nb0")
	c := smallRing()
	c.Snaplen = 100
	for _, c.Filter = range []string{"", "ip or vlan"} {
		w := testenv.NewWitness(t, "na0", "-s", "100")
		rec := newRecorder(t)
		end := capturing(t, newAFPacket(t, "na0", c), rec.Open)
		data := ip4("10.0.0.1", "10.0.0.2", 17, 0, udp(1, 2, make([]byte, 500)))
		newSender(t, "nb0").send(join(ether(false, 0x0800), data), join(ether(false, 0x8100), tag(42, 0x0800), data), numbered(9, 1)[:80])
		want := witnessed(t, w, 3)
		end()
		wantSame(t, rec.lane("na0-0").packets, want)
	}
}

// TestFilter holds filters in tcpdump's syntax, on the tags too that the kernel takes out of the frames.
func TestFilter(t *testing.T) {
	testenv.Veth(t, "fa0", "fb0")
	v4 := ip4("10.0.0.1", "10.0.0.2", 17, 0, udp(1000, 53, make([]byte, 30)))
	frames := [][]byte{
		join(ether(false, 0x0800), v4),
		join(ether(false, 0x8100), tag(42, 0x0800), v4),
		join(ether(false, 0x8100), tag(43, 0x0800), v4),
		join(ether(false, 0x88a8), tag(100, 0x8100), tag(42, 0x0800), v4),
		join(ether(false, 0x0800), ip4("10.0.0.1", "10.0.0.2", 17, 0, udp(1000, 80, make([]byte, 30)))),
	}
	for filter, want := range map[string][]int{
		"":                        {0, 1, 2, 3, 4},
		" \n":                     {0, 1, 2, 3, 4},
		"udp port 53":             {0, 1, 2}, // the kernel has taken the tag out
		"vlan 42 and udp port 53": {1},
		"vlan and vlan 42":        {3},
		"udp port 80 or (vlan 43 and host 10.0.0.1)": {2, 4},
		"not ip and not vlan":                        {},
	} {
		t.Run(filter, func(t *testing.T) {
			c := smallRing()
			c.Filter = filter
			rec := newRecorder(t)
			w := testenv.NewWitness(t, "fa0", filter)
			end := capturing(t, newAFPacket(t, "fa0", c), rec.Open)
			newSender(t, "fb0").send(frames...)
			seen := witnessed(t, w, len(want))
			end()
			got := rec.lane("fa0-0").packets
			wantSame(t, got, seen)
			for i, r := range got {
				if i >= len(want) || !bytes.Equal(whole(r), frames[want[i]]) {
					t.Errorf("packet %d: %s, want those numbered %v", i, describe(whole(r)), want)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d packets, want %d", len(got), len(want))
			}
		})
	}
	for filter, message := range map[string]string{
		"udp prt 53":       `filter "udp prt 53": libpcap: can't parse filter expression: syntax error`,
		"port 70000":       "port 70000",
		"host 300.1.1.1":   "300.1.1.1",
		"udp\x00 port 53":  "zero byte",
		"wlan type mgt":    "802.11",
		"(tcp or udp":      "syntax error",
		"vlan 99999999999": "99999999999",
	} {
		c := smallRing()
		c.Filter = filter
		s := newAFPacket(t, "fa0", c)
		err := s.Open()
		if err == nil || !strings.Contains(err.Error(), message) || !strings.Contains(err.Error(), "fa0") {
			t.Errorf("filter %q: error %v, want %q in it, and the interface", filter, err, message)
		}
		if err := s.Run(t.Context(), newRecorder(t).Open); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("Run with filter %q: %v", filter, err)
		}
		c.Filter = filter
		if err := newAFPacket(t, "nowhere0", c).Open(); err == nil {
			t.Errorf("filter %q is taken while there is no interface", filter)
		}
	}
}

// TestReload exchanges the filter again and again while packets come in: none that both filters take is lost, and none
// that only the wider one takes is there when it cannot be.
func TestReload(t *testing.T) {
	testenv.Veth(t, "ra0", "rb0")
	c := largeRing()
	c.Workers = 2
	c.Filter = "udp dst port 53"
	s := newAFPacket(t, "ra0", c)
	rec := newRecorder(t)
	end := capturing(t, s, rec.Open)
	var sent atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	out := newSender(t, "rb0")
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			n := int(sent.Load())
			if uint64(n) > s.State().Packets+100_000 { // a ring holds more
				time.Sleep(time.Millisecond)
				continue
			}
			out.send(numbered(53, n), numbered(80, n), numbered(443, n))
			sent.Add(1)
		}
	}()
	for i := range 100 {
		filter := "udp dst port 53"
		if i%2 == 0 {
			filter = "udp dst port 53 or udp dst port 80"
		}
		if err := s.Reload(filter); err != nil {
			t.Fatal(err)
		}
		if err := s.Reload("no filter at all"); err == nil {
			t.Fatal("a bad filter is taken")
		}
		at := sent.Load()
		waitFor(t, "traffic", func() bool { return sent.Load() > at+50 })
	}
	close(stop)
	<-done
	end()
	if st := s.State(); st.KernelDrops > 0 {
		t.Fatalf("the ring was too small for the test: %+v", st)
	}
	next, wider, captured, lost := 0, 0, 0, out.lost()
	for _, lane := range []string{"ra0-0", "ra0-1"} {
		for _, r := range rec.lane(lane).packets {
			switch port := r.Data[14+20+3]; port {
			case 53:
				n := numberOf(t, r.Data)
				if n != next && lost == 0 {
					t.Fatalf("packet %d follows %d", n, next-1)
				}
				next = n + 1
				captured++
			case 80:
				wider++
			default:
				t.Fatalf("captured against all filters: %s", describe(r.Data))
			}
		}
	}
	if missing := int(sent.Load()) - captured; missing < 0 || missing > lost || wider == 0 || wider >= captured {
		t.Errorf("captured %d of %d packets, and %d that one of the filters takes", captured, sent.Load(), wider)
	}
}

// slowSink takes its time, so that rings overflow.
type slowSink struct {
	Sink
	wait time.Duration
}

func (s slowSink) Packet(r *Record) error {
	time.Sleep(s.wait)
	return s.Sink.Packet(r)
}

// TestDrops holds that each packet is either delivered or counted as dropped.
func TestDrops(t *testing.T) {
	testenv.Veth(t, "da0", "db0")
	c := smallRing()
	c.BlockBytes, c.Blocks, c.Snaplen, c.Workers = minBlockBytes, minBlocks, 100*config.KiB, 2
	c.Filter = "udp"
	s := newAFPacket(t, "da0", c)
	rec := newRecorder(t)
	end := capturing(t, s, func(lane string, i Interface) (Sink, error) {
		sink, err := rec.Open(lane, i)
		return slowSink{sink, 20 * time.Microsecond}, err
	})
	out := newSender(t, "db0")
	const n = 50000
	frame := numbered(53, 0)
	frame = join(frame, make([]byte, 1000))
	for range n {
		out.send(frame)
	}
	end()
	got, drops := 0, uint64(0)
	for _, lane := range rec.names() {
		l := rec.lane(lane)
		got += len(l.packets)
		drops += l.drops
	}
	st := s.State()
	if balance := n - got - int(drops) - out.lost(); drops == 0 || balance != 0 {
		t.Errorf("delivered %d, dropped %d, sent %d: the balance is %d", got, drops, n, balance)
	}
	if st.Packets != uint64(got) || st.KernelDrops != drops || st.Bytes != uint64(got*len(frame)) {
		t.Errorf("state %+v, want %d packets, %d drops", st, got, drops)
	}
}
