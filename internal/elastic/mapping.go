package elastic

import (
	"strings"

	"wirelake/internal/spi"
)

// maxKeywordChars is the longest text that is indexed: Lucene refuses terms of
// more than 32,766 bytes, and a character takes up to four. Longer values stay in
// the hot document, and are found in Parquet.
const maxKeywordChars = 32766 / 4

// MaxResultWindow is how deep a search may page without a point in time.
const MaxResultWindow = 100_000

// template returns the composable index template of the day indices.
func (c *Client) template() map[string]any {
	return map[string]any{
		"index_patterns": []string{c.cfg.IndexPrefix + "*"},
		"priority":       500,
		"template": map[string]any{
			"settings": map[string]any{"index": map[string]any{
				"number_of_shards":   1,
				"number_of_replicas": c.cfg.Replicas,
				"codec":              "best_compression",
				"refresh_interval":   "10s",
				// Every bulk request is on disk when it is answered (durability
				// "request", the default): the checkpoint forgets it then.
				"translog":          map[string]any{"flush_threshold_size": "1gb"},
				"max_result_window": MaxResultWindow,
				// The language allows 1,000 bytes; escapes make them more.
				"max_regex_length": 10_000,
				"mapping":          map[string]any{"total_fields": map[string]any{"limit": 2000}},
			}},
			"mappings": Mapping(c.reg),
		},
		"_meta": map[string]any{"description": "wirelake session documents, one index a day"},
	}
}

// Mapping returns the strict mapping of the hot fields. The session id is the
// document's _id and has no field of its own.
func Mapping(reg *spi.Registry) map[string]any {
	properties := map[string]any{}
	for i := range reg.Fields() {
		f := &reg.Fields()[i]
		if !Indexed(f) {
			continue
		}
		at := properties
		segments := strings.Split(f.Path, ".")
		for _, s := range segments[:len(segments)-1] {
			node, ok := at[s].(map[string]any)
			if !ok {
				node = map[string]any{"properties": map[string]any{}}
				at[s] = node
			}
			at = node["properties"].(map[string]any)
		}
		at[segments[len(segments)-1]] = fieldMapping(f)
	}
	return map[string]any{"dynamic": "strict", "properties": properties}
}

// Indexed reports whether a field is part of the hot document.
func Indexed(f *spi.Field) bool { return f.Hot && f.ID != spi.ID }

func fieldMapping(f *spi.Field) map[string]any {
	m := map[string]any{}
	switch f.Type {
	case spi.Date:
		m["type"], m["format"] = "date", "epoch_millis"
	case spi.IP:
		m["type"] = "ip"
	case spi.Integer:
		m["type"] = "long"
	default:
		m["type"], m["ignore_above"] = "keyword", maxKeywordChars
	}
	switch {
	case counts(f.ID):
		// Searched by range and summed, seldom alone: doc values serve both,
		// and save the point index.
		m["index"] = false
	case !Sortable(f):
		m["doc_values"] = false
	}
	return m
}

// Sortable reports whether Elasticsearch can sort by a field and sum it up: whether it keeps doc values of it.
// These cost bytes a session, so only fields that tables are sorted by have them: counters, times, addresses,
// ports, and short texts of the session as a whole. Others are sorted from Parquet.
func Sortable(f *spi.Field) bool {
	if !Indexed(f) || f.List || f.In != spi.RootList {
		return false
	}
	switch f.ID {
	case spi.Node, spi.SourceCountry, spi.DestinationCountry:
		return true
	}
	return f.Type.Numeric() || f.Type == spi.IP
}

// counts reports whether a core field is a counter.
func counts(id spi.FieldID) bool {
	switch id {
	case spi.SourcePackets, spi.SourceBytes, spi.ClientBytes, spi.DestinationPackets, spi.DestinationBytes,
		spi.ServerBytes, spi.NetworkPackets, spi.NetworkBytes, spi.TotalDataBytes, spi.Length:
		return true
	}
	return false
}

// AppendHot appends the hot document of d as JSON.
func AppendHot(b []byte, d *spi.Document) []byte { return d.AppendJSON(b, Indexed) }

// Needed returns the fields that a document must have for [Body.Add]: the hot ones and the id.
func Needed(reg *spi.Registry) []spi.FieldID {
	fields := []spi.FieldID{spi.ID}
	for i := range reg.Fields() {
		if f := &reg.Fields()[i]; Indexed(f) {
			fields = append(fields, f.ID)
		}
	}
	return fields
}
