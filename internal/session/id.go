package session

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"time"

	"wirelake/internal/packet"
)

// idEncoding is RFC 4648's base32 in lower case, without padding.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ID returns the id of a session's segment: the day of the document's firstPacket
// (UTC, YYMMDD), a dash, and 26 characters of base32 of the first 128 bits of
// SHA-256 over lane, zero byte, flow key (packet.Key.AppendBinary), then, big
// endian, first packet's time in ns, TCP sequence number of the first packet (0
// without TCP) and the segment's number, from 1. The id of segment 1 is the root id.
func ID(lane string, key *packet.Key, dayNanos, firstNanos int64, firstSeq uint32, segment int) string {
	var buf [256]byte
	b := append(buf[:0], lane...)
	b = append(b, 0)
	b, _ = key.AppendBinary(b) // it never fails
	b = binary.BigEndian.AppendUint64(b, uint64(firstNanos))
	b = binary.BigEndian.AppendUint32(b, firstSeq)
	b = binary.BigEndian.AppendUint32(b, uint32(segment))
	sum := sha256.Sum256(b)
	var out [33]byte
	d := time.Unix(0, dayNanos).UTC().AppendFormat(out[:0], "060102")
	d = append(d, '-')
	return string(idEncoding.AppendEncode(d, sum[:16]))
}
