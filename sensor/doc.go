// Package sensor turns packets into chunks in the object store. [Sensor] captures
// them as they come, [Importer] reads them from capture files, and [Watcher] imports
// files as they appear.
//
// A lane is an ordered stream of chunks: the packets of one worker of an interface,
// or of one interface of a file. Chunks are stored in the order of their lane, so that
// whoever finds a chunk finds all before it.
//
// What Sensor captures is in its spool (package spool) before anything else happens to
// it. Sealing and uploading go on from there, also after a crash, and store the same
// bytes however often they are tried. Where a chunk of Importer ends depends on the packets
// and the configuration alone. So an import that was killed and is run again stores
// exactly what was missing, and one that is repeated stores nothing.
//
// The package knows nothing of sessions; it meets the compactor in the store.
package sensor
