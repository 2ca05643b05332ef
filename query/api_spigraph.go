package query

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"wirelake/internal/spi"
)

const (
	defaultSPISize = 20
	maxSPISize     = 1000
	// maxSPIValues bounds the values that are counted: what comes after that many different ones is told, not counted.
	maxSPIValues = 500_000
)

// spigraphAnswer has Arkime's keys.
type spigraphAnswer struct {
	Items           []spigraphItem `json:"items"`
	Graph           map[string]any `json:"graph"`
	Map             map[string]any `json:"map"`
	RecordsTotal    int64          `json:"recordsTotal"`
	RecordsFiltered int64          `json:"recordsFiltered"`
	Warnings        []string       `json:"warnings,omitempty"`
}

// spigraphItem is one value of the field and the sessions that have it.
type spigraphItem struct {
	Name                   string         `json:"name"`
	Count                  int64          `json:"count"`
	SessionsHisto          int64          `json:"sessionsHisto"`
	SourcePacketsHisto     int64          `json:"source.packetsHisto"`
	DestinationPacketsHist int64          `json:"destination.packetsHisto"`
	NetworkPacketsHisto    int64          `json:"network.packetsHisto"`
	NetworkBytesHisto      int64          `json:"network.bytesHisto"`
	DataBytesHisto         int64          `json:"totDataBytesHisto"`
	Graph                  map[string]any `json:"graph"`
	Map                    map[string]any `json:"map"`
}

// spigraph answers /api/spigraph: the commonest values of a field, each with its histogram.
func (a *API) spigraph(w http.ResponseWriter, r *http.Request, p *params) error {
	s, err := a.search(p)
	if err != nil {
		return err
	}
	name := p.Get("exp")
	if name == "" {
		name = p.Get("field")
	}
	if name == "" {
		name = "node"
	}
	field, ok := findField(a.Registry, name)
	if !ok {
		return badParam("exp", "unknown field %q", name)
	}
	size, err := p.number("size", defaultSPISize, maxSPISize)
	if err != nil {
		return err
	}
	byName := p.Get("sort") == "name"
	asked, err := p.interval()
	if err != nil {
		return err
	}
	s.Length = 0
	whole, width, err := searchGraph(r.Context(), a.Engine, s, asked)
	if err != nil {
		return err
	}
	p.tooFine(asked, width)
	answer := spigraphAnswer{Items: []spigraphItem{}, Map: map[string]any{}, RecordsFiltered: whole.Total,
		Graph: graph(whole.Buckets, s.Window, width), Warnings: append(p.warnings, whole.Warnings...)}
	g := &valueGraphs{engine: a.Engine, field: field, by: s.Histogram.Field, width: width}
	if err := g.count(r.Context(), s); err != nil {
		return err
	}
	if g.dropped {
		answer.Warnings = append(answer.Warnings, "more than "+strconv.Itoa(maxSPIValues)+" different values: the rarest of them are not counted")
	}
	top := g.top(size)
	if byName {
		slices.Sort(top)
	}
	buckets, err := g.histograms(r.Context(), s, top)
	if err != nil {
		return err
	}
	for _, value := range top {
		answer.Items = append(answer.Items, item(value, buckets[value], s.Window, width))
	}
	if answer.RecordsTotal, err = a.recordsTotal(r.Context(), s); err != nil {
		return err
	}
	a.writeJSON(w, r, http.StatusOK, answer)
	return nil
}

func item(name string, buckets []Bucket, w Window, width time.Duration) spigraphItem {
	var sum Bucket
	for _, b := range buckets {
		sum.Add(b)
	}
	return spigraphItem{
		Name: name, Count: sum.Sessions, SessionsHisto: sum.Sessions,
		SourcePacketsHisto: sum.SourcePackets, DestinationPacketsHist: sum.DestinationPackets, NetworkPacketsHisto: sum.SourcePackets + sum.DestinationPackets,
		NetworkBytesHisto: sum.SourceBytes + sum.DestinationBytes, DataBytesHisto: sum.ClientBytes + sum.ServerBytes,
		Graph: graph(buckets, w, width), Map: map[string]any{},
	}
}

// valueGraphs counts the sessions of each value of a field in one pass, and makes the histograms of the commonest in a
// second: so memory is bounded by the values, not by values times buckets.
type valueGraphs struct {
	engine  Engine
	field   *spi.Field
	by      spi.FieldID // the time that puts a session in a bucket
	width   time.Duration
	counts  map[string]int64
	dropped bool
}

// each calls f with every session and its different values of the field.
func (g *valueGraphs) each(ctx context.Context, s *Search, fields []spi.FieldID, f func(d *spi.Document, values []string)) error {
	ask := *s
	ask.Fields = append(fields, g.field.ID)
	var values []string
	for d, err := range g.engine.Each(ctx, &ask) {
		var warning *Warning
		if errors.As(err, &warning) {
			continue // the search before has told it
		}
		if err != nil {
			return err
		}
		values = values[:0]
		for v := range d.Each(g.field.ID) {
			text := v.Str
			if g.field.Type.Numeric() {
				text = strconv.FormatInt(v.Int, 10)
			}
			if !slices.Contains(values, text) {
				values = append(values, text)
			}
		}
		f(d, values)
	}
	return nil
}

func (g *valueGraphs) count(ctx context.Context, s *Search) error {
	g.counts = make(map[string]int64)
	return g.each(ctx, s, nil, func(_ *spi.Document, values []string) {
		for _, v := range values {
			if _, known := g.counts[v]; !known && len(g.counts) >= maxSPIValues {
				g.dropped = true
				continue
			}
			g.counts[v]++
		}
	})
}

// top returns the commonest values.
func (g *valueGraphs) top(size int) []string {
	values := make([]string, 0, len(g.counts))
	for v := range g.counts {
		values = append(values, v)
	}
	slices.SortFunc(values, func(x, y string) int { return cmp.Or(-cmp.Compare(g.counts[x], g.counts[y]), cmp.Compare(x, y)) })
	return values[:min(size, len(values))]
}

func (g *valueGraphs) histograms(ctx context.Context, s *Search, top []string) (map[string][]Bucket, error) {
	at := make(map[string]map[int64]*Bucket, len(top))
	for _, v := range top {
		at[v] = make(map[int64]*Bucket)
	}
	fields := append(sums(), spi.FirstPacket, spi.LastPacket)
	err := g.each(ctx, s, fields, func(d *spi.Document, values []string) {
		one := sessionBucket(d, g.by, g.width)
		for _, v := range values {
			buckets, wanted := at[v]
			if !wanted {
				continue
			}
			b := buckets[one.Start]
			if b == nil {
				b = &Bucket{Start: one.Start}
				buckets[one.Start] = b
			}
			b.Add(one)
		}
	})
	out := make(map[string][]Bucket, len(top))
	for v, buckets := range at {
		for _, b := range buckets {
			out[v] = append(out[v], *b)
		}
		out[v] = joinBuckets(out[v])
	}
	return out, err
}

// sessionBucket returns the bucket that a session alone makes.
func sessionBucket(d *spi.Document, by spi.FieldID, width time.Duration) Bucket {
	value := func(f spi.FieldID) int64 { n, _ := d.Int(f); return n }
	ms := value(by)
	start := ms - ms%width.Milliseconds()
	if start > ms {
		start -= width.Milliseconds() // before 1970
	}
	return Bucket{Start: start, Sessions: 1,
		SourcePackets: value(spi.SourcePackets), DestinationPackets: value(spi.DestinationPackets),
		SourceBytes: value(spi.SourceBytes), DestinationBytes: value(spi.DestinationBytes),
		ClientBytes: value(spi.ClientBytes), ServerBytes: value(spi.ServerBytes)}
}
