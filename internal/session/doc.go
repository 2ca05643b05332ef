// Package session makes session documents out of packets: it follows flows,
// puts TCP in order, gives the bytes to package dissect, decides when a session
// ends or is saved in part, and writes the general fields of its document.
//
// A flow's documents depend on the flow's own packets and on the lane's last
// time only, never on how packets of different flows are interleaved: packets in
// time order (wirelake spi) and clustered by flow (the compactor's chunks) give the
// same documents. The one exception is memory: past [Config].MemoryBytes the flows
// idle longest are saved early.
//
// Terms: a flow is both directions of a 5-tuple; a session is one conversation
// on it; a segment is one document of a session that was saved in several. The
// source of a session is the side that began it. The package knows nothing of
// chunks, Parquet or Elasticsearch: it passes on where the caller said the packets are.
package session
