package chunk

import (
	"encoding/binary"
	"fmt"
)

// Layout of the stream: draft-ietf-opsawg-pcap, nanosecond variant, little-endian.
const (
	pcapMagicNanos   = 0xa1b23c4d
	pcapHeaderBytes  = 24
	recordHeaderSize = 16

	defaultSnaplen = 262144 // what libpcap writes for "everything"
)

// MaxTimeNanos is the first time that a record cannot hold, in ns since 1970:
// pcap counts seconds in 32 bits without sign, to February 2106.
const MaxTimeNanos = (1 << 32) * nanosPerSecond

const nanosPerSecond = 1_000_000_000

// Record is one captured packet.
type Record struct {
	TimeNanos int64  // capture time, ns since 1970
	WireLen   int    // bytes on the wire
	Data      []byte // captured bytes; valid until the next record is asked for
	Offset    uint64 // of the record's header in the stream; 0 from Decoder.Range, which cannot know it
}

// RawLen is the bytes that r takes in the stream.
func (r *Record) RawLen() uint64 { return recordHeaderSize + uint64(len(r.Data)) }

// appendPcapHeader appends the global header of the stream.
func appendPcapHeader(dst []byte, linkType, snaplen uint32) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, pcapMagicNanos)
	dst = le.AppendUint16(dst, 2) // version 2.4
	dst = le.AppendUint16(dst, 4)
	dst = le.AppendUint64(dst, 0) // time zone and accuracy, unused
	dst = le.AppendUint32(dst, snaplen)
	return le.AppendUint32(dst, linkType)
}

// putRecordHeader fills the first 16 bytes of dst.
func putRecordHeader(dst []byte, timeNanos int64, capLen, wireLen int) {
	_ = dst[recordHeaderSize-1]
	le := binary.LittleEndian
	le.PutUint32(dst, uint32(timeNanos/nanosPerSecond))     //nolint:gosec // checked against MaxTimeNanos
	le.PutUint32(dst[4:], uint32(timeNanos%nanosPerSecond)) //nolint:gosec // below 1e9
	le.PutUint32(dst[8:], uint32(capLen))                   //nolint:gosec // checked against MaxCapturedBytes
	le.PutUint32(dst[12:], uint32(wireLen))                 //nolint:gosec // checked by checkPacket
}

// checkPacket says why a packet cannot be a record, wrapping ErrPacket.
func checkPacket(timeNanos int64, capLen, wireLen int) error {
	switch {
	case timeNanos < 0 || timeNanos >= MaxTimeNanos:
		return fmt.Errorf("%w: time %d ns is outside 1970 to 2106", ErrPacket, timeNanos)
	case capLen > MaxCapturedBytes:
		return fmt.Errorf("%w: %d captured bytes, at most %d", ErrPacket, capLen, MaxCapturedBytes)
	case wireLen < 0 || int64(wireLen) > 1<<32-1:
		return fmt.Errorf("%w: length on the wire is %d", ErrPacket, wireLen)
	}
	return nil
}

// decodeRecord decodes the record at the start of b into r, whose Data then
// points into b, and returns its raw bytes. The reason says what is wrong with it.
func decodeRecord(b []byte, r *Record) (n int, reason string) {
	if len(b) < recordHeaderSize {
		return 0, fmt.Sprintf("record header is cut: %d bytes of %d", len(b), recordHeaderSize)
	}
	le := binary.LittleEndian
	sec, nanos, capLen := le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:])
	if nanos >= nanosPerSecond {
		return 0, fmt.Sprintf("record has %d nanoseconds", nanos)
	}
	if uint64(capLen) > uint64(len(b)-recordHeaderSize) {
		return 0, fmt.Sprintf("record of %d bytes is cut after %d", capLen, len(b)-recordHeaderSize)
	}
	n = recordHeaderSize + int(capLen)
	r.TimeNanos = int64(sec)*nanosPerSecond + int64(nanos)
	r.WireLen = int(le.Uint32(b[12:]))
	r.Data = b[recordHeaderSize:n:n]
	r.Offset = 0
	return n, ""
}
