package session

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// threadClock keeps the goroutine on its thread and returns a clock of the time that the thread had a processor, which any
// thread may read.
func threadClock() func() time.Duration {
	runtime.LockOSThread()
	// clock_getcpuclockid(3): the complement of the thread's id, the clock of its scheduling, for a thread.
	const sched, thread = 2, 4
	id := int32(^unix.Gettid()<<3 | sched | thread)
	return func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(id, &ts); err != nil {
			panic(err) // the thread lives as long as its goroutine
		}
		return time.Duration(ts.Nano())
	}
}
