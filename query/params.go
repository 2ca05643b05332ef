package query

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"wirelake/internal/expr"
	"wirelake/internal/spi"
)

// badRequest is an error of the request, answered with 400.
type badRequest struct {
	text string
	expr *expr.Error // nil unless the expression is bad
}

func (e *badRequest) Error() string { return e.text }

func badParam(name, format string, args ...any) error {
	return &badRequest{text: name + ": " + fmt.Sprintf(format, args...)}
}

// maxBody bounds the body of a POST: an expression of maximal length and what belongs to it.
const maxBody = 4 << 20

// params are the parameters of a request. Those of a POST's body come before those of its URL.
type params struct {
	url.Values
	warnings []string
}

// readParams reads the query and, of a POST, the body: a form, or JSON whose members are the parameters.
func readParams(w http.ResponseWriter, r *http.Request) (*params, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &badRequest{text: "the query string is malformed: " + err.Error()}
	}
	p := &params{Values: query}
	if r.Method != http.MethodPost {
		return p, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, &badRequest{text: "the body cannot be read: " + err.Error()}
	}
	if len(body) == 0 {
		return p, nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, &badRequest{text: "the body has no proper Content-Type"}
	}
	switch kind {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, &badRequest{text: "the form is malformed: " + err.Error()}
		}
		for name, values := range form {
			p.Values[name] = values
		}
	case "application/json":
		if err := p.mergeJSON(body); err != nil {
			return nil, err
		}
	default:
		return nil, &badRequest{text: "the body is " + kind + ", not application/json or application/x-www-form-urlencoded"}
	}
	return p, nil
}

func (p *params) mergeJSON(body []byte) error {
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.UseNumber()
	var members map[string]any
	if err := dec.Decode(&members); err != nil {
		return &badRequest{text: "the body is not a JSON object: " + err.Error()}
	}
	for name, v := range members {
		switch v := v.(type) {
		case nil:
		case string:
			p.Set(name, v)
		case json.Number:
			p.Set(name, v.String())
		case bool:
			p.Set(name, strconv.FormatBool(v))
		case []any:
			texts := make([]string, len(v))
			for i, e := range v {
				texts[i] = fmt.Sprint(e)
			}
			p.Set(name, strings.Join(texts, ","))
		default:
			return badParam(name, "objects are not understood")
		}
	}
	return nil
}

// flag reads a parameter that is 1 or true.
func (p *params) flag(name string) bool {
	v := p.Get(name)
	return v == "1" || v == "true"
}

// number reads a whole number from 0 to most.
func (p *params) number(name string, otherwise, most int) (int, error) {
	v := p.Get(name)
	if v == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return 0, badParam(name, "%q is not a whole number", v)
	}
	return int(min(n, uint64(most))), nil
}

// expression reads the expression.
func (p *params) expression(reg *spi.Registry, now time.Time) (*expr.Expr, error) {
	if p.Get("view") != "" {
		return nil, badParam("view", "views are not supported yet")
	}
	e, err := expr.Parse(p.Get("expression"), reg, now)
	var wrong *expr.Error
	if errors.As(err, &wrong) {
		return nil, &badRequest{text: wrong.Message, expr: wrong}
	}
	return e, err
}

// window reads date, startTime, stopTime, bounding and strictly. Start and stop beat date unless it is -1; without
// any the last hour is meant.
func (p *params) window(now time.Time) (Window, error) {
	w := Window{}
	bounding, err := parseBounding(p.Get("bounding"))
	if err != nil {
		return w, err
	}
	if p.flag("strictly") {
		bounding = BoundingBoth
	}
	w.Bounding = bounding
	date, start, stop := p.Get("date"), p.Get("startTime"), p.Get("stopTime")
	if date == "-1" {
		return w, nil
	}
	if start != "" && stop != "" {
		if w.From, err = p.instant("startTime", now, false); err != nil {
			return w, err
		}
		if w.To, err = p.instant("stopTime", now, true); err != nil {
			return w, err
		}
		if w.From > w.To {
			return w, badParam("startTime", "%s is after stopTime, %s", start, stop)
		}
		return w, nil
	}
	if start != "" || stop != "" {
		p.warnings = append(p.warnings, "startTime and stopTime count only together: the one given was not looked at")
	}
	hours := 1.0
	if date != "" {
		if hours, err = strconv.ParseFloat(date, 64); err != nil || math.IsNaN(hours) {
			return w, nil // as Arkime: what is no number is all
		}
	}
	if hours < 0 || hours > 24*366*100 {
		return w, badParam("date", "%s is not a number of hours, nor -1 for all", date)
	}
	w.To = now.UnixMilli()
	w.From = max(1, w.To-int64(hours*float64(time.Hour.Milliseconds())))
	return w, nil
}

// instant reads a time; the end of a window that is written to the second takes in all of it.
func (p *params) instant(name string, now time.Time, end bool) (int64, error) {
	at, unit, ok := expr.ParseTime(p.Get(name), now)
	if !ok {
		return 0, badParam(name, "%q is not a time: seconds since 1970, \"2024/12/31 23:59:59\" or ISO 8601", p.Get(name))
	}
	if end && unit == time.Second {
		at = at.Add(unit - time.Millisecond)
	}
	return at.UnixMilli(), nil
}

func parseBounding(s string) (Bounding, error) {
	switch s {
	case "", "last":
		return BoundingLast, nil
	case "first":
		return BoundingFirst, nil
	case "both":
		return BoundingBoth, nil
	case "either":
		return BoundingEither, nil
	case "database":
		return BoundingDatabase, nil
	}
	return 0, badParam("bounding", "%q is not one of first, last, both, either and database", s)
}

// order reads the sort order: f:asc,g:desc, fields by path or by name in the expression language.
func (p *params) order(reg *spi.Registry) ([]Sort, error) {
	text := p.Get("order")
	if text == "" {
		text = "firstPacket:asc"
	}
	return ParseOrder(reg, text)
}

// ParseOrder reads a sort order such as bytes:desc,firstPacket:asc: fields by path or by name in the expression language.
func ParseOrder(reg *spi.Registry, text string) ([]Sort, error) {
	var out []Sort
	for _, part := range strings.Split(text, ",") {
		name, direction, _ := strings.Cut(strings.TrimSpace(part), ":")
		f, ok := findField(reg, name)
		if !ok {
			return nil, badParam("order", "unknown field %q", name)
		}
		switch direction {
		case "", "asc", "desc":
			out = append(out, Sort{Field: f.ID, Descending: direction == "desc"})
		default:
			return nil, badParam("order", "%q is neither asc nor desc", direction)
		}
	}
	return out, nil
}

// findField returns the field with a path or an expression name.
func findField(reg *spi.Registry, name string) (*spi.Field, bool) {
	if f, ok := reg.ByPath(strings.TrimPrefix(name, "db:")); ok {
		return f, true
	}
	if fields := reg.ByExpr(name); len(fields) == 1 {
		return fields[0], true
	}
	return nil, false
}

// defaultFields are the columns of who names none.
const defaultFields = "firstPacket,lastPacket,ipProtocol,node,rootId,protocol,tags," +
	"source.ip,source.port,source.packets,source.bytes,source.geo.country_iso_code,client.bytes," +
	"destination.ip,destination.port,destination.packets,destination.bytes,destination.geo.country_iso_code,server.bytes," +
	"network.packets,network.bytes,totDataBytes,srcOuterIp,dstOuterIp,http.uri,dns.host,email.src,email.dst,email.subject,email.filename,irc.channel,cert"

// ParseFields reads a list of fields, by path, expression name, or the path of what lies above them ("cert").
func ParseFields(reg *spi.Registry, text string) ([]spi.FieldID, error) {
	p := &params{Values: url.Values{"fields": {text}}}
	fields := p.fields(reg, "")
	if len(p.warnings) > 0 {
		return nil, errors.New(p.warnings[0])
	}
	return fields, nil
}

// ParseWindow reads a window from times in any form of [expr.ParseTime]; an empty one is open.
func ParseWindow(from, to, bounding string, now time.Time) (w Window, err error) {
	p := &params{Values: url.Values{"from": {from}, "to": {to}}}
	if w.Bounding, err = parseBounding(bounding); err != nil {
		return w, err
	}
	if from != "" {
		if w.From, err = p.instant("from", now, false); err != nil {
			return w, err
		}
	}
	if to != "" {
		if w.To, err = p.instant("to", now, true); err != nil {
			return w, err
		}
	}
	if w.To != 0 && w.From > w.To {
		return w, badParam("from", "%s is after to, %s", from, to)
	}
	return w, nil
}

// fields reads the fields wanted, by path, expression name, or the path of what lies above them ("cert"). It returns
// nil for "*": whole documents.
func (p *params) fields(reg *spi.Registry, otherwise string) []spi.FieldID {
	text := p.Get("fields")
	asked := text != ""
	if !asked {
		text = otherwise
	}
	if text == "*" || text == "all" {
		return nil
	}
	out := []spi.FieldID{}
	for _, name := range strings.Split(text, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		found := fieldsBelow(reg, name)
		if f, ok := findField(reg, name); ok {
			found = append(found, f.ID)
		}
		if len(found) == 0 && asked {
			p.warnings = append(p.warnings, "unknown field "+name+" is left out")
		}
		for _, id := range found {
			if !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	return out
}

func fieldsBelow(reg *spi.Registry, path string) []spi.FieldID {
	var out []spi.FieldID
	for i := range reg.Fields() {
		if f := &reg.Fields()[i]; strings.HasPrefix(f.Path, path+".") {
			out = append(out, f.ID)
		}
	}
	return out
}
