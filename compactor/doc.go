// Package compactor turns chunks of packets into session documents.
//
// It follows every lane of the archive in order, gives each chunk's flows to the
// session builder, writes the sessions that ended as Parquet, and indexes their
// hot fields in Elasticsearch where one is configured.
//
// Output is committed in one order, so that a process killed anywhere is
// repeated by the next with the same result, no session twice and none missing:
//
//  1. Parquet files, whose names follow from the lane and the first chunk of the
//     batch, so that a repeated batch replaces what the killed one left;
//  2. the lane's checkpoint, by put-if-match: from here the batch counts;
//  3. Elasticsearch, in bulk by session id; what it has not taken yet stays
//     listed in the checkpoint.
//
// One process at a time works on a store: it holds the lease (internal/lease).
//
// Terms: a lane is an ordered stream of chunks; a batch is the run of chunks
// that one commit covers; an open flow is one whose session goes on past the
// batch. The package knows nothing of searches; package query reads what it writes.
package compactor
