// Package sensorstatus is the object in which a sensor says how it is. The sensor
// writes it every few seconds; whoever shows sensors reads it.
//
// Format: docs/sensor.md, "The status object", version 1: JSON with the names of
// the fields below, times in RFC 3339, durations in seconds.
package sensorstatus

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"wirelake/internal/objstore"
)

// Version is the version of the object that this package writes and reads.
const Version = 1

// Interval is how often a sensor writes its status. One that is several intervals
// old is of a sensor that does not run, or does not reach the store.
const Interval = 10 * time.Second

// MaxBytes is the most bytes of a status object: thousands of lanes.
const MaxBytes = 8 << 20

// Status is what a sensor says of itself. All counts are since Started.
type Status struct {
	Version int    `json:"version"` // of the format
	Sensor  string `json:"sensor"`

	Program string    `json:"program"` // and its version, "wirelake v1.2.3"
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Written time.Time `json:"written"` // by the sensor's clock
	Stopped bool      `json:"stopped"` // the sensor ended in order; this is its last status

	// ClockOffset is the sensor's clock less the store's, in seconds, to the precision of the store's
	// times (S3: 1 s); nil until it was measured.
	ClockOffset *float64 `json:"clock_offset,omitempty"`

	Interfaces []Interface `json:"interfaces"`
	Lanes      []Lane      `json:"lanes"`
	Drops      Drops       `json:"drops"`
	Spool      Spool       `json:"spool"`
	Uploads    Uploads     `json:"uploads"`
	Sealed     Sealed      `json:"sealed"`

	Problems []string `json:"problems,omitempty"` // why the sensor is not ready; none when it is
	Error    *Trouble `json:"error,omitempty"`    // the last thing that went wrong, also when it is over
}

// Interface is a source of packets.
type Interface struct {
	Name  string `json:"name"` // "eth0", "tcp://10.0.0.1:57012"
	Kind  string `json:"kind"` // "afpacket", "pcap-over-ip", "pipe", …
	Up    bool   `json:"up"`
	Error string `json:"error,omitempty"` // why it is not up, or its last trouble
	// Timestamps says what measures the times of packets: "hardware" or "software"; empty where they come with the packets.
	Timestamps string `json:"timestamps,omitempty"`

	Packets     uint64 `json:"packets"`
	Bytes       uint64 `json:"bytes"`
	KernelDrops uint64 `json:"kernel_drops"`
	Malformed   uint64 `json:"malformed"` // what came in and was no packet, such as a stray datagram: no loss
	Secrets     uint64 `json:"secrets"`   // key logs of TLS that came in a stream and were not kept

	// Over the time since the status before.
	PacketsPerSecond float64 `json:"packets_per_second"`
	BitsPerSecond    float64 `json:"bits_per_second"`
	DropsPerSecond   float64 `json:"drops_per_second"`
}

// Lane is an ordered stream of chunks.
type Lane struct {
	Name       string    `json:"name"`
	Packets    uint64    `json:"packets"`
	Bytes      uint64    `json:"bytes"` // captured
	Drops      uint64    `json:"drops"` // of all causes
	LastPacket time.Time `json:"last_packet,omitzero"`
	LastKey    string    `json:"last_key,omitempty"` // of the last chunk stored
}

// Drops counts packets that are in no chunk, by cause.
type Drops struct {
	Kernel      uint64 `json:"kernel"`       // the capture ring was full
	QuotaOldest uint64 `json:"quota_oldest"` // deleted from the full spool, policy drop-oldest
	QuotaNew    uint64 `json:"quota_new"`    // not taken into the full spool, policy drop-new
	Disk        uint64 `json:"disk"`         // the disk was full or failed
	Damaged     uint64 `json:"damaged"`      // records of the spool that could not be read again
	Malformed   uint64 `json:"malformed"`    // larger than a chunk can hold

	Duplicates uint64 `json:"duplicates"` // left out by deduplication: no loss
}

// Lost is the number of packets lost, of all causes.
func (d Drops) Lost() uint64 {
	return d.Kernel + d.QuotaOldest + d.QuotaNew + d.Disk + d.Damaged + d.Malformed
}

// Spool is the packets on local disk that the store does not have yet.
type Spool struct {
	Folder       string    `json:"folder"`
	BacklogBytes int64     `json:"backlog_bytes"`
	Segments     int       `json:"segments"` // captured, not sealed; those being written included
	Chunks       int       `json:"chunks"`   // sealed, not uploaded
	QuotaBytes   int64     `json:"quota_bytes"`
	FreeBytes    int64     `json:"free_bytes"` // of the file system
	CacheBytes   int64     `json:"cache_bytes"`
	Policy       string    `json:"policy"`                 // drop-oldest or drop-new
	Full         bool      `json:"full"`                   // packets are being dropped
	OldestUnsent time.Time `json:"oldest_unsent,omitzero"` // time of the oldest packet that the store does not have
	Recovered    int       `json:"recovered"`              // segments and chunks found at start
	OddTimes     uint64    `json:"odd_times"`              // packets whose clock jumped or is outside 1970 to 2106
}

// Uploads tells of the way into the store.
type Uploads struct {
	Chunks       uint64    `json:"chunks"`
	Bytes        uint64    `json:"bytes"`
	Failures     uint64    `json:"failures"`  // attempts that are repeated
	Existed      uint64    `json:"existed"`   // found stored already, with equal content
	Conflicts    uint64    `json:"conflicts"` // keys taken by other content; the chunk got the next sequence
	Last         time.Time `json:"last,omitzero"`
	FailingSince time.Time `json:"failing_since,omitzero"`
}

// Sealed tells what sealing made of the packets.
type Sealed struct {
	Packets    uint64  `json:"packets"`
	RawBytes   uint64  `json:"raw_bytes"`
	Bytes      uint64  `json:"bytes"` // of the chunks
	CutPackets uint64  `json:"cut_packets"`
	CutBytes   uint64  `json:"cut_bytes"`
	CPUSeconds float64 `json:"cpu_seconds"`
}

// Trouble is something that went wrong.
type Trouble struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

// Prefix is what the keys of all sensors' states begin with.
const Prefix = "state/sensors/"

const suffix = ".json"

// Key returns the object key of a sensor's status.
func Key(sensor string) string { return Prefix + sensor + suffix }

// LeaseKey returns the object key of the lease on a sensor's name.
func LeaseKey(sensor string) string { return Prefix + sensor + ".lease" }

// Put writes the status over the one before and returns what the store says of it.
func Put(ctx context.Context, store objstore.Store, s *Status) (objstore.Object, error) {
	s.Version = Version
	b, err := json.Marshal(s)
	if err != nil {
		return objstore.Object{}, fmt.Errorf("status of sensor %s: %w", s.Sensor, err)
	}
	return objstore.PutBytes(ctx, store, Key(s.Sensor), b, objstore.ContentType("application/json"))
}

// Get reads the status of a sensor. The error wraps objstore.ErrNotFound when there is none.
func Get(ctx context.Context, store objstore.Store, sensor string) (Status, error) {
	key := Key(sensor)
	b, o, err := store.GetRange(ctx, key, 0, MaxBytes)
	if err != nil {
		return Status{}, err
	}
	if o.Size > MaxBytes {
		return Status{}, &DecodeError{key, fmt.Errorf("status of %d bytes, at most %d", o.Size, MaxBytes)}
	}
	return Decode(key, b)
}

// Decode reads a status object; key is named in errors, which are a *DecodeError.
func Decode(key string, b []byte) (Status, error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &version); err != nil {
		return Status{}, &DecodeError{key, err}
	}
	if version.Version != Version {
		return Status{}, &DecodeError{key, fmt.Errorf("status of version %d, supported is %d", version.Version, Version)}
	}
	var s Status
	if err := json.Unmarshal(b, &s); err != nil {
		return Status{}, &DecodeError{key, err}
	}
	return s, nil
}
