// Package dissect reads application protocols out of sessions: it recognizes
// them by port and first bytes, and fills the session document.
//
// One protocol is one file. The file has one constructor, listed in
// protocols.go, which declares the protocol's fields in the registry and says
// which sessions it wants ([Matcher]) and how to read them ([Parser]).
// Protocols that are only recognized and not read are rows of the table in
// classify.go. docs/dissectors.md shows how to add one.
//
// The package gets bytes in order (TCP) or whole datagrams (UDP, SCTP, other IP
// protocols, other ethertypes) from package session, and knows nothing of
// packets, reassembly or storage. All input is hostile: a parser that panics or
// hoards memory costs its own session a tag, and nothing else.
package dissect
