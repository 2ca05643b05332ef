package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	"wirelake/internal/elastic"
	"wirelake/internal/spi"
)

// Elastic searches the hot documents of the days that Elasticsearch has an index of. Fields that are not hot are
// not in its documents, and expressions with them are an error: the [Planner] asks it only what it can answer.
type Elastic struct {
	client *elastic.Client
	reg    *spi.Registry
	log    *slog.Logger
}

var _ Engine = (*Elastic)(nil)

// NewElastic returns the engine of a cluster.
func NewElastic(client *elastic.Client, reg *spi.Registry, log *slog.Logger) *Elastic {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Elastic{client: client, reg: reg, log: log}
}

// CanAnswer reports whether all that s looks at and sorts by is in Elasticsearch. The fields wanted of the rows may
// be others.
func (e *Elastic) CanAnswer(s *Search) bool {
	for _, by := range s.Sort {
		if !elastic.Sortable(e.reg.Field(by.Field)) {
			return false
		}
	}
	return s.Expr.UsesOnlyHot()
}

const (
	elasticPage = 1000
	// pitKeep is how long a point in time outlives its last use: longer than the slowest reader of an export.
	pitKeep = 5 * time.Minute
)

// Search implements [Engine].
func (e *Elastic) Search(ctx context.Context, s *Search) (*Result, error) {
	began := time.Now()
	if !e.CanAnswer(s) {
		return nil, errors.New("elasticsearch does not hold all fields of the search")
	}
	result := &Result{}
	body := e.body(s)
	body["track_total_hits"] = true
	body["size"] = 0
	paged := s.Start+s.Length > elastic.MaxResultWindow
	if !paged {
		body["from"], body["size"] = s.Start, s.Length
	}
	if s.Histogram != nil {
		body["aggs"] = e.histogram(s.Histogram)
	}
	answer, err := e.client.Search(ctx, body)
	if err != nil {
		return nil, unavailable(err)
	}
	result.Total = answer.Hits.Total.Value
	if s.Histogram != nil {
		if result.Buckets, err = buckets(answer.Aggregations); err != nil {
			return nil, err
		}
	}
	for _, hit := range answer.Hits.Hits {
		d, err := e.document(hit)
		if err != nil {
			return nil, err
		}
		result.Rows = append(result.Rows, d)
	}
	if paged {
		n := 0
		for d, err := range e.scan(ctx, s) {
			if err != nil {
				return nil, err
			}
			if n >= s.Start+s.Length {
				break
			}
			if n >= s.Start {
				result.Rows = append(result.Rows, d)
			}
			n++
		}
	}
	if s.Explain {
		query, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		result.Explain = &Explain{Engine: "elasticsearch", Took: time.Since(began), Rows: result.Total, Notes: []string{string(query)}}
	}
	return result, nil
}

// body returns the query, the order and the members of the documents wanted.
func (e *Elastic) body(s *Search) map[string]any {
	filter := []any{s.Expr.Elastic()}
	filter = append(filter, windowQuery(s.Window)...)
	if s.Days != nil {
		var ranges []any
		for _, r := range s.Days {
			ranges = append(ranges, rangeQuery(spi.FirstPacket, "gte", r.From, "lt", r.To+1))
		}
		filter = append(filter, map[string]any{"bool": map[string]any{"should": ranges, "minimum_should_match": 1}})
	}
	body := map[string]any{"query": map[string]any{"bool": map[string]any{"filter": filter}}}
	var sort []any
	for _, by := range s.Sort {
		f := e.reg.Field(by.Field)
		order := "asc"
		if by.Descending {
			order = "desc"
		}
		// An index made before the field existed has no mapping of it.
		sort = append(sort, map[string]any{f.Path: map[string]any{"order": order, "missing": "_last", "unmapped_type": unmappedType(f)}})
	}
	if sort == nil {
		sort = []any{"_doc"}
	}
	body["sort"] = sort
	if s.Fields != nil {
		var paths []string
		for _, id := range e.rowFields(s) {
			if f := e.reg.Field(id); elastic.Indexed(f) {
				paths = append(paths, f.Path)
			}
		}
		body["_source"] = paths
	}
	return body
}

// rowFields returns the fields that the rows of s must have.
func (e *Elastic) rowFields(s *Search) []spi.FieldID {
	fields := []spi.FieldID{spi.Node, spi.FirstPacket, spi.LastPacket}
	for _, by := range s.Sort {
		fields = append(fields, by.Field)
	}
	fields = append(fields, s.Fields...)
	slices.Sort(fields)
	return slices.Compact(fields)
}

func unmappedType(f *spi.Field) string {
	switch {
	case f.Type == spi.Date:
		return "date"
	case f.Type == spi.IP:
		return "ip"
	case f.Type.Numeric():
		return "long"
	}
	return "keyword"
}

const dayMillis = 24 * 60 * 60 * 1000

// rangeQuery compares a time with bounds; those of days are given as days since 1970.
func rangeQuery(field spi.FieldID, from string, lo int, to string, hi int) map[string]any {
	return timeQuery(field, map[string]any{from: int64(lo) * dayMillis, to: int64(hi) * dayMillis})
}

func timeQuery(field spi.FieldID, bounds map[string]any) map[string]any {
	path := "firstPacket"
	if field == spi.LastPacket {
		path = "lastPacket"
	}
	bounds["format"] = "epoch_millis"
	return map[string]any{"range": map[string]any{path: bounds}}
}

// windowQuery is [Window.Contains].
func windowQuery(w Window) []any {
	from, to := spi.LastPacket, spi.LastPacket // the times that the start and the end of the window bound
	switch w.Bounding {
	case BoundingFirst:
		from, to = spi.FirstPacket, spi.FirstPacket
	case BoundingBoth:
		from = spi.FirstPacket
	case BoundingEither:
		to = spi.FirstPacket
	}
	var out []any
	if w.From != 0 {
		out = append(out, timeQuery(from, map[string]any{"gte": w.From}))
	}
	if w.To != 0 {
		out = append(out, timeQuery(to, map[string]any{"lte": w.To}))
	}
	return out
}

// document returns the hot document of a hit.
func (e *Elastic) document(hit elastic.Hit) (*spi.Document, error) {
	source := hit.Source
	if len(source) == 0 {
		source = json.RawMessage("{}")
	}
	d, _, err := e.reg.ParseJSON(source) // unknown members: of a newer version's field
	if err != nil {
		return nil, fmt.Errorf("elasticsearch document %s: %w", hit.ID, err)
	}
	d.SetString(spi.ID, hit.ID)
	return d, nil
}

// sums are the counters of a histogram's buckets.
func sums() []spi.FieldID {
	return []spi.FieldID{spi.SourcePackets, spi.DestinationPackets, spi.SourceBytes, spi.DestinationBytes, spi.ClientBytes, spi.ServerBytes}
}

func (e *Elastic) histogram(h *Histogram) map[string]any {
	aggs := map[string]any{}
	for _, id := range sums() {
		path := e.reg.Field(id).Path
		aggs[path] = map[string]any{"sum": map[string]any{"field": path}}
	}
	return map[string]any{"time": map[string]any{
		"date_histogram": map[string]any{"field": e.reg.Field(h.Field).Path, "fixed_interval": fmt.Sprintf("%dms", h.Interval.Milliseconds()), "min_doc_count": 1},
		"aggs":           aggs,
	}}
}

func buckets(raw json.RawMessage) ([]Bucket, error) {
	type sum struct{ Value float64 }
	var a struct {
		Time struct {
			Buckets []struct {
				Key      int64 `json:"key"`
				DocCount int64 `json:"doc_count"`
				SP       sum   `json:"source.packets"`
				DP       sum   `json:"destination.packets"`
				SB       sum   `json:"source.bytes"`
				DB       sum   `json:"destination.bytes"`
				CB       sum   `json:"client.bytes"`
				VB       sum   `json:"server.bytes"`
			}
		}
	}
	if len(raw) == 0 { // no index, no aggregation
		return []Bucket{}, nil
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, fmt.Errorf("elasticsearch: histogram: %w", err)
	}
	out := make([]Bucket, 0, len(a.Time.Buckets))
	for _, b := range a.Time.Buckets {
		out = append(out, Bucket{
			Start: b.Key, Sessions: b.DocCount,
			SourcePackets: int64(b.SP.Value), DestinationPackets: int64(b.DP.Value),
			SourceBytes: int64(b.SB.Value), DestinationBytes: int64(b.DB.Value),
			ClientBytes: int64(b.CB.Value), ServerBytes: int64(b.VB.Value),
		})
	}
	return out, nil
}

// Each implements [Engine] with hot documents, in order of their first packet.
func (e *Elastic) Each(ctx context.Context, s *Search) iter.Seq2[*spi.Document, error] {
	by := *s
	by.Sort = []Sort{{Field: spi.FirstPacket}}
	return e.scan(ctx, &by)
}

// scan yields all matches in the order of s, from one point in time.
func (e *Elastic) scan(ctx context.Context, s *Search) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		pit, err := e.client.OpenPIT(ctx, pitKeep)
		if err != nil {
			yield(nil, unavailable(err))
			return
		}
		defer func() {
			// The search's own ctx may have ended; the point in time would cost the cluster until it expires.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := e.client.ClosePIT(ctx, pit); err != nil {
				e.log.WarnContext(ctx, "point in time not closed", "error", err)
			}
		}()
		body := e.body(s)
		body["size"] = elasticPage
		body["track_total_hits"] = false
		for {
			body["pit"] = map[string]any{"id": pit, "keep_alive": elastic.Seconds(pitKeep)}
			answer, err := e.client.Search(ctx, body)
			if err != nil {
				yield(nil, unavailable(err))
				return
			}
			for _, hit := range answer.Hits.Hits {
				d, err := e.document(hit)
				if !yield(d, err) || err != nil {
					return
				}
			}
			n := len(answer.Hits.Hits)
			if n < elasticPage {
				return
			}
			body["search_after"] = answer.Hits.Hits[n-1].Sort
			if answer.PITID != "" {
				pit = answer.PITID
			}
		}
	}
}

// Get implements [Engine] with hot documents.
func (e *Elastic) Get(ctx context.Context, ids []string, _ []spi.FieldID) ([]*spi.Document, []string, error) {
	out := make([]*spi.Document, len(ids))
	for part := 0; part < len(ids); part += elasticPage {
		asked := ids[part:min(part+elasticPage, len(ids))]
		answer, err := e.client.Search(ctx, map[string]any{"size": len(asked), "query": map[string]any{"ids": map[string]any{"values": asked}}})
		if err != nil {
			return nil, nil, unavailable(err)
		}
		for _, hit := range answer.Hits.Hits {
			d, err := e.document(hit)
			if err != nil {
				return nil, nil, err
			}
			for i, id := range asked {
				if id == hit.ID {
					out[part+i] = d
				}
			}
		}
	}
	return out, nil, nil
}

// Total implements [Engine].
func (e *Elastic) Total(ctx context.Context) (int64, error) {
	n, err := e.client.Count(ctx)
	return n, unavailable(err)
}

// unavailable marks an error of the connection, or of a cluster that has no time, as [ErrUnavailable].
func unavailable(err error) error {
	var status *elastic.StatusError
	if err == nil || errors.Is(err, context.Canceled) || errors.As(err, &status) && status.Status < 500 && status.Status != 429 {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
