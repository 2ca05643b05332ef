// Package elastic is the Elasticsearch side of the session document: one index a
// day, a strict mapping of the hot fields derived from the field registry, hot
// documents, and bulk writes by session id.
//
// Elasticsearch is a cache of the newest days: everything in it can be rebuilt
// from Parquet. The package knows nothing of Parquet, nor of expressions.
package elastic
