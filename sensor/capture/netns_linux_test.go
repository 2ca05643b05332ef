package capture

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wirelake/testenv"
)

func TestMain(m *testing.M) {
	if os.Getenv(dropUserEnv) != "" {
		os.Exit(droppedMain())
	}
	os.Exit(testenv.InNamespace(m))
}

// rawSender sends frames out of an interface.
type rawSender struct {
	t    testing.TB
	name string
	fd   int
	to   unix.SockaddrLinklayer
}

// lost is how many of its frames, and those of others, the interface lost before anyone could capture them: on a busy
// machine the queue behind a veth interface overflows.
func (s *rawSender) lost() int {
	s.t.Helper()
	n, err := testenv.TxDropped(s.name)
	if err != nil {
		s.t.Fatal(err)
	}
	if n > 0 {
		s.t.Logf("%s lost %d frames", s.name, n)
	}
	return int(n)
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
	s := &rawSender{t: t, name: name, fd: fd, to: unix.SockaddrLinklayer{Ifindex: l.index}}
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

// witnessed ends tcpdump once it has as many packets as there are to be, and returns them.
func witnessed(t testing.TB, w *testenv.Witness, n int) []Record {
	t.Helper()
	waitFor(t, fmt.Sprintf("tcpdump to have %d packets", n), func() bool { return len(readPcap(t, w.Path)) >= n })
	w.Stop()
	return readPcap(t, w.Path)
}
