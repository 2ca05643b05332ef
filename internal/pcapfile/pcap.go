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
	if h.capLen > MaxRecordBytes {
		return r.resync(fmt.Sprintf("record of %d captured bytes, at most %d", h.capLen, MaxRecordBytes), r.plausibleRecord)
	}
	n := r.recordHead + int(h.capLen)
	if !r.sound(&h) {
		if !r.recordAt(n) {
			return r.resync(fmt.Sprintf("record header has time %d.%d, %d captured bytes of %d, and no record follows", h.sec, h.frac, h.capLen, h.wireLen), r.plausibleRecord)
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
	r.lastNanos, r.seen = rec.TimeNanos, true
	r.w.skip(n)
	return nil
}

// recordAt reports whether what is n bytes from here may be a record header, or is the end of the file. It
// is less strict than sound: a writer that deviates does so in every record.
func (r *Reader) recordAt(n int) bool {
	b := r.w.peek(n + r.recordHead)
	if len(b) == n {
		return true
	}
	if len(b) < n+r.recordHead {
		return false
	}
	h := r.pcapHead(b[n:])
	return h.frac < 1_000_000_000 && h.capLen <= resyncBytes && h.capLen|h.wireLen != 0
}

// plausibleRecord reports whether records go on here: resyncChain sound ones in a row, or fewer that reach
// the end of the file exactly or up to one that is cut.
func (r *Reader) plausibleRecord() bool { return r.chain(1, r.lastNanos/1_000_000_000, r.seen) }

// insideCut returns what tells records that go on inside one with header h, which reaches past the end. A
// file that is cut is likelier than one whose length is wrong in both its fields, and packets hold all
// sorts of bytes: one record is no proof where h is sound and its time fits.
func (r *Reader) insideCut(h *pcapHead) func() bool {
	sec := int64(h.sec)
	if !r.sound(h) || r.seen && !near(sec, r.lastNanos/1_000_000_000) {
		return r.plausibleRecord
	}
	return func() bool { return r.chain(2, sec, true) }
}

func near(sec, other int64) bool { return max(sec-other, other-sec) <= resyncSeconds }

// chain reports whether sound records go on here, with timed of about the time: resyncChain of them, or at least as
// many whole ones with bytes, up to the end or to one that is cut.
func (r *Reader) chain(least int, sec int64, timed bool) bool {
	n, whole := 0, 0
	for range resyncChain {
		b := r.w.peek(n + r.recordHead)
		if len(b) == n {
			return whole >= least
		}
		if len(b) < n+r.recordHead {
			return false
		}
		h := r.pcapHead(b[n:])
		if !r.sound(&h) || h.capLen > resyncBytes || timed && !near(int64(h.sec), sec) {
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
