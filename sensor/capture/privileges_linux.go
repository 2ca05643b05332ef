package capture

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// DropPrivileges makes the process one of the user named that has no privilege but to
// capture (CAP_NET_RAW), and cannot get others. It is called before anything else is
// begun: the process starts its program anew, with the same arguments, and the call
// returns nil there. A user "" keeps all as it is.
//
// Why anew: on Linux each thread has its own privileges, and a Go program cannot change
// those of all its threads once a C library may have threads of its own:
// syscall.AllThreadsSyscall refuses in a program with cgo, and in one that loads
// libraries, as filters do. When one thread executes a program, the others
// end and its privileges are those of the new process: nothing is left behind.
//
// A process that is the user already is only checked: it can capture with
// AmbientCapabilities=CAP_NET_RAW of systemd, or setcap cap_net_raw+ep on the binary.
// Hardware timestamps are turned on before, for that needs CAP_NET_ADMIN.
func DropPrivileges(name string, c AFPacketConfig) error {
	if name == "" {
		return nil
	}
	u, err := LookupUser(name)
	if err != nil {
		return err
	}
	switch os.Geteuid() {
	case u.UID:
		return checkCapture(c)
	case 0:
	default:
		return fmt.Errorf("drop privileges: only root can become %s: start as root, or as %s with CAP_NET_RAW", name, name)
	}
	if c.HardwareTimestamps {
		for _, i := range c.Interfaces {
			_ = enableHardwareTimestamps(i) // opening the interface says why not
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("drop privileges: %w", err)
	}
	runtime.LockOSThread() // for good, should something below not succeed: the thread is no use to others
	if err := becomeUser(u.UID, u.GID); err != nil {
		return fmt.Errorf("drop privileges to user %s: %w", name, err)
	}
	err = syscall.Exec(self, os.Args, withHome(os.Environ(), name, u.Home)) //nolint:gosec // this program, as it was called
	return fmt.Errorf("drop privileges: start %s as user %s: %w", self, name, err)
}

// checkCapture says what a process without privileges lacks to capture.
func checkCapture(c AFPacketConfig) error {
	if len(c.Interfaces) == 0 {
		return nil
	}
	_, effective, err := capabilities()
	if err != nil {
		return err
	}
	if effective&(1<<unix.CAP_NET_RAW) == 0 {
		return errors.New("capturing needs CAP_NET_RAW, which the process does not have")
	}
	return nil
}

// capabilities returns those of the calling thread, a bit each.
func capabilities() (permitted, effective uint64, err error) {
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	if err := unix.Capget(&h, &d[0]); err != nil {
		return 0, 0, os.NewSyscallError("capget", err)
	}
	return uint64(d[1].Permitted)<<32 | uint64(d[0].Permitted), uint64(d[1].Effective)<<32 | uint64(d[0].Effective), nil
}

// becomeUser makes the calling thread, and nothing else of the process, one of the user
// that keeps CAP_NET_RAW over an exec (capabilities(7), "ambient").
func becomeUser(uid, gid int) error {
	const one = 1 << unix.CAP_NET_RAW
	last := uintptr(unix.CAP_LAST_CAP)
	for c := uintptr(0); c <= last; c++ { // nothing that is executed gets them again
		if c == unix.CAP_NET_RAW {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
			// EINVAL: an older kernel has fewer. EPERM: the process may not (CAP_SETPCAP), and
			// need not, for PR_SET_NO_NEW_PRIVS below does it too.
			return fmt.Errorf("bounding set: %w", os.NewSyscallError("prctl", err))
		}
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	// Not the functions of package syscall: they change all threads.
	group := uint32(gid)
	for _, call := range []struct {
		name string
		do   func() syscall.Errno
	}{
		{"setgroups", func() syscall.Errno { return raw(unix.SYS_SETGROUPS, 0, 0, 0) }},
		{"setresgid", func() syscall.Errno { return raw(unix.SYS_SETRESGID, uintptr(group), uintptr(group), uintptr(group)) }},
		{"setresuid", func() syscall.Errno { return raw(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)) }},
	} {
		if e := call.do(); e != 0 {
			return os.NewSyscallError(call.name, e)
		}
	}
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	d := [2]unix.CapUserData{{Effective: one, Permitted: one, Inheritable: one}}
	if err := unix.Capset(&h, &d[0]); err != nil {
		return os.NewSyscallError("capset", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_RAW, 0, 0); err != nil {
		return fmt.Errorf("ambient set: %w", os.NewSyscallError("prctl", err))
	}
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

func raw(number, a, b, c uintptr) syscall.Errno {
	_, _, e := syscall.RawSyscall(number, a, b, c)
	return e
}

// withHome returns an environment with what names a user changed.
func withHome(env []string, name, home string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		for _, name := range []string{"HOME=", "USER=", "LOGNAME="} {
			if len(v) >= len(name) && v[:len(name)] == name {
				return true
			}
		}
		return false
	})
	return append(env, "HOME="+home, "USER="+name, "LOGNAME="+name)
}
