package main

import (
	"math"
	"math/rand/v2"
	"strings"
)

// zipf picks an index below n with a skew close to 1/rank.
func zipf(r *rand.Rand, n int) int {
	return min(int(math.Pow(float64(n), r.Float64()))-1, n-1)
}

type kind struct {
	name   string
	weight float64
	median float64 // payload of the larger direction
	sigma  float64
	fat    float64 // share of flows drawn from the Pareto tail
	over   float64 // wire bytes per flow besides that payload
	build  func(f *flow, size int64)
}

func profileKinds(p string) []kind {
	k := map[string]kind{
		"dns":    {"dns", .40, 90, .1, 0, 220, buildDNS},
		"tls":    {"tls", .29, 7e3, 1.9, .006, 6500, buildTLS},
		"http":   {"http", .10, 8e3, 1.8, .006, 2200, buildHTTP},
		"quic":   {"quic", .08, 12e3, 1.9, .006, 6500, buildQUIC},
		"ntp":    {"ntp", .02, 96, 0, 0, 120, buildNTP},
		"icmp":   {"icmp", .03, 300, .5, 0, 200, buildICMP},
		"ssh":    {"ssh", .012, 9e3, 1.5, .02, 7000, buildSSH},
		"smtp":   {"smtp", .015, 20e3, 1.4, .001, 3000, buildSMTP},
		"scan":   {"scan", .03, 0, 0, 0, 400, buildScan},
		"syslog": {"syslog", .023, 600, .7, 0, 120, buildSyslog},
	}
	set := func(names string, w ...float64) (out []kind) {
		for i, n := range strings.Fields(names) {
			x := k[n]
			x.weight = w[i]
			out = append(out, x)
		}
		return
	}
	switch p {
	case "mixed":
		return set("dns tls http quic ntp icmp ssh smtp scan syslog", .40, .29, .10, .08, .02, .03, .012, .015, .03, .023)
	case "web":
		return set("dns tls http quic", .3, .4, .2, .1)
	case "dns":
		return set("dns ntp", .99, .01)
	case "elephant":
		out := set("dns tls http ssh", .3, .4, .2, .1)
		for i := 1; i < len(out); i++ {
			out[i].fat = .3
		}
		return out
	}
	if one, ok := k[p]; ok {
		one.weight = 1
		return []kind{one}
	}
	return nil
}

// plan draws what a flow is; the first draws of its own generator.
func plan(r *rand.Rand, kinds []kind, maxFlow float64) (int, int64) {
	x, ki := r.Float64(), len(kinds)-1
	for i := range kinds {
		if x < kinds[i].weight {
			ki = i
			break
		}
		x -= kinds[i].weight
	}
	k := &kinds[ki]
	size := lognormal(r, k.median, k.sigma)
	if r.Float64() < k.fat {
		size = 1.5e6 / math.Pow(1-r.Float64(), 1/1.1)
	}
	return ki, int64(min(size, maxFlow))
}

func flowRand(seed, id uint64) *rand.Rand { return rand.New(rand.NewPCG(seed^0x9E3779B97F4A7C15, id)) }

// clients are the hosts that begin flows.
type clients struct {
	w     *world
	ports []uint16
}

// newFlow makes flow id; its kind and size come first from its generator.
func (cl *clients) newFlow(seed, id uint64, kinds []kind, maxFlow float64, start int64) *flow {
	r := flowRand(seed, id)
	ki, size := plan(r, kinds, maxFlow)
	k := &kinds[ki]
	f := &flow{w: cl.w, id: id, proto: k.name, rng: r, start: start, next: start, first: -1, l4: 6, cwnd: 10}
	c := zipf(r, len(cl.ports))
	f.rtt = int64(min(max(lognormal(r, 20, .8), 0.4), 400) * float64(ms))
	f.rate = min(max(lognormal(r, 3e6, 1), 2e5), 1.2e8)
	f.v6 = r.IntN(5) == 0
	if c%20 == 7 {
		f.vlan = 100 + uint16(c%3)*100
	}
	a, b := &f.ep[0], &f.ep[1]
	a.mac = [6]byte{0x02, 0x42, 0x0a, byte(c >> 16), byte(c >> 8), byte(c)}
	b.mac = [6]byte{0x00, 0x1b, 0x21, 0x3c, 0x9d, 0xf8}
	a.ttl, b.ttl = 64, uint8(44+r.IntN(16))
	if c%3 == 0 {
		a.ttl = 128
	}
	// ephemeral ports count up per client, so a 5-tuple comes back only after
	// 28232 flows of one client
	a.port = 32768 + (cl.ports[c] % 28232)
	cl.ports[c]++
	h := zipf(r, len(cl.w.hosts))
	if f.v6 {
		a.ip = [16]byte{0x20, 1, 0x0d, 0xb8, 0, byte(c % 20), 0, 0, 2, 0x42, 0x0a, 0xff, 0xfe, byte(c >> 16), byte(c >> 8), byte(c)}
		b.ip = cl.w.hosts[h].v6
	} else {
		a.ip = [16]byte{10, byte(c % 20), byte(c >> 8), byte(c)}
		copy(b.ip[:], cl.w.hosts[h].v4[:])
	}
	for i := range f.ep {
		e := &f.ep[i]
		e.ipid, e.seq, e.ts = uint16(r.Uint32()), r.Uint32(), r.Uint32()>>1
	}
	f.script = make([]msg, 0, 8)
	if k.name == "dns" || k.name == "ntp" || k.name == "syslog" {
		f.l4 = 17
		if f.v6 {
			b.ip = [16]byte{0x20, 1, 0x0d, 0xb8, 15: 0x53}
		} else {
			b.ip = [16]byte{10, 0, 0, byte(53 + c%2)}
		}
		f.rtt = 200*us + r.Int64N(3*ms)
		b.ttl = 64
	}
	f.cur.dir = s2c
	f.hostBuild(h, k, size)
	return f
}

func (f *flow) hostBuild(h int, k *kind, size int64) {
	f.word = uint32(h)
	k.build(f, size)
}

func lognormal(r *rand.Rand, median, sigma float64) float64 {
	return median * math.Exp(sigma*r.NormFloat64())
}
