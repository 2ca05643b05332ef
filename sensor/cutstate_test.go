package sensor

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"reflect"
	"testing"
	"time"

	"wirelake/internal/dissect"
	"wirelake/internal/packet"
)

func rulesOf(t testing.TB, rules ...CutRule) *cutRules {
	t.Helper()
	r, err := compileCutRules(rules, dissect.New())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// vectorCutter knows one flow that a rule cuts, and two that need not be kept.
func vectorCutter(t testing.TB) *cutter {
	t.Helper()
	c := newCutter(rulesOf(t, CutRule{"tls", 5120}))
	d := packet.NewDecoder(1, packet.Options{})
	for i, f := range []cutFlow{
		{bytes: 6000, limit: 5120, decided: true, looked: 1, protocols: []string{"tls"}},
		{bytes: 10, limit: -1, decided: true},
		{bytes: 10, limit: 5120, looked: 1},
	} {
		var p packet.Packet
		d.Decode(udp(1, uint16(i), []byte("x")), 1, 43, &p)
		c.young[p.Key] = &f
	}
	c.since = 1_700_000_000_000_000_000
	return c
}

// flowsVector is the test vector of docs/spool-format.md.
const flowsVector = "574c464c4f57530001000000010000000c33baafc22c0d9300002a36fe9c97170a000001000000000000000000000000" +
	"0a000101000000000000000000000000409c35001104701700000000000000140000000000000103746c7326cda04a"

func TestFlowsVector(t *testing.T) {
	c := vectorCutter(t)
	b := c.appendState(nil)
	if got := hex.EncodeToString(b); got != flowsVector {
		t.Errorf("got  %s\nwant %s", got, flowsVector)
	}
	again := newCutter(c.rules)
	if err := again.setState(b); err != nil {
		t.Fatal(err)
	}
	if len(again.young) != 1 || again.since != c.since {
		t.Fatalf("%d flows since %d", len(again.young), again.since)
	}
	for k, f := range again.young {
		want := *c.young[k]
		want.looked = 0
		if !reflect.DeepEqual(*f, want) {
			t.Errorf("%+v, want %+v", *f, want)
		}
	}
}

// TestFlowsOfOtherRules decides flows anew by what was recognized and counted.
func TestFlowsOfOtherRules(t *testing.T) {
	was := vectorCutter(t)
	c := newCutter(rulesOf(t, CutRule{"tls", 7000}))
	if err := c.setState(was.appendState(nil)); err != nil {
		t.Fatal(err)
	}
	frame := udp(1, 0, make([]byte, 900))
	var p packet.Packet
	packet.NewDecoder(1, packet.Options{}).Decode(frame, was.since+1, len(frame), &p)
	for i, want := range []int{len(frame), len(frame), 42} { // 6000, 6900, 7800
		if n := c.keep(&p, frame); n != want {
			t.Errorf("packet %d is cut to %d, want %d", i, n, want)
		}
	}
}

// TestDamagedFlows takes nothing of a file that is cut or changed anywhere.
func TestDamagedFlows(t *testing.T) {
	b := vectorCutter(t).appendState(nil)
	c := vectorCutter(t)
	before := maps.Clone(c.young)
	for i := range b {
		changed := append([]byte(nil), b...)
		changed[i] ^= 0x10
		for what, damaged := range map[string][]byte{"cut": b[:i], "changed": changed} {
			if err := c.setState(damaged); !errors.Is(err, errFlows) || !maps.Equal(c.young, before) {
				t.Errorf("%s at %d: %v", what, i, err)
			}
		}
	}
}

// TestCutsOverRestarts cuts flows where they were cut in one run, however often the sensor is started anew.
func TestCutsOverRestarts(t *testing.T) {
	const n = 3000
	for _, runs := range []int{1, 2, 5} {
		t.Run(fmt.Sprintf("%d runs", runs), func(t *testing.T) {
			store, cfg := fileStore(t), liveConfig(t)
			cfg.Cut = []CutRule{{"udp", 2000}}
			cut := uint64(0)
			for run := range runs {
				s := newSensor(t, store, cfg, &generator{lane: "gen0-0", from: run * n / runs, to: (run + 1) * n / runs, packet: func(i int) []byte { return udp(1, uint16(i%3), make([]byte, 500)) }})
				if err := s.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				cut += s.Status().Sealed.CutPackets
			}
			if want := uint64(n - 3*4); cut != want { // four packets of 500 bytes in each of three flows
				t.Errorf("%d packets are cut, want %d", cut, want)
			}
		})
	}
}

// FuzzFlows reads any bytes.
func FuzzFlows(f *testing.F) {
	b := vectorCutter(f).appendState(nil)
	f.Add(b[:len(b)-4])
	rules := rulesOf(f, CutRule{"tls", 5120})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := newCutter(rules)
		if err := c.setState(withSum(b)); err == nil {
			again := newCutter(rules)
			if err := again.setState(c.appendState(nil)); err != nil {
				t.Error(err)
			}
		} else if !errors.Is(err, errFlows) {
			t.Error(err)
		}
	})
}

// BenchmarkFlows writes and reads what is remembered of many flows.
func BenchmarkFlows(b *testing.B) {
	c := newCutter(rulesOf(b, CutRule{"tls", 5120}))
	for i := range maxKeptFlows {
		k := packet.Key{PortA: uint16(i), PortB: uint16(i >> 16), Proto: 6, Kind: packet.KindIPv4} //nolint:gosec // cut
		c.young[k] = &cutFlow{bytes: 6000, limit: 5120, decided: true, protocols: []string{"tls"}}
	}
	c.since = time.Now().UnixNano()
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		out = c.appendState(out[:0])
		if err := c.setState(out); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(out)))
}

// withSum ends b with the checksum that it should have.
func withSum(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(append([]byte(nil), b...), crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}
