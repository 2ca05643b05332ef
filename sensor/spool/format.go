package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"wirelake/sensor/capture"
)

// Version is the version of the spool's own files that this package writes, and the only one that it reads.
const Version = 1

// segmentVersion is that of segments. Those of version 1, which had no comments, are read too.
const segmentVersion = 2

const (
	magic            = "WLSPOOL\x00"
	fixedHeaderSize  = 56
	minHeaderSize    = fixedHeaderSize + 3*2 + 4
	recordHeaderSize = 24

	// MaxNameBytes is the most bytes of a name in a segment's header.
	MaxNameBytes = 4096

	// MaxRecordBytes is the most captured bytes of a record: its length has 24 bits. It
	// is what a chunk can hold, less one.
	MaxRecordBytes = 1<<24 - 1

	// MaxCommentBytes is the most bytes of a comment that are kept: what a chunk can hold.
	MaxCommentBytes = 1<<16 - 1

	maxHeaderSize = minHeaderSize + 3*MaxNameBytes
)

// Kinds of records.
const (
	kindPacket = 0
	kindLosses = 1 // Losses since the one before
	kindEnd    = 2 // the segment was ended in order; nothing follows
	kindPlace  = 3 // capture.Position of the next packet
	kindText   = 4 // a comment of the next packet
	kinds      = 5

	lossesSize   = 3 * 8
	positionSize = 5 * 8
	endSize      = 2 * 8

	// markSize is the most bytes of what says where the next packet stands.
	markSize = recordHeaderSize + lossesSize + positionSize
)

// What a caller may decide on.
var (
	ErrVersion = errors.New("unknown version of spool segment") // written by a newer release
	ErrCorrupt = errors.New("corrupt spool segment")            // its header: nothing in it can be read
)

// Header is what a segment begins with.
type Header struct {
	Sensor, Lane, Interface string
	LinkType, Snaplen       uint32

	Number  uint64    // of the segment in its lane
	Created time.Time // by the sensor's clock

	// What the lane's next chunk would have been when the segment was begun. The lane's
	// own state is newer; this is for when it is lost.
	Sequence uint64
	KeyNanos int64

	// Nonce is where the checksums of all records begin. It is random for each opening of
	// a lane, so that neither what a deleted file left on the disk nor what somebody puts
	// into a packet is taken for a record.
	Nonce uint32
}

// Losses counts packets that are not in the log, by cause.
type Losses struct {
	Kernel uint64 // before the sensor
	Quota  uint64 // the spool was full, policy drop-new
	Disk   uint64 // the disk was full or failed
}

func (l Losses) none() bool { return l == Losses{} }

// Spool is the packets that the sensor itself lost.
func (l Losses) Spool() uint64 { return l.Quota + l.Disk }

func (l *Losses) add(o Losses) {
	l.Kernel += o.Kernel
	l.Quota += o.Quota
	l.Disk += o.Disk
}

func (l Losses) less(o Losses) Losses {
	return Losses{Kernel: l.Kernel - o.Kernel, Quota: l.Quota - o.Quota, Disk: l.Disk - o.Disk}
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// appendHeader appends the encoded header.
func appendHeader(dst []byte, h *Header) ([]byte, error) {
	start := len(dst)
	le := binary.LittleEndian
	dst = append(dst, magic...)
	dst = append(dst, segmentVersion, 0)
	dst = le.AppendUint16(dst, 0) // its length, known below
	dst = le.AppendUint32(dst, h.Nonce)
	dst = le.AppendUint64(dst, h.Number)
	dst = le.AppendUint64(dst, uint64(h.Created.UnixNano())) //nolint:gosec // two's complement
	dst = le.AppendUint64(dst, uint64(h.KeyNanos))           //nolint:gosec // two's complement
	dst = le.AppendUint64(dst, h.Sequence)
	dst = le.AppendUint32(dst, h.LinkType)
	dst = le.AppendUint32(dst, h.Snaplen)
	for _, name := range []string{h.Sensor, h.Lane, h.Interface} {
		if len(name) > MaxNameBytes {
			return dst[:start], fmt.Errorf("name of %d bytes, at most %d", len(name), MaxNameBytes)
		}
		dst = le.AppendUint16(dst, uint16(len(name))) //nolint:gosec // by MaxNameBytes
		dst = append(dst, name...)
	}
	le.PutUint16(dst[start+10:], uint16(len(dst)-start+4)) //nolint:gosec // at most maxHeaderSize
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli())), nil
}

// headerSize returns the size of the header that b, of at least 12 bytes, begins with.
func headerSize(b []byte) (int, error) {
	if string(b[:len(magic)]) != magic {
		return 0, fmt.Errorf("%w: it does not begin with the magic", ErrCorrupt)
	}
	if b[8] == 0 || b[8] > segmentVersion {
		return 0, fmt.Errorf("%w: version %d, supported are 1 to %d", ErrVersion, b[8], segmentVersion)
	}
	n := int(binary.LittleEndian.Uint16(b[10:]))
	if n < minHeaderSize || n > maxHeaderSize {
		return 0, fmt.Errorf("%w: header of %d bytes", ErrCorrupt, n)
	}
	return n, nil
}

// decodeHeader decodes a header, of which b is all bytes.
func decodeHeader(b []byte) (h Header, err error) {
	le := binary.LittleEndian
	body, sum := b[:len(b)-4], le.Uint32(b[len(b)-4:])
	if got := crc32.Checksum(body, castagnoli()); got != sum {
		return h, fmt.Errorf("%w: header has checksum %08x, computed %08x", ErrCorrupt, sum, got)
	}
	h = Header{
		Nonce: le.Uint32(b[12:]), Number: le.Uint64(b[16:]), Created: time.Unix(0, int64(le.Uint64(b[24:]))).UTC(), //nolint:gosec // two's complement
		KeyNanos: int64(le.Uint64(b[32:])), Sequence: le.Uint64(b[40:]), LinkType: le.Uint32(b[48:]), Snaplen: le.Uint32(b[52:]), //nolint:gosec // two's complement
	}
	rest := body[fixedHeaderSize:]
	for _, name := range []*string{&h.Sensor, &h.Lane, &h.Interface} {
		if len(rest) < 2 || len(rest)-2 < int(le.Uint16(rest)) || int(le.Uint16(rest)) > MaxNameBytes {
			return h, fmt.Errorf("%w: a name in its header is cut", ErrCorrupt)
		}
		n := 2 + int(le.Uint16(rest))
		*name, rest = string(rest[2:n]), rest[n:]
	}
	if len(rest) > 0 {
		return h, fmt.Errorf("%w: %d bytes behind the names in its header", ErrCorrupt, len(rest))
	}
	return h, nil
}

// putRecord completes the record in b, whose data stand behind the 24 bytes of its header.
func putRecord(b []byte, nonce uint32, kind int, timeNanos int64, wireLen uint32) {
	le := binary.LittleEndian
	h := b[:recordHeaderSize:recordHeaderSize]
	le.PutUint64(h, uint64(timeNanos))                                    //nolint:gosec // two's complement
	le.PutUint32(h[8:], uint32(len(b)-recordHeaderSize)|uint32(kind)<<24) //nolint:gosec // at most MaxRecordBytes, kinds
	le.PutUint32(h[12:], wireLen)
	le.PutUint32(h[16:], crc32.Update(nonce, castagnoli(), b[recordHeaderSize:]))
	le.PutUint32(h[20:], crc32.Update(nonce, castagnoli(), h[:20]))
}

// recordHeader is a decoded record header.
type recordHeader struct {
	timeNanos int64
	kind, n   int // n: bytes of data
	wireLen   uint32
	sum       uint32 // of the data
}

// decodeRecordHeader decodes the header in b, of at least recordHeaderSize bytes; false when it is none.
func decodeRecordHeader(b []byte, nonce uint32) (h recordHeader, ok bool) {
	le := binary.LittleEndian
	h.kind = int(b[11])
	if h.kind >= kinds || le.Uint32(b[20:]) != crc32.Update(nonce, castagnoli(), b[:20]) {
		return h, false
	}
	h.timeNanos = int64(le.Uint64(b)) //nolint:gosec // two's complement
	h.n = int(le.Uint32(b[8:]) & MaxRecordBytes)
	h.wireLen, h.sum = le.Uint32(b[12:]), le.Uint32(b[16:])
	return h, true
}

// appendMark appends what stands before a packet that does not simply follow the one
// before: its position in the ring, where it has one, and the losses before it. Both
// are one record, so that a crash leaves both or neither.
func appendMark(dst []byte, nonce uint32, timeNanos int64, l Losses, p capture.Position) []byte {
	if l.none() && p.Ring == 0 {
		return dst
	}
	var b [markSize]byte
	n, kind := recordHeaderSize, kindPlace
	le := binary.LittleEndian
	if !l.none() {
		kind = kindLosses
		for _, v := range [...]uint64{l.Kernel, l.Quota, l.Disk} {
			le.PutUint64(b[n:], v)
			n += 8
		}
	}
	if p.Ring != 0 {
		for _, v := range [...]uint64{p.Ring, p.Block, p.Packet, p.Passed, p.Drops} {
			le.PutUint64(b[n:], v)
			n += 8
		}
	}
	putRecord(b[:n], nonce, kind, timeNanos, 0)
	return append(dst, b[:n]...)
}

// decodeLosses decodes the losses that b begins with; a position may follow.
func decodeLosses(b []byte) (l Losses, ok bool) {
	if len(b) != lossesSize && len(b) != lossesSize+positionSize {
		return l, false
	}
	le := binary.LittleEndian
	return Losses{Kernel: le.Uint64(b), Quota: le.Uint64(b[8:]), Disk: le.Uint64(b[16:])}, true
}

// decodePosition decodes the position that b ends with.
func decodePosition(b []byte) (p capture.Position, ok bool) {
	if len(b) != positionSize && len(b) != lossesSize+positionSize {
		return p, false
	}
	b = b[len(b)-positionSize:]
	le := binary.LittleEndian
	p = capture.Position{Ring: le.Uint64(b), Block: le.Uint64(b[8:]), Packet: le.Uint64(b[16:]), Passed: le.Uint64(b[24:]), Drops: le.Uint64(b[32:])}
	return p, p.Ring != 0
}

// follow returns the position after a record that stands at p.
func follow(p capture.Position, kind int, data []byte) capture.Position {
	switch kind {
	case kindPacket:
		if p.Ring != 0 {
			p.Packet++
			p.Passed++
		}
	case kindLosses, kindPlace:
		if at, ok := decodePosition(data); ok {
			return at
		}
	}
	return p
}

func appendEnd(dst []byte, nonce uint32, timeNanos int64, packets, bytes uint64) []byte {
	var b [recordHeaderSize + endSize]byte
	binary.LittleEndian.PutUint64(b[recordHeaderSize:], packets)
	binary.LittleEndian.PutUint64(b[recordHeaderSize+8:], bytes)
	putRecord(b[:], nonce, kindEnd, timeNanos, 0)
	return append(dst, b[:]...)
}
