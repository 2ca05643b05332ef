package sensor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"wirelake/internal/chunk"
	"wirelake/internal/config"
	"wirelake/sensor/capture"
	"wirelake/sensor/spool"
)

// Config says how a live sensor works. Start from DefaultConfig.
type Config struct {
	Name string `koanf:"name" help:"name of the sensor in the store; one sensor at a time may have it; empty: the name of the host"`

	capture.AFPacketConfig
	capture.RemoteConfig
	Watch WatchConfig `koanf:"watch"`

	Spool      string        `koanf:"spool" help:"folder on local disk for packets on their way into the store"`
	Sync       time.Duration `koanf:"sync" help:"packets of so long a time may be lost when the machine crashes"`
	Quota      config.Size   `koanf:"quota" help:"bytes that the spool may take"`
	Policy     string        `koanf:"policy" help:"what is dropped when the spool is full: drop-oldest or drop-new"`
	CacheBytes config.Size   `koanf:"cache" help:"bytes of uploaded chunks kept in the spool's folder cache; 0: none"`

	ChunkBytes  config.Size   `koanf:"chunk_bytes" help:"a chunk ends at this size, in bytes before compression"`
	ChunkSpan   time.Duration `koanf:"chunk_span" help:"a chunk ends at this age"`
	Compression string        `koanf:"compression" help:"zstd level: fastest, default, better or best"`
	SealWorkers int           `koanf:"seal_workers" help:"chunks sealed at once, each by a thread of its own"`
	SealNice    int           `koanf:"seal_nice" help:"how far sealing stands back behind capture: niceness of its threads, 0 to 19"`

	StoreKeyLog bool `koanf:"store_keylog" help:"store what session.keylog and the secrets in pcapng streams say of the TLS connections of each chunk beside it: whoever reads the store can then decrypt them"`

	Cut   []CutRule   `koanf:"cut" help:"rules that cut long flows: the first whose match holds says after how many bytes of payload packets are cut to their headers"`
	Dedup DedupConfig `koanf:"dedup"`

	Uploads     int           `koanf:"uploads" help:"chunks of different lanes uploaded at once"`
	Bandwidth   config.Size   `koanf:"bandwidth" help:"bytes a second that uploads may take together; 0: no limit"`
	StopTimeout time.Duration `koanf:"stop_timeout" help:"time to seal and upload after a signal to stop; the rest waits for the next start"`
	LeaseTTL    time.Duration `koanf:"lease_ttl" help:"another sensor may take the name after so long without a sign of life"`
	HTTP        string        `koanf:"http_listen" help:"address of /metrics, /healthz and /readyz on loopback, such as 127.0.0.1:8006; empty: none"`
	User        string        `koanf:"user" help:"user to become, with no privilege but to capture, before anything is opened; empty: stay"`
}

// CutRule cuts flows that it matches.
type CutRule struct {
	Match string      `koanf:"match" help:"an expression over addresses, ports and protocols, or the name of a protocol"`
	Bytes config.Size `koanf:"bytes" help:"payload bytes of a flow, both directions, before its packets are cut"`
}

// DedupConfig says which packets are taken for copies of one that was seen.
type DedupConfig struct {
	Window    time.Duration `koanf:"window" help:"a packet equal to one at most this much older is left out; 0: all are kept"`
	IgnoreMAC bool          `koanf:"ignore_mac" help:"packets that differ in MAC addresses and VLAN tags are equal: the same packet seen at two ports"`
	IgnoreTTL bool          `koanf:"ignore_ttl" help:"packets that differ in TTL or hop limit are equal: seen before and behind a router"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{
		AFPacketConfig: capture.DefaultAFPacketConfig(),
		RemoteConfig:   capture.DefaultRemoteConfig(),
		Watch:          DefaultWatchConfig(),
		Spool:          "/var/lib/wirelake/spool",
		Sync:           time.Second, Quota: 64 * config.GiB, Policy: string(spool.DropOldest),
		ChunkBytes: 256 * config.MiB, ChunkSpan: time.Minute, Compression: "fastest", SealWorkers: 1, SealNice: 10,
		Dedup:   DedupConfig{IgnoreMAC: true, IgnoreTTL: true},
		Uploads: 4, StopTimeout: 60 * time.Second, LeaseTTL: time.Minute,
	}
}

// SensorName returns the name that the sensor has: the one set, else that of the host.
func (c Config) SensorName() string {
	if c.Name != "" {
		return c.Name
	}
	host, err := os.Hostname()
	if err != nil {
		return "sensor"
	}
	host, _, _ = strings.Cut(host, ".")
	if chunk.CheckName(host) != nil {
		return "sensor"
	}
	return host
}

// Limits of the configuration.
const (
	minSync        = 10 * time.Millisecond
	minLiveChunk   = config.MiB
	maxSealWorkers = 64
	maxCutRules    = 256
	maxDedupWindow = 10 * time.Second
	minBandwidth   = 16 * config.KiB
	minLeaseTTL    = 3 * time.Second
)

// Validate reports every bad field, not only the first.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := chunk.CheckName(c.Name); c.Name != "" && err != nil {
		bad("name: %w", err)
	}
	errs = append(errs, split(c.AFPacketConfig.Validate())...)
	errs = append(errs, split(c.RemoteConfig.Validate())...)
	if c.Spool == "" {
		bad("spool: is empty")
	}
	if c.Sync < minSync {
		bad("sync: %v is under %v", c.Sync, minSync)
	}
	if c.Policy != string(spool.DropOldest) && c.Policy != string(spool.DropNew) {
		bad("policy: %q is neither %s nor %s", c.Policy, spool.DropOldest, spool.DropNew)
	}
	if c.CacheBytes < 0 {
		bad("cache: %v is negative", c.CacheBytes)
	}
	if c.ChunkBytes < minLiveChunk || c.ChunkBytes > chunk.MaxRawBytes {
		bad("chunk_bytes: %v is not %v to %v", c.ChunkBytes, minLiveChunk, config.Size(chunk.MaxRawBytes))
	}
	if c.Quota < 4*c.ChunkBytes {
		bad("quota: %v is under four times chunk_bytes, %v", c.Quota, 4*c.ChunkBytes)
	}
	if c.ChunkSpan < time.Second {
		bad("chunk_span: %v is under 1s", c.ChunkSpan)
	}
	if _, ok := level(c.Compression); !ok {
		bad("compression: %q is none of fastest, default, better, best", c.Compression)
	}
	if c.SealWorkers < 1 || c.SealWorkers > maxSealWorkers {
		bad("seal_workers: %d is not 1 to %d", c.SealWorkers, maxSealWorkers)
	}
	if c.SealNice < 0 || c.SealNice > 19 {
		bad("seal_nice: %d is not 0 to 19", c.SealNice)
	}
	if len(c.Cut) > maxCutRules {
		bad("cut: %d rules, at most %d", len(c.Cut), maxCutRules)
	}
	for i, r := range c.Cut {
		if r.Match == "" {
			bad("cut[%d].match: is empty", i)
		}
		if r.Bytes < 0 {
			bad("cut[%d].bytes: %v is negative", i, r.Bytes)
		}
	}
	if c.Dedup.Window < 0 || c.Dedup.Window > maxDedupWindow {
		bad("dedup.window: %v is not 0 to %v", c.Dedup.Window, maxDedupWindow)
	}
	if c.Uploads < 1 || c.Uploads > maxUploads {
		bad("uploads: %d is not 1 to %d", c.Uploads, maxUploads)
	}
	if c.Bandwidth != 0 && c.Bandwidth < minBandwidth {
		bad("bandwidth: %v is under %v", c.Bandwidth, minBandwidth)
	}
	if c.StopTimeout < 0 {
		bad("stop_timeout: %v is negative", c.StopTimeout)
	}
	if c.HTTP != "" && !onLoopback(c.HTTP) {
		bad("http_listen: %q is no address on loopback with a port: nobody is asked who he is", c.HTTP)
	}
	if c.LeaseTTL < minLeaseTTL {
		bad("lease_ttl: %v is under %v", c.LeaseTTL, minLeaseTTL)
	}
	return errors.Join(errs...)
}

// split takes joined errors apart, so that each keeps its setting's name in front.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // only the outermost is meant
		return joined.Unwrap()
	}
	return []error{err}
}

// onLoopback reports whether only this machine reaches the address.
func onLoopback(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// What a lane may remember of flows and packets: see maxCutFlows and maxDedup.
const (
	cutBytes   = 72 * config.MiB
	dedupBytes = 48 * config.MiB
)

// MemoryBytes is a soft limit for the memory of the process, the kernel's rings apart:
// a chunk for each worker that seals and what its index takes, the parts of uploads,
// buffers, and what the lanes remember. Beyond the limit the garbage collector takes half
// of the CPU, so it must not be less than what may be needed.
func (c Config) MemoryBytes() config.Size {
	lane := 4 * config.MiB // of buffers
	if len(c.Cut) > 0 {
		lane += cutBytes
	}
	if c.Dedup.Window > 0 {
		lane += dedupBytes
	}
	keys := config.Size(0)
	if c.StoreKeyLog {
		keys = 96 * config.MiB // of a full log and of what waits
	}
	return keys + config.Size(c.SealWorkers)*c.ChunkBytes/4*5 + config.Size(c.Uploads)*48*config.MiB + 256*config.MiB + config.Size(c.lanes())*lane
}

// lanes is how many lanes the sources may have that are busy all the time.
func (c Config) lanes() int {
	n := len(c.Interfaces)*c.Workers + len(c.Read) + len(c.Connect)
	if c.Listen != "" {
		n += c.Clients
	}
	for _, tunnel := range []string{c.VXLAN, c.GENEVE} {
		if tunnel != "" {
			n += min(c.TunnelLanes, busyTunnels)
		}
	}
	return n
}

// busyTunnels are the tunnels of a receiver that are busy at once.
const busyTunnels = 8

// level returns the zstd level of a name.
func level(name string) (zstd.EncoderLevel, bool) {
	for _, l := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBetterCompression, zstd.SpeedBestCompression} {
		if l.String() == name {
			return l, true
		}
	}
	return 0, false
}
