package spi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends d as nested JSON: {"source":{"ip":…},…}. Fields are in
// path order; with keep, only the fields for which it returns true are written.
// Text that is not UTF-8 has its bad bytes replaced by U+FFFD.
func (d *Document) AppendJSON(b []byte, keep func(*Field) bool) []byte {
	w := jsonWriter{d: d, values: d.Values(), keep: keep}
	return w.object(b, Root, 0)
}

// MarshalJSON implements [json.Marshaler] with all fields.
func (d *Document) MarshalJSON() ([]byte, error) { return d.AppendJSON(nil, nil), nil }

type jsonWriter struct {
	d      *Document
	values []Value
	keep   func(*Field) bool
}

// object appends one object. Its members are runs of values of one field and
// lists of objects, merged in path order; depth is how many segments of their
// paths lie above the object.
func (w *jsonWriter) object(b []byte, o ObjectID, depth int) []byte {
	b = append(b, '{')
	var open []string // segments of the nested objects that are open
	first := true
	// member writes the key path of a member, closing and opening nested objects.
	member := func(segments []string) {
		path := segments[depth : len(segments)-1]
		common := 0
		for common < len(open) && common < len(path) && open[common] == path[common] {
			common++
		}
		for range len(open) - common {
			b = append(b, '}')
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		open = open[:common]
		for _, s := range path[common:] {
			b = append(appendString(b, s), ':', '{')
			open = append(open, s)
		}
		b = append(appendString(b, segments[len(segments)-1]), ':')
	}

	reg := w.d.reg
	end := len(w.values)
	if int(o)+1 < len(w.d.objects) {
		end = w.d.objects[o+1].first
	}
	values := w.values[w.d.objects[o].first:end]
	lists := w.listsBelow(o)
	for len(values) > 0 || len(lists) > 0 {
		if len(lists) > 0 && (len(values) == 0 || reg.lists[lists[0]].rank < reg.fields[values[0].Field].rank) {
			l := &reg.lists[lists[0]]
			lists = lists[1:]
			member(l.segments)
			b = append(b, '[')
			sep := false
			for child := range w.d.Objects(l.ID, o) {
				if sep {
					b = append(b, ',')
				}
				sep = true
				b = w.object(b, child, len(l.segments))
			}
			b = append(b, ']')
			continue
		}
		f := &reg.fields[values[0].Field]
		n := 1
		for n < len(values) && values[n].Field == f.ID {
			n++
		}
		run := values[:n]
		values = values[n:]
		if w.keep != nil && !w.keep(f) {
			continue
		}
		member(f.segments)
		if !f.List {
			b = appendValue(b, f, run[0])
			continue
		}
		b = append(b, '[')
		for i, v := range run {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, f, v)
		}
		b = append(b, ']')
	}
	for range open {
		b = append(b, '}')
	}
	return append(b, '}')
}

// listsBelow returns the lists that have objects directly below o and a field
// that is kept, in path order.
func (w *jsonWriter) listsBelow(o ObjectID) []ListID {
	var out []ListID
next:
	for _, obj := range w.d.objects[1:] {
		if obj.parent != o {
			continue
		}
		for _, l := range out {
			if l == obj.list {
				continue next
			}
		}
		if !w.keepsList(obj.list) {
			continue
		}
		at := len(out)
		for at > 0 && w.d.reg.lists[out[at-1]].rank > w.d.reg.lists[obj.list].rank {
			at--
		}
		out = append(out, 0)
		copy(out[at+1:], out[at:])
		out[at] = obj.list
	}
	return out
}

// keepsList reports whether a field of the list, or of a list inside it, is kept.
func (w *jsonWriter) keepsList(id ListID) bool {
	if w.keep == nil {
		return true
	}
	for _, f := range w.d.reg.lists[id].fields {
		if w.keep(&w.d.reg.fields[f]) {
			return true
		}
	}
	return false
}

func appendValue(b []byte, f *Field, v Value) []byte {
	if f.Type.Numeric() {
		return strconv.AppendInt(b, v.Int, 10)
	}
	return appendString(b, v.Str)
}

// appendString appends s as a JSON string (RFC 8259 section 7).
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		// U+2028 and U+2029 end a line in JavaScript.
		if (r == utf8.RuneError && size == 1) || r == 0x2028 || r == 0x2029 {
			b = append(b, s[start:i]...)
			if size == 1 {
				b = append(b, "\ufffd"...)
			} else {
				b = append(b, '\\', 'u', '2', '0', '2', hex[r&15])
			}
			i += size
			start = i
			continue
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// ParseJSON decodes a document written by AppendJSON, or by another program in
// the same layout. Members that the registry does not know are returned by path
// in unknown, not kept. Scalars and lists are accepted for either kind of field.
func (r *Registry) ParseJSON(b []byte) (d *Document, unknown []string, err error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var top map[string]any
	if err := dec.Decode(&top); err != nil {
		return nil, nil, fmt.Errorf("session document: %w", err)
	}
	p := jsonParser{r: r, d: r.NewDocument()}
	if err := p.object(top, Root, ""); err != nil {
		return nil, nil, err
	}
	return p.d, p.unknown, nil
}

type jsonParser struct {
	r       *Registry
	d       *Document
	unknown []string
}

func (p *jsonParser) object(m map[string]any, o ObjectID, path string) error {
	for k, v := range m {
		at := k
		if path != "" {
			at = path + "." + k
		}
		if err := p.member(at, v, o); err != nil {
			return err
		}
	}
	return nil
}

func (p *jsonParser) member(path string, v any, o ObjectID) error {
	if f, ok := p.r.ByPath(path); ok {
		return p.field(f, v, o)
	}
	if m, ok := v.(map[string]any); ok {
		if l := p.listAt(path); l != RootList {
			return p.newObject(l, m, o, path)
		}
		return p.object(m, o, path)
	}
	if a, ok := v.([]any); ok {
		if l := p.listAt(path); l != RootList {
			for _, e := range a {
				m, ok := e.(map[string]any)
				if !ok {
					return fmt.Errorf("session document: %s: want objects, have %T", path, e)
				}
				if err := p.newObject(l, m, o, path); err != nil {
					return err
				}
			}
			return nil
		}
	}
	p.unknown = append(p.unknown, path)
	return nil
}

func (p *jsonParser) newObject(l ListID, m map[string]any, parent ObjectID, path string) error {
	if o, ok := p.d.NewObject(l, parent); ok {
		return p.object(m, o, path)
	}
	return nil
}

func (p *jsonParser) listAt(path string) ListID {
	for _, l := range p.r.lists[1:] {
		if l.Path == path {
			return l.ID
		}
	}
	return RootList
}

func (p *jsonParser) field(f *Field, v any, o ObjectID) error {
	if a, ok := v.([]any); ok {
		for _, e := range a {
			if err := p.field(f, e, o); err != nil {
				return err
			}
		}
		return nil
	}
	var text string
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		text = v
	case json.Number:
		text = v.String()
	case bool:
		text = strconv.FormatBool(v)
	default:
		return fmt.Errorf("session document: %s: unexpected %T", f.Path, v)
	}
	if f.Type.Numeric() {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("session document: %s: %w", f.Path, err)
		}
		p.d.AddIntIn(o, f.ID, n)
		return nil
	}
	if f.Type == IP {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("session document: %s: %w", f.Path, err)
		}
		p.d.AddIPIn(o, f.ID, a)
		return nil
	}
	p.d.AddStringIn(o, f.ID, text)
	return nil
}
