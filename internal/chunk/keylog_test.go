package chunk

import (
	"strings"
	"testing"
)

func TestKeyLogKey(t *testing.T) {
	m := Meta{Sensor: "edge1", Lane: "eth0", KeyNanos: 1_700_000_000e9, Sequence: 7}
	got, want := KeyLogKey(Key(m)), "keylogs/sensor=edge1/lane=eth0/day=2023-11-14/01700000000000000000-0000000007.keys"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if prefix := KeyLogPrefix("edge1", "eth0"); !strings.HasPrefix(got, prefix) || !strings.HasSuffix(prefix, "/lane=eth0/") {
		t.Errorf("prefix %q", prefix)
	}
}
