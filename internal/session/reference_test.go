package session

import (
	"slices"
	"strings"
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/packet"
	"wirelake/internal/spi"
)

// TestJoinExchange holds that the reference's documents tell a DHCP exchange as one session.
func TestJoinExchange(t *testing.T) {
	message := func(op, client byte, typ byte) string {
		return string([]byte{op, 1, 6, 0, 1, 2, 3, 4}) + strings.Repeat("\x00", 20) + string([]byte{2, 0, 0, 0, 0, client}) +
			strings.Repeat("\x00", 202) + "\x63\x82\x53\x63\x35\x01" + string([]byte{typ, 0xff}) + strings.Repeat("\x00", 60)
	}
	const broadcast, server, given = 0xffff, 1, 9
	frames := []frame{
		udpFrame(1*sec, 0, broadcast, 68, 67, message(1, 7, 1)),
		udpFrame(2*sec, server, given, 67, 68, message(2, 7, 2)),
		udpFrame(3*sec, 0, broadcast, 68, 67, message(1, 7, 3)),
		udpFrame(4*sec, server, given, 67, 68, message(2, 7, 5)),
		udpFrame(5*sec, server, given+1, 67, 68, message(2, 8, 5)), // of another client
	}
	for _, c := range []struct {
		reference bool
		want      int
	}{{false, 3}, {true, 2}} {
		cfg := DefaultConfig()
		cfg.Reference = c.reference
		b, docs := collect(t, cfg)
		for i, p := range decodeFrames(t, frames) {
			b.Packet(&p, Position{Chunk: 1, Length: 1, Offset: uint64(i)})
		}
		b.Flush()
		if len(docs) != c.want {
			t.Errorf("reference %v: got %d sessions, want %d", c.reference, len(docs), c.want)
		}
	}
}

// TestLeave2038 holds that the reference saves a TCP session in front of its first packet after 2038-01-19.
func TestLeave2038(t *testing.T) {
	const before, after = 1259261324 * sec, 2164247948 * sec
	cfg := DefaultConfig()
	cfg.Reference = true
	b, docs := collect(t, cfg)
	for i, p := range decodeFrames(t, []frame{
		tcpFrame(before, 1, 2, 40000, 179, fPSH, 100, 1, "one"),
		tcpFrame(after, 1, 2, 40000, 179, fPSH, 103, 1, "two"),
		tcpFrame(after+sec, 1, 2, 40000, 179, fPSH, 106, 1, "three"),
	}) {
		b.Packet(&p, Position{Chunk: 1, Length: 1, Offset: uint64(i)})
	}
	b.Flush()
	var packets []int64
	for _, d := range docs {
		packets = append(packets, d.packets)
	}
	slices.Sort(packets)
	if !slices.Equal(packets, []int64{1, 2}) {
		t.Errorf("got documents of %d packets, want 2 and 1", packets)
	}
}

// TestReferenceFragments holds that fragments that make no datagram are no session of the reference's.
func TestReferenceFragments(t *testing.T) {
	for _, c := range []struct {
		reference bool
		want      int
	}{{false, 1}, {true, 0}} {
		cfg := DefaultConfig()
		cfg.Reference = c.reference
		b, docs := collect(t, cfg)
		first := with(udpFrame(sec, 1, 2, 4000, 5000, "12345678"), 20, 0x20)
		for _, p := range decodeFrames(t, []frame{first}) {
			b.Packet(&p, Position{Chunk: 1, Length: 1})
		}
		b.Flush()
		if len(docs) != c.want {
			t.Errorf("reference %v: got %d sessions, want %d", c.reference, len(docs), c.want)
		}
	}
}

// TestReferenceLinks holds that the reference tells addresses of links of Ethernet's captures only.
func TestReferenceLinks(t *testing.T) {
	f := udpFrame(sec, 1, 2, 4000, 5000, "a")
	cooked := append([]byte("\x00\x00\x00\x01\x00\x06\x02\x00\x00\x00\x00\x01\x00\x00\x08\x00"), f.data[14:]...)
	for _, reference := range []bool{false, true} {
		cfg := DefaultConfig()
		cfg.Reference = reference
		b := New(dissect.New(), cfg, nil, func(s *Session) {
			if has := s.Doc.Has(spi.SourceMAC); has == reference {
				t.Errorf("reference %v: has an address: %v", reference, has)
			}
		})
		var p packet.Packet
		packet.NewDecoder(packet.LinkSLL, packet.Options{}).Decode(cooked, f.nanos, len(cooked), &p)
		b.Packet(&p, Position{Chunk: 1, Length: 1})
		b.Flush()
	}
}
