package main

import (
	"encoding/binary"
	"fmt"
	"strings"
)

func appendName(b []byte, name string) []byte {
	for _, l := range strings.Split(name, ".") {
		b = append(b, byte(len(l)))
		b = append(b, l...)
	}
	return append(b, 0)
}

func buildDNS(f *flow, _ int64) {
	r, be := f.rng, binary.BigEndian
	f.ep[1].port = 53
	h := f.host()
	name, typ, nx := h.name, uint16(1), r.IntN(12) == 0
	if r.IntN(3) == 0 {
		typ = 28
	}
	if nx {
		name = fmt.Sprintf("%x.%s", r.Uint32(), name)
	}
	id := uint16(r.Uint32())
	q := be.AppendUint16(nil, id)
	q = append(q, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1)
	q = appendName(q, name)
	q = be.AppendUint16(q, typ)
	q = be.AppendUint16(q, 1)
	opt := []byte{0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0}
	qlen := len(q)
	q = append(q, opt...)
	f.say(c2s, 0, q)
	if r.IntN(100) == 0 {
		return // lost
	}
	a := append([]byte(nil), q[:qlen]...)
	a[2], a[3] = 0x81, 0x80
	rr := func(name []byte, t uint16, ttl uint32, data []byte) {
		a = append(a, name...)
		a = be.AppendUint16(a, t)
		a = be.AppendUint16(a, 1)
		a = be.AppendUint32(a, ttl)
		a = be.AppendUint16(a, uint16(len(data)))
		a = append(a, data...)
	}
	ptr := []byte{0xc0, 12}
	if nx {
		a[3] = 0x83
		a[9] = 1
		i := strings.Index(name, ".")
		soa := appendName(nil, "ns1."+name[i+1:])
		soa = appendName(soa, "hostmaster."+name[i+1:])
		for _, v := range []uint32{2026030300 + r.Uint32N(90), 7200, 900, 1209600, 300} {
			soa = be.AppendUint32(soa, v)
		}
		rr([]byte{0xc0, byte(12 + i + 1)}, 6, 300, soa)
	} else {
		n := byte(1 + r.IntN(4))
		if r.IntN(3) == 0 {
			target := fmt.Sprintf("edge-%d.cdn.%s", r.IntN(64), h.name)
			rr(ptr, 5, 60+r.Uint32N(3600), appendName(nil, target))
			ptr = appendName(nil, target)
			a[7]++
		}
		for i := range n {
			d := append([]byte(nil), h.v4[:]...)
			if typ == 28 {
				d = append([]byte(nil), h.v6[:]...)
			}
			d[len(d)-1] += i
			rr(ptr, typ, 30+r.Uint32N(3600), d)
			a[7]++
		}
	}
	a = append(a, opt...)
	f.say(s2c, f.think(1), a)
}
