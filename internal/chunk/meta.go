package chunk

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Meta says what a chunk holds and where it came from.
type Meta struct {
	Sensor    string // who captured or imported it
	Lane      string // ordered stream of chunks of that sensor
	Interface string // capture interface, as the sensor or the capture file names it; may be empty
	File      string // original path of an imported capture file, else empty

	LinkType uint32 // LINKTYPE_ value of the pcap header
	Snaplen  uint32 // bytes, of the pcap header

	Sequence  uint64 // of the chunk in its lane, from 0
	KeyNanos  int64  // time in the object key: FirstNanos, or the previous chunk's KeyNanos when that is later
	Final     bool   // no chunk of the lane comes after this one
	Generator string // program and version that wrote the chunk

	KernelDrops uint64 // packets that the kernel dropped while the chunk was captured
	SpoolDrops  uint64 // packets that the sensor dropped in that time

	// The rest is counted by Builder.Seal.

	FirstNanos, LastNanos int64  // earliest and latest packet time, ns since 1970; 0 when there is no packet
	Packets               uint64 // records
	Bytes                 uint64 // their bytes on the wire
}

const (
	keyPrefix = "chunks/"
	keySuffix = ".pcap.zst"
)

// Key returns the object key of the chunk that m describes:
//
//	chunks/sensor=<sensor>/lane=<lane>/day=<YYYY-MM-DD>/<KeyNanos, 20 digits>-<Sequence, 10 digits>.pcap.zst
//
// Keys of a lane sort in the order of its chunks as long as KeyNanos never
// decreases and Sequence increases.
func Key(m Meta) string {
	return fmt.Sprintf("%sday=%s/%020d-%010d%s", LanePrefix(m.Sensor, m.Lane),
		time.Unix(0, m.KeyNanos).UTC().Format(time.DateOnly), m.KeyNanos, m.Sequence, keySuffix)
}

// LanePrefix is what the keys of all chunks of a lane begin with.
func LanePrefix(sensor, lane string) string {
	return keyPrefix + "sensor=" + sensor + "/lane=" + lane + "/"
}

// ParseKey returns the Sensor, Lane, KeyNanos and Sequence that Key made the
// object key of. Any other key is an error.
func ParseKey(key string) (Meta, error) {
	m, err := parseKey(key)
	if err == nil && Key(m) != key {
		err = errors.New("it is not in canonical form")
	}
	if err != nil {
		return Meta{}, fmt.Errorf("%q is not the key of a chunk: %w", key, err)
	}
	return m, nil
}

func parseKey(key string) (Meta, error) {
	parts := strings.Split(key, "/")
	if len(parts) != 5 || parts[0]+"/" != keyPrefix {
		return Meta{}, errors.New("want chunks/sensor=…/lane=…/day=…/<time>-<sequence>" + keySuffix)
	}
	sensor, ok1 := strings.CutPrefix(parts[1], "sensor=")
	lane, ok2 := strings.CutPrefix(parts[2], "lane=")
	name, ok3 := strings.CutSuffix(parts[4], keySuffix)
	nanos, seq, ok4 := strings.Cut(name, "-")
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return Meta{}, errors.New("want chunks/sensor=…/lane=…/day=…/<time>-<sequence>" + keySuffix)
	}
	m := Meta{Sensor: sensor, Lane: lane}
	if err := errors.Join(CheckName(sensor), CheckName(lane)); err != nil {
		return Meta{}, err
	}
	var err error
	if m.KeyNanos, err = strconv.ParseInt(nanos, 10, 64); err != nil {
		return Meta{}, err
	}
	m.Sequence, err = strconv.ParseUint(seq, 10, 64)
	return m, err
}

// CheckName says what is wrong with the name of a sensor or a lane: it becomes a
// part of object keys and of Hive partitions, so it is 1 to 128 ASCII letters,
// digits and . _ - and begins with a letter or digit.
func CheckName(name string) error {
	if name == "" || len(name) > 128 {
		return fmt.Errorf("name %q has %d characters, want 1 to 128", name, len(name))
	}
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '_' && c != '-') {
			return fmt.Errorf("name %q has the character %q, want ASCII letters, digits, . _ - and a letter or digit first", name, c)
		}
	}
	return nil
}

func (m Meta) validate() error {
	var errs []error
	if err := CheckName(m.Sensor); err != nil {
		errs = append(errs, fmt.Errorf("sensor: %w", err))
	}
	if err := CheckName(m.Lane); err != nil {
		errs = append(errs, fmt.Errorf("lane: %w", err))
	}
	for _, f := range []struct{ what, name string }{{"interface", m.Interface}, {"file", m.File}, {"generator", m.Generator}} {
		if len(f.name) > MaxNameBytes {
			errs = append(errs, fmt.Errorf("%s: name of %d bytes, at most %d", f.what, len(f.name), MaxNameBytes))
		}
	}
	if m.KeyNanos < 0 {
		errs = append(errs, fmt.Errorf("key time %d ns is before 1970", m.KeyNanos))
	}
	return errors.Join(errs...)
}
