package dissect

import (
	"encoding/binary"

	"wirelake/internal/spi"
)

// opcua reads the connection protocol of OPC UA (OPC 10000-6 section 7.1) and the opening of its secure
// channels (section 6.7.2), with the certificate of who opens.
type opcua struct {
	endpoint, policy spi.FieldID
	certificate      *certFields
}

const (
	opcuaHeader  = 8        // message type, chunk type, size
	opcuaLongest = 64 << 10 // of the messages that are read
)

func newOPCUA(r *spi.Registry) Protocol {
	g := fieldGroup{r, "opcua"}
	p := &opcua{
		endpoint:    g.list(spi.Term, "endpointUrl", "Endpoint URL", "endpoint URLs of Hello and ReverseHello"),
		policy:      g.list(spi.Term, "securityPolicyUri", "Security policy", "security policies of OpenSecureChannel"),
		certificate: newCertFields(r),
	}
	return Protocol{
		Name: "opcua",
		New:  func(*Session) Parser { return &opcuaParser{opcua: p} },
		Matchers: []Matcher{
			opcuaMatcher("HEL"), opcuaMatcher("ACK"), opcuaMatcher("ERR"), opcuaMatcher("RHE"), opcuaMatcher("OPN"), opcuaMatcher("MSG"), opcuaMatcher("CLO"),
		},
	}
}

func opcuaMatcher(typ string) Matcher {
	return Matcher{On: TCP, Bytes: typ, MinLen: opcuaHeader, Func: func(_ *Session, _ Dir, b []byte) bool { return opcuaSize(b) > 0 }}
}

// opcuaRead reports whether a message is of a type that is small, and read.
func opcuaRead(b []byte) bool {
	switch string(b[:3]) {
	case "HEL", "ACK", "ERR", "RHE", "OPN":
		return true
	}
	return false
}

// opcuaSize returns the length of the message at the front of b, 0 for none.
func opcuaSize(b []byte) int {
	size := binary.LittleEndian.Uint32(b[4:])
	if b[3] != 'F' && b[3] != 'C' && b[3] != 'A' || size < opcuaHeader || size > maxFirstMessage {
		return 0
	}
	return int(size)
}

type opcuaParser struct {
	Base
	*opcua
	skip [2]int // bytes of a message still to come
}

// Parse implements Parser.
func (p *opcuaParser) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := min(p.skip[dir], len(b))
	p.skip[dir] -= n
	for len(b)-n >= opcuaHeader {
		m := b[n:]
		size := opcuaSize(m)
		if size == 0 {
			return n, Done
		}
		if opcuaRead(m) && size <= opcuaLongest {
			if len(m) < size {
				return n, More
			}
			p.message(s, m[:size])
		}
		rest := min(size, len(m))
		p.skip[dir] = size - rest
		n += rest
	}
	return n, More
}

func (p *opcuaParser) message(s *Session, m []byte) {
	body := m[opcuaHeader:]
	switch string(m[:3]) {
	case "HEL":
		const limits = 20 // version, buffer sizes, message size, chunk count
		if len(body) > limits {
			if url, _, ok := opcuaString(body[limits:]); ok && len(url) > 0 {
				s.Doc.AddBytes(p.endpoint, url)
			}
		}
	case "RHE":
		if _, rest, ok := opcuaString(body); ok { // server URI
			if url, _, ok := opcuaString(rest); ok && len(url) > 0 {
				s.Doc.AddBytes(p.endpoint, url)
			}
		}
	case "OPN":
		const channel = 4
		if len(body) < channel {
			return
		}
		policy, rest, ok := opcuaString(body[channel:])
		if !ok {
			return
		}
		if len(policy) > 0 {
			s.Doc.AddBytes(p.policy, policy)
		}
		if der, _, ok := opcuaString(rest); ok && len(der) > 0 {
			p.certificate.add(s, der)
		}
	}
}

// opcuaString splits a String or ByteString off b (OPC 10000-6 section 5.2.2.4): its length, -1 for null, and its bytes.
func opcuaString(b []byte) (value, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	size := binary.LittleEndian.Uint32(b)
	b = b[4:]
	if size == 0xffffffff {
		return nil, b, true
	}
	if uint64(size) > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:size], b[size:], true
}
