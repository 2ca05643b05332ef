// Package testenv starts the real programs that tests and benchmarks run against, by one call each.
//
//	s3 := testenv.MinIO(t)                  // a MinIO server, and a bucket of the test's own
//	es := testenv.Elasticsearch(t)          // an Elasticsearch node, and an index prefix of the test's own
//	proxy := testenv.Proxy(t, s3.Addr())    // faults between a client and a server
//	testenv.Tshark(t), testenv.DuckDB(t)    // paths of programs
//
// A server is started at first use and shared by the tests of one process; a test that stops or breaks its
// server takes one of its own from NewMinIO or NewElasticsearch. Servers listen on free ports of 127.0.0.1, keep
// their data in a temporary folder and die with the process that started them, however it dies.
//
// What a test needs and the machine lacks fails the test and names the command that installs it: nothing skips.
// Programs that are built or downloaded stand in the ignored folder .cache/, filled by testenv/setup.sh.
//
// Only tests and the tools below testenv/ import this package; the product never does.
package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Root returns the folder of the module, found upwards from the working folder (a test's is its package's).
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; {
		mod, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module wirelake\n") {
			return at, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		up := filepath.Dir(at)
		if up == at {
			return "", fmt.Errorf("%s is in no checkout of wirelake", dir)
		}
		at = up
	}
}

// cached returns the path of an artefact in .cache/, or an error that says how to get it.
func cached(group, name string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, ".cache", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is missing: run testenv/setup.sh %s", filepath.Join(".cache", name), group)
	}
	return path, nil
}

// Program returns the path of a program of the machine: tshark, tcpdump, zstd, openssl, … A missing one fails the test.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		// Debian keeps some of them out of a user's PATH.
		if path, err = exec.LookPath(filepath.Join("/usr/sbin", name)); err != nil {
			t.Fatalf("%s is not installed: run testenv/setup.sh packages (or sample), or install it by hand", name)
		}
	}
	return path
}

// Tshark returns the path of Wireshark's command line program.
func Tshark(t testing.TB) string { t.Helper(); return Program(t, "tshark") }

// Chromium returns the path of the browser that GUI tests drive.
func Chromium(t testing.TB) string { t.Helper(); return Program(t, "chromium") }

// Python returns the path of the interpreter of an environment that has DuckDB and pyarrow.
func Python(t testing.TB) string {
	t.Helper()
	path, err := cached("venv", "venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// shared holds one server for all tests of the process. It is never stopped by a test: the supervisor stops it
// when the process ends.
type shared[S any] struct {
	once   sync.Once
	server S
	err    error
}

func (s *shared[S]) get(start func() (S, error)) (S, error) {
	s.once.Do(func() { s.server, s.err = start() })
	return s.server, s.err
}

// FreeAddr returns an address of 127.0.0.1, host:port, that nothing listens on, and that no other process is given
// until the test ends.
func FreeAddr(t testing.TB) string {
	t.Helper()
	addr, release, err := reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return addr
}

// reserve returns an address of 127.0.0.1 whose port no other process is given before release. Servers that name it can
// listen there, one after the other: a socket is bound to the port and does not listen, so that connections are refused,
// and SO_REUSEADDR, which servers set, allows a second one.
func reserve() (addr string, release func(), err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return "", nil, fmt.Errorf("reserve a port: %w", err)
	}
	unix.CloseOnExec(fd)
	release = func() { _ = unix.Close(fd) }
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	var bound unix.Sockaddr
	if err == nil {
		bound, err = unix.Getsockname(fd)
	}
	at, ok := bound.(*unix.SockaddrInet4)
	if err != nil || !ok {
		release()
		return "", nil, fmt.Errorf("reserve a port: %w", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.Port), release, nil
}
