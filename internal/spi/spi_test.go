package spi

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

func testRegistry() (*Registry, map[string]FieldID) {
	r := NewRegistry()
	r.Objects("dns")
	r.Objects("dns.answers")
	ids := map[string]FieldID{
		"uri":    r.Declare(Field{Path: "http.uri", Type: Term, List: true, Exprs: []string{"http.uri"}, Hot: true}),
		"get":    r.Declare(Field{Path: "http.method-GET", Type: Integer, Exprs: []string{"http.method.GET"}}),
		"host":   r.Declare(Field{Path: "dns.host", Type: LoTerm, List: true, Exprs: []string{"host.dns"}}),
		"answer": r.Declare(Field{Path: "dns.answers.ip", Type: IP, Exprs: []string{"dns.answer.ip"}}),
		"ttl":    r.Declare(Field{Path: "dns.answers.ttl", Type: Integer, Exprs: []string{"dns.answer.ttl"}}),
	}
	return r.Freeze(), ids
}

func TestDocumentJSON(t *testing.T) {
	r, id := testRegistry()
	d := r.NewDocument()
	d.SetString(SourceIP, "10.0.0.1")
	d.SetInt(SourcePort, 40000)
	d.SetInt(SourcePort, 40001)
	d.AddString(id["uri"], "a\"\x00\xffb")
	d.AddString(id["uri"], "second")
	d.AddString(id["uri"], "second")
	d.AddCount(id["get"], 1)
	d.AddCount(id["get"], 2)
	o, _ := d.NewObject(r.Field(id["host"]).In, Root)
	d.AddBytesIn(o, id["host"], []byte("Example.ORG"))
	d.AddBytesIn(o, id["host"], []byte("example.org"))
	for i, a := range []string{"192.0.2.1", "::ffff:192.0.2.2"} {
		ans, _ := d.NewObject(r.Field(id["answer"]).In, o)
		d.AddIPIn(ans, id["answer"], netip.MustParseAddr(a))
		d.SetIntIn(ans, id["ttl"], int64(i))
	}
	got := string(d.AppendJSON(nil, nil))
	want := `{"dns":[{"answers":[{"ip":"192.0.2.1","ttl":0},{"ip":"192.0.2.2","ttl":1}],"host":["example.org"]}],` +
		`"http":{"method-GET":3,"uri":["a\"\u0000ÿb","second"]},"source":{"ip":"10.0.0.1","port":40001}}`
	if got != want {
		t.Fatalf("AppendJSON\n got %s\nwant %s", got, want)
	}
	if !json.Valid([]byte(got)) {
		t.Fatal("AppendJSON wrote invalid JSON")
	}
	back, unknown, err := r.ParseJSON([]byte(got))
	if err != nil || len(unknown) > 0 {
		t.Fatalf("ParseJSON: %v, unknown %v", err, unknown)
	}
	if again := string(back.AppendJSON(nil, nil)); again != got {
		t.Fatalf("ParseJSON then AppendJSON\n got %s\nwant %s", again, got)
	}
	hot := string(d.AppendJSON(nil, func(f *Field) bool { return f.Hot }))
	if want := `{"http":{"uri":["a\"\u0000ÿb","second"]},"source":{"ip":"10.0.0.1","port":40001}}`; hot != want {
		t.Fatalf("hot fields\n got %s\nwant %s", hot, want)
	}
}

func TestLimits(t *testing.T) {
	r, id := testRegistry()
	d := r.NewDocument()
	for i := range MaxValues + 5 {
		d.AddInt(VLAN, int64(i))
	}
	if n := len(slices.Collect(d.Each(VLAN))); n != MaxValues || !d.Truncated() {
		t.Fatalf("kept %d values (truncated %v), want %d and true", n, d.Truncated(), MaxValues)
	}
	d.Reset()
	if d.Truncated() || len(d.Values()) != 0 {
		t.Fatal("Reset left something")
	}
	d.AddString(id["uri"], string(make([]byte, MaxDocumentBytes)))
	d.AddString(id["uri"], "x")
	if n := len(slices.Collect(d.Each(id["uri"]))); n != 1 || !d.Truncated() {
		t.Fatalf("kept %d values past the document's limit, want 1", n)
	}
}

func TestByExpr(t *testing.T) {
	r, _ := testRegistry()
	paths := func(name string) []string {
		var out []string
		for _, f := range r.ByExpr(name) {
			out = append(out, f.Path)
		}
		return out
	}
	for name, want := range map[string][]string{
		"ip.src":       {"source.ip"},
		"db:source.ip": {"source.ip"},
		"host":         {"dns.host"},
		"port":         {"source.port", "destination.port"},
		"country":      {"source.geo.country_iso_code", "destination.geo.country_iso_code"},
		"nonsense":     nil,
		"db:nonsense":  nil,
	} {
		if got := paths(name); !reflect.DeepEqual(got, want) {
			t.Errorf("ByExpr(%q): got %v, want %v", name, got, want)
		}
	}
	if got := len(paths("ip")); got != 4 {
		t.Errorf("ip stands for %d fields, want 4: of both sides, of both ends of a tunnel", got)
	}
}

func FuzzParseJSON(f *testing.F) {
	r, _ := testRegistry()
	f.Add([]byte(`{"source":{"ip":"10.0.0.1"},"dns":[{"host":["a"],"answers":[{"ttl":1}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, _, err := r.ParseJSON(b)
		if err != nil {
			return
		}
		out := d.AppendJSON(nil, nil)
		again, unknown, err := r.ParseJSON(out)
		if err != nil || len(unknown) > 0 {
			t.Fatalf("%s: %v, unknown %v", out, err, unknown)
		}
		if b2 := again.AppendJSON(nil, nil); string(b2) != string(out) {
			t.Fatalf("not stable:\n%s\n%s", out, b2)
		}
	})
}

// TestTextOfBytes holds that every text is UTF-8 in documents, and that no byte of what is none gets lost.
func TestTextOfBytes(t *testing.T) {
	r, id := testRegistry()
	for _, tt := range [][2]string{
		{"été", "été"},
		{"caf\xe9", "café"},
		{"\xdcber", "Über"},
		{"\x80\xff", "\u0080ÿ"},
		{"padded\x00\x00", "padded"},
		{"a\x00b\x00", "a\x00b"},
		{"\x00", "\x00"},
		{"é, \xe9.", "Ã©, é."}, // not all of it is UTF-8
		{"été\xc3", "été"},     // cut
		{"日\xe6\x97", "日"},
		{"😀\xf0\x9f\x98", "😀"},
		{"\xc3", "Ã"},
	} {
		d := r.NewDocument()
		d.AddBytes(id["uri"], []byte(tt[0]))
		d.AddBytes(id["uri"], []byte(tt[0]))
		got := slices.Collect(func(yield func(string) bool) {
			for v := range d.Each(id["uri"]) {
				yield(v.Str)
			}
		})
		if !slices.Equal(got, []string{tt[1]}) {
			t.Errorf("%q: got %q, want %q once", tt[0], got, tt[1])
		}
	}
	d := r.NewDocument()
	d.EndAtZero(true)
	d.AddString(id["uri"], "a\x00b\x00")
	d.Reset()
	d.AddString(id["uri"], "b\x00c")
	if got := d.String(id["uri"]); got != "b" {
		t.Errorf("got %q up to the first zero, want %q", got, "b")
	}
	o, _ := d.NewObject(r.Field(id["host"]).In, Root)
	d.AddStringIn(o, id["host"], "M\xdcLLER")
	if got := d.String(id["host"]); got != "müller" {
		t.Errorf("got %q in lower case, want %q", got, "müller")
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	r, id := testRegistry()
	d := r.NewDocument()
	d.SetString(SourceIP, "10.0.0.1")
	d.SetString(DestinationIP, "10.0.0.2")
	for f := FirstPacket; f <= Length; f++ {
		d.SetInt(f, 1386104996973)
	}
	d.AddString(id["uri"], "www.example.org/index.html?q=1")
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = d.AppendJSON(buf[:0], nil)
	}
	b.SetBytes(int64(len(buf)))
}
