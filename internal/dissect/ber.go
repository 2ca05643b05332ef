package dissect

import "strconv"

// berNext splits the first element off b: its tag, its content and what follows
// (X.690 section 8.1, definite lengths). Content that is said to go on behind the
// end of b is cut there: what is there is worth reading. It reports false when b holds no element.
func berNext(b []byte) (tag byte, content, rest []byte, ok bool) {
	size, head := berLength(b)
	if head == 0 || size < 0 {
		return 0, nil, nil, false
	}
	size = min(size, len(b)-head)
	return b[0], b[head : head+size], b[head+size:], true
}

// berInt returns the value of an INTEGER's content, of at most 8 bytes.
func berInt(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 8 {
		return 0, false
	}
	n = int64(int8(b[0]))
	for _, c := range b[1:] {
		n = n<<8 | int64(c)
	}
	return n, true
}

// berOID returns the text of an OBJECT IDENTIFIER's content (X.690 section 8.19), "" when it is none.
func berOID(b []byte) string {
	const longest = 128 // bytes; SNMP's are of 128 arcs at most
	if len(b) == 0 || len(b) > longest || b[len(b)-1]&0x80 != 0 {
		return ""
	}
	var out []byte
	var arc uint64
	for i, first := 0, true; i < len(b); i++ {
		if arc > 1<<56 {
			return ""
		}
		arc = arc<<7 | uint64(b[i]&0x7f)
		if b[i]&0x80 != 0 {
			continue
		}
		if first {
			top := min(arc/40, 2)
			out = strconv.AppendUint(out, top, 10)
			arc -= top * 40
			first = false
		}
		out = append(out, '.')
		out = strconv.AppendUint(out, arc, 10)
		arc = 0
	}
	return string(out)
}

// Identifier octets (X.690 section 8.1.2).
const (
	berBoolean         = 0x01
	berInteger         = 0x02
	berBits            = 0x03
	berOctets          = 0x04
	berOIDTag          = 0x06
	berUTCTime         = 0x17
	berGeneralizedTime = 0x18
	berBMPString       = 0x1e
	berSequence        = 0x30
	berSet             = 0x31
	berConstructed     = 0x20
	berContext         = 0x80
)

// berReader takes elements off the front of b.
type berReader struct{ b []byte }

// take returns the content of the first element when it has the tag; of any
// other it returns nil and leaves it there, so that optional elements can be passed.
func (r *berReader) take(tag byte) []byte {
	t, content, rest, ok := berNext(r.b)
	if !ok || t != tag {
		return nil
	}
	r.b = rest
	return content
}
