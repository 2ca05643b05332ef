package capture

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"wirelake/testenv"
)

// dropUserEnv makes the test program one that drops its privileges to the user named and captures from the interface that
// dropInterfaceEnv names, until its input ends.
const (
	dropUserEnv      = "WIRELAKE_TEST_DROP_USER"
	dropInterfaceEnv = "WIRELAKE_TEST_DROP_INTERFACE"
)

func droppedMain() int {
	if err := droppedCapture(os.Getenv(dropInterfaceEnv)); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

func droppedCapture(name string) error {
	c := DefaultAFPacketConfig()
	c.Interfaces, c.Filter, c.Workers = []string{name}, "udp and vlan 42", 2
	if err := DropPrivileges(os.Getenv(dropUserEnv), c); err != nil {
		return err
	}
	s, err := NewAFPacket(name, c, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := s.Open(); err != nil {
		return err
	}
	defer s.closePort(nil) //nolint:errcheck // the process ends
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		return err
	}
	for _, path := range threads {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		fmt.Println("thread")
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "Uid") || strings.HasPrefix(line, "Gid") || strings.HasPrefix(line, "Groups") || strings.HasPrefix(line, "NoNewPrivs") {
				fmt.Print(strings.Join(strings.Fields(line), " "), "\n")
			}
		}
	}
	_, err = os.ReadFile("/etc/shadow")
	fmt.Println("shadow:", err)
	fmt.Println("arguments:", os.Args[1:], "home", os.Getenv("HOME"))
	if err := s.Reload("udp"); err != nil {
		return err
	}
	fmt.Println("state", s.State().Up)
	return nil
}

// TestDropPrivileges runs a process that gives up root, and holds what all of its threads are left with, and that it can
// open interfaces and compile filters all the same.
func TestDropPrivileges(t *testing.T) {
	testenv.Veth(t, "pa0", "pb0")
	self := filepath.Join(t.TempDir(), "capture.test")
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(self, b, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(self); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // another user executes it
			t.Fatal(err)
		}
	}
	dropped := func(user, name string) (string, error) {
		cmd := exec.Command(self, "one", "two words")
		cmd.Env = append(os.Environ(), dropUserEnv+"="+user, dropInterfaceEnv+"="+name, "GOCOVERDIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := dropped("nobody", "pa0")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const raw = "0000000000002000"
	threads := strings.Count(out, "thread\n")
	for _, want := range []string{
		"Uid: 65534 65534 65534 65534\n", "Gid: 65534 65534 65534 65534\n", "Groups:\n", "NoNewPrivs: 1\n",
		"CapInh: " + raw + "\n", "CapPrm: " + raw + "\n", "CapEff: " + raw + "\n", "CapBnd: " + raw + "\n", "CapAmb: " + raw + "\n",
	} {
		if got := strings.Count(out, want); got != threads || threads < 2 {
			t.Errorf("%d of %d threads have %q\n%s", got, threads, want, out)
		}
	}
	for _, want := range []string{"shadow: open /etc/shadow: permission denied", "arguments: [one two words] home /nonexistent", "state true"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for user, want := range map[string]string{"root": "become user root: it has all privileges", "no-such-user": "no-such-user"} {
		if out, err := dropped(user, "pa0"); err == nil || !strings.Contains(out, want) {
			t.Errorf("user %s: %v, want %q in\n%s", user, err, want, out)
		}
	}
	// Who has no privilege at all is told what is missing.
	cmd := exec.Command(testenv.Program(t, "setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", self)
	cmd.Env = append(os.Environ(), dropUserEnv+"=nobody", dropInterfaceEnv+"=pa0")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "CAP_NET_RAW") {
		t.Errorf("without privileges: %v\n%s", err, out)
	}
	cmd = exec.Command(testenv.Program(t, "setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", self)
	cmd.Env = append(os.Environ(), dropUserEnv+"=daemon", dropInterfaceEnv+"=pa0")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "only root can become daemon") {
		t.Errorf("another user: %v\n%s", err, out)
	}
}

// TestWithoutLibpcap runs a capture where the library is not there: without a filter it works, and with one it says which
// package is missing.
func TestWithoutLibpcap(t *testing.T) {
	testenv.Veth(t, "ya0", "yb0")
	const child = "WIRELAKE_TEST_NO_LIBPCAP"
	if os.Getenv(child) != "" {
		c := smallRing()
		if err := newAFPacket(t, "ya0", c).Open(); err != nil {
			t.Errorf("without a filter: %v", err)
		}
		c.Filter = "udp"
		err := newAFPacket(t, "ya0", c).Open()
		if err == nil || !strings.Contains(err.Error(), "install the package libpcap0.8") {
			t.Errorf("with a filter: %v", err)
		}
		return
	}
	// In a mount namespace, an empty file covers each copy of the library.
	script := `mount --make-rprivate / && for f in $(ldconfig -p | sed -n 's/.*libpcap.*=> //p'); do mount --bind /dev/null "$(readlink -f "$f")"; done && exec "$0" -test.run '^TestWithoutLibpcap$' -test.v`
	cmd := exec.Command(testenv.Program(t, "unshare"), "-m", "-n", "sh", "-c", script, os.Args[0])
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestWithoutLibpcap") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestThreadsEndAfterFilter ends threads in a process that has called libpcap. With purego before 0.11 that crashed programs
// with cgo.
func TestThreadsEndAfterFilter(t *testing.T) {
	if err := checkFilter("udp port 53"); err != nil {
		t.Fatal(err)
	}
	var threads sync.WaitGroup
	for range 50 {
		threads.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			time.Sleep(10 * time.Millisecond)
		})
	}
	threads.Wait()
	time.Sleep(200 * time.Millisecond)
}
