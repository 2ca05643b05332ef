package capture

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"wirelake/internal/packet"
	"wirelake/internal/pcapfile/pcaptest"
	"wirelake/testenv"
)

// tun makes an interface of the hardware type given, whose other end is the file: what is written to it, behind 2 bytes of
// flags and 2 of the protocol, comes in.
func tun(t testing.TB, name string, arphrd int) *os.File {
	t.Helper()
	testenv.NeedNamespace(t)
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("/dev/net/tun: %v: this test needs the kernel's tun interfaces", err)
	}
	f := os.NewFile(uintptr(fd), "tun")
	t.Cleanup(func() { f.Close() })
	r, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	r.SetUint16(unix.IFF_TUN)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, r); err != nil {
		t.Fatal("TUNSETIFF:", err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETLINK, arphrd); err != nil {
		t.Fatal("TUNSETLINK:", err)
	}
	testenv.LinkUp(t, name)
	return f
}

// TestLinkTypes captures from interfaces of other hardware types, beside tcpdump, which takes the same link type for each.
func TestLinkTypes(t *testing.T) {
	v4 := ip4("10.0.0.1", "10.0.0.2", 17, 0, udp(1, 53, make([]byte, 30)))
	v6 := ip6("fd00::1", "fd00::2", 17, udp(1, 53, make([]byte, 30)))
	radiotap := join([]byte{0, 0, 8, 0, 0, 0, 0, 0}, []byte{0x80, 0, 0, 0}, make([]byte, 40)) // a beacon without its body
	for _, c := range []struct {
		name     string
		arphrd   int
		linkType uint32
		filters  map[string]int // packets of those below that each takes
	}{
		{"tn0", unix.ARPHRD_NONE, packet.LinkRaw, map[string]int{"": 2, "udp port 53": 2, "ip6": 1, "src host 10.0.0.1": 1}},
		{"tn1", unix.ARPHRD_PPP, packet.LinkSLL, map[string]int{"": 2, "udp port 53": 2, "ip6": 1, "src host 10.0.0.1": 1, "dst port 54": 0}},
		{"tn2", unix.ARPHRD_IEEE80211_RADIOTAP, packet.Link80211Radio, map[string]int{"": 3, "wlan type mgt subtype beacon": 1}},
	} {
		for filter, n := range c.filters {
			t.Run(c.name+" "+filter, func(t *testing.T) {
				f := tun(t, c.name, c.arphrd)
				w := testenv.NewWitness(t, c.name, filter)
				rec := newRecorder(t)
				cfg := smallRing()
				cfg.Filter, cfg.Workers = filter, 2
				end := capturing(t, newAFPacket(t, c.name, cfg), rec.Open)
				for _, p := range []struct {
					protocol uint16
					data     []byte
				}{{unix.ETH_P_IP, v4}, {unix.ETH_P_IPV6, v6}, {unix.ETH_P_802_2, radiotap}} {
					if p.protocol == unix.ETH_P_802_2 && c.arphrd != unix.ARPHRD_IEEE80211_RADIOTAP {
						continue
					}
					if _, err := f.Write(join(u16(0), u16(p.protocol), p.data)); err != nil {
						t.Fatal(err)
					}
				}
				want := witnessed(t, w, n)
				end()
				var got []Record
				for _, lane := range rec.names() {
					l := rec.lane(lane)
					got = append(got, l.packets...)
					if l.iface.LinkType != c.linkType {
						t.Errorf("link type %d, want %d", l.iface.LinkType, c.linkType)
					}
				}
				if len(got) != n {
					t.Errorf("%d packets, want %d", len(got), n)
				}
				wantSame(t, got, want)
				if l := linkTypeOfFile(t, w.Path); l != c.linkType {
					t.Errorf("tcpdump has link type %d, want %d", l, c.linkType)
				}
			})
		}
	}
}

func linkTypeOfFile(t testing.TB, path string) uint32 {
	t.Helper()
	return pcaptest.Open(t, path).Interfaces()[0].LinkType
}
