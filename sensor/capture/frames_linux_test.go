package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"wirelake/internal/pcapfile"
)

// Parts of frames, put together by join.

var (
	macA = []byte{0x02, 0, 0, 0, 0, 0x0a}
	macB = []byte{0x02, 0, 0, 0, 0, 0x0b}
)

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func u16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

// ether is an Ethernet header up to and with the type; reverse swaps the ends.
func ether(reverse bool, typ uint16) []byte {
	if reverse {
		return join(macA, macB, u16(typ))
	}
	return join(macB, macA, u16(typ))
}

// tag is what follows an ethertype that says VLAN: the TCI, and the next type.
func tag(tci, typ uint16) []byte { return join(u16(tci), u16(typ)) }

// ip4 is an IPv4 packet (RFC 791); frag are the flags and the offset.
func ip4(src, dst string, proto byte, frag uint16, payload []byte) []byte {
	h := make([]byte, 20)
	h[0], h[8], h[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(payload)))
	binary.BigEndian.PutUint16(h[6:], frag)
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	copy(h[12:], s[:])
	copy(h[16:], d[:])
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum))
	return join(h, payload)
}

// ip6 is an IPv6 packet (RFC 8200).
func ip6(src, dst string, next byte, payload []byte) []byte {
	h := make([]byte, 40)
	h[0], h[6], h[7] = 0x60, next, 64
	binary.BigEndian.PutUint16(h[4:], uint16(len(payload)))
	s, d := netip.MustParseAddr(src).As16(), netip.MustParseAddr(dst).As16()
	copy(h[8:], s[:])
	copy(h[24:], d[:])
	return join(h, payload)
}

// udp is a UDP datagram without checksum (RFC 768).
func udp(src, dst uint16, payload []byte) []byte {
	return join(u16(src), u16(dst), u16(uint16(8+len(payload))), u16(0), payload)
}

// numbered is a UDP frame with a number in it.
func numbered(port uint16, n int) []byte {
	return join(ether(false, 0x0800), ip4("10.9.0.1", "10.9.0.2", 17, 0, udp(1000, port, fmt.Appendf(make([]byte, 0, 64), "number %9d%30s", n, ""))))
}

// numberOf reads the number of such a frame.
func numberOf(t testing.TB, frame []byte) (n int) {
	t.Helper()
	i := bytes.Index(frame, []byte("number "))
	if i < 0 {
		t.Fatalf("frame without number: %x", frame)
	}
	if _, err := fmt.Sscanf(string(frame[i:]), "number %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// whole is a record's frame with its VLAN tag where it was.
func whole(r Record) []byte {
	if r.VLAN == 0 {
		return bytes.Clone(r.Data)
	}
	return join(r.Data[:12], u16(uint16(r.VLAN>>16)), u16(uint16(r.VLAN)), r.Data[12:])
}

// readPcap returns the whole records of a capture file that may be growing.
func readPcap(t testing.TB, path string) (all []Record) {
	t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapfile.NewReader(f, path)
	if err != nil {
		return nil // its header is not written yet
	}
	defer r.Close()
	var rec pcapfile.Record
	for {
		err := r.Next(&rec)
		var cut *pcapfile.TruncatedError
		if errors.Is(err, io.EOF) || errors.As(err, &cut) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Record{TimeNanos: rec.TimeNanos, WireLen: rec.WireLen, Data: bytes.Clone(rec.Data)})
	}
}

// wantSame compares what was captured with what the witness has: content, length on the wire and, within a moment, time.
// The order of packets that two processors handle at once is no part of it.
func wantSame(t testing.TB, got, want []Record) {
	t.Helper()
	type seen struct{ got, want []int64 }
	all := map[string]*seen{}
	at := func(r Record, wire int) *seen {
		k := fmt.Sprintf("%d %x", wire, whole(r))
		if all[k] == nil {
			all[k] = &seen{}
		}
		return all[k]
	}
	for _, r := range got {
		wire := r.WireLen
		if r.VLAN != 0 {
			wire += 4
		}
		s := at(r, wire)
		s.got = append(s.got, r.TimeNanos)
	}
	for _, r := range want {
		s := at(r, r.WireLen)
		s.want = append(s.want, r.TimeNanos)
	}
	bad := 0
	for k, s := range all {
		if len(s.got) != len(s.want) {
			t.Errorf("captured %d times, the witness has it %d times: length on the wire and frame %.200s", len(s.got), len(s.want), k)
			bad++
			continue
		}
		slices.Sort(s.got)
		slices.Sort(s.want)
		for i := range s.got {
			if off := s.got[i] - s.want[i]; off > 50e6 || off < -50e6 {
				t.Errorf("time is %d ns off the witness's: %.200s", off, k)
				bad++
			}
		}
		if bad > 10 {
			t.FailNow()
		}
	}
	if len(got) != len(want) {
		t.Errorf("captured %d packets, the witness %d", len(got), len(want))
	}
}

// describe names a frame in short.
func describe(f []byte) string {
	return strings.TrimSpace(fmt.Sprintf("%d bytes %.60x", len(f), f))
}
