package capture

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"wirelake/testenv"
)

// conversation returns frames of a flow and their reverse, of which all must be in one lane.
type conversation struct {
	name   string
	frames func(a4, b4, a6, b6 string, reverse bool) [][]byte
}

// conversations are flows in all that the fan-out looks through. Outer addresses of mirrored traffic differ by direction.
func conversations() []conversation {
	body := udp(1111, 2222, make([]byte, 40))
	pair := func(a, b string, reverse bool) (string, string) {
		if reverse {
			return b, a
		}
		return a, b
	}
	v4 := func(a, b string, r bool) []byte {
		s, d := pair(a, b, r)
		return ip4(s, d, 17, 0, body)
	}
	v6 := func(a, b string, r bool) []byte {
		s, d := pair(a, b, r)
		return ip6(s, d, 17, body)
	}
	mirror := func(r bool, port uint16, head []byte, inner []byte) []byte {
		source := "192.0.2.1"
		if r {
			source = "192.0.2.77"
		}
		return join(ether(false, 0x0800), ip4(source, "192.0.2.200", 17, 0, udp(5555, port, join(head, inner))))
	}
	vxlan := []byte{8, 0, 0, 0, 0, 0, 7, 0}
	return []conversation{
		{"IPv4", func(a4, b4, _, _ string, r bool) [][]byte {
			s, d := pair(a4, b4, r)
			return [][]byte{
				join(ether(r, 0x0800), v4(a4, b4, r)),
				join(ether(r, 0x0800), ip4(s, d, 6, 0, make([]byte, 20))), // any protocol and port
				join(ether(r, 0x0800), ip4(s, d, 17, 0x2000, body)),       // first fragment
				join(ether(r, 0x0800), ip4(s, d, 17, 6, make([]byte, 8))), // last fragment
				join(ether(r, 0x0800), ip4(s, d, 17, 0, udp(1, 4789, []byte("no VXLAN")))),
				join(ether(r, 0x0800), ip4(s, d, 17, 0, udp(1, 4789, make([]byte, 90)))),
				join(ether(r, 0x0800), ip4(s, d, 17, 0, udp(1, 4789, bytes.Repeat([]byte{0xff}, 90)))),
				join(ether(r, 0x0800), ip4(s, d, 17, 0, udp(1, 6081, bytes.Repeat([]byte{0xff}, 90)))),
				join(ether(r, 0x0800), ip4(s, d, 17, 0, udp(1, 6081, bytes.Repeat([]byte{0x3f}, 90)))),
				join(ether(r, 0x0800), ip4(s, d, 17, 0, nil)[:24-4]),
				join(ether(r, 0x8100), tag(42, 0x0800), v4(a4, b4, r)),
				join(ether(r, 0x88a8), tag(100, 0x8100), tag(42, 0x0800), v4(a4, b4, r)),
				join(ether(r, 0x8100), tag(1, 0x8100), tag(2, 0x8100), tag(3, 0x0800), v4(a4, b4, r)),
				join(ether(r, 0x8847), []byte{0, 1, 0x00, 64, 0, 2, 0x11, 64}, v4(a4, b4, r)),
				join(ether(r, 0x8864), []byte{0x11, 0, 0, 1, 0, 70, 0x00, 0x21}, v4(a4, b4, r)),
				mirror(r, 4789, vxlan, join(ether(r, 0x0800), v4(a4, b4, r))),
				mirror(r, 8472, vxlan, join(ether(r, 0x8100), tag(42, 0x0800), v4(a4, b4, r))),
				mirror(r, 6081, []byte{0, 0, 0x65, 0x58, 0, 0, 7, 0}, join(ether(r, 0x0800), v4(a4, b4, r))),
				mirror(r, 6081, append([]byte{2, 0, 0x08, 0x00, 0, 0, 7, 0}, make([]byte, 8)...), v4(a4, b4, r)), // two words of options
				join(ether(r, 0x8100), tag(9, 0x0800), mirror(r, 4789, vxlan, join(ether(r, 0x0800), v4(a4, b4, r)))[14:]),
			}
		}},
		{"IPv6", func(_, _, a6, b6 string, r bool) [][]byte {
			s, d := pair(a6, b6, r)
			return [][]byte{
				join(ether(r, 0x86dd), v6(a6, b6, r)),
				join(ether(r, 0x86dd), ip6(s, d, 44, append([]byte{17, 0, 0, 1, 0, 0, 0, 1}, body...))), // a fragment
				join(ether(r, 0x8100), tag(42, 0x86dd), v6(a6, b6, r)),
				join(ether(r, 0x88a8), tag(100, 0x8100), tag(42, 0x86dd), v6(a6, b6, r)),
				join(ether(r, 0x8847), []byte{0, 1, 0x11, 64}, v6(a6, b6, r)),
				join(ether(r, 0x8864), []byte{0x11, 0, 0, 1, 0, 90, 0x00, 0x57}, v6(a6, b6, r)),
				mirror(r, 4789, vxlan, join(ether(r, 0x86dd), v6(a6, b6, r))),
				join(ether(r, 0x86dd), ip6("fd01::1", "fd01::2", 17, udp(5, 4789, join(vxlan, ether(r, 0x86dd), v6(a6, b6, r))))),
			}
		}},
	}
}

// TestFanout sends conversations both ways, into the interface and out of it, and holds that each is in one lane.
func TestFanout(t *testing.T) {
	testenv.Veth(t, "oa0", "ob0")
	const workers, flows = 4, 32
	c := smallRing()
	c.Workers = workers
	rec := newRecorder(t)
	source := newAFPacket(t, "oa0", c)
	end := capturing(t, source, rec.Open)
	in, out := newSender(t, "ob0"), newSender(t, "oa0")
	var expected []string // flow of the packet with this number
	used := map[string]int{}
	sendAll := func() {
		for i := range flows {
			a4, b4 := fmt.Sprintf("10.1.%d.%d", i/7, i), fmt.Sprintf("10.2.0.%d", i*3%11+1)
			a6, b6 := fmt.Sprintf("fd00::%x", i+1), fmt.Sprintf("fd00:2::%x", i*3%11+1)
			for _, conv := range conversations() {
				for _, reverse := range []bool{false, true} {
					for _, f := range conv.frames(a4, b4, a6, b6, reverse) {
						flow := fmt.Sprintf("%s %d", conv.name, i)
						// A number behind the packet, which its headers do not count, tells what it is of.
						f = join(f, fmt.Appendf(nil, "number %6d", len(expected)))
						expected = append(expected, flow)
						in.send(f)
						f = bytes.Clone(f)
						copy(f[len(f)-6:], fmt.Sprintf("%6d", len(expected)))
						expected = append(expected, flow)
						out.send(f)
					}
				}
			}
		}
	}
	sendAll()
	// Down and up again, the kernel makes the group anew: lanes stay what they were.
	testenv.Run(t, "ip", "link", "set", "oa0", "down")
	testenv.LinkUp(t, "oa0")
	for _, name := range []string{"oa0", "ob0"} { // the carrier comes back with a delay
		waitFor(t, name+" to be up", func() bool { return strings.Contains(testenv.Run(t, "ip", "link", "show", name), "state UP") })
	}
	waitFor(t, "the source to be up", func() bool { return source.State().Up })
	sendAll()
	end()
	laneOf, total := map[string]string{}, 0
	for _, lane := range rec.names() {
		for _, r := range rec.lane(lane).packets {
			flow := expected[numberOf(t, r.Data)]
			if was, ok := laneOf[flow]; ok && was != lane {
				t.Errorf("%s: in lanes %s and %s: %s", flow, was, lane, describe(whole(r)))
			}
			laneOf[flow] = lane
			total++
		}
	}
	for _, lane := range laneOf {
		used[lane]++
	}
	if total != len(expected)-in.lost()-out.lost() || len(used) != workers {
		t.Errorf("captured %d packets of %d, flows by lane %v", total, len(expected), used)
	}
	for lane, n := range used {
		if n < 2*flows/workers/3 || n > 2*flows/workers*2 {
			t.Errorf("lane %s has %d of %d flows: spread badly", lane, n, 2*flows)
		}
	}
}

func TestWorkerLane(t *testing.T) {
	for _, c := range []struct {
		name   string
		worker int
		want   string
	}{
		{"eth0", 0, "eth0-0"},
		{"enp3s0f1.100", 11, "enp3s0f1.100-11"},
		{"br-lan_2", 1, "br-lan_2-1"},
		{"Eth0", 0, "xth0-510c60c4-0"},
		{"wlan0@x", 0, "wlan0_x-d6dbee5b-0"},
		{"-x", 2, "xx-4bcd60c0-2"},
	} {
		if got := workerLane(c.name, c.worker); got != c.want {
			t.Errorf("lane of %s: %s, want %s", c.name, got, c.want)
		}
	}
}
