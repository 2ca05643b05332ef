package dissect

import (
	"encoding/binary"

	"wirelake/internal/spi"
)

// modbus reads Modbus over TCP (MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.1).
type modbus struct {
	Base
	transaction, protocol, unit, function, exception spi.FieldID
}

const (
	modbusPort   = 502
	modbusHeader = 8 // MBAP of 7 bytes, and the function code
)

func newModbus(r *spi.Registry) Protocol {
	number := func(path string, list bool, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "modbus." + path, Type: spi.Integer, List: list, Exprs: []string{"modbus." + path}, Name: name, Help: help})
	}
	p := &modbus{
		transaction: number("transactionid", true, "Transaction id", "transaction ids"),
		protocol:    number("protocolid", false, "Protocol id", "protocol id"),
		unit:        number("unitid", false, "Unit id", "unit id"),
		function:    number("funccode", true, "Function", "function codes"),
		exception:   number("exccode", true, "Exception", "exception codes"),
	}
	return Protocol{
		Name: "modbus",
		Matchers: []Matcher{
			{On: TCP, Port: modbusPort, Offset: 2, Bytes: "\x00\x00", MinLen: modbusHeader, Func: func(_ *Session, _ Dir, b []byte) bool { return modbusLength(b) > 0 }},
			{On: TCP, Offset: 2, Bytes: "\x00\x00\x00", MinLen: modbusHeader, Func: modbusRequest},
		},
		New: func(*Session) Parser { return p },
	}
}

// modbusRequest accepts, on any port, a first request that is whole and as long as its function asks for (MODBUS
// Application Protocol V1.1b3, section 6).
func modbusRequest(s *Session, dir Dir, b []byte) bool {
	if s.Reference || dir != Client || modbusLength(b) != len(b) || s.OnPort(modbusPort) {
		return false
	}
	pdu := b[7:]
	switch pdu[0] {
	case 1, 2, 3, 4: // reads: address, quantity of at most 2000 bits or 125 registers
		most := uint16(2000)
		if pdu[0] > 2 {
			most = 125
		}
		return len(pdu) == 5 && binary.BigEndian.Uint16(pdu[3:]) >= 1 && binary.BigEndian.Uint16(pdu[3:]) <= most
	case 5: // a coil
		return len(pdu) == 5 && (string(pdu[3:]) == "\xff\x00" || string(pdu[3:]) == "\x00\x00")
	case 6:
		return len(pdu) == 5
	case 15, 16: // writes: address, quantity, bytes that follow
		return len(pdu) > 6 && int(pdu[5]) == len(pdu)-6
	case 17:
		return len(pdu) == 1
	case 43: // encapsulated interface: device identification
		return len(pdu) == 4 && pdu[1] == 14
	}
	return false
}

// modbusLength returns the length of the frame at the front of b, 0 for none.
func modbusLength(b []byte) int {
	n := int(binary.BigEndian.Uint16(b[4:]))
	if binary.BigEndian.Uint16(b[2:]) != 0 || n < 2 || n > 254 {
		return 0
	}
	return 6 + n
}

// Parse implements Parser. p has no state, and is shared by all sessions.
func (p *modbus) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for len(b)-n >= modbusHeader {
		frame := b[n:]
		size := modbusLength(frame)
		if size == 0 {
			return n, Done
		}
		if len(frame) < size {
			break
		}
		// An answer repeats what it answers; the reference leaves it at that.
		if !s.Reference || s.Port(dir) != modbusPort {
			s.Doc.AddInt(p.transaction, int64(binary.BigEndian.Uint16(frame)))
			s.Doc.SetInt(p.protocol, 0)
			s.Doc.SetInt(p.unit, int64(frame[6]))
			s.Doc.AddInt(p.function, int64(frame[7]&0x7f))
		}
		if frame[7]&0x80 != 0 && size > modbusHeader {
			s.Doc.AddInt(p.exception, int64(frame[8]))
		}
		n += size
	}
	return n, More
}
