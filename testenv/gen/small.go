package main

import (
	"encoding/binary"
	"fmt"
)

func buildNTP(f *flow, _ int64) {
	f.ep[1].port = 123
	q := make([]byte, 48)
	q[0] = 0x23
	base := uint64(1772532000 + 2208988800)
	binary.BigEndian.PutUint64(q[40:], base<<32|uint64(f.rng.Uint32()))
	a := make([]byte, 48)
	a[0], a[1], a[2], a[3] = 0x24, 2, 3, 0xe9
	copy(a[12:], []byte{192, 0, 2, 7})
	binary.BigEndian.PutUint64(a[16:], (base-100)<<32|uint64(f.rng.Uint32()))
	copy(a[24:32], q[40:])
	for o := 32; o < 48; o += 8 {
		binary.BigEndian.PutUint64(a[o:], base<<32|uint64(f.rng.Uint32()))
	}
	f.say(c2s, 0, q)
	f.say(s2c, 0, a)
}

func buildSyslog(f *flow, size int64) {
	f.ep[1].port = 514
	for range 1 + size/300 {
		f.say(c2s, f.think(500), fmt.Appendf(nil, "<%d>Mar  3 10:%02d:%02d host%d sshd[%d]: Accepted publickey for %suser from 10.0.%d.%d port %d ssh2", 30+f.rng.IntN(60), f.rng.IntN(60), f.rng.IntN(60), f.rng.IntN(400), f.rng.IntN(65535), f.w.words[f.rng.IntN(len(f.w.words))], f.rng.IntN(20), f.rng.IntN(255), f.rng.IntN(65535)))
	}
}

func buildICMP(f *flow, size int64) {
	f.l4 = 1
	t, rt := byte(8), byte(0)
	if f.v6 {
		f.l4, t, rt = 58, 128, 129
	}
	id := uint16(f.rng.Uint32())
	for seq := range 1 + size/100 {
		b := []byte{t, 0, 0, 0, byte(id >> 8), byte(id), byte(seq >> 8), byte(seq + 1)}
		for i := range 56 {
			b = append(b, byte(i))
		}
		th := sc - 30*ms
		if seq == 0 {
			th = 0
		}
		f.say(c2s, th, b)
		b = append([]byte(nil), b...)
		b[0] = rt
		f.say(s2c, 0, b)
	}
}

func buildScan(f *flow, _ int64) {
	f.dead = uint8(1 + f.rng.IntN(2))
	f.ep[1].port = []uint16{21, 22, 23, 445, 1433, 3306, 3389, 5900, 6379, 9200}[f.rng.IntN(10)]
}
