package geo

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// mmdb makes a file in MaxMind's format with the records of IPv6 networks (those
// of IPv4 below ::/96), for tests of layouts that we may not ship. It knows maps,
// strings and uint32. Format: maxmind.github.io/MaxMind-DB, version 2.0.
func mmdb(t testing.TB, networks map[string]map[string]any) []byte {
	t.Helper()
	type node [2]int // index of a node, or -1-offset of a record, or 0 for nothing
	nodes := []node{{}}
	var data []byte
	for text, value := range networks {
		p := netip.MustParsePrefix(text)
		bits, bytes := p.Bits(), p.Addr().As16()
		if p.Addr().Is4() {
			v4 := p.Addr().As4()
			bytes = [16]byte{}
			copy(bytes[12:], v4[:])
			bits += 96
		}
		at := 0
		for i := range bits {
			bit := int(bytes[i/8]>>(7-i%8)) & 1
			if i == bits-1 {
				nodes[at][bit] = -1 - len(data)
				break
			}
			if nodes[at][bit] == 0 {
				nodes = append(nodes, node{})
				nodes[at][bit] = len(nodes) - 1
			}
			at = nodes[at][bit]
		}
		data = appendValue(data, value)
	}
	var file []byte
	for _, n := range nodes {
		for _, to := range n {
			switch {
			case to == 0:
				to = len(nodes)
			case to < 0:
				to = len(nodes) + 16 + (-1 - to)
			}
			file = append(file, byte(to>>16), byte(to>>8), byte(to)) // records of 24 bits
		}
	}
	file = append(file, make([]byte, 16)...)
	file = append(file, data...)
	file = append(file, "\xab\xcd\xefMaxMind.com"...)
	return appendValue(file, map[string]any{
		"binary_format_major_version": uint32(2), "node_count": uint32(len(nodes)), "record_size": uint32(24),
		"ip_version": uint32(6), "database_type": "test",
	})
}

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		if len(v) >= 29 { // the length less 29 is in the next byte
			return append(append(b, 2<<5|29, byte(len(v)-29)), v...)
		}
		return append(append(b, 2<<5|byte(len(v))), v...)
	case uint32:
		return binary.BigEndian.AppendUint32(append(b, 6<<5|4), v)
	case map[string]any:
		b = append(b, 7<<5|byte(len(v)))
		for k, item := range v {
			b = appendValue(appendValue(b, k), item)
		}
		return b
	}
	panic("not in the format's part that is written here")
}
