// Package query finds sessions and their packets, and serves both.
//
// An [Engine] answers searches: one reads the Parquet files of the object store, which are the truth; one asks
// Elasticsearch, which holds the hot fields of the newest days; the [Planner] divides a search between them and is an
// Engine itself. [Packets] fetches packets by byte range. The HTTP API (api*.go) speaks Arkime's paths and
// parameters on top of these, and serves the browser GUI.
//
// It never writes to the store, and knows nothing of how chunks and sessions came there.
package query
