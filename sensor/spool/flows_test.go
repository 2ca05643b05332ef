package spool

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"wirelake/sensor/capture"
)

// TestFlowsFiles holds that a file of flows counts for the segments behind its own
// alone, also after a restart, and that a finished segment takes those before it away.
func TestFlowsFiles(t *testing.T) {
	cfg := testConfig(t)
	last := uint64(0)
	for run := range 4 {
		s := openSpool(t, cfg)
		l := lane(t, s, "eth0-0")
		put(t, l, run*10, run*10+10)
		closeLane(t, l)
		stop(t, s)
		s = openSpool(t, cfg)
		l = lane(t, s, "eth0-0")
		g := l.NextSegment(t.Context())
		if run > 0 {
			if g.Number <= last {
				t.Errorf("segment %d comes after %d", g.Number, last)
			}
			b, err := os.ReadFile(g.FlowsBefore())
			if err != nil || string(b) != "flows" {
				t.Errorf("before segment %d: %q, %v", g.Number, b, err)
			}
		}
		before := g.FlowsBefore()
		if err := os.WriteFile(g.FlowsFile(), []byte("flows"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := g.FlowsBefore(); got != before { // a crash here: the segment is still there
			t.Errorf("segment %d takes %q, which was written behind it", g.Number, got)
		}
		if err := errors.Join(g.Finish(nil, Losses{}, Losses{}, capture.Position{}), g.ForgetFlows()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(before); before != "" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", before, err)
		}
		last = g.Number
		closeLane(t, l)
		stop(t, s)
	}
}
