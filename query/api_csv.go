package query

import (
	"encoding/csv"
	"errors"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"wirelake/internal/expr"
	"wirelake/internal/spi"
)

// csvFields are the columns of who names none.
const csvFields = "ipProtocol,firstPacket,lastPacket,source.ip,source.port,source.geo.country_iso_code,destination.ip,destination.port," +
	"destination.geo.country_iso_code,network.bytes,totDataBytes,network.packets,node"

// sessionsCSV answers /api/sessions.csv.
func (a *API) sessionsCSV(w http.ResponseWriter, r *http.Request, p *params) error {
	s, err := a.search(p)
	if err != nil {
		return err
	}
	s.Fields = p.fields(a.Registry, csvFields)
	if s.Fields == nil {
		return badParam("fields", "a table needs its columns named")
	}
	docs, err := a.chosen(r, p, s)
	if err != nil {
		return err
	}
	out := newDownload(w, "text/csv; charset=utf-8", "sessions.csv")
	return out.finish(WriteCSV(out, a.Registry, s.Fields, docs))
}

// WriteCSV writes sessions as a table with a header of the fields' names (RFC 4180).
func WriteCSV(out io.Writer, reg *spi.Registry, fields []spi.FieldID, docs iter.Seq2[*spi.Document, error]) error {
	enc := csv.NewWriter(out)
	record := make([]string, len(fields))
	for i, id := range fields {
		record[i] = reg.Field(id).Name
	}
	if err := enc.Write(record); err != nil {
		return err
	}
	for d, err := range docs {
		if err != nil {
			return err
		}
		for i, id := range fields {
			record[i] = cell(reg.Field(id), d)
		}
		if err := enc.Write(record); err != nil {
			return err
		}
	}
	enc.Flush()
	return enc.Error()
}

// cell is [Cell] for spreadsheets. Text that they would take for a formula gets a quote before it: what an attacker
// put on the wire must not run in an analyst's spreadsheet.
func cell(f *spi.Field, d *spi.Document) string {
	text := Cell(f, d)
	if text != "" && !f.Type.Numeric() && strings.IndexByte("=+-@\t\r", text[0]) >= 0 {
		return "'" + text
	}
	return text
}

// Cell returns the values of a field as text, joined by commas: times as ISO 8601 in UTC, control characters escaped.
func Cell(f *spi.Field, d *spi.Document) string {
	var parts []string
	for v := range d.Each(f.ID) {
		switch {
		case f.Type == spi.Date:
			parts = append(parts, time.UnixMilli(v.Int).UTC().Format("2006-01-02T15:04:05.000Z"))
		case f.Type.Numeric():
			parts = append(parts, strconv.FormatInt(v.Int, 10))
		default:
			parts = append(parts, visible(v.Str))
		}
	}
	return strings.Join(parts, ", ")
}

// visible writes what is no printable character as in Go's strings: text of the wire must neither break a line nor
// command a terminal.
func visible(s string) string {
	plain := true
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// chosen returns the sessions of an export: those of ids, those of a page when length is given, or all that match.
func (a *API) chosen(r *http.Request, p *params, s *Search) (iter.Seq2[*spi.Document, error], error) {
	ctx := r.Context()
	if text := p.Get("ids"); text != "" {
		ids := strings.Split(text, ",")
		if len(ids) > a.Config.MaxRows {
			return nil, badParam("ids", "%d ids are above %d", len(ids), a.Config.MaxRows)
		}
		docs, warnings, err := a.Engine.Get(ctx, ids, s.Fields)
		if err != nil {
			return nil, err
		}
		for _, text := range warnings {
			a.Log.WarnContext(ctx, "export with losses", "warning", text)
		}
		for i, d := range docs {
			if d == nil {
				return nil, &httpError{http.StatusNotFound, "session " + ids[i] + " not found"}
			}
		}
		return yieldAll(docs), nil
	}
	if p.Get("length") == "" && p.Get("start") == "" {
		return a.logWarnings(r, a.Engine.Each(ctx, s)), nil
	}
	if err := a.page(p, s, a.Config.MaxRows); err != nil {
		return nil, err
	}
	if s.Start == 0 && s.Length > sortedExport {
		return limited(a.logWarnings(r, a.Engine.Each(ctx, s)), s.Length), nil
	}
	result, err := a.Engine.Search(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, text := range result.Warnings {
		a.Log.WarnContext(ctx, "export with losses", "warning", text)
	}
	return yieldAll(result.Rows), nil
}

// sortedExport is the longest export that keeps the order asked for; longer ones are not gathered in memory, and
// come in order of days.
const sortedExport = 20_000

func limited(docs iter.Seq2[*spi.Document, error], most int) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		n := 0
		for d, err := range docs {
			if n++; n > most || !yield(d, err) {
				return
			}
		}
	}
}

// logWarnings takes the warnings out of a sequence.
func (a *API) logWarnings(r *http.Request, docs iter.Seq2[*spi.Document, error]) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		for d, err := range docs {
			var warning *Warning
			if errors.As(err, &warning) {
				a.Log.WarnContext(r.Context(), "export with losses", "warning", warning.Text)
				continue
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

func yieldAll(docs []*spi.Document) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		for _, d := range docs {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// emptyExpression returns the expression that is true for all.
func emptyExpression(reg *spi.Registry) (*expr.Expr, error) { return expr.Parse("", reg, time.Time{}) }
