// Package capture takes packets from where they appear, each source a file or a
// few: network interfaces by AF_PACKET, pcap-over-IP, pipes, mirrored traffic in
// VXLAN and GENEVE.
//
// A [Source] delivers to a [Sink] a lane. The package knows nothing of spools,
// chunks and the object store, and keeps no packet: what the sink does not take
// at once waits in the source's own ring or in the kernel, and what finds no room
// there is counted as a drop.
//
// Terms: a lane is an ordered stream of packets in which all packets of a flow
// are, in both directions; a worker is what serves one lane of an interface. Link
// types are numbers of draft-ietf-opsawg-pcaplinktype.
package capture

import "context"

// Record is one packet as a source delivers it. Data is valid until Sink.Packet
// returns.
type Record struct {
	TimeNanos int64 // since 1970, UTC
	WireLen   int   // bytes on the wire, without the tag in VLAN
	Data      []byte
	Comment   string // what a pcapng stream says of the packet
	// VLAN is the tag that the kernel took out of the frame, TPID<<16 | TCI; 0 for
	// none. The sink puts it back behind the MAC addresses.
	VLAN uint32
}

// Interface is what a lane's packets come from.
type Interface struct {
	Name              string
	LinkType, Snaplen uint32
}

// Sink takes the packets of one lane. It belongs to one goroutine.
type Sink interface {
	// Packet takes a packet. An error means that the spool cannot go on at all; a
	// full spool is no error: there the policy applies, and counts.
	Packet(r *Record) error
	// Drops tells of packets lost before the source since the last call.
	Drops(kernel uint64)
	// Flush says that nothing more is at hand just now: the end of a ring's block,
	// an idle poll.
	Flush() error
	// Close says that no packet will come any more: the source has ended. The lane
	// may go on with a later Open of the same name.
	Close() error
}

// Opener makes the sink of a lane. Lane names are [a-z0-9._-] and stable over
// restarts: "eth0-0" is worker 0 of eth0.
type Opener func(lane string, i Interface) (Sink, error)

// Source delivers packets.
type Source interface {
	// Run delivers packets until ctx ends (it returns nil), the source is exhausted
	// (nil), or cannot go on (an error that names what failed). It survives what
	// comes and goes, an interface that is down or deleted, a peer that is gone: it
	// tries again with backoff, and says so in its State.
	Run(ctx context.Context, open Opener) error
	// State is safe for concurrent use.
	State() State
}

// State is what the status of a sensor tells of a source.
type State struct {
	Name  string // "eth0", "tcp://10.0.0.1:57012"
	Kind  string // "afpacket", "pcap-over-ip", "pipe", "vxlan", …
	Up    bool
	Error string // why it is not up, or the last trouble
	// Timestamps says what measures the times of packets: "software" or "hardware";
	// empty where they come with the packets.
	Timestamps string

	Packets, Bytes uint64 // delivered, in bytes on the wire
	KernelDrops    uint64 // lost before the source
	Malformed      uint64 // what came in and was no packet: datagrams, damaged stretches of a stream
	Secrets        uint64 // key logs of TLS that came in a stream and were not kept
}

// Reloader is implemented by sources whose filter can be exchanged while they run.
type Reloader interface {
	// Reload takes a filter in tcpdump's syntax; empty takes all packets. On an
	// error the filter before stays.
	Reload(filter string) error
}
