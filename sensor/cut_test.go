package sensor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"wirelake/internal/chunk"
	"wirelake/internal/config"
	"wirelake/internal/dissect"
	"wirelake/internal/packet"
	"wirelake/sensor/capture"
)

// tcp is an Ethernet frame from 10.0.0.host:port to 10.0.1.1:service, or back.
func tcp(host byte, port, service uint16, back bool, flags byte, payload []byte) []byte {
	b := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0}
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(40+len(payload)))
	b = append(b, 0, 0, 0x40, 0, 64, 6, 0, 0)
	src, dst := []byte{10, 0, 0, host}, []byte{10, 0, 1, 1}
	if back {
		src, dst, port, service = dst, src, service, port
	}
	b = append(append(b, src...), dst...)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, service)
	b = append(b, 0, 0, 0, 1, 0, 0, 0, 1, 5<<4, flags, 0x20, 0, 0, 0, 0, 0)
	return append(b, payload...)
}

func tlsHello() []byte {
	return append([]byte{0x16, 3, 1, 0, 60, 1, 0, 0, 56, 3, 3}, make([]byte, 89)...)
}

func TestCutRules(t *testing.T) {
	set := dissect.New()
	payload := bytes.Repeat([]byte("x"), 1000)
	const n = 20 // packets with 1000 bytes of payload, after one of 100
	hello, http := tlsHello(), append([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), make([]byte, 73)...)
	flow := func(host byte, port uint16, first []byte) (frames [][]byte) {
		frames = append(frames, tcp(host, 40000, port, false, 2, nil), tcp(host, 40000, port, true, 0x12, nil), tcp(host, 40000, port, false, 0x18, first))
		for i := range n {
			frames = append(frames, tcp(host, 40000, port, i%2 == 0, 0x18, payload))
		}
		return append(frames, tcp(host, 40000, port, false, 0x11, nil))
	}
	for _, c := range []struct {
		name   string
		rules  []CutRule
		frames [][]byte
		whole  int // packets with payload that are kept whole
	}{
		{"no rules", nil, flow(1, 443, hello), n + 1},
		{"protocol", []CutRule{{"tls", 5 * config.KiB}}, flow(1, 8443, hello), 7}, // 100 + 5*1000 is under 5120, one more is over
		{"another protocol", []CutRule{{"tls", 5 * config.KiB}}, flow(1, 443, http), n + 1},
		{"nothing", []CutRule{{"tls", 0}}, flow(1, 443, hello), 0},
		{"port", []CutRule{{"port == 443", 1100}}, flow(1, 443, http), 2},
		{"address", []CutRule{{"ip == 10.0.0.0/28 && port.dst == 443", 1100}}, flow(1, 443, http), 2},
		{"another address", []CutRule{{"ip == 10.0.0.16/28", 1100}}, flow(1, 443, http), n + 1},
		{"first rule wins", []CutRule{{"ip == 10.0.0.1", config.MiB}, {"tls", 0}}, flow(1, 443, hello), n + 1},
		{"not", []CutRule{{"protocols != tls", 100}}, flow(1, 443, http), 1},
		{"a new connection", []CutRule{{"tls", 2000}}, append(flow(1, 443, hello), flow(1, 443, hello)...), 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules, err := compileCutRules(c.rules, set)
			if err != nil {
				t.Fatal(err)
			}
			cut := newCutter(rules)
			d := packet.NewDecoder(1, packet.Options{})
			var p packet.Packet
			whole := 0
			for i, f := range c.frames {
				d.Decode(f, testStart+int64(i), len(f), &p)
				switch kept := cut.keep(&p, f); {
				case len(f) == 54 && kept != 54:
					t.Errorf("packet %d without payload is cut to %d", i, kept)
				case len(f) > 54 && kept == len(f):
					whole++
				case kept != 54:
					t.Errorf("packet %d of %d bytes is cut to %d, want its headers", i, len(f), kept)
				}
			}
			if whole != c.whole {
				t.Errorf("%d packets are whole, want %d", whole, c.whole)
			}
		})
	}
	for text, want := range map[string]string{
		"http.uri == x":   "http.uri",
		"port == ":        "cut[0].match: ",
		"nonsense":        "cut[0].match: ",
		"bytes > 1000000": "is not known while packets are sealed",
	} {
		if _, err := compileCutRules([]CutRule{{text, 1}}, set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestCutterForgets holds that what is remembered of flows is bounded.
func TestCutterForgets(t *testing.T) {
	rules, err := compileCutRules([]CutRule{{"udp", 10}}, dissect.New())
	if err != nil {
		t.Fatal(err)
	}
	cut := newCutter(rules)
	d := packet.NewDecoder(1, packet.Options{})
	var p packet.Packet
	for i := range 3 * maxCutFlows {
		f := udp(byte(i), uint16(i>>8), []byte{1})
		copy(f[30:], []byte{byte(i >> 16), byte(i >> 8), byte(i), 1})
		d.Decode(f, testStart+int64(i), len(f), &p)
		cut.keep(&p, f)
	}
	if n := len(cut.young) + len(cut.old); n > 2*maxCutFlows {
		t.Errorf("%d flows are remembered", n)
	}
}

// TestSensorCutsAndCounts runs rules through the whole sensor: the index counts in full.
func TestSensorCutsAndCounts(t *testing.T) {
	store := fileStore(t)
	cfg := liveConfig(t)
	cfg.Cut = []CutRule{{"udp", 2000}}
	const n = 3000
	g := &generator{lane: "gen0-0", to: n, packet: func(i int) []byte { return udp(1, uint16(i%3), make([]byte, 500)) }}
	s := newSensor(t, store, cfg, g)
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	packets, wire, captured := uint64(0), uint64(0), 0
	for obj, err := range store.List(t.Context(), "chunks/", "") {
		if err != nil {
			t.Fatal(err)
		}
		r, err := chunk.Open(t.Context(), store, obj.Key)
		if err != nil {
			t.Fatal(err)
		}
		packets += r.Meta().Packets
		wire += r.Meta().Bytes
		if err := r.ReadFlows(context.Background(), func(_ *chunk.FlowEntry, records *chunk.FlowRecords) error {
			var rec chunk.Record
			for {
				err := records.Next(&rec)
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				captured += len(rec.Data)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	whole := 3 * 4 // four packets of 500 bytes in each of three flows
	if want := whole*542 + (n-whole)*42; packets != n || wire != n*542 || captured != want {
		t.Errorf("%d packets of %d bytes, %d captured; want %d, %d, %d", packets, wire, captured, n, n*542, want)
	}
	if st := s.Status().Sealed; st.CutPackets != uint64(n-whole) || st.CutBytes != uint64(n-whole)*500 {
		t.Errorf("status %+v", st)
	}
}

func TestDedup(t *testing.T) {
	v4, v6 := udp(1, 2, []byte("hello, world")), append([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64}, make([]byte, 40)...)
	change := func(b []byte, at int, v byte) []byte {
		c := bytes.Clone(b)
		c[at] ^= v
		return c
	}
	tagged := append(append(bytes.Clone(v4[:12]), 0x81, 0, 0, 5), v4[12:]...)
	all := DedupConfig{Window: 10 * time.Millisecond, IgnoreMAC: true, IgnoreTTL: true}
	exact := DedupConfig{Window: 10 * time.Millisecond}
	for _, c := range []struct {
		name   string
		cfg    DedupConfig
		first  []byte
		second []byte
		after  time.Duration
		want   bool
	}{
		{"off", DedupConfig{}, v4, v4, 0, false},
		{"equal", exact, v4, v4, 0, true},
		{"at the end of the window", exact, v4, v4, 10 * time.Millisecond, true},
		{"after the window", exact, v4, v4, 11 * time.Millisecond, false},
		{"clock stepped back", exact, v4, v4, -time.Hour, false},
		{"another payload", all, v4, change(v4, len(v4)-1, 1), 0, false},
		{"another port", all, v4, change(v4, 35, 1), 0, false},
		{"another MAC", all, v4, change(v4, 3, 1), 0, true},
		{"another MAC, kept", exact, v4, change(v4, 3, 1), 0, false},
		{"a tag", all, v4, tagged, 0, true},
		{"another TTL and checksum", all, v4, change(change(change(v4, 22, 1), 24, 9), 25, 7), 0, true},
		{"another TTL, kept", exact, v4, change(v4, 22, 1), 0, false},
		{"another protocol byte beside TTL", all, v4, change(v4, 23, 1), 0, false},
		{"another hop limit", all, v6, change(v6, 21, 3), 0, true},
		{"another traffic class", all, v6, change(v6, 15, 0x10), 0, false},
	} {
		d := newDeduper(c.cfg, 1)
		a, b := bytes.Clone(c.first), bytes.Clone(c.second)
		if d.duplicate(testStart, len(a), a) {
			t.Errorf("%s: the first packet is a duplicate", c.name)
		}
		wire := len(b)
		if got := d.duplicate(testStart+int64(c.after), wire, b); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if !bytes.Equal(a, c.first) || !bytes.Equal(b, c.second) {
			t.Errorf("%s: the packet was changed", c.name)
		}
	}
}

func TestSensorLeavesOutDuplicates(t *testing.T) {
	store := fileStore(t)
	cfg := liveConfig(t)
	cfg.Dedup.Window = 5 * time.Millisecond
	const n = 5000
	// Each packet comes twice, 1 ms apart, the second time with another TTL.
	g := &generator{lane: "gen0-0", to: 2 * n, time: func(i int) int64 { return testStart + int64(i)*500_000 }, packet: func(i int) []byte {
		b := numbered(i / 2)
		if i%2 == 1 {
			b[22]--
		}
		return b
	}}
	s := newSensor(t, store, cfg, g)
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	readArchive(t, store).wantPackets(t, n, 0)
	if d := s.Status().Drops; d.Duplicates != n || d.Lost() != 0 {
		t.Errorf("drops %+v", d)
	}
}

// FuzzDedup hashes any bytes of any link type.
func FuzzDedup(f *testing.F) {
	f.Add(uint32(1), udp(1, 2, []byte("x")))
	f.Add(uint32(113), make([]byte, 60))
	f.Add(uint32(101), []byte{0x60})
	f.Fuzz(func(t *testing.T, linkType uint32, b []byte) {
		d := newDeduper(DedupConfig{Window: time.Second, IgnoreMAC: true, IgnoreTTL: true}, linkType)
		before := bytes.Clone(b)
		if d.duplicate(1, len(b), b) || !d.duplicate(2, len(b), b) || !bytes.Equal(b, before) {
			t.Fatal("a packet is not its own duplicate")
		}
	})
}

var _ capture.Source = (*generator)(nil)
