package dissect

import (
	"encoding/binary"
	"fmt"

	"wirelake/internal/spi"
)

// enip reads EtherNet/IP encapsulation (The CIP Networks Library, volume 2, chapter 2) and the explicit messages
// of the Common Industrial Protocol within it (volume 1; tag services: Logix 5000 Controllers Data Access, 1756-PM020).
type enip struct {
	command, status, vendor, deviceType, product spi.FieldID
	service, class                               spi.FieldID
}

const (
	enipHeader = 24
	enipPort   = 44818
	enipFull   = 0xffff // longest payload of a message
)

func newENIP(r *spi.Registry) Protocol {
	g := fieldGroup{r, "enip"}
	p := &enip{
		command:    g.list(spi.Term, "command", "Command", "encapsulation commands"),
		status:     g.list(spi.Integer, "status", "Status", "encapsulation status"),
		vendor:     g.list(spi.Term, "vendor", "Vendor", "vendor names in ListIdentity"),
		deviceType: g.list(spi.Term, "deviceType", "Device type", "device types in ListIdentity", "device-type"),
		product:    g.list(spi.Term, "product", "Product", "product names in ListIdentity"),
		service:    g.list(spi.Term, "service", "CIP service", "CIP services by name"),
		class:      g.list(spi.Term, "class", "CIP class", "CIP object classes by name"),
	}
	command := func(_ *Session, _ Dir, b []byte) bool { return enipCommand(binary.LittleEndian.Uint16(b)) != "" }
	return Protocol{
		Name: "enip",
		Matchers: []Matcher{
			{On: TCP, Port: enipPort, MinLen: enipHeader, Func: command},
			{On: UDP, Port: enipPort, MinLen: enipHeader, Func: command},
			{On: TCP, Bytes: "\x65\x00\x04\x00", MinLen: enipHeader + 4, Func: at(enipHeader, "\x01\x00\x00\x00")}, // RegisterSession, version 1
		},
		New: func(*Session) Parser { return &enipParser{enip: p} },
	}
}

// enipCommand names an encapsulation command (table 2-3.2), "" for none.
func enipCommand(n uint16) string {
	switch n {
	case 0x00:
		return "NOP"
	case 0x04:
		return "ListServices"
	case 0x63:
		return "ListIdentity"
	case 0x64:
		return "ListInterfaces"
	case 0x65:
		return "RegisterSession"
	case 0x66:
		return "UnRegisterSession"
	case 0x6f:
		return "SendRRData"
	case 0x70:
		return "SendUnitData"
	case 0x72:
		return "IndicateStatus"
	case 0x73:
		return "Cancel"
	}
	return ""
}

type enipParser struct {
	Base
	*enip
	manager bool // the last service with two meanings was asked of the Connection Manager
}

// Parse implements Parser.
func (p *enipParser) Parse(s *Session, _ Dir, b []byte) (int, Status) {
	n := 0
	for len(b)-n >= enipHeader {
		m := b[n:]
		size := enipHeader + int(binary.LittleEndian.Uint16(m[2:]))
		if enipCommand(binary.LittleEndian.Uint16(m)) == "" {
			return n, Done
		}
		if len(m) < size {
			break
		}
		p.message(s, m[:size])
		n += size
	}
	return n, More
}

// Datagram implements Parser.
func (p *enipParser) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) >= enipHeader && enipCommand(binary.LittleEndian.Uint16(b)) != "" {
		p.message(s, b[:min(len(b), enipHeader+int(binary.LittleEndian.Uint16(b[2:])))])
	}
	return More
}

func (p *enipParser) message(s *Session, m []byte) {
	name := enipCommand(binary.LittleEndian.Uint16(m))
	s.Doc.AddString(p.command, name)
	s.Doc.AddInt(p.status, int64(binary.LittleEndian.Uint32(m[8:])))
	body := m[enipHeader:]
	switch name {
	case "ListIdentity":
		p.items(s, body)
	case "SendRRData", "SendUnitData":
		p.items(s, body[min(6, len(body)):]) // interface handle, timeout
	}
}

// items reads the Common Packet Format (section 2-6).
func (p *enipParser) items(s *Session, b []byte) {
	const identity, connected, unconnected = 0x0c, 0xb1, 0xb2
	if len(b) < 2 {
		return
	}
	count := int(binary.LittleEndian.Uint16(b))
	b = b[2:]
	for ; count > 0 && len(b) >= 4; count-- {
		typ, size := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		b = b[4:]
		item := b[:min(size, len(b))]
		b = b[len(item):]
		switch typ {
		case identity:
			p.identity(s, item)
		case connected:
			if len(item) > 2 { // behind a sequence number
				p.cip(s, item[2:], 0)
			}
		case unconnected:
			p.cip(s, item, 0)
		}
	}
}

// identity reads a ListIdentity item (table 2-4.4).
func (p *enipParser) identity(s *Session, b []byte) {
	const nameLength = 32
	if len(b) < 22 {
		return
	}
	vendor := binary.LittleEndian.Uint16(b[18:])
	name := cipVendor(vendor)
	if s.Reference {
		name = cipVendorReference(vendor)
	}
	if name != "" {
		s.Doc.AddString(p.vendor, name)
	} else {
		s.Doc.AddString(p.vendor, fmt.Sprintf("Vendor-%d", vendor))
	}
	s.Doc.AddString(p.deviceType, fmt.Sprintf("DeviceType-0x%04x", binary.LittleEndian.Uint16(b[20:])))
	if len(b) > nameLength {
		name := b[nameLength+1:]
		if name = name[:min(len(name), int(b[nameLength]))]; len(name) > 0 {
			s.Doc.AddBytes(p.product, name)
		}
	}
}

// cip reads a request or response of the message router (volume 1, section 2-4); depth counts messages within messages.
func (p *enipParser) cip(s *Session, b []byte, depth int) {
	const response, deepest = 0x80, 4
	if len(b) < 2 || depth > deepest {
		return
	}
	s.AddProtocol("cip")
	service := b[0] &^ response
	if b[0]&response != 0 {
		p.addService(s, service, p.manager)
		return
	}
	words := 2 * int(b[1])
	if len(b) < 2+words {
		return
	}
	class := cipClass(b[2 : 2+words])
	data := b[2+words:]
	if class >= 0 {
		if name := cipClassName(class); name != "" {
			s.Doc.AddString(p.class, name)
		} else {
			s.Doc.AddString(p.class, fmt.Sprintf("Class-0x%02x", class))
		}
	}
	const connectionManager, multiple, unconnectedSend = 6, 0x0a, 0x52
	p.manager = class == connectionManager
	p.addService(s, service, p.manager)
	switch {
	case service == multiple:
		p.multiple(s, data, depth)
	case p.manager && service == unconnectedSend && len(data) > 4: // priority, ticks, size of the message
		inner := data[4:]
		p.cip(s, inner[:min(len(inner), int(binary.LittleEndian.Uint16(data[2:])))], depth+1)
	}
}

// multiple reads the requests of a Multiple_Service_Packet: their number, where each begins, and they.
func (p *enipParser) multiple(s *Session, b []byte, depth int) {
	const most = 64
	if len(b) < 2 {
		return
	}
	count := min(int(binary.LittleEndian.Uint16(b)), most, (len(b)-2)/2)
	for i := range count {
		at, end := int(binary.LittleEndian.Uint16(b[2+2*i:])), len(b)
		if i+1 < count {
			end = min(end, int(binary.LittleEndian.Uint16(b[4+2*i:])))
		}
		if at < end {
			p.cip(s, b[at:end], depth+1)
		}
	}
}

func (p *enipParser) addService(s *Session, n byte, manager bool) {
	if name := cipService(n, manager); name != "" {
		s.Doc.AddString(p.service, name)
	} else {
		s.Doc.AddString(p.service, fmt.Sprintf("Service-0x%02x", n))
	}
}

// cipClass returns the class that a path leads to (volume 1, appendix C-1.4), -1 for none.
func cipClass(path []byte) int {
	for len(path) >= 2 {
		c := path[0]
		n := 2
		switch c >> 5 {
		case 0: // port, with a link address of one byte or more
			if c&0x0f == 0x0f {
				n += 2
			}
			if c&0x10 != 0 {
				n = (n + int(path[1]) + 1) &^ 1
			}
		case 1: // logical
			const electronicKey = 0x34
			format := int(c & 3)
			if c == electronicKey {
				n = 10
				break
			}
			if format > 0 {
				n = 2 + 2*format // a pad byte, and 2 or 4 bytes
			}
			if c>>2&7 == 0 && len(path) >= n {
				switch format {
				case 0:
					return int(path[1])
				case 1:
					return int(binary.LittleEndian.Uint16(path[2:]))
				}
			}
		case 2: // network
			if c&0x10 != 0 {
				n += 2 * int(path[1])
			}
		case 3: // symbolic
			n = (1 + int(c&0x1f) + 1) &^ 1
		case 4: // data: words, or the bytes of a symbol
			if c == 0x91 {
				n = (2 + int(path[1]) + 1) &^ 1
			} else {
				n += 2 * int(path[1])
			}
		default:
			return -1
		}
		path = path[min(n, len(path)):]
	}
	return -1
}
