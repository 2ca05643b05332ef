package capture

import (
	"errors"
	"fmt"
	"strings"

	"wirelake/internal/config"
)

// AFPacketConfig says how packets are taken from network interfaces. Start from
// DefaultAFPacketConfig.
//
// The kernel holds Blocks times BlockBytes for each worker of each interface, all
// of it from the start: RingBytes is the sum.
type AFPacketConfig struct {
	Interfaces         []string    `koanf:"interfaces" help:"network interfaces to capture from"`
	Filter             string      `koanf:"filter" help:"packets to capture, in tcpdump's syntax (pcap-filter(7)); empty: all"`
	Snaplen            config.Size `koanf:"snaplen" help:"bytes captured of a packet"`
	Promiscuous        bool        `koanf:"promiscuous" help:"capture what is addressed to other hosts too"`
	HardwareTimestamps bool        `koanf:"hardware_timestamps" help:"take the times that the network card measures, where it does and its clock is right"`
	Workers            int         `koanf:"workers" help:"threads, and lanes, of an interface; packets are spread by their two addresses"`
	BlockBytes         config.Size `koanf:"block_bytes" help:"a block of a worker's ring buffer"`
	Blocks             int         `koanf:"blocks" help:"blocks of a worker's ring buffer"`
}

// DefaultAFPacketConfig returns the documented defaults.
func DefaultAFPacketConfig() AFPacketConfig {
	return AFPacketConfig{
		Snaplen: 256 * config.KiB, Promiscuous: true, HardwareTimestamps: true,
		Workers: 1, BlockBytes: config.MiB, Blocks: 64,
	}
}

const (
	minSnaplen = 64
	maxSnaplen = config.MiB // super-frames of BIG TCP are 512 KiB at most
	maxWorkers = 64         // PACKET_FANOUT_MAX is 256
	// A block must hold a whole super-frame, or the kernel cuts it.
	minBlockBytes = 256 * config.KiB
	maxBlockBytes = 64 * config.MiB
	minBlocks     = 4
	maxRingBytes  = 4*config.GiB - 64*config.MiB // the kernel counts it in 32 bits
	// blockHead is what a block has besides data of packets, and a packet in front of
	// its data, at most.
	blockHead = 512
)

// Validate reports every bad field, not only the first.
func (c AFPacketConfig) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	seen := map[string]bool{}
	for i, name := range c.Interfaces {
		if err := checkInterfaceName(name); err != nil {
			bad("interfaces[%d]: %w", i, err)
		} else if seen[name] {
			bad("interfaces[%d]: %s is there twice", i, name)
		}
		seen[name] = true
	}
	if c.Snaplen < minSnaplen || c.Snaplen > maxSnaplen {
		bad("snaplen: %v is not %d to %v", c.Snaplen, minSnaplen, maxSnaplen)
	}
	if c.Workers < 1 || c.Workers > maxWorkers {
		bad("workers: %d is not 1 to %d", c.Workers, maxWorkers)
	}
	switch {
	case c.BlockBytes < minBlockBytes || c.BlockBytes > maxBlockBytes || c.BlockBytes&(c.BlockBytes-1) != 0:
		bad("block_bytes: %v is no power of two from %v to %v", c.BlockBytes, minBlockBytes, maxBlockBytes)
	case c.Snaplen <= maxSnaplen && c.BlockBytes < c.Snaplen+blockHead:
		bad("block_bytes: %v does not hold a packet of snaplen, %v", c.BlockBytes, c.Snaplen)
	case c.Blocks < minBlocks || config.Size(c.Blocks) > maxRingBytes/c.BlockBytes:
		bad("blocks: %d is not %d to %d of %v", c.Blocks, minBlocks, maxRingBytes/c.BlockBytes, c.BlockBytes)
	}
	return errors.Join(errs...)
}

// RingBytes is the memory that the kernel holds for the rings of all interfaces.
func (c AFPacketConfig) RingBytes() config.Size {
	return config.Size(len(c.Interfaces)*c.Workers*c.Blocks) * c.BlockBytes
}

// checkInterfaceName says what is wrong with the name of an interface, by the rules
// of the kernel (dev_valid_name).
func checkInterfaceName(name string) error {
	switch {
	case name == "" || len(name) > 15:
		return fmt.Errorf("name %q of an interface has %d characters, want 1 to 15", name, len(name))
	case name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n\v\f\r"):
		return fmt.Errorf("%q is no name of an interface", name)
	}
	return nil
}

// workerLane returns the name of a worker's lane. Names of interfaces may have
// characters that lanes must not: those become "_", with a hash of the name behind,
// so that two interfaces never share a lane.
func workerLane(iface string, worker int) string {
	clean := []byte(iface)
	for i, c := range clean {
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '-' && c != '_') {
			clean[i] = '_'
		}
	}
	if string(clean) == iface {
		return fmt.Sprintf("%s-%d", iface, worker)
	}
	if clean[0] == '_' { // a lane begins with a letter or digit
		clean[0] = 'x'
	}
	return fmt.Sprintf("%s-%08x-%d", clean, fnv32a(iface), worker)
}

// fnv32a is the FNV-1a hash: it is part of the names of lanes.
func fnv32a(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}
