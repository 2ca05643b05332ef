package exprtest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"wirelake/internal/spi"
)

// Registry returns the core fields and, of protocols, one field at least of each kind: hot or
// not, scalar or list, in a list of objects and in one within it, of every type. It is made for the
// tests, so that they do not change when a dissector does.
func Registry() *spi.Registry {
	r := spi.NewRegistry()
	r.Objects("dns")
	r.Objects("dns.answers")
	r.Objects("cert")
	for _, f := range []spi.Field{
		{Path: "http.uri", Type: spi.Term, List: true, Exprs: []string{"http.uri"}, Hot: true},
		{Path: "http.host", Type: spi.LoTerm, List: true, Exprs: []string{"host.http"}, Hot: true, Bloom: true},
		{Path: "http.method", Type: spi.Term, List: true, Exprs: []string{"http.method"}, Hot: true},
		{Path: "http.statuscode", Type: spi.Integer, List: true, Exprs: []string{"http.statuscode"}, Hot: true},
		{Path: "http.useragent", Type: spi.Term, List: true, Exprs: []string{"http.user-agent"}},
		{Path: "http.note", Type: spi.Text, List: true, Exprs: []string{"http.note"}, Hot: true},
		{Path: "http.xffIp", Type: spi.IP, List: true, Exprs: []string{"ip.xff"}, Hot: true},
		{Path: "dns.host", Type: spi.LoTerm, List: true, Exprs: []string{"host.dns"}, Hot: true, Bloom: true},
		{Path: "dns.qt", Type: spi.UpTerm, Exprs: []string{"dns.query.type"}},
		{Path: "dns.ip", Type: spi.IP, List: true, Exprs: []string{"ip.dns"}, Hot: true, Bloom: true},
		{Path: "dns.answers.ip", Type: spi.IP, Exprs: []string{"dns.answer.ip"}},
		{Path: "dns.answers.ttl", Type: spi.Integer, Exprs: []string{"dns.answer.ttl"}},
		{Path: "cert.subjectCN", Type: spi.LoTerm, List: true, Exprs: []string{"cert.subject.cn"}, Hot: true},
		{Path: "cert.notAfter", Type: spi.Date, Exprs: []string{"cert.notafter"}, Hot: true},
		{Path: "tls.ja3", Type: spi.LoTerm, List: true, Exprs: []string{"tls.ja3"}, Hot: true, Bloom: true},
	} {
		r.Declare(f)
	}
	return r.Freeze()
}

// Now is the time that relative times of [Expressions] count from: noon of the last of the documents' days.
func Now() time.Time { return time.Date(2024, 3, 2, 12, 0, 0, 0, time.UTC) }

// First returns the midnight before the first document; the documents take the three days from then on.
func First() time.Time { return time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC) }

// Documents returns n documents of r ([Registry]), the same at every call. Their values are few
// enough that every expression finds some, and awkward enough to tell engines apart: mapped and short
// IPv6 addresses, empty text, quotes, backslashes, stars, text beyond ASCII and very long text.
func Documents(r *spi.Registry, n int) []*spi.Document {
	g := generator{Rand: rand.New(rand.NewPCG(1, 2)), reg: r} //nolint:gosec // the same at every call is the point
	docs := make([]*spi.Document, n)
	for i := range docs {
		docs[i] = g.document(i)
	}
	return docs
}

type generator struct {
	*rand.Rand
	reg *spi.Registry
}

func (g *generator) field(path string) spi.FieldID {
	f, ok := g.reg.ByPath(path)
	if !ok {
		panic("exprtest: no field " + path) // of Registry above
	}
	return f.ID
}

func (g *generator) pick(values ...string) string { return values[g.IntN(len(values))] }
func (g *generator) chance(percent int) bool      { return g.IntN(100) < percent }

func (g *generator) addr() netip.Addr {
	return netip.MustParseAddr(g.pick("10.0.0.1", "10.0.0.2", "10.1.2.3", "10.255.0.1", "192.168.1.1", "192.168.1.77",
		"172.16.5.4", "8.8.8.8", "1.2.3.4", "0.0.0.0", "255.255.255.255", "::1", "::", "2001:db8::1", "2001:db8:0:1::80", "fe80::1", "::ffff:1.2.3.4", "ffff::1"))
}

func (g *generator) document(i int) *spi.Document {
	d := g.reg.NewDocument()
	first := First().UnixMilli() + int64(g.IntN(3*24*60*60*1000))
	length := int64(g.IntN(600_000))
	if g.chance(20) {
		length = 0
	}
	d.SetString(spi.ID, fmt.Sprintf("%s-%026d", time.UnixMilli(first).UTC().Format("060102"), i))
	d.SetString(spi.Node, g.pick("import", "sensor-a", "sensor-b"))
	d.SetInt(spi.FirstPacket, first)
	d.SetInt(spi.LastPacket, first+length)
	d.SetInt(spi.Length, length)
	if g.chance(50) {
		d.AddString(spi.FilePath, g.pick("/data/a.pcap", "/data/b.pcap", "/data/deep/a.pcap", `C:\data\a.pcap`))
	}
	g.network(d)
	g.application(d)
	return d
}

func (g *generator) network(d *spi.Document) {
	if g.chance(95) {
		d.SetString(spi.SourceIP, g.addr().Unmap().String())
		d.SetString(spi.DestinationIP, g.addr().Unmap().String())
		d.SetInt(spi.SourcePort, int64(g.IntN(4)*1000))
		d.SetInt(spi.DestinationPort, []int64{53, 80, 443, 65535, 0}[g.IntN(5)])
		d.SetInt(spi.IPProtocol, []int64{1, 6, 17, 58}[g.IntN(4)])
	}
	packets, size := [2]int64{int64(g.IntN(50)), int64(g.IntN(50))}, [2]int64{int64(g.IntN(5000)), int64(g.IntN(1 << g.IntN(40)))}
	d.SetInt(spi.SourcePackets, packets[0])
	d.SetInt(spi.DestinationPackets, packets[1])
	d.SetInt(spi.NetworkPackets, packets[0]+packets[1])
	d.SetInt(spi.SourceBytes, size[0])
	d.SetInt(spi.DestinationBytes, size[1])
	d.SetInt(spi.NetworkBytes, size[0]+size[1])
	d.SetInt(spi.ClientBytes, size[0]/2)
	d.SetInt(spi.ServerBytes, size[1]/2)
	d.SetInt(spi.TotalDataBytes, size[0]/2+size[1]/2)
	for range g.IntN(3) {
		d.AddInt(spi.VLAN, int64(g.IntN(5)*100))
	}
	for range g.IntN(3) {
		d.AddString(spi.SourceMAC, g.pick("00:19:06:e6:82:c4", "00:12:1e:f2:61:3d", "6a:70:c5:af:f1:f9"))
	}
	if g.chance(30) {
		d.AddIP(spi.SourceOuterIP, g.addr())
	}
	if g.chance(60) {
		d.SetString(spi.SourceCountry, g.pick("US", "DE", "FR", "CN"))
	}
	if g.chance(30) {
		d.SetInt(spi.SourceASN, []int64{15169, 3320}[g.IntN(2)])
		d.SetString(spi.SourceASFull, g.pick("AS15169 Google LLC", "AS3320 Deutsche Telekom AG"))
	}
	if g.chance(60) {
		d.SetString(spi.SourcePayload8, g.pick("474554202f206874", "1603010200010001", "50524920", "ff"))
	}
	if g.chance(40) {
		d.SetInt(spi.InitRTT, int64(g.IntN(300)))
	}
	if g.chance(50) {
		d.SetString(spi.CommunityID, g.pick("1:LQU9qZlK+B5F3KDmev6m5PMibrg=", "1:fZG4C8AY/jKS+Bf2SgfW9xMzRTg="))
	}
}

func (g *generator) application(d *spi.Document) {
	for range g.IntN(3) {
		d.AddString(spi.Protocol, g.pick("tcp", "udp", "http", "tls", "dns"))
	}
	for range g.IntN(3) {
		d.AddString(spi.Tags, g.pick("out-of-order-src", "no-syn-ack", "Ünïcode", "two words", `quo"ted`, `back\slash`, "st*r", "qu?stion", "", "comma,inside", "new\nline", "br[ack]et"))
	}
	for range g.IntN(2) {
		d.AddString(spi.User, g.pick("Root", "admin", "ftpuser", "ÄRGER"))
	}
	for range g.IntN(3) {
		d.AddString(g.field("http.uri"), g.pick("www.example.org/", "www.example.org/index.html", "www.example.org/LOGIN?user=a&b=%20", "shop.example.com/a/b/c.php", "[2001:db8::1]/x",
			"example.org/"+strings.Repeat("long/", 900)))
	}
	for range g.IntN(3) {
		d.AddString(g.field("http.host"), g.pick("www.example.org", "shop.example.com", "10.0.0.1", "xn--bcher-kva.example"))
	}
	for range g.IntN(3) {
		d.AddString(g.field("http.method"), g.pick("GET", "POST", "get", "HEAD"))
	}
	for range g.IntN(3) {
		d.AddInt(g.field("http.statuscode"), []int64{200, 301, 404, 503}[g.IntN(4)])
	}
	for range g.IntN(2) {
		d.AddString(g.field("http.useragent"), g.pick("curl/8.1", "Mozilla/5.0 (X11; Linux x86_64)", "mozilla/4.0"))
	}
	for range g.IntN(2) {
		d.AddString(g.field("http.note"), g.pick("The quick brown fox", "the QUICK, brown dog", "quickly brown", "Größe quick-brown"))
	}
	for range g.IntN(2) {
		d.AddIP(g.field("http.xffIp"), g.addr())
	}
	for range g.IntN(3) {
		g.query(d)
	}
	for range g.IntN(2) {
		o, _ := d.NewObject(g.reg.Field(g.field("cert.subjectCN")).In, spi.Root)
		d.AddStringIn(o, g.field("cert.subjectCN"), g.pick("*.example.org", "Example CA", "localhost"))
		d.SetIntIn(o, g.field("cert.notAfter"), time.Date(2020+g.IntN(10), 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	}
	if g.chance(30) {
		d.AddString(g.field("tls.ja3"), g.pick("4d7a28d6f2263ed61de88ca66eb011e3", "e7d705a3286e19ea42f587b344ee6865"))
	}
}

func (g *generator) query(d *spi.Document) {
	o, _ := d.NewObject(g.reg.Field(g.field("dns.host")).In, spi.Root)
	for range 1 + g.IntN(2) {
		d.AddStringIn(o, g.field("dns.host"), g.pick("Example.ORG", "mail.example.org", "a.very.deep.name.example.com", "münchen.example"))
	}
	d.SetStringIn(o, g.field("dns.qt"), g.pick("A", "AAAA", "mx"))
	for range g.IntN(3) {
		a, _ := d.NewObject(g.reg.Field(g.field("dns.answers.ip")).In, o)
		addr := g.addr()
		d.AddIPIn(o, g.field("dns.ip"), addr)
		d.AddIPIn(a, g.field("dns.answers.ip"), addr)
		d.SetIntIn(a, g.field("dns.answers.ttl"), int64(g.IntN(5)*60))
	}
}
