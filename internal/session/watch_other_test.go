//go:build !linux

package session

import "time"

// threadClock returns a clock of the time that passes: threads' own are not to be had everywhere.
func threadClock() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}
