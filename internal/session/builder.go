package session

import (
	"net/netip"
	"time"

	"wirelake/internal/dissect"
	"wirelake/internal/packet"
	"wirelake/internal/spi"
)

// Lookup tells where an address is. Any part may be empty.
type Lookup interface {
	Lookup(a netip.Addr) (country string, asn uint32, organization string)
}

// Session is one finished document and what else is known of its session. It is
// valid during the call of emit only.
type Session struct {
	Doc     *spi.Document
	Key     packet.Key
	ID      string
	RootID  string // "" when the session is in one segment so far
	Segment int    // number of the segment, from 1
	Final   bool   // no segment follows
	First   int64  // times of the document's first and last packet, ns since 1970
	Last    int64
	Ranges  []Range // where the segment's packets are
}

// maxFree bounds the pools of unused flows and conns.
const maxFree = 1 << 14

// Builder makes session documents of the packets of one lane. It is not safe for
// concurrent use.
type Builder struct {
	set  *dissect.Set
	cfg  Config
	geo  Lookup
	emit func(*Session)
	idle [kinds]int64

	flows      map[packet.Key]*flow
	lists      [kinds]flow // rings of the flows of a kind, the one without packets longest first
	latest     *flow
	lane       int64 // highest time seen in the lane, ns
	newest     int64 // time of the packet that came last
	looked     int64 // second of the last look, see look
	oldest     int64 // no open segment of a TCP session began before, for look
	memory     int64 // of all open flows, about
	freeFlows  []*flow
	freeConns  []*conn
	scratch    *spi.Document
	out        Session
	early      uint64
	restarting map[packet.Key]OpenFlow // flows to replay whose first packet has not come
	replaying  bool
	kept       []spi.Value
	expected   dissect.Expected // what sessions told of others
	waiting    dissect.EarlyBytes
	decoder    *packet.Decoder // of datagrams put together of fragments
	whole      packet.Packet
	exchanges  map[exchangeID]exchange // of DHCP, see joinExchange
	joined     packet.Packet
}

// New returns a Builder that calls emit for each finished document. geo may be
// nil. cfg must be valid.
func New(set *dissect.Set, cfg Config, geo Lookup, emit func(*Session)) *Builder {
	b := &Builder{
		set: set, cfg: cfg, geo: geo, emit: emit,
		flows:   make(map[packet.Key]*flow),
		scratch: set.Registry().NewDocument(),
		waiting: dissect.EarlyBytes{Max: int(cfg.EarlyBytes)},
	}
	for k := range b.lists {
		b.lists[k].prev, b.lists[k].next = &b.lists[k], &b.lists[k]
	}
	for k, d := range map[kind]time.Duration{
		kindTCP: cfg.TCPIdle, kindUDP: cfg.UDPIdle, kindSCTP: cfg.SCTPIdle,
		kindICMP: cfg.ICMPIdle, kindESP: cfg.ESPIdle, kindOther: cfg.OtherIdle,
	} {
		b.idle[k] = d.Nanoseconds()
	}
	return b
}

// Open returns how many sessions are open.
func (b *Builder) Open() int { return len(b.flows) }

// SavedEarly returns how many sessions were saved early for want of memory.
func (b *Builder) SavedEarly() uint64 { return b.early }

// Packet takes the next packet of the lane. Packets of one flow must come in
// capture order; p and what it points to is not kept.
func (b *Builder) Packet(p *packet.Packet, pos Position) {
	if b.replaying && b.skipReplayed(p, pos) {
		return
	}
	dhcp := false
	if b.cfg.Reference {
		b.look()
		p, dhcp = b.joinExchange(b.joinGroup(p))
	}
	b.lane, b.newest = max(b.lane, p.TimeNanos), p.TimeNanos
	f := b.latest
	if f == nil || f.key != p.Key {
		f = b.flows[p.Key]
	}
	if f != nil && (!b.cfg.Reference && (b.over(f, p.TimeNanos) || b.ahead(f, p.TimeNanos)) || f.newConnection(p)) {
		b.close(f)
		f = nil
	}
	if f == nil {
		f = b.open(p, pos)
	} else {
		b.touch(f)
		if f.kind == kindTCP && f.segStart != 0 && !b.cfg.Reference && p.TimeNanos-f.segStart > b.cfg.SegmentAge.Nanoseconds() {
			b.save(f, false)
		}
	}
	b.latest = f
	if f.segStart == 0 {
		f.segStart = p.TimeNanos
	}
	f.last, f.newest = max(f.last, p.TimeNanos), p.TimeNanos
	f.dhcp = f.dhcp || dhcp
	dir := f.dir(p)
	byDatagram := b.cfg.Reference && p.Fragment // the reference does not count fragments
	if !byDatagram {
		f.count(p, dir, pos, b.cfg.Reference)
	}
	if b.cfg.Reference && f.leaves2038(p.TimeNanos) {
		b.save(f, false)
		f.segStart = p.TimeNanos
	}
	switch {
	case !p.Fragment:
		b.payload(f, p, dir)
	case p.CutFragment() && !b.cfg.Reference:
		f.seg.payload[dir] += uint64(p.PayloadLen) // it cannot be put together
	case b.defragment(f, p):
		if byDatagram {
			if f.total == 0 { // to the reference a datagram came when it was complete
				f.first, f.segStart = p.TimeNanos, p.TimeNanos
			}
			f.count(&b.whole, dir, pos, true)
		}
		b.payload(f, &b.whole, dir)
	}
	if int(f.seg.packets[0]+f.seg.packets[1]) >= b.cfg.SegmentPackets {
		b.save(f, false)
	}
	b.account(f)
	if b.memory > int64(b.cfg.MemoryBytes) && !b.replaying {
		b.shrink()
	}
}

// payloadLen returns how many bytes of payload a packet counts with: those on the wire, whatever the snaplen or a
// sensor's cut-off left of them. Headers that claim more than the frame had are not believed. To the reference a
// packet has what was captured.
func (b *Builder) payloadLen(p *packet.Packet) uint32 {
	n := uint32(len(p.Payload))
	if b.cfg.Reference || p.WireLen <= p.CapLen {
		return n
	}
	return min(p.PayloadLen, n+p.WireLen-p.CapLen)
}

// payload takes what a packet, or a datagram put together of fragments, carries.
func (b *Builder) payload(f *flow, p *packet.Packet, dir dissect.Dir) {
	if f.kind == kindTCP {
		b.tcpPacket(f, p, dir)
	} else {
		b.datagram(f, p, dir)
	}
}

// defragment keeps a fragment, and reports whether the datagram that it belongs
// to is complete, in b.whole.
func (b *Builder) defragment(f *flow, p *packet.Packet) bool {
	if f.fragments == nil {
		f.fragments = new(packet.Defragmenter)
	}
	if b.decoder == nil {
		b.decoder = packet.NewDecoder(p.LinkType, packet.Options{Reference: b.cfg.Reference})
	}
	return f.fragments.Add(b.decoder, p, &b.whole)
}

// account brings the sum of memory up to date with what f holds.
func (b *Builder) account(f *flow) {
	n := f.memory()
	b.memory += n - f.counted
	f.counted = n
}

// over reports whether the session had ended before the time.
func (b *Builder) over(f *flow, nanos int64) bool {
	if f.closedAt != 0 && nanos-f.closedAt > b.cfg.TCPCloseLag.Nanoseconds() {
		return true
	}
	return nanos-f.last > b.idle[f.kind]
}

// ahead reports whether the session's last packet is as far in the future of the time as would end it in the past: the
// clock was set back, and one session in both times would be found in neither.
func (b *Builder) ahead(f *flow, nanos int64) bool {
	return f.newest-nanos > max(b.idle[f.kind], b.cfg.Disorder.Nanoseconds())
}

// open begins a session with its first packet.
func (b *Builder) open(p *packet.Packet, pos Position) *flow {
	f := b.newFlow()
	f.key, f.kind, f.proto, f.mark = p.Key, kindOf(p), p.Key.Proto, p.Mark
	f.list, f.client = f.kind, p.Dir
	if f.kind == kindTCP && p.Flags&(packet.FlagSYN|packet.FlagACK) == packet.FlagSYN|packet.FlagACK {
		f.client = p.Dir.Reverse() // the side that answers did not begin
	}
	f.first, f.last = p.TimeNanos, p.TimeNanos
	if f.kind == kindTCP {
		f.firstSeq = p.Seq
	}
	f.firstPos = pos
	f.ethertype = p.EtherType
	f.icmp = [2]uint8{p.ICMPType, p.ICMPCode}
	if o, ok := b.restarting[p.Key]; ok {
		f.suppress = o.Segments
		delete(b.restarting, p.Key)
	}
	f.sides = [2]side{{b, f, dissect.Client}, {b, f, dissect.Server}}
	b.flows[f.key] = f
	b.append(f)
	return f
}

func (b *Builder) newFlow() *flow {
	if n := len(b.freeFlows); n > 0 {
		f := b.freeFlows[n-1]
		b.freeFlows = b.freeFlows[:n-1]
		return f
	}
	return new(flow)
}

// append puts f at the end of its kind's list.
func (b *Builder) append(f *flow) {
	list := &b.lists[f.list]
	f.prev, f.next = list.prev, list
	f.prev.next, list.prev = f, f
}

// touch moves f to the end of its list.
func (b *Builder) touch(f *flow) {
	if f.next == &b.lists[f.list] {
		return
	}
	f.prev.next, f.next.prev = f.next, f.prev
	b.append(f)
}

// end notes that a TCP session ended at the time.
func (b *Builder) end(f *flow, nanos int64) {
	f.closedAt = nanos
	f.prev.next, f.next.prev = f.next, f.prev
	f.list = kindEnded
	b.append(f)
}

// all yields every open flow; the one at hand may be closed.
func (b *Builder) all(yield func(*flow) bool) {
	for k := range b.lists {
		list := &b.lists[k]
		for f, next := list.next, (*flow)(nil); f != list; f = next {
			next = f.next
			if !yield(f) {
				return
			}
		}
	}
}

// close saves the session for good and forgets it.
func (b *Builder) close(f *flow) {
	b.save(f, true)
	b.forget(f)
}

func (b *Builder) forget(f *flow) {
	delete(b.flows, f.key)
	f.prev.next, f.next.prev = f.next, f.prev
	if b.latest == f {
		b.latest = nil
	}
	if f.conn != nil {
		b.releaseConn(f.conn)
	}
	b.memory -= f.counted
	f.reset()
	if len(b.freeFlows) < maxFree {
		b.freeFlows = append(b.freeFlows, f)
	}
}

// Rewind says that no packet of those that come next is later than nanos. Where that is well before the lane's time its
// clock was set back, or a packet had a time from the future: without it all sessions would be taken for idle until that
// time has come.
func (b *Builder) Rewind(nanos int64) {
	if nanos < b.lane-b.cfg.Disorder.Nanoseconds() {
		b.lane = nanos
	}
}

// Now returns the lane's time: the highest that was seen, but for Rewind.
func (b *Builder) Now() int64 { return b.lane }

// Advance says that no packet of the lane that is still to come is earlier than
// nanos less [Config].Disorder. Sessions that have ended by then are saved. Call it
// now and then: it looks at every open session.
func (b *Builder) Advance(nanos int64) {
	b.lane = max(b.lane, nanos)
	if b.cfg.Reference {
		return
	}
	due := b.lane - b.cfg.Disorder.Nanoseconds()
	for f := range b.all {
		if b.over(f, due) || b.ahead(f, b.lane) {
			b.close(f)
		}
	}
}

// FlowAdvance is Advance for the flow of the packet that came last alone: none of its packets that is still to come is
// earlier than nanos less [Config].Disorder. A caller that has the packets of many flows one flow after the other need
// not keep the sessions of all of them open. One that another session is still to tell of stays until Advance.
func (b *Builder) FlowAdvance(nanos int64) {
	f := b.latest
	if f == nil || f.conn != nil && f.conn.s.Untold() {
		return
	}
	if !b.cfg.Reference && b.over(f, max(b.lane, nanos)-b.cfg.Disorder.Nanoseconds()) {
		b.close(f)
	}
}

// shrink saves the flows idle longest until a tenth of the budget is free, all
// but the flow at hand.
func (b *Builder) shrink() {
	for budget := int64(b.cfg.MemoryBytes); b.memory > budget/10*9; {
		var oldest *flow
		for k := range b.lists {
			f := b.lists[k].next
			if f != &b.lists[k] && f != b.latest && (oldest == nil || f.last < oldest.last) {
				oldest = f
			}
		}
		if oldest == nil {
			return
		}
		b.early++
		b.close(oldest)
	}
}

// Segment saves every open session in part: what comes later is in further segments.
func (b *Builder) Segment() {
	for f := range b.all {
		b.save(f, false)
		b.account(f)
	}
}

// Flush saves everything: the lane has ended.
func (b *Builder) Flush() {
	for f := range b.all {
		b.close(f)
	}
}
