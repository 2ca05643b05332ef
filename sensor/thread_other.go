//go:build !linux

package sensor

import "sync/atomic"

// background runs work. Priorities are known to Linux only.
func background(_ int, _ *atomic.Int64, work func()) { work() }
