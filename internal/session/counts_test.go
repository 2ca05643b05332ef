package session

import (
	"path/filepath"
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/packet"
	"wirelake/internal/pcapfile/pcaptest"
	"wirelake/internal/spi"
)

// counted is what is counted of a flow.
type counted struct{ packets, bytes, client, server, data int64 }

// countsOf makes sessions of the frames and returns what is counted of each flow.
func countsOf(set *dissect.Set, cfg Config, link uint32, frames []frame) map[packet.Key]counted {
	out := map[packet.Key]counted{}
	b := New(set, cfg, nil, func(s *Session) {
		n := func(id spi.FieldID) int64 {
			v, _ := s.Doc.Int(id)
			return v
		}
		c := out[s.Key]
		out[s.Key] = counted{
			c.packets + n(spi.NetworkPackets), c.bytes + n(spi.NetworkBytes), c.client + n(spi.ClientBytes),
			c.server + n(spi.ServerBytes), c.data + n(spi.TotalDataBytes),
		}
	})
	d := packet.NewDecoder(link, packet.Options{})
	var p packet.Packet
	for _, f := range frames {
		f.decode(d, &p)
		b.Packet(&p, Position{})
	}
	b.Flush()
	return out
}

// headersOf returns how long the headers of a frame are, up to what layer 4 carries.
func headersOf(p *packet.Packet, data []byte) int {
	switch {
	case len(p.Payload) > 0 && len(p.Payload) < len(p.L4):
		return cap(data) - cap(p.Payload)
	case len(p.L4) > 0 && p.FragOff > 0: // a later fragment has none
		return cap(data) - cap(p.L4)
	case p.Proto == packet.ProtoICMP || p.Proto == packet.ProtoICMPv6:
		return min(len(data), cap(data)-cap(p.L4)+8)
	}
	return len(data)
}

// TestCountsOfCutPackets cuts whole captures to the headers of their packets, and holds that all counts stay.
func TestCountsOfCutPackets(t *testing.T) {
	set := dissect.New()
	flows, cutFrames := 0, 0
	var lost int64
	for _, name := range append(corpus(t), tlsCaptures(t)...) {
		capture := pcaptest.ReadCut(t, name)
		whole := framesOf(&capture)
		cut := make([]frame, len(whole))
		d := packet.NewDecoder(capture.LinkType(), packet.Options{})
		var p packet.Packet
		for i, f := range whole {
			data := f.data[:len(f.data):len(f.data)]
			d.Decode(data, f.nanos, len(data)+f.cut, &p)
			if !p.Truncated && int(p.PayloadLen) != len(p.Payload) {
				t.Errorf("%s: packet %d: payload of %d bytes, stated %d", filepath.Base(name), i+1, len(p.Payload), p.PayloadLen)
			}
			n := headersOf(&p, data)
			cut[i] = frame{nanos: f.nanos, data: data[:n:n], cut: f.cut + len(data) - n}
			if n < len(data) {
				cutFrames++
			}
		}
		want, got := countsOf(set, DefaultConfig(), capture.LinkType(), whole), countsOf(set, DefaultConfig(), capture.LinkType(), cut)
		flows += len(want)
		for k, w := range want {
			if got[k] != w {
				t.Errorf("%s: %v: cut to headers %+v, whole %+v", filepath.Base(name), k, got[k], w)
			}
			lost += w.data
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d flows, whole %d", filepath.Base(name), len(got), len(want))
		}
	}
	t.Logf("%d flows, %d packets cut to their headers; %d bytes of payload counted", flows, cutFrames, lost)
}
