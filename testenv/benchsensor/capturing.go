//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"wirelake/internal/config"
	"wirelake/sensor/capture"
	"wirelake/sensor/spool"
)

// capturing is the sensor's capture into its spool, and nothing else of the sensor, in a process of its own.
type capturing struct {
	b    *bench
	cmd  *exec.Cmd
	hold io.Closer // closing it ends the capture
	out  *json.Decoder
}

func (*capturing) name() string { return "capture to spool" }

// spoolDir is where the spool of the last measurement is.
func (b *bench) spoolDir() string { return filepath.Join(b.tmp, "spool") }

// captured is what the process tells at its end.
type captured struct {
	Ready          bool
	Packets, Drops uint64
	SpoolDrops     uint64
}

func (c *capturing) start(ctx context.Context) error {
	if err := os.RemoveAll(c.b.spoolDir()); err != nil {
		return err
	}
	c.cmd = exec.CommandContext(ctx, "/proc/self/exe", c.b.spoolDir(), fmt.Sprint(c.b.ring))
	c.cmd.Env = append(os.Environ(), roleEnv+"=capture")
	c.cmd.Stderr = os.Stderr
	hold, err := c.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	c.hold, c.out = hold, json.NewDecoder(out)
	var ready captured
	if err := c.out.Decode(&ready); err != nil || !ready.Ready {
		return errors.Join(fmt.Errorf("did not begin: %w", err), c.cmd.Wait())
	}
	return nil
}

func (c *capturing) stop() (result, error) {
	var got captured
	err := errors.Join(c.hold.Close(), c.out.Decode(&got), c.cmd.Wait())
	if err == nil && got.SpoolDrops > 0 {
		err = fmt.Errorf("the spool dropped %d packets: the disk is too slow", got.SpoolDrops)
	}
	return result{got.Packets, got.Drops, c.cmd.ProcessState.UserTime() + c.cmd.ProcessState.SystemTime()}, err
}

// captureRole is that process: it captures until its input ends.
func captureRole() error {
	var ring int
	if _, err := fmt.Sscan(os.Args[2], &ring); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	sp, err := spool.Open(spool.Config{
		Dir: os.Args[1], Sensor: benchSensor, SegmentBytes: segmentBytes, Span: time.Minute, Sync: time.Second,
		Quota: 1 << 40, Policy: spool.DropOldest, Logger: log,
	})
	if err != nil {
		return err
	}
	c := capture.DefaultAFPacketConfig()
	c.Blocks = ring
	c.BlockBytes = config.MiB
	source, err := capture.NewAFPacket(captureInterface, c, nil, log)
	if err != nil {
		return err
	}
	if err := source.Open(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(captured{Ready: true}); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	err = source.Run(ctx, func(name string, i capture.Interface) (capture.Sink, error) {
		lane, err := sp.Lane(name)
		if err != nil {
			return nil, err
		}
		return lane, lane.Open(i)
	})
	sp.Stop(context.Background())
	if err := errors.Join(err, sp.Close()); err != nil {
		return err
	}
	st := source.State()
	got := captured{Packets: st.Packets, Drops: st.KernelDrops}
	for _, l := range sp.Lanes() {
		st := l.Stats()
		got.SpoolDrops += st.Losses.Spool() + st.QuotaOldest + st.Malformed
	}
	return out.Encode(got)
}

const (
	benchSensor  = "bench"
	segmentBytes = 256 << 20 // the default of a chunk
)
