// Package sessionfile writes and reads session documents as Parquet files.
//
// The schema is derived from the field registry (package spi) alone: nested groups,
// three-level lists, and every field in every file, so that DuckDB, Trino, Athena,
// Spark and pyarrow read a whole archive of them as one table. docs/parquet-format.md
// specifies the files.
//
// A [Writer] takes documents and cuts them into row groups, each sorted by the time of
// the first packet. Its output depends on the documents and their order only, so that a
// commit can be repeated. A [File] is the footer of one object, from one suffix GET; a
// [Scan] of it reads column chunks by byte range, dictionaries apart from pages, so that a
// search decodes no more than it must, and puts rows together as documents again.
//
// Files use the Parquet structures and encoders of parquet-go. Rows do not pass its writer:
// a session fills some forty of more than four hundred columns, and here a column without
// a value costs nothing a row (see docs/parquet-format.md for what was measured). Decoding
// is our own, because what is read may be damaged: every length is checked before it is
// believed, and every page has a checksum.
//
// The package knows nothing of the expression language, of Elasticsearch or of where files
// are kept beyond the object store's interface.
package sessionfile
