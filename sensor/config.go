package sensor

import (
	"errors"
	"fmt"
	"time"

	"wirelake/internal/chunk"
	"wirelake/internal/config"
)

// ImportConfig says how capture files become chunks. Start from DefaultImportConfig.
type ImportConfig struct {
	Sensor      string        `koanf:"sensor" help:"name of the sensor that imported packets belong to"`
	ChunkBytes  config.Size   `koanf:"chunk_bytes" help:"a chunk ends at this size, in bytes before compression"`
	ChunkSpan   time.Duration `koanf:"chunk_span" help:"a chunk ends when a packet is this much later than its first"`
	MemoryBytes config.Size   `koanf:"memory_bytes" help:"memory for packets that are in no stored chunk yet"`
	Uploads     int           `koanf:"uploads" help:"chunks of different lanes stored at once"`
	StoreKeyLog bool          `koanf:"store_keylog" help:"store what session.keylog and pcapng files themselves say of the TLS connections of each chunk beside it: whoever reads the store can then decrypt them"`
}

// DefaultImportConfig returns the documented defaults.
func DefaultImportConfig() ImportConfig {
	return ImportConfig{Sensor: "import", ChunkBytes: 64 * config.MiB, ChunkSpan: time.Hour, MemoryBytes: 256 * config.MiB, Uploads: 8}
}

const (
	minChunkBytes = 64 * config.KiB
	maxUploads    = 64
)

// Validate reports every bad field, not only the first.
func (c ImportConfig) Validate() error {
	var errs []error
	if err := chunk.CheckName(c.Sensor); err != nil {
		errs = append(errs, fmt.Errorf("sensor: %w", err))
	}
	if c.ChunkBytes < minChunkBytes || c.ChunkBytes > chunk.MaxRawBytes {
		errs = append(errs, fmt.Errorf("chunk_bytes: %v is not %v to %v", c.ChunkBytes, minChunkBytes, config.Size(chunk.MaxRawBytes)))
	}
	if c.ChunkSpan < time.Second {
		errs = append(errs, fmt.Errorf("chunk_span: %v is under 1s", c.ChunkSpan))
	}
	if c.MemoryBytes < 3*c.ChunkBytes {
		errs = append(errs, fmt.Errorf("memory_bytes: %v is under three times chunk_bytes, %v", c.MemoryBytes, 3*c.ChunkBytes))
	}
	if c.Uploads < 1 || c.Uploads > maxUploads {
		errs = append(errs, fmt.Errorf("uploads: %d is not 1 to %d", c.Uploads, maxUploads))
	}
	return errors.Join(errs...)
}

// openBytes is the part of the memory for packets of open chunks; the rest is for
// chunks on their way into the store, at least one and a half.
func (c ImportConfig) openBytes() int64 { return int64(c.MemoryBytes) / 16 * 7 }
