//go:build linux

// Command benchsensor measures what capturing costs, beside tcpdump -w on the same interface in the same run:
//
//	go run ./testenv/benchsensor                     # as root; a gigabyte four times over
//	go run ./testenv/benchsensor -size 128MiB -loops 1 -rounds 1
//
// tcpreplay sends the generator's mixed capture over a veth pair, in a network namespace that ends with the program. The
// yardstick is `tcpdump -w` with a ring of the same size, into the same file system. Each captures the same packets, in
// turns, and what it costs is the CPU time of its process; the kernel's copy into the ring is the sender's.
//
// First it looks for the highest rate at which a program loses nothing; costs are compared at the highest rate at which
// neither does. Sealing and uploading are measured apart from capture, on what the spool then holds, by the sensor that
// finds it there when it starts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// options are the flags.
type options struct {
	size   string
	loops  int
	rounds int
	ring   int // MiB
	level  string
	seal   bool
	dir    string
}

// roleEnv says what this process is of the program: "" starts the others, "bench" measures in a network namespace of its
// own, "capture" captures into a spool, "seal" seals and uploads what is in one.
const roleEnv = "BENCHSENSOR_ROLE"

func main() {
	log.SetFlags(log.Ltime)
	testing.Init() // for testenv
	roles := map[string]func() error{"capture": captureRole, "seal": sealRole}
	if name := os.Getenv(roleEnv); roles[name] != nil {
		if err := roles[name](); err != nil {
			log.Fatalf("%s: %v", name, err) //nolint:gosec // one of the names above
		}
		return
	}
	var o options
	flag.StringVar(&o.size, "size", "1GiB", "size of the mixed capture")
	flag.IntVar(&o.loops, "loops", 2, "how often it is sent in one measurement")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each is measured; the median counts")
	flag.IntVar(&o.ring, "ring", 64, "MiB of ring buffer, of either program")
	flag.StringVar(&o.level, "level", "fastest", "zstd level of sealing")
	flag.BoolVar(&o.seal, "seal", true, "measure sealing and uploading as well")
	flag.StringVar(&o.dir, "dir", "", "folder to capture into (default .cache/bench)")
	flag.Parse()
	if os.Getenv(roleEnv) == "" {
		os.Exit(inNamespace())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		stop()
		log.Fatal(err)
	}
}

// inNamespace runs this program in a network namespace of its own.
func inNamespace() int {
	if os.Geteuid() != 0 {
		log.Print("benchsensor makes network namespaces and interfaces: run it as root")
		return 1
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleEnv+"=bench")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	runtime.LockOSThread() // the signal comes when the thread ends that started it
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	signal.Ignore(os.Interrupt) // it is told the other process too, which ends in order
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1)
	}
	if err != nil {
		log.Print(err)
		return 1
	}
	return 0
}

func run(ctx context.Context, o options) (err error) {
	if o.rounds < 1 || o.loops < 1 {
		return fmt.Errorf("-rounds %d, -loops %d: must be positive", o.rounds, o.loops)
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	return b.run(ctx)
}
