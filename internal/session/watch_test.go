package session

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// watch sees to it that no run on packets lasts longer than their number allows, in time that the run had a processor:
// whatever else a machine does, an endless loop is found, and nothing else is taken for one. It belongs to the goroutine
// that made it, which it keeps on its thread until end.
type watch struct {
	t       *testing.T
	clock   func() time.Duration // processor time of the thread
	done    chan struct{}
	stopped chan struct{}

	mu    sync.Mutex
	what  string
	due   time.Duration // on the clock; 0: nothing runs
	begun time.Duration
}

// What a run may take. The slowest of an honest one is a thousandth of it, under the race detector a hundredth.
const (
	runBudget    = 10 * time.Second
	packetBudget = 10 * time.Millisecond
)

func newWatch(t *testing.T) *watch {
	w := &watch{t: t, clock: threadClock(), done: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(w.stopped)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-w.done:
				return
			case <-tick.C:
			}
			w.mu.Lock()
			what, took := w.what, w.clock()-w.begun
			over := w.due != 0 && w.clock() > w.due
			w.mu.Unlock()
			if over { // it may never end: its stack is in what a panic prints
				panic(fmt.Sprintf("%s: still at it after %v of a processor", what, took))
			}
		}
	}()
	return w
}

// run calls f, which works on packets.
func (w *watch) run(what string, packets int, f func() int64) int64 {
	w.mu.Lock()
	w.what, w.begun = what, w.clock()
	w.due = w.begun + runBudget + time.Duration(packets)*packetBudget
	w.mu.Unlock()
	out := f()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clock() > w.due {
		w.t.Errorf("%s: %d packets took %v of a processor", what, packets, w.clock()-w.begun)
	}
	w.due = 0
	return out
}

func (w *watch) end() {
	close(w.done)
	<-w.stopped
}
