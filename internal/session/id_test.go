package session

import (
	"net/netip"
	"testing"

	"wirelake/internal/packet"
)

// TestID holds the test vectors of docs/sessions.md.
func TestID(t *testing.T) {
	key, _, err := packet.KeyFromAddrs(packet.ProtoTCP, netip.MustParseAddrPort("128.232.110.120:34855"), netip.MustParseAddrPort("66.35.250.204:80"))
	if err != nil {
		t.Fatal(err)
	}
	const first, later = 1_071_580_904_891_921_123, 1_071_667_304_000_000_000
	for _, c := range []struct {
		lane    string
		nanos   int64
		segment int
		want    string
	}{
		{"eth0-1-0", first, 1, "031216-a7ptg4r4a3rybvkfgz5x34366a"},
		{"eth0-1-0", later, 2, "031217-cjcajgpbf4lwlr4pzowdxv3vxq"},
	} {
		if got := ID(c.lane, &key, c.nanos, first, 2855990021, c.segment); got != c.want {
			t.Errorf("segment %d: got %s, want %s", c.segment, got, c.want)
		}
	}
}
