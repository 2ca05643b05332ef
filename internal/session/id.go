package session

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"wirelake/internal/packet"
)

// laneName names a lane among those of all sensors, for ID: sensor/lane. Lanes of two sensors may have the same
// name, as when both import the same file, and their sessions must stay apart.
func laneName(cfg Config) string {
	if cfg.Sensor == "" {
		return cfg.Lane
	}
	return cfg.Sensor + "/" + cfg.Lane
}

// ID returns the id of a session's segment: the day of the document's firstPacket
// (UTC, YYMMDD), a dash, and 26 characters of base32 of the first 128 bits of
// SHA-256 over lane (sensor/lane), zero byte, flow key (packet.Key.AppendBinary), then, big
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
	return string(appendBase32(d, sum[:16]))
}

// appendBase32 appends RFC 4648's base32 of p in lower case, without padding.
func appendBase32(b, p []byte) []byte {
	const digits = "abcdefghijklmnopqrstuvwxyz234567"
	var acc, bits uint
	for _, c := range p {
		acc, bits = acc<<8|uint(c), bits+8
		for bits >= 5 {
			bits -= 5
			b = append(b, digits[acc>>bits&31])
		}
		acc &= 1<<bits - 1
	}
	if bits > 0 {
		b = append(b, digits[acc<<(5-bits)&31])
	}
	return b
}
