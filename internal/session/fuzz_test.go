package session

import (
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/packet"
	"wirelake/internal/spi"
)

// FuzzBuilder makes packets of the input and holds that each is counted once,
// whatever it is: the way through decoder, reassembly and all dissectors.
func FuzzBuilder(f *testing.F) {
	for _, fr := range append(talk(sec, 1, 2, 1000, 80, true, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), udpFrame(sec, 1, 2, 1000, 53, "\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01")) {
		f.Add(fr.data, uint8(1), uint8(4))
	}
	set := dissect.New()
	f.Fuzz(func(t *testing.T, data []byte, step, cut uint8) {
		cfg := DefaultConfig()
		cfg.SegmentPackets = 3
		var got int64
		b := New(set, cfg, nil, func(s *Session) {
			n, _ := s.Doc.Int(spi.NetworkPackets)
			got += n
			if s.Doc.Size() > 8<<20 {
				t.Errorf("document of %d bytes", s.Doc.Size())
			}
		})
		d := packet.NewDecoder(1, packet.Options{})
		var p packet.Packet
		var want, now int64
		for i := range 8 {
			now += int64(step) * sec
			frame := append([]byte(nil), data...)
			if len(frame) > 44 && i > 0 {
				frame[40+i%4] += byte(i) * cut // ports or sequence numbers
			}
			d.Decode(frame[:max(0, len(frame)-i*int(cut)%(len(frame)+1))], now, len(frame), &p)
			b.Packet(&p, Position{})
			want++
			if i == 5 {
				b.Advance(now + 100*sec)
			}
		}
		b.Flush()
		if got != want {
			t.Errorf("documents hold %d packets, want %d", got, want)
		}
		if b.memory != 0 || b.Open() != 0 {
			t.Errorf("after Flush %d bytes and %d sessions are open", b.memory, b.Open())
		}
	})
}
