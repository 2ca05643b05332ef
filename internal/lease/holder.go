package lease

import (
	"crypto/rand"
	"os"
	"strconv"
	"strings"
)

// Holder names the process that has a lease.
type Holder struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`

	// Machine (boot and process namespace) and Started (clock ticks after boot) let
	// another process of the same machine see that the holder is dead.
	Machine string `json:"machine,omitempty"`
	Started string `json:"started,omitempty"`

	// Spool is the identity of a folder that one process at a time can have open: who
	// has it now knows that an earlier holder with it is gone.
	Spool string `json:"spool,omitempty"`

	Nonce string `json:"nonce"` // of the process
}

// ThisProcess returns the holder that this process is, without a spool.
func ThisProcess() Holder {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return Holder{Host: host, PID: os.Getpid(), Machine: machine(), Started: started(os.Getpid()), Nonce: rand.Text()}
}

// gone reports whether h is known not to be there any more, or is self, who lost it meanwhile. In doubt it is there.
func (h *Holder) gone(self *Holder) bool {
	return h.Nonce == self.Nonce || h.Spool != "" && h.Spool == self.Spool || h.dead()
}

// dead reports whether the holder was a process of this machine that has ended.
func (h *Holder) dead() bool {
	if h.Machine == "" || h.Started == "" || h.Machine != machine() {
		return false
	}
	return started(h.PID) != h.Started
}

// machine identifies the running system and its process namespace, "" where
// that cannot be told.
func machine() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + ns
}

// started returns when a process began, in clock ticks after boot, "" when it is
// not running (field 22 of /proc/PID/stat, see proc_pid_stat(5)).
func started(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The command name may hold spaces and brackets: count from the last one.
	_, rest, ok := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}
