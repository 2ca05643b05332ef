package testenv

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// DescriptorStore is the part of a service manager that keeps open files of a service while it is started again, as
// systemd does with FileDescriptorStoreMax=: sd_notify(3), sd_listen_fds(3). One service at a time uses it.
type DescriptorStore struct {
	path string

	mu      sync.Mutex
	kept    []*os.File // their names are those that the service gave
	states  []string   // all other that it said
	barrier map[string]chan struct{}
	next    int
	err     error
}

// NewDescriptorStore makes a store that lives as long as the test.
func NewDescriptorStore(t testing.TB) *DescriptorStore {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // services run as other users, too
		t.Fatal(err)
	}
	s := &DescriptorStore{path: filepath.Join(dir, "s"), barrier: map[string]chan struct{}{}}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.path, 0o777); err != nil {
		t.Fatal(err)
	}
	var reader sync.WaitGroup
	reader.Go(func() { s.read(conn) })
	t.Cleanup(func() {
		_ = conn.Close()
		reader.Wait()
		s.Discard()
		_ = os.RemoveAll(dir)
		if s.err != nil {
			t.Errorf("descriptor store: %v", s.err)
		}
	})
	return s
}

func (s *DescriptorStore) read(conn *net.UnixConn) {
	text, rights := make([]byte, 64<<10), make([]byte, 4<<10)
	for {
		n, oob, flags, _, err := conn.ReadMsgUnix(text, rights)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			err = errors.New("message cut")
		}
		var fds []int
		if err == nil && oob > 0 {
			fds, err = descriptors(rights[:oob])
		}
		s.mu.Lock()
		if err == nil {
			err = s.message(string(text[:n]), fds)
		}
		if err != nil && s.err == nil {
			s.err = err
		}
		s.mu.Unlock()
	}
}

func descriptors(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, m := range messages {
		more, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		fds = append(fds, more...)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return fds, nil
}

func (s *DescriptorStore) message(text string, fds []int) error {
	said := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			return fmt.Errorf("line %q", line)
		}
		said[key] = value
	}
	name := said["FDNAME"]
	switch {
	case said["BARRIER"] != "":
		close(s.barrier[said["BARRIER"]])
	case said["FDSTORE"] == "1":
		if len(fds) == 0 || name == "" || len(name) > 255 || strings.ContainsRune(name, ':') || said["FDPOLL"] != "0" {
			return fmt.Errorf("%d descriptors with %q", len(fds), text)
		}
		for _, fd := range fds {
			s.kept = append(s.kept, os.NewFile(uintptr(fd), name))
		}
	case said["FDSTOREREMOVE"] == "1":
		s.kept = slices.DeleteFunc(s.kept, func(f *os.File) bool { return f.Name() == name && f.Close() == nil })
	default:
		s.states = append(s.states, text)
	}
	return nil
}

// settle waits until all that was said is heeded.
func (s *DescriptorStore) settle() error {
	s.mu.Lock()
	s.next++
	name, heard := fmt.Sprint(s.next), make(chan struct{})
	s.barrier[name] = heard
	s.mu.Unlock()
	conn, err := net.Dial("unixgram", s.path)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it is only written
	if _, err := conn.Write([]byte("BARRIER=" + name)); err != nil {
		return err
	}
	select {
	case <-heard:
		return nil
	case <-time.After(startTimeout):
		return errors.New("the descriptor store does not answer")
	}
}

// Start starts a command as the next process of the service: with the files that are kept now, and the store to keep
// more. The one before must have ended. A nil store starts it without.
func (s *DescriptorStore) Start(cmd *exec.Cmd) error {
	if s == nil {
		return cmd.Start()
	}
	if err := s.settle(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	var names []string
	for _, f := range s.kept {
		names = append(names, f.Name())
	}
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+s.path)
	if len(s.kept) > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("LISTEN_FDS=%d", len(s.kept)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	}
	cmd.ExtraFiles = slices.Clone(s.kept)
	// The process must find its own number in LISTEN_PID: the shell becomes it.
	cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return cmd.Start() // under the lock: no file is closed meanwhile, should the process ask for it at once
}

// Kept returns the names of the files that are kept.
func (s *DescriptorStore) Kept() ([]string, error) {
	if err := s.settle(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, f := range s.kept {
		names = append(names, f.Name())
	}
	return names, nil
}

// Path is the socket of the store, as NOTIFY_SOCKET names it.
func (s *DescriptorStore) Path() string { return s.path }

// Files returns the files that are kept. They are the store's.
func (s *DescriptorStore) Files() ([]*os.File, error) {
	if err := s.settle(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept), nil
}

// Said returns what the service said apart from files, such as "READY=1\n".
func (s *DescriptorStore) Said() ([]string, error) {
	if err := s.settle(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.states), nil
}

// Discard closes all files that are kept, as when a service is stopped for good.
func (s *DescriptorStore) Discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.kept {
		_ = f.Close() // it was only kept
	}
	s.kept = nil
}
