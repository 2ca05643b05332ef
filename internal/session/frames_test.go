package session

import (
	"encoding/binary"
	"math/rand/v2"
	"sort"
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/packet"
)

// frame is an Ethernet frame of a test, with its capture time.
type frame struct {
	nanos int64
	data  []byte
	cut   int // bytes that the capture left out behind data
}

func (f *frame) decode(d *packet.Decoder, p *packet.Packet) {
	d.Decode(f.data, f.nanos, len(f.data)+f.cut, p)
}

// ipFrame returns an Ethernet frame with an IPv4 packet. Addresses are 10.0.x.y.
func ipFrame(nanos int64, src, dst uint16, proto byte, l4 []byte) frame {
	b := make([]byte, 14+20, 14+20+len(l4))
	copy(b, []byte{2, 0, 0, 0, byte(dst >> 8), byte(dst), 2, 0, 0, 0, byte(src >> 8), byte(src), 8, 0})
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(l4)))
	copy(ip[12:], []byte{10, 0, byte(src >> 8), byte(src), 10, 0, byte(dst >> 8), byte(dst)})
	return frame{nanos: nanos, data: append(b, l4...)}
}

func udpFrame(nanos int64, src, dst, sport, dport uint16, payload string) frame {
	l4 := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(l4, sport)
	binary.BigEndian.PutUint16(l4[2:], dport)
	binary.BigEndian.PutUint16(l4[4:], uint16(8+len(payload)))
	return ipFrame(nanos, src, dst, packet.ProtoUDP, append(l4, payload...))
}

func tcpFrame(nanos int64, src, dst, sport, dport uint16, flags uint16, seq, ack uint32, payload string) frame {
	l4 := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(l4, sport)
	binary.BigEndian.PutUint16(l4[2:], dport)
	binary.BigEndian.PutUint32(l4[4:], seq)
	binary.BigEndian.PutUint32(l4[8:], ack)
	l4[12], l4[13] = 5<<4, byte(flags)
	binary.BigEndian.PutUint16(l4[14:], 8192)
	return ipFrame(nanos, src, dst, packet.ProtoTCP, append(l4, payload...))
}

const (
	fSYN    = packet.FlagSYN
	fSYNACK = packet.FlagSYN | packet.FlagACK
	fACK    = packet.FlagACK
	fPSH    = packet.FlagPSH | packet.FlagACK
	fFIN    = packet.FlagFIN | packet.FlagACK
	fRST    = packet.FlagRST
)

const (
	ms  = int64(1e6)
	sec = int64(1e9)
)

// talk returns the frames of a TCP connection on which both sides send texts in turn.
func talk(start int64, client, server, sport, dport uint16, closing bool, texts ...string) []frame {
	now := start
	step := func() int64 { now += 10 * ms; return now }
	cseq, sseq := uint32(1000), uint32(4294967290) // the server's sequence numbers wrap
	var out []frame
	up := func(flags uint16, s string) {
		out = append(out, tcpFrame(step(), client, server, sport, dport, flags, cseq, sseq, s))
		cseq += uint32(len(s))
		if flags&(packet.FlagSYN|packet.FlagFIN) != 0 {
			cseq++
		}
	}
	down := func(flags uint16, s string) {
		out = append(out, tcpFrame(step(), server, client, dport, sport, flags, sseq, cseq, s))
		sseq += uint32(len(s))
		if flags&(packet.FlagSYN|packet.FlagFIN) != 0 {
			sseq++
		}
	}
	up(fSYN, "")
	down(fSYNACK, "")
	up(fACK, "")
	for i, s := range texts {
		if i%2 == 0 {
			up(fPSH, s)
		} else {
			down(fPSH, s)
		}
	}
	if closing {
		up(fFIN, "")
		down(fFIN, "")
		up(fACK, "")
	}
	return out
}

// traffic returns frames of many flows in time order: short and long ones, with
// idle gaps, port reuse, loss, repetition and disorder.
func traffic(seed uint64, flows int) []frame {
	rng := rand.New(rand.NewPCG(seed, 1))
	var out []frame
	for i := range flows {
		start := 1_700_000_000*sec + rng.Int64N(3600*sec)
		a, b := uint16(i%50+1), uint16(rng.IntN(20)+300)
		sport := uint16(20000 + i)
		var fs []frame
		switch rng.IntN(6) {
		case 0:
			fs = talk(start, a, b, sport, 80, true, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		case 1:
			fs = talk(start, a, b, sport, 80, false, "GET /open HTTP/1.1\r\nHost: example.org\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n")
		case 2: // long: segments by age
			fs = talk(start, a, b, sport, 9999, rng.IntN(2) == 0, make([]string, 40)...)
			for j := range fs {
				fs[j].nanos = start + int64(j)*int64(rng.IntN(60)+10)*sec
			}
			sort.SliceStable(fs, func(x, y int) bool { return fs[x].nanos < fs[y].nanos })
		case 3: // a port used again
			fs = talk(start, a, b, sport, 25, true, "x", "y")
			second := talk(start+2*sec, a, b, sport, 25, true, "second", "answer")
			for j := range second {
				seq := second[j].data[14+20+4:]
				binary.BigEndian.PutUint32(seq, binary.BigEndian.Uint32(seq)+777777)
			}
			fs = append(fs, second...)
		default:
			now := start
			for range rng.IntN(8) + 1 {
				fs = append(fs, udpFrame(now, a, b, sport, 69, "\x00\x01file"+string(rune('a'+rng.IntN(26)))+"\x00octet\x00"))
				now += rng.Int64N(80 * sec)
			}
		}
		for _, f := range fs {
			switch rng.IntN(20) {
			case 0: // lost
			case 1:
				out = append(out, f, f)
			default:
				out = append(out, f)
			}
		}
	}
	sort.SliceStable(out, func(x, y int) bool { return out[x].nanos < out[y].nanos })
	return out
}

// decodeFrames decodes frames in order; the packets point into them.
func decodeFrames(t testing.TB, frames []frame) []packet.Packet {
	t.Helper()
	d := packet.NewDecoder(1, packet.Options{})
	out := make([]packet.Packet, len(frames))
	for i, f := range frames {
		f.decode(d, &out[i])
	}
	return out
}

// document is what a test keeps of an emitted session.
type document struct {
	json    string
	id      string
	segment int
	packets int64
	ranges  []Range
}

// collect returns a Builder and the documents it emits, by id and segment.
func collect(t testing.TB, cfg Config) (*Builder, map[string]document) {
	t.Helper()
	docs := make(map[string]document)
	return New(dissect.New(), cfg, nil, func(s *Session) {
		d := document{json: string(s.Doc.AppendJSON(nil, nil)), id: s.ID, segment: s.Segment, ranges: append([]Range(nil), s.Ranges...)}
		for _, r := range s.Ranges {
			d.packets += int64(r.Packets)
		}
		if _, twice := docs[s.ID]; twice {
			t.Errorf("id %s emitted twice", s.ID)
		}
		docs[s.ID] = d
	}), docs
}
