package chunk

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/klauspost/compress/zstd"

	"wirelake/internal/packet"
)

// Config says how a Builder works. Start from DefaultConfig.
type Config struct {
	MaxBytes int   // raw bytes of a chunk
	MaxFlows int   // flows of a chunk
	Workers  int   // frames compressed at once by Seal
	Pool     *Pool // memory to work with, which builders may share; nil for one of its own

	Level zstd.EncoderLevel // 0 for the fastest
	// Worker, when set, runs the work of each worker of Seal, in a goroutine that ends
	// with it: to lower the priority of its thread, or to measure it.
	Worker func(work func())
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{MaxBytes: 256 << 20, MaxFlows: MaxFlows, Workers: runtime.GOMAXPROCS(0)}
}

func (c Config) validate() error {
	switch {
	case c.MaxBytes < pcapHeaderBytes+recordHeaderSize || c.MaxBytes > MaxRawBytes:
		return fmt.Errorf("chunk of %d raw bytes, want %d to %d", c.MaxBytes, pcapHeaderBytes+recordHeaderSize, MaxRawBytes)
	case c.MaxFlows < 1 || c.MaxFlows > MaxFlows:
		return fmt.Errorf("chunk of %d flows, want 1 to %d", c.MaxFlows, MaxFlows)
	case c.Level < 0 || c.Level > zstd.SpeedBestCompression:
		return fmt.Errorf("compression level %d is unknown", c.Level)
	case c.Workers < 1:
		return fmt.Errorf("%d workers, want 1 or more", c.Workers)
	}
	return nil
}

// Builder collects packets, and seals them into a chunk. Adding a packet copies
// its bytes once and allocates nothing once the builder has grown to its size.
// A Builder is for one goroutine at a time.
type Builder struct {
	cfg     Config
	flows   flowTable
	records recordBuffer
	entries []recordEntry // in capture order
	raw     int           // bytes of the stream

	comments     []recordComment
	commentBytes int

	firstNanos    int64 // of the packet added first
	earliestNanos int64
}

// recordEntry is where a record lies, and of which flow it is.
type recordEntry struct{ flow, pos uint32 }

// NewBuilder returns an empty builder.
func NewBuilder(cfg Config) (*Builder, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Pool == nil {
		cfg.Pool = &Pool{}
	}
	return &Builder{cfg: cfg, records: recordBuffer{pool: cfg.Pool}, raw: pcapHeaderBytes}, nil
}

// Add records a packet, of which p is what was decoded and data what was
// captured. It keeps neither.
//
// The error is ErrFull when the packet does not fit any more, and wraps ErrPacket
// when a chunk cannot hold it; the builder is unchanged in both cases. A packet is
// never too large for an empty builder.
func (b *Builder) Add(p *packet.Packet, data []byte) error {
	return b.add(&p.Key, p.Dir, p.TimeNanos, int(p.WireLen), data)
}

func (b *Builder) add(k *packet.Key, dir packet.Dir, timeNanos int64, wireLen int, data []byte) error {
	if err := checkPacket(timeNanos, len(data), wireLen); err != nil {
		return err
	}
	size := recordHeaderSize + len(data)
	flow, hash, found := b.flows.find(k)
	if len(b.entries) > 0 && (b.raw+size > b.cfg.MaxBytes || !found && len(b.flows.entries) >= b.cfg.MaxFlows ||
		len(b.records.blocks) >= maxBlocks-1 || b.commentBytes >= maxCommentsBytes) {
		return ErrFull
	}
	if len(b.entries) == 0 {
		b.firstNanos, b.earliestNanos = timeNanos, timeNanos
	}
	b.earliestNanos = min(b.earliestNanos, timeNanos)
	if !found {
		flow = b.flows.insert(FlowEntry{Key: *k, FirstNanos: timeNanos, LastNanos: timeNanos}, hash)
	}
	e := &b.flows.entries[flow]
	e.FirstNanos = min(e.FirstNanos, timeNanos)
	e.LastNanos = max(e.LastNanos, timeNanos)
	e.Packets[dir&1]++
	e.Bytes[dir&1] += uint64(wireLen) //nolint:gosec // checked not to be negative
	e.Length += uint64(size)          //nolint:gosec // positive
	to, pos := b.records.alloc(size)
	putRecordHeader(to, timeNanos, len(data), wireLen)
	copy(to[recordHeaderSize:], data)
	b.entries = append(b.entries, recordEntry{flow: flow, pos: pos})
	b.raw += size
	return nil
}

// Len is the number of packets added.
func (b *Builder) Len() int { return len(b.entries) }

// RawBytes is the size of the stream so far.
func (b *Builder) RawBytes() int { return b.raw }

// FirstNanos is the time of the packet that was added first; 0 when there is none.
func (b *Builder) FirstNanos() int64 { return b.firstNanos }

// EarliestNanos is the earliest time of all packets; 0 when there is none.
func (b *Builder) EarliestNanos() int64 { return b.earliestNanos }

// MemBytes is the memory that what was added takes, sealing included. It depends
// on the packets alone, so that decisions made from it can be repeated.
func (b *Builder) MemBytes() int {
	const perFlow = int(unsafe.Sizeof(FlowEntry{})) + 4 + 2*4 + 8 // entry, hash, slots, order
	const perRecord = int(unsafe.Sizeof(recordEntry{})) + 4       // entry, clustered position
	const perComment = int(unsafe.Sizeof(recordComment{}) + unsafe.Sizeof(Comment{}))
	return b.records.mem + len(b.flows.entries)*perFlow + len(b.entries)*perRecord + len(b.comments)*perComment + b.commentBytes
}

// Reset forgets all packets and keeps the memory for the next.
func (b *Builder) Reset() {
	b.flows.reset()
	b.records.reset()
	b.entries = b.entries[:0]
	b.raw = pcapHeaderBytes
	clear(b.comments)
	b.comments, b.commentBytes = b.comments[:0], 0
	b.firstNanos, b.earliestNanos = 0, 0
}
