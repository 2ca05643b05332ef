package indicators

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"wirelake/internal/spi"
)

// testRegistry has the core fields and some that protocols declare.
func testRegistry() *spi.Registry {
	r := spi.NewRegistry()
	for _, f := range []spi.Field{
		{Path: "dns.ip", Type: spi.IP, List: true, Exprs: []string{"ip.dns"}},
		{Path: "dns.host", Type: spi.LoTerm, List: true, Exprs: []string{"host.dns"}},
		{Path: "smb.host", Type: spi.Term, List: true, Exprs: []string{"host.smb"}},
		{Path: "oracle.host", Type: spi.LoTerm, Exprs: []string{"oracle.host"}},
		{Path: "http.uri", Type: spi.Term, List: true, Exprs: []string{"http.uri"}},
		{Path: "files.md5", Type: spi.LoTerm, List: true, Exprs: []string{"files.md5", "md5.files"}},
		{Path: "files.sha256", Type: spi.LoTerm, List: true, Exprs: []string{"files.sha256", "sha256.files"}},
		{Path: "cert.hash", Type: spi.LoTerm, List: true, Exprs: []string{"cert.hash"}},
		{Path: "tls.ja3", Type: spi.LoTerm, List: true, Exprs: []string{"tls.ja3"}},
		{Path: "tls.ja3s", Type: spi.LoTerm, List: true, Exprs: []string{"tls.ja3s"}},
		{Path: "tls.ja4", Type: spi.Term, List: true, Exprs: []string{"tls.ja4"}},
		{Path: "ssh.hassh", Type: spi.LoTerm, List: true, Exprs: []string{"ssh.hassh"}},
		{Path: "ssh.hasshServer", Type: spi.LoTerm, List: true, Exprs: []string{"ssh.hasshServer"}},
	} {
		r.Declare(f)
	}
	return r.Freeze()
}

func mustRead(t testing.TB, text string, kind Kind) *List {
	t.Helper()
	l, err := Read(context.Background(), strings.NewReader(text), kind, MaxEntries)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const (
	md5a  = "d41d8cd98f00b204e9800998ecf8427e"
	sha1a = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
	sha2a = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	ja4a  = "t13d1516h2_8daaf6152771_b186095e22b6"
)

// TestMatch holds which value of which field matches which entry.
func TestMatch(t *testing.T) {
	sha1Colons := "da:39:a3:ee:5e:6b:4b:0d:32:55:bf:ef:95:60:18:90:af:d8:07:09"
	for _, tt := range []struct {
		name, entry string
		kind        Kind
		path, value string
		want        string // the entry noted, "" for no match
	}{
		{"address", "192.0.2.7", Any, "source.ip", "192.0.2.7", "192.0.2.7"},
		{"another address", "192.0.2.7", Any, "source.ip", "192.0.2.8", ""},
		{"address in an answer", "192.0.2.7", Any, "dns.ip", "192.0.2.7", "192.0.2.7"},
		{"prefix", "192.0.2.0/24", Any, "destination.ip", "192.0.2.255", "192.0.2.0/24"},
		{"prefix with bits behind it", "192.0.2.77/24", Any, "destination.ip", "192.0.2.1", "192.0.2.0/24"},
		{"beside the prefix", "192.0.2.0/24", Any, "destination.ip", "192.0.3.0", ""},
		{"short prefix", "128.0.0.0/1", Any, "destination.ip", "255.1.1.1", "128.0.0.0/1"},
		{"IPv6 address", "2001:DB8:0::1", Any, "source.ip", "2001:db8::1", "2001:db8::1"},
		{"IPv6 prefix", "2001:db8::/32", Any, "srcOuterIp", "2001:db8:ffff::5", "2001:db8::/32"},
		{"IPv6 prefix of 128 bits", "fe80::1/128", Any, "source.ip", "fe80::1", "fe80::1"},
		{"beside the IPv6 prefix", "2001:db8::/33", Any, "source.ip", "2001:db8:8000::", ""},
		{"mapped address", "::ffff:192.0.2.7", Any, "source.ip", "192.0.2.7", "192.0.2.7"},
		{"mapped prefix", "::ffff:192.0.2.0/120", Any, "source.ip", "192.0.2.7", "192.0.2.0/24"},
		{"IPv4 is not the start of IPv6", "32.1.13.184", Any, "source.ip", "2001:db8::", ""},

		{"domain", "example.org", Any, "dns.host", "example.org", "example.org"},
		{"subdomain", "example.org", Any, "dns.host", "a.b.example.org", "example.org"},
		{"domain in another case", "Example.ORG.", Any, "smb.host", "WWW.Example.Org", "example.org"},
		{"domain with a dot at the end", "example.org", Any, "dns.host", "www.example.org.", "example.org"},
		{"domain that ends alike", "example.org", Any, "dns.host", "anexample.org", ""},
		{"parent of the domain", "www.example.org", Any, "dns.host", "example.org", ""},
		{"wildcard", "*.example.org", Any, "dns.host", "x.example.org", "example.org"},
		{"dot in front", ".example.org", Any, "dns.host", "x.example.org", "example.org"},
		{"exact", "=example.org", Any, "dns.host", "example.org", "=example.org"},
		{"exact has no subdomains", "=example.org", Any, "dns.host", "www.example.org", ""},
		{"host of any protocol", "example.org", Any, "oracle.host", "db.example.org", "example.org"},
		{"no host", "example.org", Any, "http.uri", "example.org", ""},
		{"top-level domain", ".onion", Any, "dns.host", "abc.onion", "onion"},
		{"one name", "=printer", Domain, "smb.host", "PRINTER", "=printer"},
		{"international", "bücher.example", Any, "dns.host", "shop.bücher.example", "bücher.example"},
		{"international in punycode", "bücher.example", Any, "dns.host", "xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"very long name", "example.org", Any, "dns.host", strings.Repeat("a.", 300) + "example.org", "example.org"},

		{"MD5", strings.ToUpper(md5a), Any, "files.md5", md5a, md5a},
		{"MD5 by kind", md5a, MD5, "files.md5", md5a, md5a},
		{"MD5 is no JA3 by kind", md5a, MD5, "tls.ja3", md5a, ""},
		{"SHA-1 of a certificate", sha1a, Any, "cert.hash", sha1Colons, sha1a},
		{"SHA-1 with colons", sha1Colons, SHA1, "cert.hash", sha1Colons, sha1a},
		{"SHA-256", sha2a, Hash, "files.sha256", sha2a, sha2a},
		{"JA3", md5a, JA3, "tls.ja3", md5a, md5a},
		{"JA3 of any kind", md5a, Any, "tls.ja3", md5a, md5a},
		{"JA3 is no JA3S", md5a, JA3, "tls.ja3s", md5a, ""},
		{"JA3 is no file", md5a, JA3, "files.md5", md5a, ""},
		{"JA3S", md5a, JA3S, "tls.ja3s", md5a, md5a},
		{"JA4", ja4a, Any, "tls.ja4", ja4a, ja4a},
		{"HASSH", md5a, HASSH, "ssh.hassh", md5a, md5a},
		{"HASSH of a server", md5a, HASSH, "ssh.hasshServer", md5a, md5a},
		{"HASSH of any kind", md5a, Any, "ssh.hassh", md5a, md5a},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reg := testRegistry()
			f, ok := reg.ByPath(tt.path)
			if !ok {
				t.Fatalf("no field %s", tt.path)
			}
			set := NewSet(reg, []Member{{"bad", []string{"tag1", "tag2"}, mustRead(t, tt.entry+"\n", tt.kind)}})
			d := reg.NewDocument()
			d.AddString(f.ID, tt.value)
			var m Matcher
			if m.Find(set, d) > 0 {
				m.Apply(set, d)
			}
			if got := d.String(spi.IndicatorEntry); got != tt.want {
				t.Fatalf("entry %q against %s %q notes %q, want %q", tt.entry, tt.path, tt.value, got, tt.want)
			}
			var tags []string
			for v := range d.Each(spi.Tags) {
				tags = append(tags, v.Str)
			}
			if want := tt.want != ""; want != (d.String(spi.IndicatorList) == "bad") || want != slices.Equal(tags, []string{"tag1", "tag2"}) {
				t.Errorf("list %q, tags %q, match wanted: %v", d.String(spi.IndicatorList), tags, want)
			}
		})
	}
}

// TestSeveralLists holds that each list that matches is noted, by its own entry.
func TestSeveralLists(t *testing.T) {
	reg := testRegistry()
	set := NewSet(reg, []Member{
		{"wide", []string{"w"}, mustRead(t, "10.0.0.0/8\n10.1.0.0/16\n", IP)},
		{"empty", []string{"e"}, mustRead(t, "# nothing today\n", Any)},
		{"narrow", []string{"n", "w"}, mustRead(t, "10.1.2.3\n", IP)},
	})
	d := reg.NewDocument()
	d.AddIP(spi.SourceIP, netip.MustParseAddr("10.1.2.3"))
	d.AddIP(spi.DestinationIP, netip.MustParseAddr("10.9.9.9"))
	var m Matcher
	m.Find(set, d)
	m.Apply(set, d)
	got := string(d.AppendJSON(nil, func(f *spi.Field) bool { return f.ID >= spi.RuleName || f.ID == spi.Tags }))
	want := `{"indicator":{"entry":["10.0.0.0/8","10.1.0.0/16","10.1.2.3"],"list":["wide","narrow"]},"tags":["w","n"]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestMatchInFullDocument holds that a session cannot escape its tags by filling its document.
func TestMatchInFullDocument(t *testing.T) {
	reg := testRegistry()
	uri, _ := reg.ByPath("http.uri")
	d := reg.NewDocument()
	d.AddIP(spi.SourceIP, netip.MustParseAddr("10.1.2.3"))
	for i := 0; !d.Truncated(); i++ {
		d.AddString(uri.ID, fmt.Sprintf("%d%s", i, strings.Repeat("x", 1<<16)))
	}
	for i := spi.MaxDocumentBytes; i > 0; i /= 2 {
		d.AddString(uri.ID, strings.Repeat("y", i))
	}
	set := NewSet(reg, []Member{{"l", []string{"bad"}, mustRead(t, "10.1.2.3", Any)}})
	var m Matcher
	m.Find(set, d)
	m.Apply(set, d)
	if d.String(spi.Tags) != "bad" {
		t.Error("a full document has no tag")
	}
}

func compressed(t *testing.T, text string) map[string][]byte {
	t.Helper()
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{g, z} {
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return map[string][]byte{"plain": []byte(text), "gzip": gz.Bytes(), "zstd": zs.Bytes()}
}

// TestRead holds the format of lists: comments, columns, marks, compression, and bad lines with their numbers.
func TestRead(t *testing.T) {
	text := "\xef\xbb\xbf# first_seen,ip\r\n\r\n192.0.2.1,80,botnet\r\n" +
		"\"192.0.2.2\",\"443\"\n  192.0.2.3   # seen twice\n192.0.2.3\n192.0.2.0/28 ; SBL1\n// c\n; d\n" +
		"two words\n=exact.example\nexample.org\t// why\n" + "\"open\nhttp://example.org/x\n0.0.0.0/0\n" + md5a + ";file.exe\nlocalhost\nfe80::1%eth0\n"
	for name, b := range compressed(t, text) {
		t.Run(name, func(t *testing.T) {
			l, err := Read(context.Background(), bytes.NewReader(b), Any, MaxEntries)
			if err != nil {
				t.Fatal(err)
			}
			if l.Entries != 7 || l.Bad != 6 || l.First.Line != 10 || !strings.Contains(l.First.Reason, `"two words"`) {
				t.Errorf("got %d entries, %d bad, the first %+v; want 7, 6, line 10 with two words", l.Entries, l.Bad, l.First)
			}
		})
	}
}

// TestReadRefuses holds that what is no list is not taken for one.
func TestReadRefuses(t *testing.T) {
	many := strings.Builder{}
	for i := range 20 {
		fmt.Fprintf(&many, "192.0.2.%d\n", i)
	}
	gz := compressed(t, many.String())["gzip"]
	for _, tt := range []struct {
		name, text string
		want       string
	}{
		{"a column's heading", "domain\n", "line 1: \"domain\" is no"},
		{"a web page", "<!DOCTYPE html>\n<html><body>\nPlease log in\n</body></html>\n", "line 1: \"<!DOCTYPE html>\" is no"},
		{"more than the limit", many.String(), "too many entries"},
		{"gzip cut short", string(gz[:len(gz)-6]), "unexpected EOF"},
		{"zstd that is none", "\x28\xb5\x2f\xfd garbage", "line 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(context.Background(), strings.NewReader(tt.text), Any, 15)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestReadLongLine(t *testing.T) {
	l := mustRead(t, "192.0.2.1\n"+strings.Repeat("x", 1<<20)+"\n192.0.2.2", Any)
	if l.Entries != 2 || l.Bad != 1 || l.First.Line != 2 {
		t.Errorf("got %d entries, %d bad, the first %+v; want 2, 1 on line 2", l.Entries, l.Bad, l.First)
	}
}

// TestTable holds that a table has what was added and nothing else, at sizes around those of its index.
func TestTable(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, 8, 9, 63, 64, 65, 100_000} {
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		var b builder
		have := map[uint64]bool{}
		for range n {
			k := rng.Uint64()
			have[k] = true
			b.add(k)
			b.add(k)
		}
		tab := b.table()
		if len(tab.keys) != len(have) {
			t.Fatalf("%d keys, want %d", len(tab.keys), len(have))
		}
		f := newFilter([]*List{{table: tab}})
		for k := range have {
			if !tab.has(k) || !f.may(k) {
				t.Fatalf("%d keys: %x is missing", n, k)
			}
		}
		for range 1000 {
			if k := rng.Uint64(); tab.has(k) != have[k] {
				t.Fatalf("%d keys: %x is there", n, k)
			}
		}
	}
}

// FuzzRead holds that no input breaks the reader of lists, and that what it takes matches itself.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"192.0.2.1\n", "10.0.0.0/8,x\n", "=example.org # c\n", "\"a.example\",1\n", md5a + "\n" + ja4a + "\n", "bücher.example\n", "\x1f\x8b\x08\x00", "\x28\xb5\x2f\xfd\x04\x00"} {
		f.Add([]byte(s), "")
		f.Add([]byte(s), "domain")
	}
	reg := testRegistry()
	host, _ := reg.ByPath("dns.host")
	f.Fuzz(func(t *testing.T, b []byte, kind string) {
		k, err := ParseKind(kind)
		if err != nil {
			k = Any
		}
		l, err := Read(context.Background(), bytes.NewReader(b), k, 1000)
		if err != nil {
			return
		}
		if l.Entries > 1000 || l.Bad > len(b) || (l.Bad > 0) != (l.First.Line > 0) {
			t.Fatalf("%d entries, %d bad, first %+v", l.Entries, l.Bad, l.First)
		}
		// The text of a plain list, taken as names and addresses, must be looked up without harm.
		d := reg.NewDocument()
		d.AddString(host.ID, string(b))
		d.AddString(spi.SourceIP, string(b))
		var m Matcher
		set := NewSet(reg, []Member{{"l", []string{"t"}, l}})
		if m.Find(set, d) > 0 {
			m.Apply(set, d)
		}
	})
}

// typicalDocument has as many values to look up as an ordinary HTTPS session.
func typicalDocument(reg *spi.Registry) *spi.Document {
	d := reg.NewDocument()
	d.AddIP(spi.SourceIP, netip.MustParseAddr("10.20.30.40"))
	d.AddIP(spi.DestinationIP, netip.MustParseAddr("203.0.113.80"))
	for path, v := range map[string]string{"dns.ip": "2001:db8::5", "dns.host": "cdn.assets.www.example.net", "tls.ja3": md5a, "tls.ja3s": md5a, "tls.ja4": ja4a, "cert.hash": "da:39:a3:ee:5e:6b:4b:0d:32:55:bf:ef:95:60:18:90:af:d8:07:00", "files.sha256": sha2a} {
		f, _ := reg.ByPath(path)
		d.AddString(f.ID, v)
	}
	for i := range 40 {
		d.AddInt(spi.FieldID(int(spi.FlagsSYN)+i%9), int64(i))
	}
	d.Values()
	return d
}

// bigList returns n entries: addresses, prefixes of many lengths, domains and hashes.
func bigList(n int) []byte {
	rng := rand.New(rand.NewPCG(7, 7))
	var b bytes.Buffer
	for i := range n {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "%d.%d.%d.%d\n", 1+rng.IntN(9), rng.IntN(256), rng.IntN(256), rng.IntN(256))
		case 1:
			fmt.Fprintf(&b, "%d.%d.%d.0/%d\n", 30+rng.IntN(90), rng.IntN(256), rng.IntN(256), 16+rng.IntN(10))
		case 2:
			fmt.Fprintf(&b, "h%x.example%d.com\n", rng.Uint64(), i%1000)
		case 3:
			fmt.Fprintf(&b, "%016x%016x\n", rng.Uint64(), rng.Uint64())
		}
	}
	return b.Bytes()
}

// BenchmarkFind looks a document without matches up in lists with a million entries together.
func BenchmarkFind(b *testing.B) {
	reg := testRegistry()
	d := typicalDocument(reg)
	for _, n := range []int{1, 20} {
		b.Run(fmt.Sprintf("lists=%d", n), func(b *testing.B) {
			var members []Member
			for range n {
				l, err := Read(context.Background(), bytes.NewReader(bigList(1_000_000/n)), Any, MaxEntries)
				if err != nil {
					b.Fatal(err)
				}
				members = append(members, Member{"l", []string{"t"}, l})
			}
			set := NewSet(reg, members)
			var m Matcher
			b.ReportAllocs()
			for b.Loop() {
				if m.Find(set, d) != 0 {
					b.Fatal("a match")
				}
			}
		})
	}
}

// BenchmarkRead reads a list of a million entries, and says what an entry takes of memory.
func BenchmarkRead(b *testing.B) {
	text := bigList(1_000_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var l *List
	for b.Loop() {
		var err error
		if l, err = Read(context.Background(), bytes.NewReader(text), Any, MaxEntries); err != nil {
			b.Fatal(err)
		}
	}
	s := NewSet(testRegistry(), []Member{{"l", nil, l}})
	b.ReportMetric(float64(l.MemoryBytes()+len(s.filter)*8)/float64(l.Entries), "B/entry")
}

// TestMemory holds what a million entries take: the heap with them, against that without.
func TestMemory(t *testing.T) {
	text := bigList(1_000_000)
	heap := func() uint64 {
		for range 3 { // what is in pools outlives two
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	l, err := Read(context.Background(), bytes.NewReader(text), Any, MaxEntries)
	if err != nil {
		t.Fatal(err)
	}
	s := NewSet(testRegistry(), []Member{{"l", nil, l}})
	each := float64(heap()-before) / float64(l.Entries)
	t.Logf("%d entries, %.1f bytes each", l.Entries, each)
	if each > 13 {
		t.Errorf("an entry takes %.1f bytes, want 13 at most", each)
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(text)
}
