// Package spi holds the session document (SPI, session profile information) and the registry of its fields.
//
// A [Registry] declares every field once: path in the document, type, list or
// scalar, names in the expression language, hot or not. The Parquet schema, the
// Elasticsearch mapping, the expression language's type checks, GET /api/fields
// and docs/fields.md are all derived from it, so a new field is one declaration.
//
// A [Document] is one session: a compact list of typed values by field, with
// objects for the fields that are lists of objects (dns, dns.answers, cert).
//
// The package knows nothing of packets, of storage or of queries. Field names,
// types and units follow Arkime's sessions, then the Elastic Common Schema.
package spi
