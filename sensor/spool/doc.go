// Package spool keeps captured packets on local disk until they are in the object
// store: a write-ahead log, and behind it the chunks that were sealed from it.
//
// A [Spool] is a folder that one process has locked. In it each lane has a folder
// with segments, the log, and sealed chunks. A [Lane] takes packets from one
// goroutine without waiting for the disk: it fills buffers, which a second
// goroutine writes and a third syncs. What does not fit, for the quota or the disk
// is full, is dropped by policy and counted, and the counts stand in the log.
//
// The package knows nothing of flows, compression and the store.
//
// Terms: a segment is one file of the log, from which one chunk is sealed (rarely
// more); an item is a segment or a chunk that waits for its way into the store.
//
// Format: docs/spool-format.md, version 1.
package spool
