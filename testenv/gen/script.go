package main

import (
	"fmt"
	"strings"
)

func (f *flow) host() *host { return &f.w.hosts[f.word] }

func (f *flow) say(dir uint8, think int64, hdr []byte) {
	f.script = append(f.script, msg{dir: dir, think: think, hdr: hdr})
}

func (f *flow) body(dir uint8, think int64, hdr []byte, k bodyKind, n int64) {
	f.script = append(f.script, msg{dir: dir, think: think, hdr: hdr, kind: k, n: n})
}

// think is a heavy-tailed pause of a person or a program.
func (f *flow) think(medianMs float64) int64 {
	return int64(min(lognormal(f.rng, medianMs, 1.6), 60e3) * float64(ms))
}

func (f *flow) path(ext string) string {
	var b strings.Builder
	for range 1 + f.rng.IntN(4) {
		b.WriteByte('/')
		b.WriteString(strings.TrimSpace(f.w.words[f.rng.IntN(len(f.w.words))]))
	}
	b.WriteString(ext)
	if f.rng.IntN(3) == 0 {
		fmt.Fprintf(&b, "?id=%d&q=%s&s=%x", f.rng.IntN(100000), strings.TrimSpace(f.w.words[f.rng.IntN(len(f.w.words))]), f.rng.Uint64())
	}
	return b.String()
}
