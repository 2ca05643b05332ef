package session

import (
	"net/netip"
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/packet"
	"wirelake/internal/spi"
)

// filledElsewhere are the fields of all sessions that no packet fills, with who does.
func filledElsewhere() map[string]string {
	const (
		places     = "the compactor: where the packets are in the store"
		rules      = "the rules, which are evaluated over the finished document"
		indicators = "the indicator lists, likewise"
	)
	return map[string]string{
		"chunk.key": places, "chunk.linktype": places, "chunk.offset": places, "chunk.length": places,
		"chunk.skip": places, "chunk.size": places, "chunk.packets": places,
		"capture.loss": "the compactor: what the sensor counted while the chunk was made",
		"rule.name":    rules, "indicator.list": indicators, "indicator.entry": indicators,
	}
}

// place is a Lookup that knows one place.
type place struct{}

func (place) Lookup(netip.Addr) (string, uint32, string) { return "CH", 64496, "Example" }

// tunnelled puts an Ethernet frame into VXLAN network 99 (RFC 7348), behind an 802.1ad and an 802.1Q tag.
func tunnelled(f frame) frame {
	out := udpFrame(f.nanos, 7, 8, 50000, 4789, "\x08\x00\x00\x00\x00\x00\x63\x00"+string(f.data))
	tags := "\x88\xa8\x00\xc8\x81\x00\x00\x64"
	out.data = append(append(append([]byte(nil), out.data[:12]...), tags...), out.data[12:]...)
	return out
}

// TestFields holds that each field of all sessions is filled from packets, save those that others fill.
func TestFields(t *testing.T) {
	filled := filledElsewhere()
	cfg := DefaultConfig()
	cfg.Lane, cfg.Sensor, cfg.File, cfg.Reference = "lane", "sensor", "a.pcap", true
	cfg.SegmentPackets = 4
	b := New(dissect.New(), cfg, place{}, func(s *Session) {
		for _, v := range s.Doc.Values() {
			filled[s.Doc.Registry().Field(v.Field).Path] = "a packet"
		}
	})
	frames := talk(1_700_000_000*sec, 1, 2, 40000, 80, true, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nbody")
	login := talk(1_700_000_000*sec, 3, 4, 40000, 21, false, "USER me\r\nPASS x\r\n", "331 go\r\n")
	for i := range frames {
		frames[i].data[15] = 46 << 2 // a DSCP (RFC 3246)
	}
	d := packet.NewDecoder(1, packet.Options{})
	for _, f := range append(append(frames, login...), tunnelled(frames[0])) {
		f.cut = 3
		var p packet.Packet
		f.decode(d, &p)
		p.Comment = "seen"
		b.Packet(&p, Position{Chunk: 1, Length: 1})
	}
	b.Flush()
	for _, f := range spi.NewRegistry().Fields() {
		if filled[f.Path] == "" {
			t.Errorf("no packet fills %s", f.Path)
		}
	}
}
