package query

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"wirelake/internal/spi"
)

// sessionsAnswer has Arkime's keys, and warnings and explain beside them.
type sessionsAnswer struct {
	Data            []json.RawMessage `json:"data"`
	Map             map[string]any    `json:"map"`
	Graph           map[string]any    `json:"graph"`
	RecordsTotal    int64             `json:"recordsTotal"`
	RecordsFiltered int64             `json:"recordsFiltered"`
	Warnings        []string          `json:"warnings,omitempty"`
	Explain         *Explain          `json:"explain,omitempty"`
}

// search reads what all searching requests have.
func (a *API) search(p *params) (*Search, error) {
	now := a.now()
	e, err := p.expression(a.Registry, now)
	if err != nil {
		return nil, err
	}
	w, err := p.window(now)
	if err != nil {
		return nil, err
	}
	return &Search{Expr: e, Window: w, Explain: p.flag("explain")}, nil
}

// page reads order, start and length.
func (a *API) page(p *params, s *Search, length int) (err error) {
	if s.Sort, err = p.order(a.Registry); err != nil {
		return err
	}
	if s.Start, err = p.number("start", 0, a.Config.MaxRows); err != nil {
		return err
	}
	if s.Length, err = p.number("length", length, a.Config.MaxRows); err != nil {
		return err
	}
	s.Length = min(s.Length, a.Config.MaxRows-s.Start)
	return nil
}

// sessions answers /api/sessions.
func (a *API) sessions(w http.ResponseWriter, r *http.Request, p *params) error {
	s, err := a.search(p)
	if err != nil {
		return err
	}
	if err := a.page(p, s, 100); err != nil {
		return err
	}
	s.Fields = p.fields(a.Registry, defaultFields)
	answer := sessionsAnswer{Data: []json.RawMessage{}, Map: map[string]any{}, Graph: map[string]any{}}
	var result *Result
	if p.flag("facets") {
		asked, err := p.interval()
		if err != nil {
			return err
		}
		var width time.Duration
		if result, width, err = searchGraph(r.Context(), a.Engine, s, asked); err != nil {
			return err
		}
		p.tooFine(asked, width)
		answer.Graph = graph(result.Buckets, s.Window, width)
	} else if result, err = a.Engine.Search(r.Context(), s); err != nil {
		return err
	}
	flatten := p.flag("flatten")
	for _, d := range result.Rows {
		answer.Data = append(answer.Data, row(a.Registry, d, s.Fields, flatten))
	}
	answer.RecordsFiltered = result.Total
	if answer.RecordsTotal, err = a.recordsTotal(r.Context(), s); err != nil {
		return err
	}
	answer.Explain = result.Explain
	answer.Warnings = append(p.warnings, result.Warnings...)
	a.writeJSON(w, r, http.StatusOK, answer)
	return nil
}

// recordsTotal counts all sessions where that is cheap, else those of the window.
func (a *API) recordsTotal(ctx context.Context, s *Search) (int64, error) {
	n, err := a.Engine.Total(ctx)
	if err != nil || n >= 0 {
		return n, err
	}
	everything, err := emptyExpression(a.Registry)
	if err != nil {
		return 0, err
	}
	result, err := a.Engine.Search(ctx, &Search{Window: s.Window, Expr: everything})
	if err != nil {
		return 0, err
	}
	return result.Total, nil
}

// counters are the fields that Arkime gives as -1 when a session has none.
func counters() []spi.FieldID {
	return []spi.FieldID{spi.SourcePackets, spi.SourceBytes, spi.DestinationPackets, spi.DestinationBytes, spi.ClientBytes, spi.ServerBytes}
}

// row encodes a row of /api/sessions: counters that were asked for and are absent are -1.
func row(reg *spi.Registry, d *spi.Document, fields []spi.FieldID, flatten bool) json.RawMessage {
	for _, id := range counters() {
		if slices.Contains(fields, id) && !d.Has(id) {
			d.SetInt(id, -1)
		}
	}
	if flatten {
		return flattened(reg, d, keeper(fields))
	}
	return EncodeRow(d, fields)
}

// keeper returns whether a field is among those asked for (nil: all); id and node always are.
func keeper(fields []spi.FieldID) func(*spi.Field) bool {
	return func(f *spi.Field) bool {
		return fields == nil || f.ID == spi.ID || f.ID == spi.Node || slices.Contains(fields, f.ID)
	}
}

// EncodeRow encodes a document as JSON with the fields asked for (nil: all) and always its id and node.
func EncodeRow(d *spi.Document, fields []spi.FieldID) []byte {
	return d.AppendJSON(nil, keeper(fields))
}

// flattened encodes a document with dotted keys; the values of all objects of a list come as one list.
func flattened(reg *spi.Registry, d *spi.Document, keep func(*spi.Field) bool) json.RawMessage {
	values := make(map[string]any)
	for i := range reg.Fields() {
		f := &reg.Fields()[i]
		if !keep(f) {
			continue
		}
		var all []any
		for v := range d.Each(f.ID) {
			if f.Type.Numeric() {
				all = append(all, v.Int)
			} else {
				all = append(all, strings.ToValidUTF8(v.Str, "\ufffd"))
			}
		}
		switch {
		case len(all) == 0:
		case f.List || f.In != spi.RootList:
			values[f.Path] = all
		default:
			values[f.Path] = all[0]
		}
	}
	b, err := json.Marshal(values)
	if err != nil { // numbers and valid text always encode
		return json.RawMessage("{}")
	}
	return b
}
