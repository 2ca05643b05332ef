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

// berAny is berNext for encodings that BER allows and DER does not: indefinite lengths, whose content ends with two
// zeros (X.690 section 8.1.3.6), and tags of more than one byte, of which the first byte is returned.
func berAny(b []byte) (tag byte, content, rest []byte, ok bool) {
	const deepest = 16
	head := berTagLen(b)
	if head == 0 || len(b) <= head {
		return 0, nil, nil, false
	}
	if b[head] == 0x80 {
		size, ok := berIndefinite(b[head+1:], deepest)
		if !ok {
			return 0, nil, nil, false
		}
		return b[0], b[head+1 : head+1+size], b[head+1+size+2:], true
	}
	_, content, rest, ok = berNext(b[head-1:]) // a tag's last byte in place of a tag of one byte
	return b[0], content, rest, ok
}

// berTagLen returns how many bytes the tag at the front of b takes, 0 for none.
func berTagLen(b []byte) int {
	const long, more, longest = 0x1f, 0x80, 4
	if len(b) == 0 {
		return 0
	}
	if b[0]&long != long {
		return 1
	}
	for i := 1; i < min(len(b), longest); i++ {
		if b[i]&more == 0 {
			return i + 1
		}
	}
	return 0
}

// berIndefinite returns the length of content up to the two zeros that end it.
func berIndefinite(b []byte, depth int) (size int, ok bool) {
	for depth > 0 {
		rest := b[size:]
		if len(rest) < 2 {
			return 0, false
		}
		if rest[0]|rest[1] == 0 {
			return size, true
		}
		head := berTagLen(rest)
		if head == 0 || len(rest) <= head {
			return 0, false
		}
		if rest[head] == 0x80 {
			inner, ok := berIndefinite(rest[head+1:], depth-1)
			if !ok {
				return 0, false
			}
			size += head + 1 + inner + 2
			continue
		}
		n, lengthHead := berLength(rest[head-1:])
		if lengthHead == 0 || n < 0 || n > len(rest)-(head-1)-lengthHead {
			return 0, false
		}
		size += head - 1 + lengthHead + n
	}
	return 0, false
}
