package spool

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"wirelake/sensor/capture"
)

// A lane in which nothing happens is forgotten after a while, unless something of it is
// nowhere else.
func TestLanesAreForgotten(t *testing.T) {
	cfg := testConfig(t)
	dir := cfg.Dir
	old := time.Now().Add(-forgetAfter - time.Hour)
	for lane, c := range map[string]struct {
		state laneState
		other string
		at    time.Time
		kept  bool
	}{
		"vxlan-1": {laneState{Version: Version, Sequence: 7}, "0000000003" + flowsExt, old, false},
		"vxlan-2": {laneState{Version: Version, Sequence: 7}, "", time.Now(), true},
		"vxlan-3": {laneState{Version: Version, Carried: Losses{Kernel: 1}}, "", old, true},
		"vxlan-4": {laneState{Version: Version}, "0000000003.wal.unreadable", old, true},
		"vxlan-5": {laneState{Version: Version}, noteFile, old, true},
		"eth0-0":  {laneState{Version: Version, Position: capture.Position{Ring: 1}}, "", old, true},
	} {
		folder := filepath.Join(dir, lanesFolder, lane)
		if err := os.MkdirAll(folder, 0o750); err != nil {
			t.Fatal(err)
		}
		if err := writeJSON(filepath.Join(folder, stateFile), c.state); err != nil {
			t.Fatal(err)
		}
		if c.other != "" {
			if err := os.WriteFile(filepath.Join(folder, c.other), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(filepath.Join(folder, stateFile), c.at, c.at); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if _, err := os.Stat(folder); os.IsNotExist(err) == c.kept {
				t.Errorf("%s: kept should be %v: %v", lane, c.kept, err)
			}
		}()
	}
	s := openSpool(t, cfg)
	defer stop(t, s)
	if n := len(s.Lanes()); n != 5 {
		t.Errorf("%d lanes, want 5", n)
	}
}
