// Package sessiontest makes session documents such as a company's uplink gives: for
// benchmarks of what stores and searches them, where captures of a million sessions are too large to ship.
package sessiontest

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"wirelake/internal/spi"
)

// Start is the time of the first session.
func Start() time.Time { return time.Date(2024, 3, 5, 0, 0, 0, 0, time.UTC) }

// Documents yields n documents of one day in order of time, the same at every call: out of
// 20 sessions 9 are DNS, 6 TLS, 3 HTTP, 1 SSH and 1 a scan without an answer. Fields that
// the registry lacks are left out. The document is reused: it is valid until the next one.
func Documents(r *spi.Registry, n int) iter.Seq[*spi.Document] {
	return func(yield func(*spi.Document) bool) {
		g := &generator{Rand: rand.New(rand.NewPCG(7, 11)), reg: r, doc: r.NewDocument()} //nolint:gosec // G404: the same at every call is the point
		g.fill()
		for i := range n {
			g.document(i, n)
			if !yield(g.doc) {
				return
			}
		}
	}
}

type generator struct {
	*rand.Rand
	reg     *spi.Registry
	doc     *spi.Document
	clients []string
	servers []string
	names   []string
	agents  []string
	ja3     []string
}

func (g *generator) fill() {
	for range 4000 {
		g.clients = append(g.clients, netip.AddrFrom4([4]byte{10, byte(g.IntN(16)), byte(g.IntN(256)), byte(g.IntN(256))}).String())
	}
	words := []string{"cdn", "api", "login", "static", "img", "mail", "edge", "update", "video", "ads", "telemetry", "shop", "news", "auth", "data", "sync"}
	for i := range 60000 {
		g.servers = append(g.servers, netip.AddrFrom4([4]byte{byte(20 + g.IntN(180)), byte(g.IntN(256)), byte(g.IntN(256)), byte(g.IntN(256))}).String())
		g.names = append(g.names, fmt.Sprintf("%s%d.%s-%s.example%d.com", words[g.IntN(len(words))], g.IntN(20), words[g.IntN(len(words))], words[g.IntN(len(words))], i))
	}
	for range 400 {
		g.agents = append(g.agents, fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.%d.%d Safari/537.36", 90+g.IntN(40), g.IntN(6000), g.IntN(200)))
		g.ja3 = append(g.ja3, g.hex(16))
	}
}

// zipf picks an index below n, small ones far more often.
func (g *generator) zipf(n int) int { return int(math.Pow(float64(n), g.Float64())) - 1 }

func (g *generator) hex(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return hex.EncodeToString(b)
}

func (g *generator) id(path string) (spi.FieldID, bool) {
	f, ok := g.reg.ByPath(path)
	if !ok {
		return 0, false
	}
	return f.ID, true
}

func (g *generator) set(path string, v any) {
	f, ok := g.id(path)
	if !ok {
		return
	}
	switch v := v.(type) {
	case int:
		g.doc.AddInt(f, int64(v))
	case string:
		g.doc.AddString(f, v)
	}
}

func (g *generator) document(i, n int) {
	d := g.doc
	d.Reset()
	first := Start().UnixMilli() + int64(float64(i)/float64(n)*86_400_000)
	raw := make([]byte, 36)
	binary.LittleEndian.PutUint64(raw, g.Uint64())
	binary.LittleEndian.PutUint64(raw[8:], g.Uint64())
	binary.LittleEndian.PutUint64(raw[16:], g.Uint64())
	binary.LittleEndian.PutUint64(raw[24:], g.Uint64())
	d.SetString(spi.ID, time.UnixMilli(first).UTC().Format("060102")+"-"+strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw[:16])))
	d.SetString(spi.CommunityID, "1:"+base64.StdEncoding.EncodeToString(raw[16:36]))
	d.SetString(spi.Node, "sensor-1")
	d.SetString(spi.Lane, "eth0-1")
	server := g.zipf(len(g.servers))
	port, proto := 0, 17
	kind := g.IntN(20)
	packets, size, took := 2, 90+g.IntN(400), g.IntN(80)
	switch {
	case kind < 9:
		port = 53
		server = g.IntN(4)
		g.dns()
	case kind < 15:
		port, proto = 443, 6
		packets, took = 8+g.zipf(400), g.zipf(100000)
		size = packets * (100 + g.IntN(1000))
		g.tls(server)
	case kind < 18:
		port, proto = 80, 6
		packets, took = 8+g.zipf(100), g.zipf(20000)
		size = packets * (100 + g.IntN(800))
		g.http(server)
	case kind < 19:
		port, proto = 22, 6
		packets, took = 20+g.zipf(1000), g.zipf(1000000)
		size = packets * (80 + g.IntN(100))
		g.set("protocol", "ssh")
	default:
		port, proto = g.IntN(65536), 6
		packets, size, took = 1, 60, 0
	}
	out := packets / 2
	outBytes := size / 4
	d.SetInt(spi.FirstPacket, first)
	d.SetInt(spi.LastPacket, first+int64(took))
	d.SetInt(spi.PacketRangeGTE, first)
	d.SetInt(spi.PacketRangeLTE, first+int64(took))
	d.SetInt(spi.Length, int64(took))
	d.SetInt(spi.IPProtocol, int64(proto))
	d.SetInt(spi.EtherType, 2048)
	d.AddString(spi.Protocol, map[int]string{6: "tcp", 17: "udp"}[proto])
	d.SetString(spi.SourceIP, g.clients[g.zipf(len(g.clients))])
	d.SetInt(spi.SourcePort, int64(32768+g.IntN(28000)))
	d.SetString(spi.DestinationIP, g.servers[server])
	d.SetInt(spi.DestinationPort, int64(port))
	d.AddString(spi.SourceMAC, fmt.Sprintf("02:00:00:00:00:%02x", g.IntN(4)))
	d.AddString(spi.DestinationMAC, "02:00:00:00:01:01")
	d.SetString(spi.DestinationCountry, []string{"US", "DE", "NL", "IE", "FR", "GB"}[server%6])
	d.SetInt(spi.SourcePackets, int64(packets-out))
	d.SetInt(spi.DestinationPackets, int64(out))
	d.SetInt(spi.SourceBytes, int64(outBytes))
	d.SetInt(spi.DestinationBytes, int64(size-outBytes))
	d.SetInt(spi.NetworkPackets, int64(packets))
	d.SetInt(spi.NetworkBytes, int64(size))
	d.SetInt(spi.ClientBytes, int64(outBytes*3/4))
	d.SetInt(spi.ServerBytes, int64((size-outBytes)*3/4))
	d.SetInt(spi.TotalDataBytes, int64(outBytes*3/4+(size-outBytes)*3/4))
	d.AddInt(spi.SourceTTL, 64)
	d.AddInt(spi.DestinationTTL, int64(48+g.IntN(16)))
	d.SetInt(spi.SegmentCount, 1)
	if proto == 6 {
		d.SetInt(spi.InitRTT, int64(g.zipf(200)))
		for f := spi.FlagsSYN; f <= spi.FlagsAE; f++ {
			d.SetInt(f, int64([]int{1, 1, packets / 2, packets / 3, 0, 2, 0, 0, 0, 0}[f-spi.FlagsSYN]))
		}
	}
	if o, ok := d.NewObject(spi.ChunkList, spi.Root); ok {
		minute := first / 60000
		d.SetStringIn(o, spi.ChunkKey, fmt.Sprintf("chunks/sensor=sensor-1/lane=eth0-1/day=2024-03-05/%020d-%010d.pcap.zst", minute*60_000_000_000, minute%1440))
		d.SetIntIn(o, spi.ChunkLinkType, 1)
		d.SetIntIn(o, spi.ChunkOffset, int64(g.IntN(60<<20)))
		d.SetIntIn(o, spi.ChunkLength, int64(20000+g.IntN(10000)))
		d.SetIntIn(o, spi.ChunkSkip, int64(g.IntN(60000)))
		d.SetIntIn(o, spi.ChunkSize, int64(size+16*packets))
		d.SetIntIn(o, spi.ChunkPackets, int64(packets))
	}
}

func (g *generator) dns() {
	g.set("protocol", "dns")
	list, ok := g.id("dns.host")
	if !ok {
		return
	}
	o, ok := g.doc.NewObject(g.reg.Field(list).In, spi.Root)
	if !ok {
		return
	}
	put := func(o spi.ObjectID, path, v string) {
		if f, ok := g.id(path); ok {
			g.doc.AddStringIn(o, f, v)
		}
	}
	name := g.names[g.zipf(len(g.names))]
	put(o, "dns.host", name)
	put(o, "dns.queryHost", name)
	put(o, "dns.qt", []string{"A", "AAAA", "HTTPS"}[g.IntN(3)])
	put(o, "dns.qc", "IN")
	put(o, "dns.opcode", "QUERY")
	put(o, "dns.status", "NOERROR")
	for _, flag := range []string{"QR", "RD", "RA"} {
		put(o, "dns.headerFlags", flag)
	}
	answer, ok := g.id("dns.answers.ip")
	if !ok {
		return
	}
	for range g.IntN(3) {
		a, ok := g.doc.NewObject(g.reg.Field(answer).In, o)
		if !ok {
			return
		}
		ip := g.servers[g.zipf(len(g.servers))]
		put(a, "dns.answers.ip", ip)
		put(a, "dns.answers.name", name)
		put(a, "dns.answers.type", "A")
		put(a, "dns.answers.class", "IN")
		if f, ok := g.id("dns.answers.ttl"); ok {
			g.doc.SetIntIn(a, f, int64(g.IntN(300)))
		}
		put(o, "dns.ip", ip)
	}
}

func (g *generator) tls(server int) {
	g.set("protocol", "tls")
	g.set("tls.client.server_name", g.names[server])
	g.set("http.host", g.names[server])
	g.set("tls.version", "TLSv1.3")
	g.set("tls.cipher", "TLS_AES_128_GCM_SHA256")
	g.set("tls.ja3", g.ja3[g.zipf(len(g.ja3))])
	g.set("tls.ja3s", g.ja3[server%40])
	g.set("tls.ja4", "t13d1516h2_8daaf6152771_"+g.ja3[g.zipf(len(g.ja3))][:12])
	g.set("tls.srcSessionId", g.hex(32))
}

func (g *generator) http(server int) {
	g.set("protocol", "http")
	host := g.names[server]
	g.set("http.host", host)
	g.set("http.method", "GET")
	g.set("http.statuscode", 200)
	g.set("http.useragent", g.agents[g.zipf(len(g.agents))])
	g.set("http.clientVersion", "1.1")
	g.set("http.serverVersion", "1.1")
	for range 1 + g.IntN(3) {
		path := fmt.Sprintf("/%s/%d/item-%d.html", []string{"assets", "login", "search", "account", "v1/users", "download"}[g.IntN(6)], g.IntN(1000), g.zipf(100000))
		g.set("http.path", path)
		if g.IntN(2) == 0 {
			path += fmt.Sprintf("?session=%s&lang=en", g.hex(6))
		}
		g.set("http.uri", host+path)
	}
	for _, h := range []string{"host", "user-agent", "accept", "accept-encoding", "connection"} {
		g.set("http.requestHeader", h)
	}
	for _, h := range []string{"content-type", "content-length", "server", "date"} {
		g.set("http.responseHeader", h)
	}
}
