// Package chunk reads and writes chunks, the immutable objects that packets are
// kept in. A chunk is a valid .pcap.zst, its records clustered by flow, with a
// flow index and a seek table behind the data.
//
// [Builder] collects packets and seals them into a chunk, [Reader] opens one
// over range reads, [Decoder.Range] decodes the records in a byte range fetched
// by somebody who knows where they are.
//
// The package knows the layout of a chunk and the flow key of a packet; it knows
// nothing of capture, sessions, or where objects are stored.
//
// Terms: the stream is what decompressing all frames gives, one nanosecond pcap;
// a frame is one independent zstd frame; raw bytes are bytes of the stream.
//
// Format: docs/chunk-format.md, version 1. Frames: RFC 8878. Seek table: the zstd
// project's seekable format, 0.1.0. Records: draft-ietf-opsawg-pcap.
package chunk

import (
	"errors"
	"fmt"
)

// Version is the version of the format that this package writes, and the only
// one that it reads.
const Version = 1

// Limits of the format. Each is checked before anything is allocated from it.
const (
	// SharedFrameBytes is the most raw bytes of small flows in one frame. A
	// session of a small flow costs a reader one such frame.
	SharedFrameBytes = 64 << 10

	// FlowFrameBytes is the most raw bytes in a frame of a large flow, save that
	// a single record above it has a frame of its own.
	FlowFrameBytes = 256 << 10

	// MaxCapturedBytes is the most captured bytes of one packet. libpcap's limit
	// is 256 KiB for every link type but USB and D-Bus, whose real transfers are
	// far below this.
	MaxCapturedBytes = 16 << 20

	// MaxRawBytes is the most raw bytes of a chunk.
	MaxRawBytes = 1 << 30

	// MaxFlows is the most flows of a chunk: 100 MiB of entries in a reader.
	MaxFlows = 1 << 20

	// MaxFrames is the most frames of a chunk, the index included: 1 MiB of seek table.
	MaxFrames = 1 << 17

	// MaxIndexBytes is the most bytes of a decompressed index.
	MaxIndexBytes = 256 << 20

	// MaxNameBytes is the most bytes of a name in Meta.
	MaxNameBytes = 4096
)

// What a caller may decide on.
var (
	ErrCorrupt = errors.New("corrupt chunk")             // wrapped in a CorruptError
	ErrVersion = errors.New("unknown version of chunk")  // written by a newer release
	ErrFull    = errors.New("chunk is full")             // seal the builder, then add again
	ErrPacket  = errors.New("packet cannot be recorded") // its time or size is outside what pcap can hold
)

// CorruptError says where a chunk is damaged. It wraps ErrCorrupt.
type CorruptError struct {
	Key    string // object key
	Offset int64  // in the object, of the frame or structure that is damaged
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("chunk %q offset %d: %s", e.Key, e.Offset, e.Reason)
}

// Unwrap makes errors.Is(err, ErrCorrupt) hold.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }

func corrupt(key string, offset int64, format string, args ...any) error {
	return &CorruptError{Key: key, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}
