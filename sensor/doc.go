// Package sensor turns packets into chunks in the object store. Importer reads
// them from capture files.
//
// The packets of one interface are a lane: an ordered stream of chunks, stored in
// their order, so that whoever finds a chunk finds all before it. Where a chunk
// ends depends on the packets and the configuration alone. So an import that
// was killed and is run again stores exactly what was missing, and one that is
// repeated stores nothing.
//
// The package knows nothing of sessions; it meets the compactor in the store.
package sensor
