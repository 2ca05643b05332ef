package dissect

import (
	"slices"
	"testing"
)

func TestRecognize(t *testing.T) {
	r := NewRecognizer(New())
	hello := append([]byte{0x16, 3, 1, 0, 60, 1, 0, 0, 56, 3, 3}, make([]byte, 54)...)
	for _, c := range []struct {
		on       Transport
		src, dst uint16
		b        string
		want     string
	}{
		{TCP, 40000, 8443, string(hello), "tls"},
		{TCP, 40000, 80, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http"},
		{TCP, 22, 40000, "SSH-2.0-OpenSSH_9.6\r\n", "ssh"},
		{UDP, 40000, 53, "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01", "dns"},
		{TCP, 1, 2, "", ""},
		{UDP, 1, 2, "\xff\xff\xff\xff", ""},
	} {
		var got []string
		r.Recognize(c.on, c.src, c.dst, []byte(c.b), func(name string) { got = append(got, name) })
		if c.want == "" && len(got) > 0 || c.want != "" && !slices.Contains(got, c.want) {
			t.Errorf("%q on %d to %d is %v, want %s", c.b, c.src, c.dst, got, c.want)
		}
	}
}
