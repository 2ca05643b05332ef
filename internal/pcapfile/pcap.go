package pcapfile

import (
	"encoding/binary"
	"fmt"
)

// Magic numbers of pcap files, in the file's byte order.
const (
	magicMicros   = 0xa1b2c3d4
	magicNanos    = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // Kuznetzov's patch of libpcap: longer record headers
)

// Sizes in bytes.
const (
	fileHeadBytes     = 24
	recordHeadBytes   = 16
	modifiedHeadBytes = 24
)

const (
	// resyncBytes bounds the captured length of a record that resynchronizing believes: libpcap's largest
	// snaplen. It also bounds the memory of looking ahead.
	resyncBytes = 256 << 10
	// resyncSeconds bounds how far from the last record's time it may be.
	resyncSeconds = 366 * 24 * 3600
	// believeBytes bounds the search for records inside one of another time.
	believeBytes = 64 << 10
	// thisCentury, 2001 in seconds, is more than fractions of a second and lengths are.
	thisCentury = 1_000_000_000
	// resyncChain is how many records in a row must be plausible.
	resyncChain = 3
)

// order is the byte order of a file or section: true for big-endian.
type order bool

func (o order) u32(b []byte) uint32 {
	if o {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func (o order) u16(b []byte) uint16 {
	if o {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

// openPcap reads the file header of a pcap file.
func (r *Reader) openPcap() error {
	h := r.w.peek(fileHeadBytes)
	magic := be32(h)
	r.order = true
	switch magic {
	case magicMicros, magicNanos, magicModified:
	default:
		magic = binary.LittleEndian.Uint32(h)
		r.order = false
	}
	r.recordHead = recordHeadBytes
	switch magic {
	case magicMicros:
	case magicNanos:
		r.nanos = true
	case magicModified:
		r.recordHead = modifiedHeadBytes
	default:
		return fmt.Errorf("%s: %w: it starts with % x", r.name, ErrFormat, h[:4])
	}
	if len(h) < fileHeadBytes {
		if err := r.streamError(); err != nil {
			return err
		}
		return &TruncatedError{Name: r.name, Have: int64(len(h))}
	}
	if major := r.order.u16(h[4:]); major != 2 {
		return fmt.Errorf("%s: pcap version %d.%d, supported is 2", r.name, major, r.order.u16(h[6:]))
	}
	// libpcap 0.4's history: up to 2.2 the two lengths are swapped, in 2.3 by some writers.
	switch minor := r.order.u16(h[6:]); {
	case minor < 3:
		r.swapLens = 1
	case minor == 3:
		r.swapLens = -1
	}
	units := uint64(1_000_000)
	if r.nanos {
		units = 1_000_000_000
	}
	// The upper half of the link type field tells of frame check sequences.
	r.interfaces = []Interface{{LinkType: r.order.u32(h[20:]) & 0xffff, Snaplen: r.order.u32(h[16:]), UnitsPerSec: units}}
	r.w.skip(fileHeadBytes)
	return nil
}

// pcapHead is a decoded record header.
type pcapHead struct{ sec, frac, capLen, wireLen uint32 }

func (r *Reader) pcapHead(b []byte) pcapHead {
	_ = b[15]
	h := pcapHead{sec: r.order.u32(b), frac: r.order.u32(b[4:]), capLen: r.order.u32(b[8:]), wireLen: r.order.u32(b[12:])}
	if r.swapLens == 1 || r.swapLens == -1 && h.capLen > h.wireLen {
		h.capLen, h.wireLen = h.wireLen, h.capLen
	}
	return h
}

// sound reports whether a header is as the format wants it. Some writers deviate harmlessly, so an
// unsound one may still be right: see nextPcap.
func (r *Reader) sound(h *pcapHead) bool {
	unit := uint32(1_000_000)
	if r.nanos {
		unit = 1_000_000_000
	}
	return h.frac < unit && h.capLen <= h.wireLen && h.wireLen <= MaxRecordBytes && h.wireLen != 0
}

// nextPcap reads a record of a pcap file.
func (r *Reader) nextPcap(rec *Record) error {
	b := r.w.peek(r.recordHead)
	if len(b) < r.recordHead {
		if len(b) > 0 {
			return r.cutOrCorrupt(len(b), "", r.plausibleRecord)
		}
		return r.end(0)
	}
	h := r.pcapHead(b)
	if !r.seen {
		r.firstSec = int64(h.sec)
	}
	if h.capLen > MaxRecordBytes {
		return r.resync(fmt.Sprintf("record of %d captured bytes, at most %d", h.capLen, MaxRecordBytes), r.plausibleRecord)
	}
	n := r.recordHead + int(h.capLen)
	if sound := r.sound(&h); !sound || !r.timely(int64(h.sec)) {
		if !r.believable(&h, sound) {
			return r.resync(fmt.Sprintf("record header has time %d.%d, %d captured bytes of %d, and records do not go on behind it", h.sec, h.frac, h.capLen, h.wireLen), r.plausibleRecord)
		}
		b = r.w.peek(r.recordHead) // looking ahead may have moved it
	}
	if len(b) < n {
		if b = r.w.peek(n); len(b) < n {
			return r.cutOrCorrupt(len(b), fmt.Sprintf("record of %d captured bytes reaches past the end, and records go on inside it", h.capLen), r.insideCut(&h))
		}
	}
	nanos := int64(h.frac)
	if !r.nanos {
		nanos *= 1000
	}
	rec.TimeNanos = int64(h.sec)*1_000_000_000 + nanos
	rec.WireLen, rec.Interface, rec.Comment = int(h.wireLen), 0, ""
	rec.Data, rec.Offset = b[r.recordHead:n:n], r.w.offset()
	if !r.seen {
		r.lastNanos = rec.TimeNanos
	}
	r.priorNanos, r.lastNanos, r.seen = r.lastNanos, rec.TimeNanos, true
	r.w.skip(n)
	return nil
}

// believable reports whether a header may be right although it is unsound or its time is far from those before:
// some writers deviate, and clocks jump. Damage shows in records that go on elsewhere than where it says. A length
// that is four bytes off makes headers that overlap the right ones, one after the other, hence the look inside.
func (r *Reader) believable(h *pcapHead, sound bool) bool {
	n := r.recordHead + int(h.capLen)
	timely := r.timely(int64(h.sec))
	if !sound {
		next, end, ok := r.headAt(n)
		if !end && !ok {
			return false
		}
		if timely && h.capLen > h.wireLen && r.chain(r.recordHead+int(h.wireLen), 1, r.timely) {
			return false
		}
		if end || timely && (r.sound(&next) || near(int64(next.sec), int64(h.sec)) || r.timely(int64(next.sec))) {
			return true
		}
	}
	if min(r.lastNanos, r.priorNanos) < thisCentury*1_000_000_000 {
		return true // small numbers anywhere would pass for such times
	}
	for at := 1; at < min(n+r.recordHead, believeBytes); at++ {
		if at != n && r.chain(at, 1, r.timely) {
			return false
		}
	}
	return true
}

// headAt returns what is n bytes from here as a record header, whether the file ends there, and whether it may be one. It
// is less strict than sound: a writer that deviates does so in every record.
func (r *Reader) headAt(n int) (h pcapHead, end, ok bool) {
	b := r.w.peek(n + r.recordHead)
	if len(b) < n+r.recordHead {
		return h, len(b) == n, false
	}
	h = r.pcapHead(b[n:])
	return h, false, h.frac < 1_000_000_000 && h.capLen <= resyncBytes && h.capLen|h.wireLen != 0
}

// plausibleRecord reports whether records go on here: resyncChain sound ones in a row, or fewer that reach
// the end of the file exactly or up to one that is cut.
func (r *Reader) plausibleRecord() bool { return r.chain(0, 1, r.timely) }

// insideCut returns what tells records that go on inside one with header h, which reaches past the end. A
// file that is cut is likelier than one whose length is wrong in both its fields, and packets hold all
// sorts of bytes: one record is no proof where h is sound and its time fits.
func (r *Reader) insideCut(h *pcapHead) func() bool {
	sec := int64(h.sec)
	if !r.sound(h) || !r.timely(sec) {
		return r.plausibleRecord
	}
	return func() bool { return r.chain(0, 2, func(s int64) bool { return near(s, sec) }) }
}

// timely reports whether a time in seconds is about that of the records before, of which the last may be wrong. Before
// the first it wants the file's first time or one of this century, which fractions of a second and lengths are not.
func (r *Reader) timely(sec int64) bool {
	if !r.seen {
		return sec >= thisCentury || near(sec, r.firstSec)
	}
	return near(sec, r.lastNanos/1_000_000_000) || near(sec, r.priorNanos/1_000_000_000)
}

func near(sec, other int64) bool { return max(sec-other, other-sec) <= resyncSeconds }

// chain reports whether sound records go on n bytes from here, at times that are timely: resyncChain of them, or at
// least as many whole ones with bytes, up to the end or to one that is cut.
func (r *Reader) chain(n, least int, timely func(sec int64) bool) bool {
	whole := 0
	for range resyncChain {
		b := r.w.peek(n + r.recordHead)
		if len(b) == n {
			return whole >= least
		}
		if len(b) < n+r.recordHead {
			return false
		}
		h := r.pcapHead(b[n:])
		if !r.sound(&h) || h.capLen > resyncBytes || !timely(int64(h.sec)) {
			return false
		}
		n += r.recordHead + int(h.capLen)
		if len(r.w.peek(n)) < n {
			return whole >= least
		}
		if h.capLen > 0 {
			whole++
		}
	}
	return true
}
