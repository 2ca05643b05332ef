package sessionfile

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"wirelake/internal/spi"
)

// TestVector holds the page of docs/parquet-format.md, both ways.
func TestVector(t *testing.T) {
	page, err := hex.DecodeString(strings.ReplaceAll("02 00 00 00 03 00 03 00 00 00 03 02 00 00 03", " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	r := spi.NewRegistry()
	uri := r.Declare(spi.Field{Path: "http.uri", Type: spi.Term, List: true})
	s := testSchema(t, r)
	d := r.NewDocument()
	d.SetInt(spi.FirstPacket, 1700000000000)
	d.AddString(uri, "a/b")
	w, err := NewWriter(&bytes.Buffer{}, s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(d); err != nil {
		t.Fatal(err)
	}
	b := &w.columns[s.byField[uri]]
	v := w.enc.choose(b)
	got := v.appendPage(appendLevels(nil, b, 0, len(b.defs)), 0, b.numValues())
	if !bytes.Equal(got, page) {
		t.Errorf("encoded % x\n   want % x", got, page)
	}
	p := &Page{col: b.col, entries: 1}
	rest := page
	if p.reps, rest, err = decodeLevels(make([]uint8, 1), rest, b.col.maxRep); err != nil {
		t.Fatal(err)
	}
	if p.defs, rest, err = decodeLevels(make([]uint8, 1), rest, b.col.maxDef); err != nil {
		t.Fatal(err)
	}
	p.values = countLevel(p.defs, b.col.maxDef)
	dict := &Dict{n: 1, texts: texts{all: "a/b", ends: []uint32{3}}}
	if err := p.decodeValues(v.encoding, dict, rest, &scratch{}); err != nil {
		t.Fatal(err)
	}
	if p.values != 1 || p.String(0) != "a/b" || p.reps[0] != 0 || p.defs[0] != 2 {
		t.Errorf("decoded %d values, %q, levels %v %v", p.values, p.String(0), p.reps, p.defs)
	}
}
