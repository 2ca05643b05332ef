package sessionfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"wirelake/internal/objstore"
	"wirelake/internal/spi"
)

// testFields declares fields of every shape: scalars, lists, in objects, in objects of objects.
func testRegistry() *spi.Registry {
	r := spi.NewRegistry()
	r.Objects("dns")
	r.Objects("dns.answers")
	r.Objects("cert")
	for _, f := range []spi.Field{
		{Path: "http.uri", Type: spi.Term, List: true},
		{Path: "http.statuscode", Type: spi.Integer, List: true},
		{Path: "http.method-GET", Type: spi.Integer},
		{Path: "dns.host", Type: spi.LoTerm, List: true, Bloom: true},
		{Path: "dns.opcode", Type: spi.UpTerm},
		{Path: "dns.status-cnt", Type: spi.Integer},
		{Path: "dns.answers.ip", Type: spi.IP, Bloom: true},
		{Path: "dns.answers.ttl", Type: spi.Integer},
		{Path: "dns.answers.txt", Type: spi.Term, List: true},
		{Path: "dns.after", Type: spi.Term},
		{Path: "cert.notAfter", Type: spi.Date},
		{Path: "cert.alt", Type: spi.LoTerm, List: true},
		{Path: "never.filled", Type: spi.Term},
		{Path: "never.list", Type: spi.Term, List: true},
	} {
		r.Declare(f)
	}
	return r.Freeze()
}

func id(r *spi.Registry, path string) spi.FieldID {
	f, ok := r.ByPath(path)
	if !ok {
		panic("no field " + path)
	}
	return f.ID
}

// randomDocument fills fields of every shape by chance.
func randomDocument(r *spi.Registry, rng *rand.Rand, i int) *spi.Document {
	d := r.NewDocument()
	d.SetString(spi.ID, fmt.Sprintf("231123-%026d", i))
	first := int64(1700000000000 + rng.IntN(86_400_000))
	d.SetInt(spi.FirstPacket, first)
	d.SetInt(spi.LastPacket, first+int64(rng.IntN(100_000)))
	d.SetString(spi.SourceIP, netip.AddrFrom4([4]byte{10, 0, byte(rng.IntN(4)), byte(rng.IntN(256))}).String())
	d.SetInt(spi.SourcePort, int64(rng.IntN(65536)))
	d.SetInt(spi.NetworkBytes, rng.Int64N(1<<40)-(1<<39))
	some := func(n int) int { return max(0, rng.IntN(n+3)-2) }
	for range some(3) {
		d.AddString(id(r, "http.uri"), fmt.Sprintf("host%d/%s", rng.IntN(50), strings.Repeat("x", rng.IntN(30))))
		d.AddInt(id(r, "http.statuscode"), int64(200+rng.IntN(300)))
	}
	if rng.IntN(20) == 0 {
		d.AddString(id(r, "http.uri"), "bad\xff\xfe\x00text é")
		d.AddString(id(r, "http.uri"), strings.Repeat("long", 100))
	}
	for range some(3) {
		o, _ := d.NewObject(r.Field(id(r, "dns.host")).In, spi.Root)
		for range some(2) {
			d.AddStringIn(o, id(r, "dns.host"), fmt.Sprintf("h%d.example", rng.IntN(1000)))
		}
		if rng.IntN(2) == 0 {
			d.SetStringIn(o, id(r, "dns.opcode"), "QUERY")
			d.SetStringIn(o, id(r, "dns.after"), "a")
		}
		for range some(4) {
			a, _ := d.NewObject(r.Field(id(r, "dns.answers.ip")).In, o)
			if rng.IntN(3) > 0 {
				d.AddIPIn(a, id(r, "dns.answers.ip"), netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(256))}))
			}
			for range some(2) {
				d.AddStringIn(a, id(r, "dns.answers.txt"), fmt.Sprint(rng.IntN(10)))
			}
			d.SetIntIn(a, id(r, "dns.answers.ttl"), int64(rng.IntN(10)))
		}
	}
	for range some(2) {
		o, _ := d.NewObject(r.Field(id(r, "cert.alt")).In, spi.Root)
		d.SetIntIn(o, id(r, "cert.notAfter"), rng.Int64N(1<<41))
		for range some(3) {
			d.AddStringIn(o, id(r, "cert.alt"), fmt.Sprintf("*.h%d.example", rng.IntN(100)))
		}
	}
	return d
}

// manyDocuments is from how many documents on most are small, so that tests of more than a row group take little time.
const manyDocuments = 20_000

func randomDocuments(r *spi.Registry, n int) []*spi.Document {
	rng := rand.New(rand.NewPCG(1, 2))
	docs := make([]*spi.Document, n)
	for i := range docs {
		if n > manyDocuments && rng.IntN(50) > 0 {
			docs[i] = r.NewDocument()
			docs[i].SetString(spi.ID, fmt.Sprintf("231123-%026d", i))
			docs[i].SetInt(spi.FirstPacket, int64(1700000000000+rng.IntN(86_400_000)))
			continue
		}
		docs[i] = randomDocument(r, rng, i)
	}
	return docs
}

func encode(t testing.TB, s *Schema, docs []*spi.Document) ([]byte, Info) {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, s, Options{Sensor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		if err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	info, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if info.Bytes != int64(b.Len()) || info.Rows != int64(len(docs)) {
		t.Fatalf("Info %+v of %d bytes, %d rows", info, b.Len(), len(docs))
	}
	return b.Bytes(), info
}

func testSchema(t testing.TB, r *spi.Registry) *Schema {
	t.Helper()
	s, err := NewSchema(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stored puts b into a store and opens it.
func stored(t testing.TB, s *Schema, b []byte) *File {
	t.Helper()
	store, err := objstore.Open(context.Background(), "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objstore.PutBytes(context.Background(), store, "a.parquet", b); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(store, s)
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Open(context.Background(), "a.parquet")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// inOrder returns the documents as a file orders them: by first packet within groups.
func inOrder(docs []*spi.Document) []*spi.Document {
	var out []*spi.Document
	for group := range slices.Chunk(docs, groupRows) {
		group = slices.Clone(group)
		slices.SortStableFunc(group, func(a, b *spi.Document) int {
			x, _ := a.Int(spi.FirstPacket)
			y, _ := b.Int(spi.FirstPacket)
			return int(x - y)
		})
		out = append(out, group...)
	}
	return out
}

func jsonOf(d *spi.Document, keep func(*spi.Field) bool) string {
	return string(d.AppendJSON(nil, keep))
}

func TestRoundTrip(t *testing.T) {
	r := testRegistry()
	s := testSchema(t, r)
	for _, n := range []int{0, 1, 7, 3000, groupRows + 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			docs := randomDocuments(r, n)
			b, info := encode(t, s, docs)
			f := stored(t, s, b)
			if lo, hi, last, ok := f.Times(); f.Rows() != int64(n) || !ok || lo != info.FirstMin || hi != info.FirstMax || last != info.LastMax || f.Sensor() != "test" {
				t.Fatalf("footer says %d rows, %d %d %d, sensor %q", f.Rows(), lo, hi, last, f.Sensor())
			}
			want := inOrder(docs)
			i := 0
			for d, err := range f.Documents(context.Background(), nil) {
				if err != nil {
					t.Fatal(err)
				}
				if got, want := jsonOf(d, nil), jsonOf(want[i], nil); got != want {
					t.Fatalf("row %d:\n got %s\nwant %s", i, got, want)
				}
				i++
			}
			if i != n {
				t.Fatalf("%d rows of %d", i, n)
			}
		})
	}
}

func TestRowsAndFieldsAreChosen(t *testing.T) {
	r := testRegistry()
	s := testSchema(t, r)
	docs := randomDocuments(r, 3*pageRows)
	b, _ := encode(t, s, docs)
	f := stored(t, s, b)
	want := inOrder(docs)
	fields := []spi.FieldID{spi.ID, id(r, "dns.answers.ttl"), id(r, "http.uri"), id(r, "never.filled"), spi.ID}
	keep := func(f *spi.Field) bool { return slices.Contains(fields, f.ID) }
	rows := []int{0, 5, pageRows - 1, pageRows, 3*pageRows - 1}
	got, err := f.Group(0).Documents(context.Background(), rows, fields)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		// A list is told of as far as its chosen fields reach: objects whose only fields are others are not.
		if got, want := jsonOf(got[i], nil), jsonOf(want[row], keep); got != want {
			t.Errorf("row %d:\n got %s\nwant %s", row, got, want)
		}
	}
}

func TestSameDocumentsSameBytes(t *testing.T) {
	r := testRegistry()
	s := testSchema(t, r)
	docs := randomDocuments(r, groupRows+100)
	first, _ := encode(t, s, docs)
	for range 2 {
		if again, _ := encode(t, s, docs); !bytes.Equal(first, again) {
			t.Fatal("the bytes differ")
		}
	}
}

// TestParquetGoReads proves the files with a reader that is not ours.
func TestParquetGoReads(t *testing.T) {
	r := testRegistry()
	s := testSchema(t, r)
	docs := randomDocuments(r, pageRows+100)
	b, _ := encode(t, s, docs)
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if f.NumRows() != int64(len(docs)) {
		t.Fatalf("%d rows", f.NumRows())
	}
	rows := parquet.NewGenericReader[any](f)
	defer rows.Close()
	buf := make([]any, 100)
	n := 0
	for {
		k, err := rows.Read(buf)
		n += k
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n != len(docs) {
		t.Fatalf("read %d rows", n)
	}
}

// TestOtherSchemas reads files that lack columns of the schema and that have others.
func TestOtherSchemas(t *testing.T) {
	old := spi.NewRegistry()
	old.Declare(spi.Field{Path: "http.uri", Type: spi.Term, List: true})
	old.Declare(spi.Field{Path: "gone.later", Type: spi.Term})
	old.Freeze()
	d := old.NewDocument()
	d.SetInt(spi.FirstPacket, 1700000000000)
	d.SetString(id(old, "gone.later"), "x")
	d.AddString(id(old, "http.uri"), "a/b")
	b, _ := encode(t, testSchema(t, old), []*spi.Document{d})
	f := stored(t, testSchema(t, testRegistry()), b)
	for got, err := range f.Documents(context.Background(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if got, want := jsonOf(got, nil), `{"firstPacket":1700000000000,"http":{"uri":["a/b"]}}`; got != want {
			t.Errorf("got %s want %s", got, want)
		}
	}
	if got := f.Group(0).Column(id(testRegistry(), "dns.host")); got != nil {
		t.Error("a column that the file lacks is there")
	}
}

// replacing is a store whose object is replaced once, when it was read for the first time.
type replacing struct {
	objstore.Store
	by []byte
}

func (r *replacing) GetRange(ctx context.Context, key string, off, n int64) ([]byte, objstore.Object, error) {
	b, o, err := r.Store.GetRange(ctx, key, off, n)
	if r.by != nil && err == nil {
		_, err = objstore.PutBytes(ctx, r.Store, key, r.by)
		r.by = nil
	}
	return b, o, err
}

// A file that is replaced between the two reads of a large footer is opened as it is then.
func TestOpenWhileReplaced(t *testing.T) {
	reg := spi.NewRegistry()
	var fields []spi.FieldID
	for i := range 3000 {
		fields = append(fields, reg.Declare(spi.Field{Path: fmt.Sprintf("x.field%d", i), Type: spi.Term}))
	}
	schema := testSchema(t, reg.Freeze())
	file := func(node string, fields []spi.FieldID) []byte {
		d := reg.NewDocument()
		d.SetString(spi.Node, node)
		for _, f := range fields {
			d.SetString(f, node+strings.Repeat("x", 20))
		}
		b, _ := encode(t, schema, []*spi.Document{d})
		return b
	}
	for name, by := range map[string][]byte{
		"as large": file("b", fields), "larger": file("b longer", fields), "small": file("b small", nil),
	} {
		dir, err := objstore.Open(t.Context(), "file://"+t.TempDir(), objstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		const key = "some/key.parquet"
		if _, err := objstore.PutBytes(t.Context(), dir, key, file("a", fields)); err != nil {
			t.Fatal(err)
		}
		store := &replacing{Store: dir, by: by}
		r, err := NewReader(store, schema)
		if err != nil {
			t.Fatal(err)
		}
		f, err := r.Open(t.Context(), key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for d, err := range f.Documents(t.Context(), nil) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := d.String(spi.Node); !strings.HasPrefix(got, "b") {
				t.Errorf("%s: node %q, want that of the new file", name, got)
			}
		}
	}
}
