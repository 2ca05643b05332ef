package expr

import (
	"math"

	"wirelake/internal/spi"
)

// Elastic returns e in Elasticsearch's query DSL, ready to be marshalled to JSON. The mapping
// must be of internal/elastic: keyword for text, ip for addresses, long and date
// (epoch_millis) for numbers. Fields that are not hot are in no index: see [Expr.UsesOnlyHot].
func (e *Expr) Elastic() map[string]any { return elastic(e.Root) }

func elastic(n Node) map[string]any {
	switch n := n.(type) {
	case And:
		return boolQuery("filter", elasticAll(n))
	case Or:
		return anyQuery(elasticAll(n))
	case Not:
		return boolQuery("must_not", []any{elastic(n.Node)})
	case *Leaf:
		return n.elastic()
	}
	return map[string]any{"match_all": map[string]any{}}
}

func elasticAll(nodes []Node) []any {
	out := make([]any, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, elastic(n))
	}
	return out
}

func boolQuery(occur string, queries []any) map[string]any {
	return map[string]any{"bool": map[string]any{occur: queries}}
}

func anyQuery(queries []any) map[string]any {
	switch len(queries) {
	case 0:
		return map[string]any{"match_none": map[string]any{}}
	case 1:
		return queries[0].(map[string]any)
	}
	return map[string]any{"bool": map[string]any{"should": queries, "minimum_should_match": 1}}
}

func (l *Leaf) elastic() map[string]any {
	if l.Field.ID == spi.ID {
		return l.elasticID()
	}
	if l.Kind == Exists {
		return map[string]any{"exists": map[string]any{"field": l.Field.Path}}
	}
	q := fieldQueries{path: l.Field.Path}
	for _, r := range l.Ints {
		q.ints(l.Field.Type, r)
	}
	for _, r := range l.Addrs {
		if p, ok := r.Prefix(); ok {
			q.terms = append(q.terms, p.String())
			continue
		}
		q.add("range", map[string]any{"gte": r.From.String(), "lte": r.To.String()})
	}
	for _, v := range l.Values {
		q.terms = append(q.terms, v)
	}
	for _, p := range l.Patterns {
		p.elastic(&q)
	}
	q.flush()
	return anyQuery(q.queries)
}

// elasticID is for the session id, which is the document's _id and no field of it.
func (l *Leaf) elasticID() map[string]any {
	if l.Kind == Exists {
		return map[string]any{"match_all": map[string]any{}}
	}
	return map[string]any{"ids": map[string]any{"values": l.Values}}
}

// fieldQueries collects the queries of one field of which one must match.
type fieldQueries struct {
	path    string
	terms   []any
	queries []any
}

func (q *fieldQueries) add(kind string, value any) {
	q.queries = append(q.queries, map[string]any{kind: map[string]any{q.path: value}})
}

// maxTerms is below index.max_terms_count, 65,536.
const maxTerms = 65_000

// flush adds the collected terms.
func (q *fieldQueries) flush() {
	for len(q.terms) > 0 {
		n := min(len(q.terms), maxTerms)
		if n == 1 {
			q.add("term", q.terms[0])
		} else {
			q.add("terms", q.terms[:n])
		}
		q.terms = q.terms[n:]
	}
}

func (q *fieldQueries) ints(t spi.Type, r IntRange) {
	if r.Lo == r.Hi && t == spi.Integer {
		q.terms = append(q.terms, r.Lo)
		return
	}
	bounds := map[string]any{}
	if t == spi.Date {
		bounds["format"] = "epoch_millis"
	}
	if r.Lo != math.MinInt64 {
		bounds["gte"] = r.Lo
	}
	if r.Hi != math.MaxInt64 {
		bounds["lte"] = r.Hi
	}
	q.add("range", bounds)
}

func (p *Pattern) elastic(q *fieldQueries) {
	if p.lucene != "" {
		q.add("regexp", map[string]any{"value": p.lucene})
		return
	}
	if len(p.parts) == 1 {
		q.add("term", map[string]any{"value": p.Source, "case_insensitive": p.anyCase})
		return
	}
	if len(p.parts) == 2 && p.parts[1] == "" && !p.marks && !p.anyCase {
		q.add("prefix", map[string]any{"value": p.parts[0]})
		return
	}
	// * and ? mean the same there; only its escape character must be kept from being one.
	escaped := ""
	for _, r := range p.Source {
		if r == '\\' {
			escaped += `\`
		}
		escaped += string(r)
	}
	wildcard := map[string]any{"value": escaped}
	if p.anyCase {
		wildcard["case_insensitive"] = true
	}
	q.add("wildcard", wildcard)
}
