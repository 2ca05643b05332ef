package chunk

import "testing"

func TestResumedKey(t *testing.T) {
	key := ResumedKey("edge1", "eth0")
	if want := "state/resumed/sensor=edge1/lane=eth0"; key != want {
		t.Errorf("got %q, want %q", key, want)
	}
	if got, want := ResumedLane(key), LanePrefix("edge1", "eth0"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
