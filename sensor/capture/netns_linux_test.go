package capture

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wirelake/testenv"
)

// inNamespace is set in the process that runs the tests in a network namespace of its own, with the interfaces that it
// makes and no others: they go when it ends, and no other traffic is in them.
const inNamespace = "WIRELAKE_TEST_NETNS"

func TestMain(m *testing.M) {
	if os.Getenv(dropUserEnv) != "" {
		os.Exit(droppedMain())
	}
	if os.Geteuid() != 0 || os.Getenv(inNamespace) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	// The pipes of a fuzzing worker.
	for fd := uintptr(3); fd < 5; fd++ {
		if _, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err == nil && strings.Contains(strings.Join(os.Args, " "), "-test.fuzzworker") {
			cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(fd, "pipe"))
		}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1))
	case err != nil:
		fmt.Fprintln(os.Stderr, "network namespace:", err)
		os.Exit(1)
	}
}

// needNetns fails the test where it cannot make interfaces.
func needNetns(t testing.TB) {
	t.Helper()
	if os.Getenv(inNamespace) == "" {
		t.Fatal("this test makes network namespaces and interfaces: run it as root (CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN)")
	}
	setUp(t, "lo")
}

func setUp(t testing.TB, name string) { run(t, "ip", "link", "set", name, "up") }

// run runs a program and returns its output.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testenv.Program(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// neighbour is another network namespace, which a process keeps that ends with this one.
type neighbour struct {
	t   testing.TB
	pid string
}

func newNeighbour(t testing.TB) *neighbour {
	t.Helper()
	cmd := exec.Command(testenv.Program(t, "cat"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &neighbour{t, strconv.Itoa(cmd.Process.Pid)}
}

// run runs a program in the namespace.
func (n *neighbour) run(args ...string) string {
	n.t.Helper()
	return run(n.t, "nsenter", append([]string{"-t", n.pid, "-n", "--"}, args...)...)
}

// veth makes a pair of interfaces a and b in this namespace, both up and without IPv6, so that nothing is in them but
// what the test sends.
func veth(t testing.TB, a, b string) {
	t.Helper()
	needNetns(t)
	run(t, "ip", "link", "add", a, "mtu", "9000", "type", "veth", "peer", "name", b, "mtu", "9000")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", a).Run() }) // a test may have deleted it
	for _, name := range []string{a, b} {
		quiet(t, name)
		setUp(t, name)
	}
}

func quiet(t testing.TB, name string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// rawSender sends frames out of an interface.
type rawSender struct {
	t  testing.TB
	fd int
	to unix.SockaddrLinklayer
}

func newSender(t testing.TB, name string) *rawSender {
	t.Helper()
	l, err := findLink(name)
	if err != nil {
		t.Fatal(name, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &rawSender{t: t, fd: fd, to: unix.SockaddrLinklayer{Ifindex: l.index}}
	if err := unix.Bind(fd, &s.to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return s
}

func (s *rawSender) send(frames ...[]byte) {
	s.t.Helper()
	for _, f := range frames {
		for {
			_, err := unix.Write(s.fd, f)
			if errors.Is(err, unix.ENOBUFS) {
				time.Sleep(time.Millisecond)
				continue
			}
			if err != nil {
				s.t.Fatalf("send %d bytes: %v", len(f), err)
			}
			break
		}
	}
}

// witness is tcpdump on an interface.
type witness struct {
	t     testing.TB
	cmd   *exec.Cmd
	ended <-chan error
	path  string
	log   *programLog
}

// programLog is what a program says.
type programLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *programLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *programLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWitness(t testing.TB, name string, args ...string) *witness {
	t.Helper()
	w := &witness{t: t, path: t.TempDir() + "/witness.pcap", log: &programLog{}}
	args = append([]string{"-i", name, "-w", w.path, "-U", "-B", "65536", "--nano", "-Z", "root", "-s", "262144"}, args...)
	w.cmd = exec.Command(testenv.Program(t, "tcpdump"), args...)
	w.cmd.Stderr = w.log
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.cmd.Wait() }()
	w.ended = done
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
	})
	waitFor(t, "tcpdump to listen", func() bool {
		return strings.Contains(w.log.String(), "listening on") || w.cmd.Process.Signal(syscall.Signal(0)) != nil
	})
	if !strings.Contains(w.log.String(), "listening on") {
		t.Fatalf("tcpdump ended: %s", w.log)
	}
	return w
}

// packets ends tcpdump once it has as many packets as there are to be, and returns them.
func (w *witness) packets(n int) []Record {
	w.t.Helper()
	waitFor(w.t, fmt.Sprintf("tcpdump to have %d packets", n), func() bool { return len(readPcap(w.t, w.path)) >= n })
	if err := w.cmd.Process.Signal(os.Interrupt); err != nil {
		w.t.Fatal(err)
	}
	select {
	case err := <-w.ended:
		if err != nil {
			w.t.Fatalf("tcpdump: %v: %s", err, w.log)
		}
	case <-time.After(patience):
		w.t.Fatal("tcpdump does not end")
	}
	if !strings.Contains(w.log.String(), "\n0 packets dropped by kernel") {
		w.t.Fatalf("tcpdump lost packets, and is no witness: %s", w.log)
	}
	return readPcap(w.t, w.path)
}
