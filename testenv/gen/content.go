package main

import (
	"encoding/binary"
	"math/rand/v2"
)

type mix uint64

func (m *mix) next() uint64 {
	*m += 0x9E3779B97F4A7C15
	z := uint64(*m)
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB
	return z ^ (z >> 31)
}

func fillRandom(r *rand.Rand, b []byte) {
	m := mix(r.Uint64())
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, m.next())
		b = b[8:]
	}
	if len(b) > 0 {
		v := m.next()
		for i := range b {
			b[i] = byte(v)
			v >>= 8
		}
	}
}

const b64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func fillBase64(r *rand.Rand, b []byte, pos int64) {
	m := mix(r.Uint64())
	var v uint64
	left := 0
	for i := range b {
		switch (pos + int64(i)) % 78 {
		case 76:
			b[i] = '\r'
		case 77:
			b[i] = '\n'
		default:
			if left == 0 {
				v, left = m.next(), 10
			}
			b[i] = b64[v&63]
			v >>= 6
			left--
		}
	}
}

func (w *world) fillText(r *rand.Rand, b []byte) {
	m := mix(r.Uint64())
	for len(b) > 0 {
		v := m.next()
		for k := 0; k < 4 && len(b) > 0; k++ {
			x := uint32(v) & 0xffff
			v >>= 16
			var s string
			if x&15 == 0 {
				s = w.tags[(x>>4)%uint32(len(w.tags))]
			} else {
				// squaring skews towards the common words
				y := (x * x) >> 16
				s = w.words[(y*uint32(len(w.words)))>>16]
			}
			n := copy(b, s)
			b = b[n:]
		}
	}
}

// take writes the next len(b) bytes of the current message.
func (f *flow) take(b []byte) {
	if f.cur.kind == bodyQUIC {
		f.quicPacket(b)
		return
	}
	if len(f.cur.hdr) > 0 {
		n := copy(b, f.cur.hdr)
		f.cur.hdr = f.cur.hdr[n:]
		b = b[n:]
	}
	if len(b) == 0 {
		return
	}
	pos := f.cur.n
	f.cur.n -= int64(len(b))
	switch f.cur.kind {
	case bodyText:
		f.w.fillText(f.rng, b)
	case bodyBase64:
		fillBase64(f.rng, b, -pos&0x3fffffff)
	case bodyTLS:
		left := f.cur.n + int64(len(b))
		for len(b) > 0 {
			if f.recLen == 0 && len(f.rec) == 0 {
				// the script's n counts the record headers
				l := min(left-5, 16401)
				if rest := left - 5 - l; rest > 0 && rest < 40 {
					l -= 40
				}
				f.rec = []byte{23, 3, 3, byte(l >> 8), byte(l)}
				f.recLen = int(l)
			}
			if len(f.rec) > 0 {
				n := copy(b, f.rec)
				f.rec, b = f.rec[n:], b[n:]
				left -= int64(n)
			}
			n := min(len(b), f.recLen)
			fillRandom(f.rng, b[:n])
			f.recLen -= n
			left -= int64(n)
			b = b[n:]
		}
	default:
		fillRandom(f.rng, b)
	}
}
