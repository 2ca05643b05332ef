package dissect

import (
	"encoding/binary"

	"wirelake/internal/spi"
)

// dnp3 reads the Distributed Network Protocol (IEEE 1815-2012): link addresses
// (clause 9.2.4) and application functions (clause 4.2.2.5).
type dnp3 struct {
	Base
	src, dst, function, functionName spi.FieldID
}

const (
	dnp3Port    = 20000
	dnp3Start   = "\x05\x64"
	dnp3Header  = 10 // with its CRC
	dnp3Block   = 16 // bytes of user data before each CRC
	dnp3Minimum = 5  // of the length octet: control and both addresses
)

func newDNP3(r *spi.Registry) Protocol {
	g := fieldGroup{r, "dnp3"}
	p := &dnp3{
		src:          g.list(spi.Integer, "src", "Src", "link addresses of senders"),
		dst:          g.list(spi.Integer, "dst", "Dst", "link addresses of receivers"),
		function:     g.list(spi.Integer, "func", "Function", "application function numbers"),
		functionName: g.list(spi.Term, "funcName", "Function name", "application functions by name"),
	}
	frame := func(s *Session, _ Dir, b []byte) bool {
		return b[2] >= dnp3Minimum && (s.OnPort(dnp3Port) || dnp3CRC(b[:8]) == binary.LittleEndian.Uint16(b[8:]))
	}
	return Protocol{
		Name:     "dnp3",
		Matchers: []Matcher{{On: TCP, Bytes: dnp3Start, MinLen: dnp3Header, Func: frame}, {On: UDP, Bytes: dnp3Start, MinLen: dnp3Header, Func: frame}},
		New:      func(*Session) Parser { return p },
	}
}

// dnp3Function returns the name of an application function code (IEEE 1815 table 4-2).
func dnp3Function(n byte) string {
	names := []string{
		"Confirm", "Read", "Write", "Select", "Operate", "Direct Operate", "Direct Operate No Ack",
		"Immediate Freeze", "Immediate Freeze No Ack", "Freeze and Clear", "Freeze and Clear No Ack", "Freeze at Time", "Freeze at Time No Ack",
		"Cold Restart", "Warm Restart", "Initialize Data", "Initialize Application", "Start Application", "Stop Application", "Save Configuration",
		"Enable Unsolicited", "Disable Unsolicited", "Assign Class", "Delay Measurement", "Record Current Time",
		"Open File", "Close File", "Delete File", "Get File Info", "Authenticate File", "Abort File", "Activate Configuration",
		"Authentication Request", "Authentication Request No Ack",
	}
	const response = 0x81
	if n >= response {
		return nameOf([]string{"Response", "Unsolicited Response", "Authentication Response"}, n-response)
	}
	return nameOf(names, n)
}

// dnp3CRC returns the check of a block (clause 9.2.4.3).
func dnp3CRC(b []byte) uint16 {
	crc := uint16(0)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xa6bc
			} else {
				crc >>= 1
			}
		}
	}
	return ^crc
}

// Parse implements Parser. p has no state, and is shared by all sessions.
func (p *dnp3) Parse(s *Session, _ Dir, b []byte) (int, Status) {
	n := 0
	for len(b)-n >= dnp3Header {
		frame := b[n:]
		if string(frame[:2]) != dnp3Start || frame[2] < dnp3Minimum {
			return n, Done
		}
		size := dnp3Size(frame[2])
		if len(frame) < size {
			break
		}
		p.frame(s, frame[:size])
		n += size
	}
	return n, More
}

// Datagram implements Parser: frames follow one another; the last may be cut.
func (p *dnp3) Datagram(s *Session, _ Dir, b []byte) Status {
	for len(b) >= dnp3Header && string(b[:2]) == dnp3Start && b[2] >= dnp3Minimum {
		size := min(dnp3Size(b[2]), len(b))
		p.frame(s, b[:size])
		b = b[size:]
	}
	return More
}

// dnp3Size returns the bytes of a frame, given its length octet.
func dnp3Size(length byte) int {
	data := int(length) - dnp3Minimum
	return dnp3Header + data + 2*((data+dnp3Block-1)/dnp3Block)
}

func (p *dnp3) frame(s *Session, b []byte) {
	s.Doc.AddInt(p.dst, int64(binary.LittleEndian.Uint16(b[4:])))
	s.Doc.AddInt(p.src, int64(binary.LittleEndian.Uint16(b[6:])))
	const first, transport, application = 0x40, dnp3Header, dnp3Header + 1
	if int(b[2]) < dnp3Minimum+3 || len(b) < application+2 || b[transport]&first == 0 {
		return
	}
	function := b[application+1]
	s.Doc.AddInt(p.function, int64(function))
	if name := dnp3Function(function); name != "" {
		s.Doc.AddString(p.functionName, name)
	}
}
