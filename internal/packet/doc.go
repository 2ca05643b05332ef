// Package packet decodes captured frames down to layer 4 and names the flow that each belongs to.
//
// One piece of code derives the flow key, for sealing chunks and for building sessions alike. Tunnels
// are peeled: the key is the innermost IP 5-tuple. What has no IP keys on its link-layer addresses and
// ethertype; what cannot be decoded at all keys on its link type, so that every packet has a flow.
//
// The package works on byte slices only. It knows nothing of files, chunks or sessions, keeps no
// reference to a frame after the next call, and allocates nothing per packet.
//
// Terms: a flow is both directions of a conversation; its key is the same for both, and Dir says which
// way one packet went. The key's definition and binary layout are in docs/packet-keys.md.
package packet
