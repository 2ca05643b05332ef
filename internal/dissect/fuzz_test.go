package dissect

import "testing"

// FuzzParsers gives the input to the parser that the first argument picks.
func FuzzParsers(f *testing.F) {
	set := New()
	var names []string
	for _, p := range set.protocols {
		if p.New != nil {
			names = append(names, p.Name)
		}
	}
	for i := range names {
		f.Add(uint8(i), []byte("USER a\r\n"), []byte("220 hello\r\n"))
	}
	for _, seed := range []string{"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c", "0\x1a\x02\x01\x01\x04\x06public\xa0\x0d\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x02\x30\x00",
		"0\x1d\x02\x01\x01\x60\x18\x02\x01\x03\x04\x0bcn=a,dc=b,c\x80\x06secret", "\x00\x01\x00\x00\x21\x12\xa4\x42transactions",
		"\x00\x00\x00\x18\x00\x03\x00\x00user\x00me\x00\x00", "\x0a\x00\x00\x00\x0a5.5.5\x00xxxx", bgpMarker + "\x00\x13\x04"} {
		for i := range names {
			f.Add(uint8(i), []byte(seed), []byte(seed))
		}
	}
	for i, name := range names {
		if seed, ok := industrialSeeds()[name]; ok {
			f.Add(uint8(i), []byte(seed), []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, pick uint8, client, server []byte) {
		name := names[int(pick)%len(names)]
		tryParser(t, set, name, client, server)
	})
}
