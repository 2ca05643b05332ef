// Package systemd speaks with the service manager that started the process: it says
// that the service is ready, and has the manager keep open files over the end of the
// process, which the next one gets back.
//
// It knows nothing of what the files are. Any manager that speaks the protocol will do.
//
// Specification: sd_notify(3), sd_listen_fds(3), systemd.service(5) under FileDescriptorStoreMax=.
package systemd

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Manager is the service manager of this process. A nil one is none: its methods do nothing.
type Manager struct{ socket string }

// File is an open file that the manager kept.
type File struct {
	Name string
	FD   int // closed when another program is executed
}

// firstFile is the number of the first open file that a manager hands over (SD_LISTEN_FDS_START).
const firstFile = 3

// maxFiles bounds what is taken: the manager's own limit is a setting of the unit.
const maxFiles = 4096

// FromEnvironment returns the service manager that the environment names, nil when it
// names none.
func FromEnvironment() *Manager {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	return &Manager{socket: socket}
}

// Files returns the open files that the manager kept and handed to this process, and
// takes them out of the environment, so that a program that is executed does not take
// them for its own. Call it once, when the process executes no other program in its place any more.
func Files() ([]File, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(name); err != nil {
			return nil, err
		}
	}
	if pid != strconv.Itoa(os.Getpid()) || count == "" {
		return nil, nil // meant for the process that started this one
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxFiles {
		return nil, fmt.Errorf("LISTEN_FDS=%q: want a number up to %d", count, maxFiles)
	}
	all := make([]File, n)
	split := strings.Split(names, ":")
	for i := range all {
		all[i].FD = firstFile + i
		unix.CloseOnExec(all[i].FD)
		if i < len(split) {
			all[i].Name = split[i]
		}
	}
	return all, nil
}

// Ready says that the service does what it is there for.
func (m *Manager) Ready() error { return m.notify("READY=1\n") }

// Stopping says that the service is about to end.
func (m *Manager) Stopping() error { return m.notify("STOPPING=1\n") }

// Keep has the manager keep an open file until Forget, under a name of letters, digits
// and ,.-_% that no other has. It is kept from when Keep returns, and not looked at: a
// socket that has an error stays as well.
func (m *Manager) Keep(name string, fd int) error {
	return m.notify("FDSTORE=1\nFDPOLL=0\nFDNAME="+name+"\n", fd)
}

// Forget has the manager close a file that it keeps.
func (m *Manager) Forget(name string) error {
	return m.notify("FDSTOREREMOVE=1\nFDNAME=" + name + "\n")
}

// notify sends one message, which the manager has when it returns.
func (m *Manager) notify(state string, fds ...int) error {
	if m == nil {
		return nil
	}
	name := m.socket
	if strings.HasPrefix(name, "@") { // of the abstract name space
		name = "\x00" + name[1:]
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("service manager: %w", os.NewSyscallError("socket", err))
	}
	unix.CloseOnExec(fd)
	defer unix.Close(fd) //nolint:errcheck // all is sent
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err = unix.Sendmsg(fd, []byte(state), rights, &unix.SockaddrUnix{Name: name}, 0)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("service manager at %s: %w", m.socket, os.NewSyscallError("sendmsg", err))
	}
	return nil
}
