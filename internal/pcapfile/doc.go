// Package pcapfile reads and writes capture files: pcap and pcapng, the former in both byte orders and with
// micro- and nanoseconds, as they are or compressed with gzip, zstd or xz.
//
// It works on streams: nothing seeks, and memory is bounded whatever a file says of itself. It knows nothing
// of chunks, flows or sessions and does not look into packets.
//
// A damaged file loses its damage and no more: a cut end keeps all before it (TruncatedError), a corrupt
// place is skipped to the next plausible record (CorruptError), both with file and offset.
//
// Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng. Link types: draft-ietf-opsawg-pcaplinktype.
package pcapfile
