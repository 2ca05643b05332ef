//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wirelake/testenv"
)

// Names of the veth pair: what is sent out of the first comes in at the second.
const (
	sendInterface    = "bench0"
	captureInterface = "bench1"
)

// bench is one run.
type bench struct {
	options
	tmp     string // removed at the end
	capture string // path of the mixed capture
}

// program is what captures: tcpdump, or the sensor's capture into its spool.
type program interface {
	name() string
	start(ctx context.Context) error
	// stop ends it, and says what it had.
	stop() (result, error)
}

// result is what a program made of the packets of one replay.
type result struct {
	packets, drops uint64
	cpu            time.Duration // of its process
}

// measurement is a result with what was sent.
type measurement struct {
	result
	sent  replayed
	bytes float64 // captured, on the wire
}

func (m *measurement) perGigabyte() float64 { return m.cpu.Seconds() / (m.bytes / 1e9) }

func newBench(o options) (b *bench, err error) {
	root, err := testenv.Root()
	if err != nil {
		return nil, err
	}
	if o.dir == "" {
		o.dir = filepath.Join(root, ".cache", "bench")
	}
	b = &bench{options: o, capture: filepath.Join(o.dir, "sensor-"+o.size+".pcap")}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return nil, err
	}
	if b.tmp, err = os.MkdirTemp(o.dir, "benchsensor-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if _, err := os.Stat(b.capture); errors.Is(err, os.ErrNotExist) {
		log.Printf("generate %s", b.capture)
		cmd := exec.Command("go", "run", "./testenv/gen", "-size", o.size, "-o", b.capture+".new")
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go run ./testenv/gen: %w\n%s", err, out)
		}
		if err := os.Rename(b.capture+".new", b.capture); err != nil {
			return nil, err
		}
	}
	for _, args := range [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"ip", "link", "add", sendInterface, "mtu", "65535", "type", "veth", "peer", "name", captureInterface, "mtu", "65535"},
		// Nothing but the replay is in them.
		{"sh", "-c", "echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6 >/dev/null"},
		{"ip", "link", "set", sendInterface, "up"},
		{"ip", "link", "set", captureInterface, "up"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return b, nil
}

func (b *bench) close() error { return os.RemoveAll(b.tmp) }

func (b *bench) run(ctx context.Context) error {
	tcpdump, sensor := &tcpdump{b: b}, &capturing{b: b}
	fmt.Printf("%-34s %10s %10s %12s\n", "without drops", "packets/s", "Gbit/s", "")
	common := 0.0
	for _, p := range []program{tcpdump, sensor} {
		m, err := b.fastest(ctx, p)
		if err != nil {
			return err
		}
		fmt.Printf("%-34s %10.0f %10.2f %12s\n", p.name(), m.sent.packetRate(), m.sent.bitRate()/1e9, m.sent.note())
		if m.sent.limit > 0 && (common == 0 || m.sent.limit < common) {
			common = m.sent.limit
		}
	}
	log.Printf("CPU time, %d rounds …", b.rounds)
	costs := map[program][]float64{}
	var last measurement
	for range b.rounds {
		for _, p := range []program{tcpdump, sensor} {
			m, err := b.measure(ctx, p, common)
			if err != nil {
				return err
			}
			if m.drops > 0 {
				log.Printf("%s lost %d packets of %d", p.name(), m.drops, m.sent.packets)
			}
			costs[p] = append(costs[p], m.perGigabyte())
			last = m
		}
	}
	yard, own := median(costs[tcpdump]), median(costs[sensor])
	fmt.Printf("\n%-34s %14s %10s\n", "CPU", "s a gigabyte", "ratio")
	fmt.Printf("%-34s %14.3f\n", tcpdump.name(), yard)
	fmt.Printf("%-34s %14.3f %10.2f\n", sensor.name(), own, yard/own)
	if !b.seal {
		return nil
	}
	return b.sealing(ctx, last)
}

// rates are those that are tried: as fast as tcpreplay can, then parts of that.
func rates() []float64 { return []float64{1, 0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.1, 0.05} }

// fastest looks for the highest rate at which nothing is lost.
func (b *bench) fastest(ctx context.Context, p program) (measurement, error) {
	top := 0.0
	for _, part := range rates() {
		limit := 0.0
		if part < 1 {
			limit = part * top
		}
		m, err := b.measure(ctx, p, limit)
		if err != nil {
			return m, err
		}
		log.Printf("%s: %.0f packets/s, %.2f Gbit/s, %d of %d packets lost", p.name(), m.sent.packetRate(), m.sent.bitRate()/1e9, m.drops, m.sent.packets)
		if m.drops == 0 {
			return m, nil
		}
		if part == 1 {
			top = m.sent.bitRate()
		}
	}
	return measurement{}, fmt.Errorf("%s loses packets at any rate", p.name())
}

// measure replays at a rate in bit/s, 0 for the highest, while the program captures.
func (b *bench) measure(ctx context.Context, p program, limit float64) (m measurement, err error) {
	if err := p.start(ctx); err != nil {
		return m, fmt.Errorf("%s: %w", p.name(), err)
	}
	before, err := testenv.TxDropped(sendInterface)
	if err != nil {
		return m, err
	}
	m.sent, err = b.replay(ctx, limit)
	after, dropErr := testenv.TxDropped(sendInterface)
	err = errors.Join(err, dropErr)
	// A program that is slower than the sender still has full buffers.
	got, stopErr := p.stop()
	if err := errors.Join(err, stopErr); err != nil {
		return m, fmt.Errorf("%s: %w", p.name(), err)
	}
	m.result = got
	if lost := after - before; lost > 0 { // before anyone could capture them
		log.Printf("the veth pair lost %d packets of %d", lost, m.sent.packets)
		m.sent.bytes *= 1 - float64(lost)/float64(m.sent.packets)
		m.sent.packets -= lost
	}
	if got.packets+got.drops != m.sent.packets {
		return m, fmt.Errorf("%s: captured %d packets and lost %d, of %d: the balance is %d", p.name(), got.packets, got.drops, m.sent.packets,
			int64(m.sent.packets)-int64(got.packets)-int64(got.drops)) //nolint:gosec // far below 2^63
	}
	m.bytes = m.sent.bytes * float64(got.packets) / float64(m.sent.packets)
	return m, nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
