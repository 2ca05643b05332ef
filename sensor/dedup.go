package sensor

import (
	"encoding/binary"
	"hash/maphash"
)

// deduper finds packets that were seen twice, at a port that shows them coming in and
// going out. It belongs to the goroutine that seals the lane.
//
// It remembers a hash of each packet of the window. The hash is keyed by chance, so
// that nobody can make packets that look like copies of others and are not.
type deduper struct {
	cfg      DedupConfig
	linkType uint32
	seed     maphash.Seed

	// Two generations, each of the window: a packet is looked for in both.
	young, old map[uint64]int64 // time of the last one, by hash
	since      int64

	duplicates uint64
}

// maxDedup bounds the packets that are remembered in a generation: 10 Gbit/s of small
// packets for 20 ms.
const maxDedup = 1 << 19

func newDeduper(cfg DedupConfig, linkType uint32) *deduper {
	d := &deduper{cfg: cfg, linkType: linkType, seed: maphash.MakeSeed()}
	if cfg.Window > 0 {
		d.young, d.old = map[uint64]int64{}, map[uint64]int64{}
	}
	return d
}

// duplicate reports whether the packet was seen within the window, and remembers it.
// data may be changed in place while it is hashed, and is as before on return.
func (d *deduper) duplicate(nanos int64, wireLen int, data []byte) bool {
	if d.cfg.Window == 0 {
		return false
	}
	window := int64(d.cfg.Window)
	if age := nanos - d.since; age > window || age < -window || len(d.young) >= maxDedup {
		d.young, d.old = d.old, d.young
		clear(d.young)
		if age > 2*window || age < -window {
			clear(d.old)
		}
		d.since = nanos
	}
	h := d.hash(wireLen, data)
	at, seen := d.young[h]
	if !seen {
		at, seen = d.old[h]
	}
	d.young[h] = nanos
	if apart := nanos - at; seen && apart <= window && apart >= -window {
		d.duplicates++
		return true
	}
	return false
}

// hash is over what must be equal in copies of a packet.
func (d *deduper) hash(wireLen int, data []byte) uint64 {
	l3, typ := networkLayer(d.linkType, data)
	content := data
	if d.cfg.IgnoreMAC && l3 >= 0 {
		content, wireLen = data[l3:], wireLen-l3
	}
	var masked []byte // TTL and the header's checksum, which a router changes
	var saved [4]byte
	if d.cfg.IgnoreTTL && l3 >= 0 {
		switch {
		case typ == 0x0800 && len(data) >= l3+20:
			masked = data[l3+8 : l3+12]
			copy(saved[:], masked)
			masked[0], masked[2], masked[3] = 0, 0, 0
		case typ == 0x86dd && len(data) >= l3+40:
			masked = data[l3+7 : l3+8]
			copy(saved[:], masked)
			masked[0] = 0
		}
	}
	var h maphash.Hash
	h.SetSeed(d.seed)
	var head [10]byte
	binary.LittleEndian.PutUint64(head[:], uint64(wireLen)) //nolint:gosec // of a packet
	binary.LittleEndian.PutUint16(head[8:], typ)
	_, _ = h.Write(head[:]) // never fails
	_, _ = h.Write(content)
	copy(masked, saved[:])
	return h.Sum64()
}

// networkLayer returns where the outermost network header begins and its ethertype;
// -1 when that is not known of the link type.
func networkLayer(linkType uint32, b []byte) (at int, typ uint16) {
	switch linkType {
	case 1: // Ethernet, with any VLAN tags
		for at = 12; len(b) >= at+2; at += 4 {
			typ = binary.BigEndian.Uint16(b[at:])
			if typ != 0x8100 && typ != 0x88a8 && typ != 0x9100 && typ != 0x9200 {
				return at + 2, typ
			}
		}
	case 113: // Linux cooked, SLL
		if len(b) >= 16 {
			return 16, binary.BigEndian.Uint16(b[14:])
		}
	case 101, 228, 229: // raw IP
		if len(b) > 0 && b[0]>>4 == 6 {
			return 0, 0x86dd
		}
		if len(b) > 0 {
			return 0, 0x0800
		}
	}
	return -1, 0
}
