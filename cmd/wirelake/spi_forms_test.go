package main

import (
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSPIForms holds that captures of every form give documents, or none, in the layout that others read: those
// without packets, of ARP or IPv6 alone, cut short, with times in nanoseconds, of several interfaces.
func TestSPIForms(t *testing.T) {
	const ethernet, raw, sll = 1, 101, 113
	le, be := binary.LittleEndian, binary.BigEndian
	udp := func(port uint16) []byte {
		query := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01"
		b := be.AppendUint16(be.AppendUint16(nil, port), 53)
		return append(be.AppendUint32(b, uint32(8+len(query))<<16), query...)
	}
	ip4 := func(l4 []byte) []byte {
		h := be.AppendUint16([]byte{0x45, 0}, uint16(20+len(l4))) //nolint:gosec // a query
		return slices.Concat(h, []byte{0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}, l4)
	}
	ip6 := func(l4 []byte) []byte {
		src, dst := netip.MustParseAddr("2001:db8::1").As16(), netip.MustParseAddr("2001:db8::2").As16()
		h := be.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(l4))) //nolint:gosec // a query
		return slices.Concat(h, []byte{17, 64}, src[:], dst[:], l4)
	}
	frame := func(ethertype uint16, payload []byte) []byte {
		return append(be.AppendUint16([]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02"), ethertype), payload...)
	}
	pcap := func(order binary.AppendByteOrder, magic, link uint32, snap int, packets ...[]byte) []byte {
		b := order.AppendUint16(order.AppendUint16(order.AppendUint32(nil, magic), 2), 4)
		for _, n := range []uint32{0, 0, 65535, link} {
			b = order.AppendUint32(b, n)
		}
		for _, p := range packets {
			cut := p[:min(len(p), snap)]
			for _, n := range []uint32{1_700_000_000, 123_456, uint32(len(cut)), uint32(len(p))} { //nolint:gosec // small
				b = order.AppendUint32(b, n)
			}
			b = append(b, cut...)
		}
		return b
	}
	block := func(kind uint32, body []byte) []byte {
		body = append(body, make([]byte, -len(body)&3)...)
		n := uint32(12 + len(body)) //nolint:gosec // small
		return le.AppendUint32(append(le.AppendUint32(le.AppendUint32(nil, kind), n), body...), n)
	}
	section := block(0x0a0d0d0a, append(le.AppendUint16(le.AppendUint16(le.AppendUint32(nil, 0x1a2b3c4d), 1), 0), "\xff\xff\xff\xff\xff\xff\xff\xff"...))
	iface := func(link uint16, options string) []byte {
		return block(1, append(le.AppendUint32(le.AppendUint32(nil, uint32(link)), 0), options...))
	}
	packet := func(iface uint32, at uint64, p []byte) []byte {
		b := le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, iface), uint32(at>>32)), uint32(at)) //nolint:gosec // halves
		n := uint32(len(p))                                                                            //nolint:gosec // small
		return block(6, append(le.AppendUint32(le.AppendUint32(b, n), n), p...))
	}
	arp := frame(0x0806, []byte("\x00\x01\x08\x00\x06\x04\x00\x02\x02\x00\x00\x00\x00\x02\xc0\x00\x02\x01\x02\x00\x00\x00\x00\x01\xc0\x00\x02\x02"))
	query := frame(0x0800, ip4(udp(4000)))
	const micro, nano, whole = 0xa1b2c3d4, 0xa1b23c4d, 1 << 16
	for name, tt := range map[string]struct {
		file []byte
		want []string // protocols of each session, and its first packet
	}{
		"no packets":                      {pcap(le, micro, ethernet, whole), nil},
		"no interfaces":                   {section, nil},
		"ARP alone":                       {pcap(le, micro, ethernet, whole, arp, arp), []string{"arp 1700000000123"}},
		"IPv6 alone":                      {pcap(le, micro, ethernet, whole, frame(0x86dd, ip6(udp(4000)))), []string{"dns udp 1700000000123"}},
		"cut within Ethernet":             {pcap(le, micro, ethernet, 10, query), []string{"corrupt-ether 1700000000123"}},
		"cut within IP":                   {pcap(le, micro, ethernet, 30, query), []string{"corrupt-ip 1700000000123"}},
		"cut within the query":            {pcap(le, micro, ethernet, 50, query), []string{"udp 1700000000123"}},
		"nanoseconds":                     {pcap(le, nano, ethernet, whole, query), []string{"dns udp 1700000000000"}},
		"nanoseconds, big endian":         {pcap(be, nano, ethernet, whole, query), []string{"dns udp 1700000000000"}},
		"a link type that nobody decodes": {pcap(le, micro, 147, whole, query), []string{"unknown-link 1700000000123"}},
		"interfaces of three link types, times and all": {slices.Concat(section, iface(ethernet, ""), iface(raw, "\x09\x00\x01\x00\x09\x00\x00\x00\x00\x00\x00\x00"), iface(sll, ""),
			packet(0, 1_700_000_000_123_456, query), packet(1, 1_700_000_001_123_456_789, ip4(udp(4001))),
			packet(2, 1_700_000_002_000_000, slices.Concat([]byte("\x00\x00\x00\x01\x00\x06\x02\x00\x00\x00\x00\x02\x00\x00\x08\x00"), ip4(udp(4002))))),
			[]string{"dns udp 1700000000123", "dns udp 1700000001123", "dns udp 1700000002000"}},
	} {
		for _, reference := range []string{"--reference", "--reference=false"} {
			file := filepath.Join(t.TempDir(), "capture")
			if err := os.WriteFile(file, tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := runCLI(t, "spi", reference, file)
			var out struct {
				Sessions3 *[]struct {
					Body struct {
						Protocol    []string
						FirstPacket json.Number
					}
				}
			}
			if err := json.Unmarshal([]byte(stdout), &out); err != nil || code != exitOK || out.Sessions3 == nil {
				t.Errorf("%s, %s: exit code %d, %v, %s%s", name, reference, code, err, stdout, stderr)
				continue
			}
			var got []string
			for _, s := range *out.Sessions3 {
				slices.Sort(s.Body.Protocol)
				got = append(got, strings.Join(append(s.Body.Protocol, s.Body.FirstPacket.String()), " "))
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s, %s: got %q, want %q", name, reference, got, tt.want)
			}
		}
	}
}
