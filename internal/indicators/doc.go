// Package indicators matches session documents with lists of indicators: addresses and
// prefixes, domains, hashes of files and certificates, TLS and SSH fingerprints.
//
// A [Source] names a list; a [Loader] reads it from a file or fetches it from a URL; a [List] is
// what was read. A [Set] is the lists in force, ready to look documents up
// with [Set.Apply]. Lists and sets never change: a newer one takes their place.
//
// An entry is kept as a 64-bit hash in a sorted table, about 10 bytes with all indices, so
// that 10 million entries fit in any process. That two texts of ten million share a hash
// with a third that is looked up happens once in 10^12 lookups.
//
// Which fields are looked up follows from the registry: all of type IP, those that "host"
// stands for in searches, and those whose names say that they hold hashes or fingerprints.
// The package knows no protocol.
//
// docs/rules.md describes the lists' format.
package indicators
