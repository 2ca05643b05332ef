package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// spent is the time that something took, and the CPU time: its own and that of the servers that worked for it.
// On a machine that others use too, CPU times can still be compared.
type spent struct{ took, cpu time.Duration }

// timed measures f.
func timed(f func() error) (spent, error) {
	before, err := cpuOfAll()
	if err != nil {
		return spent{}, err
	}
	began := time.Now()
	if err := f(); err != nil {
		return spent{}, err
	}
	s := spent{took: time.Since(began)}
	after, err := cpuOfAll()
	s.cpu = after - before
	return s, err
}

// cpuOfSelf returns the CPU time that this process took so far.
func cpuOfSelf() (time.Duration, error) { return rusage(syscall.RUSAGE_SELF) }

// cpuOfAll returns the CPU time of this process, of those it started that have ended, and of those that run.
func cpuOfAll() (time.Duration, error) {
	self, err := cpuOfSelf()
	if err != nil {
		return 0, err
	}
	ended, err := rusage(syscall.RUSAGE_CHILDREN)
	if err != nil {
		return 0, err
	}
	running, err := cpuOfDescendants()
	return self + ended + running, err
}

func rusage(who int) (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// clockTick is the unit of times in /proc: USER_HZ, which is 100 on every architecture that Go runs on.
const clockTick = time.Second / 100

// cpuOfDescendants returns the CPU time of the running processes that this one started, and that those started
// (proc_pid_stat(5)): the servers of testenv run below a shell. Where there is no /proc it returns 0.
func cpuOfDescendants() (time.Duration, error) {
	type process struct {
		parent int
		cpu    time.Duration
	}
	all := map[int]process{}
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return 0, err
		}
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // ended meanwhile
		}
		if err != nil {
			return 0, err
		}
		// The name of the program, in parentheses, may hold anything.
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(fields) < 13 {
			return 0, fmt.Errorf("%s has %d fields", name, len(fields))
		}
		var n [3]int64
		for i, at := range []int{1, 11, 12} { // ppid, utime, stime
			if n[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
				return 0, fmt.Errorf("%s: %w", name, err)
			}
		}
		all[pid] = process{int(n[0]), time.Duration(n[1]+n[2]) * clockTick}
	}
	var sum time.Duration
	self := os.Getpid()
	for _, p := range all {
		for at, depth := p.parent, 0; at > 1 && depth < 100; at, depth = all[at].parent, depth+1 {
			if at == self {
				sum += p.cpu
				break
			}
		}
	}
	return sum, nil
}
