package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespace is set in the process that runs tests in a network namespace of its own. Not WIRELAKE_…: those
// are settings, and unknown ones refused.
const inNamespace = "TESTENV_NETNS"

// InNamespace runs the tests of a package in a network namespace of their own, as TestMain: with the interfaces that they
// make and no others, which go when they end, and no other traffic. As another user than root it runs them as they are;
// those that call NeedNamespace then fail.
//
//	func TestMain(m *testing.M) { os.Exit(testenv.InNamespace(m)) }
func InNamespace(m *testing.M) int {
	switch {
	case os.Geteuid() != 0:
		return m.Run()
	case os.Getenv(inNamespace) != "":
		// Tests that know of no namespace use 127.0.0.1, whichever runs first.
		if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "network namespace: ip link set lo up: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// It ends with this process, and so does not outlive a test that is killed. The signal comes when the thread ends that
	// started it.
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "network namespace:", err)
		return 1
	}
	return 0
}

// NeedNamespace fails the test where it is in no network namespace of its own.
func NeedNamespace(t testing.TB) {
	t.Helper()
	if os.Getenv(inNamespace) == "" {
		t.Fatal("this test makes network namespaces and interfaces: run it as root (CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN)")
	}
	LinkUp(t, "lo")
}

// Run runs a program of the machine and returns its output; the test fails when it does.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(Program(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// LinkUp makes an interface go up without IPv6, so that it says nothing by itself.
func LinkUp(t testing.TB, name string) {
	t.Helper()
	if name != "lo" {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	Run(t, "ip", "link", "set", name, "up")
}

// Veth makes a pair of interfaces in the namespace of the test, both up: what is sent out of one comes in at the other.
func Veth(t testing.TB, a, b string) {
	t.Helper()
	NeedNamespace(t)
	Run(t, "ip", "link", "add", a, "mtu", "9000", "type", "veth", "peer", "name", b, "mtu", "9000")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", a).Run() }) // a test may have deleted it
	LinkUp(t, a)
	LinkUp(t, b)
}

// Neighbour is another network namespace, which a process keeps that ends with this one.
type Neighbour struct {
	t   testing.TB
	pid string
}

// NewNeighbour makes a network namespace.
func NewNeighbour(t testing.TB) *Neighbour {
	t.Helper()
	cmd := exec.Command(Program(t, "cat"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	n := &Neighbour{t, strconv.Itoa(cmd.Process.Pid)}
	n.Run("ip", "link", "set", "lo", "up")
	return n
}

// Link joins the namespace of the test with the neighbour's by a pair of interfaces, both up and without IPv6, with
// these addresses ("10.0.0.1/24").
func (n *Neighbour) Link(near, nearAddr, far, farAddr string) {
	n.t.Helper()
	NeedNamespace(n.t)
	Run(n.t, "ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", n.pid)
	n.t.Cleanup(func() { _ = exec.Command("ip", "link", "del", near).Run() })
	Run(n.t, "ip", "address", "add", nearAddr, "dev", near)
	LinkUp(n.t, near)
	n.Run("ip", "address", "add", farAddr, "dev", far)
	n.Run("sh", "-c", "! [ -e /proc/sys/net/ipv6 ] || echo 1 >/proc/sys/net/ipv6/conf/"+far+"/disable_ipv6")
	n.Run("ip", "link", "set", far, "up")
}

// Command is a program to be run in the namespace.
func (n *Neighbour) Command(args ...string) *exec.Cmd {
	n.t.Helper()
	return exec.Command(Program(n.t, "nsenter"), append([]string{"-t", n.pid, "-n", "--"}, args...)...)
}

// Run runs a program in the namespace and returns its output; the test fails when it does.
func (n *Neighbour) Run(args ...string) string {
	n.t.Helper()
	out, err := n.Command(args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Witness is tcpdump on an interface, to compare with.
type Witness struct {
	Path  string // of the capture file
	t     testing.TB
	cmd   *exec.Cmd
	ended chan error
	log   programLog
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

// NewWitness starts tcpdump in the namespace of the test, with more arguments, such as a filter. It listens when
// NewWitness returns.
func NewWitness(t testing.TB, name string, args ...string) *Witness {
	t.Helper()
	w := &Witness{t: t, Path: t.TempDir() + "/witness.pcap", ended: make(chan error, 1)}
	args = append([]string{"-i", name, "-w", w.Path, "-U", "-B", "131072", "--nano", "-Z", "root", "-s", "262144"}, args...)
	w.cmd = exec.Command(Program(t, "tcpdump"), args...)
	w.cmd.Stderr = &w.log
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.ended <- w.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill()
		<-done
	})
	for end := time.Now().Add(startTimeout); !strings.Contains(w.log.String(), "listening on"); time.Sleep(5 * time.Millisecond) {
		select {
		case <-done:
			t.Fatalf("tcpdump ended: %s", &w.log)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("tcpdump does not listen after %v: %s", startTimeout, &w.log)
		}
	}
	return w
}

// Stop ends tcpdump, whose file then has all that it captured. What it has not been given yet is not in it: the caller
// makes sure that Path has what must be there. One that lost packets fails the test: it is no witness.
func (w *Witness) Stop() {
	w.t.Helper()
	if err := w.cmd.Process.Signal(os.Interrupt); err != nil {
		w.t.Fatal(err)
	}
	select {
	case err := <-w.ended:
		if err != nil {
			w.t.Fatalf("tcpdump: %v: %s", err, &w.log)
		}
	case <-time.After(startTimeout):
		w.t.Fatal("tcpdump does not end")
	}
	if !strings.Contains(w.log.String(), "\n0 packets dropped by kernel") {
		w.t.Fatalf("tcpdump lost packets, and is no witness: %s", &w.log)
	}
}

// TxDropped returns how many packets an interface could not send, by the kernel's count. On a busy machine the queue behind
// a veth interface overflows: packets are gone before anyone could capture them, and their sender is not told.
func TxDropped(name string) (uint64, error) {
	b, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		dev, counts, ok := strings.Cut(line, ":")
		if fields := strings.Fields(counts); ok && strings.TrimSpace(dev) == name && len(fields) == 16 {
			return strconv.ParseUint(fields[11], 10, 64)
		}
	}
	return 0, fmt.Errorf("no interface %s in /proc/net/dev", name)
}
