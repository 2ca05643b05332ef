package capture

import (
	"io"
	"sync/atomic"
	"testing"
)

// endless has bytes at hand until it is told to end.
type endless struct{ end atomic.Bool }

func (e *endless) Read(b []byte) (int, error) {
	if e.end.Load() {
		return 0, io.EOF
	}
	return len(b), nil
}

// A stream that is never quiet has its sinks told all the same: lanes of it may be.
func TestPumpOfABusyStream(t *testing.T) {
	src := &endless{}
	p := newPump(t.Context(), src, func() error { src.end.Store(true); return nil })
	if _, err := io.Copy(io.Discard, p); err != nil {
		t.Fatal(err)
	}
}
