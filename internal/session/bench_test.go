package session

import (
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/packet"
)

// benchmarkPackets feeds packets over and over, later each time, so that
// sessions end and their state is used again.
func benchmarkPackets(b *testing.B, frames []frame, idle int64) {
	packets := decodeFrames(b, frames)
	var n, size int64
	for i := range packets {
		size += int64(packets[i].WireLen)
	}
	builder := New(dissect.New(), DefaultConfig(), nil, func(*Session) { n++ })
	span := frames[len(frames)-1].nanos - frames[0].nanos + idle
	b.ReportAllocs()
	b.SetBytes(size)
	for b.Loop() {
		for i := range packets {
			builder.Packet(&packets[i], Position{})
			packets[i].TimeNanos += span
		}
		builder.Advance(packets[0].TimeNanos)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(packets)), "ns/packet")
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "sessions/s")
}

// BenchmarkBulk is one TCP session of 1,000 full packets without dissector.
func BenchmarkBulk(b *testing.B) {
	texts := make([]string, 2000)
	for i := 0; i < len(texts); i += 2 {
		texts[i] = string(make([]byte, 1400))
	}
	frames := talk(sec, 1, 2, 1000, 9999, true, texts...)
	benchmarkPackets(b, frames, 1000*sec)
}

// BenchmarkShort is 1,000 HTTP sessions of 8 packets.
func BenchmarkShort(b *testing.B) {
	var frames []frame
	for i := range 1000 {
		frames = append(frames, talk(sec+int64(i)*ms, uint16(i), 2, 1000, 80, true,
			"GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: bench/1.0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<html>hello</html>\r\n")...)
	}
	benchmarkPackets(b, frames, 1000*sec)
}

// BenchmarkDatagrams is 1,000 sessions of a DNS query.
func BenchmarkDatagrams(b *testing.B) {
	var frames []frame
	for i := range 1000 {
		frames = append(frames, udpFrame(sec+int64(i)*ms, uint16(i), 2, 40000, 53,
			"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01"))
	}
	benchmarkPackets(b, frames, 1000*sec)
}

// BenchmarkPacket is one more packet of an open session: it must not allocate.
func BenchmarkPacket(b *testing.B) {
	frames := talk(sec, 1, 2, 1000, 9999, false, "hello")
	packets := decodeFrames(b, frames)
	builder := New(dissect.New(), DefaultConfig(), nil, func(*Session) {})
	for i := range packets {
		builder.Packet(&packets[i], Position{})
	}
	d := packet.NewDecoder(1, packet.Options{})
	var p packet.Packet
	data := tcpFrame(2*sec, 1, 2, 1000, 9999, fPSH, 1006, 4294967291, string(make([]byte, 1400)))
	d.Decode(data.data, data.nanos, len(data.data), &p)
	builder.cfg.SegmentPackets = 1 << 30
	b.ReportAllocs()
	for b.Loop() {
		builder.Packet(&p, Position{})
		p.Seq += uint32(len(p.Payload))
	}
}
