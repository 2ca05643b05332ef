//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// tcpdump is the yardstick.
type tcpdump struct {
	b    *bench
	cmd  *exec.Cmd
	said chan string
	path string
}

func (*tcpdump) name() string { return "tcpdump -w" }

func (d *tcpdump) start(ctx context.Context) error {
	d.path = filepath.Join(d.b.tmp, "tcpdump.pcap")
	d.cmd = exec.CommandContext(ctx, "tcpdump", "-i", captureInterface, "-w", d.path, "-B", strconv.Itoa(d.b.ring<<10), "--nano", "-Z", "root", "-n")
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	ready := make(chan struct{})
	d.said = make(chan string, 1)
	go func() {
		var all strings.Builder
		told := false
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			all.WriteString(lines.Text() + "\n")
			if !told && strings.Contains(lines.Text(), "listening on") {
				close(ready)
				told = true
			}
		}
		d.said <- all.String()
	}()
	select {
	case <-ready:
		return nil
	case said := <-d.said:
		return fmt.Errorf("ended: %s", said)
	}
}

// settled waits until tcpdump has done nothing for a while: when it is told to end it leaves what is in its ring, and the
// kernel hands over the last block after a second.
func (d *tcpdump) settled() error {
	for last, since := "", time.Now(); time.Since(since) < 2*time.Second; time.Sleep(20 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
		if err != nil {
			return err
		}
		if now := strings.Join(strings.Fields(string(stat))[13:15], " "); now != last { // CPU time
			last, since = now, time.Now()
		}
	}
	return nil
}

func (d *tcpdump) stop() (r result, err error) {
	if err := d.settled(); err != nil {
		return r, err
	}
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		return r, err
	}
	said := <-d.said
	if err := d.cmd.Wait(); err != nil {
		return r, fmt.Errorf("%w: %s", err, said)
	}
	captured := regexp.MustCompile(`(\d+) packets? captured`).FindStringSubmatch(said)
	dropped := regexp.MustCompile(`(\d+) packets? dropped by kernel`).FindStringSubmatch(said)
	if captured == nil || dropped == nil {
		return r, fmt.Errorf("says nothing of what it captured: %s", said)
	}
	if r.packets, err = strconv.ParseUint(captured[1], 10, 64); err != nil {
		return r, err
	}
	if r.drops, err = strconv.ParseUint(dropped[1], 10, 64); err != nil {
		return r, err
	}
	r.cpu = d.cmd.ProcessState.UserTime() + d.cmd.ProcessState.SystemTime()
	return r, os.Remove(d.path)
}
