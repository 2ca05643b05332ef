package dissect

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// TestQPACKExamples reads the examples of RFC 9204 appendix B, one after the other.
func TestQPACKExamples(t *testing.T) {
	table := qpackTable{static: qpackStatic(), most: 220, settled: true}
	for _, tt := range []struct {
		name, encoder, section string
		want                   []string
		size                   uint64
	}{
		{"B.1 literal field line with name reference", "", "0000510b2f696e6465782e68746d6c", []string{":path=/index.html"}, 0},
		{"B.2 dynamic table", "3fbd01c00f7777772e6578616d706c652e636f6dc10c2f73616d706c652f70617468", "03811011", []string{":authority=www.example.com", ":path=/sample/path"}, 106},
		{"B.3 speculative insert", "4a637573746f6d2d6b65790c637573746f6d2d76616c7565", "", nil, 160},
		{"B.4 duplicate", "02", "050080c181", []string{":authority=www.example.com", ":path=/", "custom-key=custom-value"}, 217},
		{"B.5 insert with eviction", "810d637573746f6d2d76616c756532", "", nil, 215},
	} {
		b := hexBytes(t, tt.encoder)
		for cut := range b { // in two pieces
			copied := table
			copied.entries = slices.Clone(table.entries)
			n, err := copied.instructions(b[:cut])
			if err != nil {
				t.Fatalf("%s: the first %d bytes: %v", tt.name, cut, err)
			}
			if m, err := copied.instructions(b[n:]); err != nil || n+m != len(b) || copied.size != tt.size {
				t.Errorf("%s: cut at %d: %d of %d bytes, a table of %d bytes, %v", tt.name, cut, n+m, len(b), copied.size, err)
			}
		}
		if n, err := table.instructions(b); err != nil || n != len(b) || table.size != tt.size {
			t.Fatalf("%s: %d of %d bytes, a table of %d bytes, want %d; %v", tt.name, n, len(b), table.size, tt.size, err)
		}
		var got []string
		if tt.section != "" {
			if err := table.section(hexBytes(t, tt.section), func(f hpack.HeaderField) { got = append(got, f.Name+"="+f.Value) }); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestQPACKSections reads the forms of field lines that the examples do not have, and what is none.
func TestQPACKSections(t *testing.T) {
	entries := []hpack.HeaderField{{Name: "a", Value: "0"}, {Name: "b", Value: "1"}, {Name: "c", Value: "2"}}
	for _, tt := range []struct {
		name, section string
		want          []string
		err           error
	}{
		{"static and Huffman", "0000" + "d1" + "5f5086f2b12d424f4f", []string{":method=GET", "user-agent=x-custom"}, nil},
		{"literal names", "0000" + "23616263" + "01" + "7a" + "2f01" + "64" + "8130", nil, errQPACK},
		{"a name and a value", "0000" + "23616263" + "017a", []string{"abc=z"}, nil},
		{"the base in the middle", "0381" + "80" + "10" + "0001" + "78", nil, errQPACK},
		{"dynamic names", "0400" + "40" + "0139" + "42" + "0138", []string{"c=9", "a=8"}, nil},
		{"behind the base", "0481" + "80" + "10" + "010137", []string{"a=0", "b=1", "c=7"}, nil},
		{"blocked", "0500" + "80", nil, errQPACKBlocked},
		{"more entries than a table can have", "ff0000" + "80", nil, errQPACK},
		{"no entry", "0000" + "ff7f", nil, errQPACK},
		{"an entry before the first", "0400" + "84", nil, errQPACK},
		{"a negative base", "0484" + "80", nil, errQPACK},
		{"a value that is cut", "0000" + "5103" + "2f", nil, errQPACK},
		{"a name that is longer than may be", "0000" + "27ffffffff0f", nil, errQPACK},
		{"an integer without end", "0000" + "ffffffffffffffff", nil, errQPACK},
		{"nothing", "", nil, errQPACK},
	} {
		table := qpackTable{static: qpackStatic(), entries: slices.Clone(entries), size: 102, capacity: 4096, most: 4096, settled: true}
		var got []string
		err := table.section(hexBytes(t, tt.section), func(f hpack.HeaderField) { got = append(got, f.Name+"="+f.Value) })
		if !errors.Is(err, tt.err) || err == nil && !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v; want %q, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
	if n := len(qpackStatic()); n != 99 {
		t.Errorf("the static table has %d entries", n)
	}
	table := qpackTable{static: qpackStatic()}
	for _, b := range []string{"c00130", "3fffffff0f", "02", "80" + "0130", "ff7f0130"} { // past the capacity, a capacity past the limit, no entry
		if _, err := table.instructions(hexBytes(t, b)); err == nil {
			t.Errorf("instructions %s were taken", b)
		}
	}
}

func FuzzQPACK(f *testing.F) {
	for _, s := range [][2]string{
		{"3fbd01c00f7777772e6578616d706c652e636f6dc10c2f73616d706c652f70617468", "03811011"},
		{"3fbd014a637573746f6d2d6b65790c637573746f6d2d76616c756500810d637573746f6d2d76616c756532", "050080c181"},
		{"", "0000510b2f696e6465782e68746d6c"},
	} {
		f.Add(hexBytes(f, s[0]), hexBytes(f, s[1]))
	}
	static := qpackStatic()
	f.Fuzz(func(t *testing.T, encoder, section []byte) {
		table := qpackTable{static: static, most: 220, settled: true}
		n, err := table.instructions(encoder)
		var size uint64
		for _, e := range table.entries {
			size += qpackSize(e)
		}
		if n > len(encoder) || size != table.size || size > table.capacity || size > qpackMaxTable {
			t.Fatalf("%d of %d bytes, %v: a table of %d bytes, counted %d, at most %d", n, len(encoder), err, size, table.size, table.capacity)
		}
		fields := 0
		if err := table.section(section, func(hpack.HeaderField) { fields++ }); err == nil && fields > len(section) {
			t.Fatalf("%d fields of %d bytes", fields, len(section))
		}
	})
}
