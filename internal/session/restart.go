package session

import (
	"fmt"
	"slices"

	"wirelake/internal/packet"
)

// OpenFlow says what a checkpoint must keep of an open session, so that a new
// process can go on with it.
//
// The rule: a session's state follows from its own packets alone, and what another told of it. So the new
// process makes a Builder with the same configuration, calls Restore with the
// checkpoint's open flows, feeds the packets of their keys again from each one's
// first packet on, chunk by chunk up to the checkpoint, and calls Resume. What was
// emitted before is not emitted again, and all that follows (ids, segment
// numbers, reassembly) is as if nothing had happened.
type OpenFlow struct {
	Key        packet.Key
	FirstNanos int64    // time of the session's first packet
	First      Position // and where it is
	Segments   int      // how many segments were emitted
	Told       string   // JSON: what another session told of it, which may have ended; "" for nothing
}

// OpenFlows returns all open sessions, ordered by the position of their first
// packets: the first one says what the lane still needs. Call it after Advance.
func (b *Builder) OpenFlows() []OpenFlow {
	out := make([]OpenFlow, 0, len(b.flows))
	for f := range b.all {
		o := OpenFlow{Key: f.key, FirstNanos: f.first, First: f.firstPos, Segments: f.segments}
		if f.conn != nil {
			o.Told = string(f.conn.s.Told())
		}
		out = append(out, o)
	}
	slices.SortFunc(out, func(x, y OpenFlow) int {
		if c := x.First.compare(y.First); c != 0 {
			return c
		}
		return x.Key.Compare(&y.Key)
	})
	return out
}

func (p Position) compare(q Position) int {
	switch {
	case p.Chunk != q.Chunk:
		return cmpUint(uint64(p.Chunk), uint64(q.Chunk))
	default:
		return cmpUint(p.Offset, q.Offset)
	}
}

func cmpUint(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Restore begins the replay of open flows. Until Resume, packets of other flows
// and those before a flow's first one are ignored, and flows are not saved for
// being idle or for want of memory. The Builder must be new.
func (b *Builder) Restore(flows []OpenFlow) error {
	b.restarting = make(map[packet.Key]OpenFlow, len(flows))
	b.replaying = true
	for _, f := range flows {
		b.restarting[f.Key] = f
		if f.Told == "" {
			continue
		}
		if err := b.expected.Restore(f.FirstNanos, []byte(f.Told)); err != nil {
			return fmt.Errorf("restore %v: %w", f.Key, err)
		}
	}
	return nil
}

// skipReplayed reports whether a packet is none of the flows being replayed.
func (b *Builder) skipReplayed(p *packet.Packet, pos Position) bool {
	if _, open := b.flows[p.Key]; open {
		return false
	}
	o, ok := b.restarting[p.Key]
	return !ok || pos.compare(o.First) < 0
}

// Resume ends the replay. laneNanos is the lane's time at the checkpoint. It
// returns an error that names a flow when packets of a restored flow were not
// fed: the chunks that held them are gone. The Builder works all the same: such
// sessions go on as new ones.
func (b *Builder) Resume(laneNanos int64) error {
	b.replaying = false
	b.lane = laneNanos
	missing := b.restarting
	b.restarting = nil
	for k, o := range missing {
		return fmt.Errorf("restore sessions: %d of the open flows have no packets any more, %v of chunk %d is one", len(missing), k, o.First.Chunk)
	}
	return nil
}
