package sensor

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// background runs work on a thread of its own that stands back behind others, for the
// CPU and for the disk, and adds the CPU time it took to cpu. It must be called in a
// goroutine that ends with it: the thread ends with the goroutine.
func background(nice int, cpu *atomic.Int64, work func()) {
	runtime.LockOSThread() // and never unlocked: no other goroutine may get this thread
	// A sensor whose priorities cannot be set works all the same.
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, nice)
	const bestEffortLowest = 2<<13 | 7 // IOPRIO_CLASS_BE, see ioprio_set(2)
	const whoProcess = 1
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, 0, bestEffortLowest)
	before := threadTime()
	defer func() { cpu.Add(int64(threadTime() - before)) }()
	work()
}

// threadTime is the CPU time of the calling thread.
func threadTime() time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
