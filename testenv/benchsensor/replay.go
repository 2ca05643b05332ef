//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// replayed is what tcpreplay sent.
type replayed struct {
	packets uint64
	bytes   float64
	took    time.Duration
	limit   float64 // bit/s that it was told, 0 for none
}

func (r *replayed) packetRate() float64 { return float64(r.packets) / r.took.Seconds() }
func (r *replayed) bitRate() float64    { return 8 * r.bytes / r.took.Seconds() }

func (r *replayed) note() string {
	if r.limit == 0 {
		return "full speed"
	}
	return ""
}

// replay sends the capture from memory, as often as the options say.
func (b *bench) replay(ctx context.Context, limit float64) (replayed, error) {
	args := []string{"--intf1", sendInterface, "--preload-pcap", "--loop", strconv.Itoa(b.loops), "--quiet"}
	if limit > 0 {
		args = append(args, "--mbps", strconv.FormatFloat(limit/1e6, 'f', 1, 64))
	} else {
		args = append(args, "--topspeed")
	}
	out, err := exec.CommandContext(ctx, "tcpreplay", append(args, b.capture)...).CombinedOutput()
	if err != nil {
		return replayed{}, fmt.Errorf("tcpreplay: %w: %s", err, out)
	}
	return parseReplay(string(out), limit)
}

// parseReplay reads what tcpreplay says at its end:
//
//	Actual: 1234 packets (567890 bytes) sent in 1.23 seconds
//	…
//		Failed packets:            0
func parseReplay(out string, limit float64) (replayed, error) {
	m := regexp.MustCompile(`Actual: (\d+) packets \((\d+) bytes\) sent in ([0-9.]+) seconds`).FindStringSubmatch(out)
	failed := regexp.MustCompile(`Failed packets:\s+(\d+)`).FindStringSubmatch(out)
	if m == nil || failed == nil {
		return replayed{}, fmt.Errorf("tcpreplay says nothing of what it sent: %s", out)
	}
	if failed[1] != "0" {
		return replayed{}, fmt.Errorf("tcpreplay could not send %s packets: %s", failed[1], strings.TrimSpace(out))
	}
	r := replayed{limit: limit}
	var err error
	if r.packets, err = strconv.ParseUint(m[1], 10, 64); err != nil {
		return r, err
	}
	if r.bytes, err = strconv.ParseFloat(m[2], 64); err != nil {
		return r, err
	}
	seconds, err := strconv.ParseFloat(m[3], 64)
	r.took = time.Duration(seconds * float64(time.Second))
	return r, err
}
