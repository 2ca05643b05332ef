package packet

import "time"

const (
	// defaultFragments is how many fragmented datagrams are remembered: some 400 KiB, allocated at the
	// stream's first fragment.
	defaultFragments = 4096
	fragWays         = 4
	// fragLifetime is how long a first fragment stands for later ones: Linux's reassembly time. IPv4
	// identifications repeat soon after on a busy host.
	fragLifetime = int64(30 * time.Second)
)

// fragID names a fragmented datagram (RFC 791 section 3.2, RFC 8200 section 4.5).
type fragID struct {
	src, dst [16]byte
	ident    uint32
	proto    uint8
	kind     Kind
}

func (f *fragID) hash() uint64 {
	k := Key{A: f.src, B: f.dst, PortA: uint16(f.ident >> 16), PortB: uint16(f.ident), Proto: f.proto, Kind: f.kind}
	return k.Hash()
}

// fragTable remembers the flow of first fragments so that later ones join it. It is a set-associative
// cache: bounded, with the oldest of a set replaced.
//
// A fragment that arrives before its first one does not find it; it is keyed on addresses and protocol
// with ports 0. Holding it back would need a copy of the packet and change the order of the stream. Before
// is by time, so that packets clustered by flow give the same keys as in capture order.
type fragTable struct {
	limit int
	mask  uint64
	slots []fragSlot
}

type fragSlot struct {
	id   fragID
	key  Key
	dir  Dir
	used bool
	seen int64
}

func (t *fragTable) set(id *fragID) []fragSlot {
	if t.slots == nil {
		want, n := t.limit, fragWays
		if want <= 0 {
			want = defaultFragments
		}
		for n < want {
			n *= 2
		}
		t.slots = make([]fragSlot, n)
		t.mask = uint64(n/fragWays - 1)
	}
	i := (id.hash() & t.mask) * fragWays
	return t.slots[i : i+fragWays]
}

// find gives p the key and direction of the datagram's first fragment, when it is remembered.
func (t *fragTable) find(id *fragID, p *Packet) {
	if t.slots == nil {
		return
	}
	set := t.set(id)
	for i := range set {
		s := &set[i]
		if age := p.TimeNanos - s.seen; s.used && s.id == *id && age <= fragLifetime && age >= 0 {
			p.Key, p.Dir = s.key, s.dir
			return
		}
	}
}

// put remembers that the datagram id belongs to p's flow.
func (t *fragTable) put(id *fragID, p *Packet) {
	set := t.set(id)
	slot := &set[0]
	for i := range set {
		s := &set[i]
		if !s.used || s.id == *id {
			slot = s
			break
		}
		if s.seen < slot.seen {
			slot = s
		}
	}
	*slot = fragSlot{id: *id, key: p.Key, dir: p.Dir, used: true, seen: p.TimeNanos}
}

// rememberFragments stores the first fragments met while decoding p. Each belongs to the flow that p has
// now: that of the innermost packet, also when it is a tunnel's packet that is fragmented.
func (d *Decoder) rememberFragments(p *Packet) {
	for i := range d.nPending {
		d.frags.put(&d.pending[i], p)
	}
}
