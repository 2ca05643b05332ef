package main

import "encoding/binary"

func (f *flow) quicPacket(b []byte) {
	fillRandom(f.rng, b)
	b[0] = 0x40 | b[0]&0x3f
	if len(b) > 9 {
		binary.LittleEndian.PutUint64(b[1:], f.id*0x9E3779B97F4A7C15+1)
	}
}

func (f *flow) quicLong(typ byte, dcid, scid uint64, length int) []byte {
	be := binary.BigEndian
	b := []byte{0xc0 | typ<<4 | 3, 0, 0, 0, 1, 8}
	b = be.AppendUint64(b, dcid)
	b = append(b, 8)
	b = be.AppendUint64(b, scid)
	if typ == 0 {
		b = append(b, 0) // token
	}
	return be.AppendUint16(b, uint16(0x4000|(length-len(b)-2)))
}

func buildQUIC(f *flow, size int64) {
	f.l4 = 17
	f.ep[1].port = 443
	a, b := f.rng.Uint64(), f.rng.Uint64()
	add := func(dir uint8, think int64, h []byte, n int64) {
		f.body(dir, think, h, bodyRandom, n-int64(len(h)))
	}
	add(c2s, 0, f.quicLong(0, a, 0, 1252), 1252)
	add(s2c, f.think(3), f.quicLong(0, 0, b, 1252), 1252)
	add(s2c, 0, f.quicLong(2, 0, b, 1252), 1252)
	add(c2s, ms, f.quicLong(2, b, 0, 240), 240)
	n := 1 + f.rng.IntN(4)
	for i := range n {
		th := int64(0)
		if i > 0 {
			th = f.think(800)
		}
		f.body(c2s, th, nil, bodyQUIC, 120+f.rng.Int64N(600))
		f.body(s2c, f.think(6), nil, bodyQUIC, max(size/int64(n), 60))
	}
}
