// Package expr is the expression language that sessions are searched with:
//
//	ip.src == 10.0.0.0/8 && http.uri == "*login*" && bytes >= 1000
//
// It is Arkime's language. [Parse] reads the text, checks it against the field
// registry and returns an [Expr], whose tree of [And], [Or], [Not] and [Leaf]
// is all that an engine needs: a leaf says which values of one field it
// accepts, in forms for the engines ([Leaf.MatchInt], [Leaf.MatchString],
// bounds and exact values to prune with), so that names, aliases, units and
// spellings are settled in one place. [Expr.Match] evaluates the tree on a document,
// [Expr.Elastic] writes it in Elasticsearch's query DSL.
//
// Meaning, alike in all engines: a leaf is true when any value of its field, in
// any object of the document, is accepted. Negation, "!=" among it, is true
// when no value is, a missing field included. Times are UTC.
//
// It knows nothing of files, indices or time windows.
package expr
