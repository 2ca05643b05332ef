package session

import (
	"slices"
	"strings"
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/spi"
)

// TestNamedUnknown gives packets of protocols that the decoder does not know: those that a dissector names lose the
// decoder's name for them. The reference leaves it at that.
func TestNamedUnknown(t *testing.T) {
	ether := func(typ, payload string) frame {
		return frame{nanos: sec, data: []byte("\x01\x1b\x19\x00\x00\x00\x02\x00\x00\x00\x00\x01" + typ + payload)}
	}
	sync := "\x00\x02\x00\x2c" + strings.Repeat("\x00", 16) + "\x02\x00\x00\xff\xfe\x00\x00\x01" + strings.Repeat("\x00", 16)
	for _, tt := range []struct {
		what      string
		frame     frame
		want      []string
		reference []string
	}{
		{"PTP", ether("\x88\xf7", sync), []string{"ptp"}, []string{"unknown-ether"}},
		{"an ethertype of nobody", ether("\x99\x99", "x"), []string{"unknown-ether"}, []string{"unknown-ether"}},
		{"VRRP", ipFrame(sec, 1, 2, 112, []byte("\x31\x35\x64\x01\x00\x64\x00\x00\xc0\x00\x02\x01")), []string{"vrrp"}, []string{"unknown-ip"}},
		{"an IP protocol of nobody", ipFrame(sec, 1, 2, 251, []byte("x")), []string{"unknown-ip"}, []string{"unknown-ip"}},
	} {
		for _, reference := range []bool{false, true} {
			cfg := DefaultConfig()
			cfg.Reference = reference
			packets := decodeFrames(t, []frame{tt.frame})
			var got []string
			b := New(dissect.New(), cfg, nil, func(s *Session) {
				for v := range s.Doc.Each(spi.Protocol) {
					got = append(got, v.Str)
				}
			})
			b.Packet(&packets[0], Position{})
			b.Flush()
			want := tt.want
			if reference {
				want = tt.reference
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, reference %v: got %q, want %q", tt.what, reference, got, want)
			}
		}
	}
}
