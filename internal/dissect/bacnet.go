package dissect

import (
	"encoding/binary"
	"unicode/utf16"

	"wirelake/internal/spi"
)

// bacnet reads BACnet/IP (ANSI/ASHRAE 135: annexes J and U for the virtual link, clause 6 for
// the network layer, clauses 20 and 21 for what is asked).
type bacnet struct {
	Base
	function, apduType, service, objectName spi.FieldID
}

const (
	bacnetIPv4 = 0x81 // BVLC type, annex J
	bacnetIPv6 = 0x82 // annex U
	bacnetBVLC = 4
)

func newBACnet(r *spi.Registry) Protocol {
	g := fieldGroup{r, "bacnet"}
	p := &bacnet{
		function:   g.list(spi.Term, "function", "Function", "BVLC functions by name"),
		apduType:   g.list(spi.Term, "apduType", "APDU type", "APDU types by name", "apdu-type"),
		service:    g.list(spi.Term, "service", "Service", "services by name"),
		objectName: g.list(spi.Term, "objectName", "Object name", "names of objects", "object-name"),
	}
	message := func(_ *Session, _ Dir, b []byte) bool {
		size := int(binary.BigEndian.Uint16(b[2:]))
		return size == len(b) && bacnetFunction(b) != ""
	}
	return Protocol{
		Name: "bacnet",
		Matchers: []Matcher{
			{On: UDP, Bytes: "\x81", MinLen: bacnetBVLC, Func: message},
			{On: UDP, Bytes: "\x82", MinLen: bacnetBVLC, Func: message},
		},
		New: func(*Session) Parser { return p },
	}
}

// bacnetFunction names the function of a virtual link message (sections J.2, U.2), "" for none.
func bacnetFunction(b []byte) string {
	if b[0] == bacnetIPv4 {
		return nameOf([]string{
			"result", "write-broadcast-distribution-table", "read-broadcast-distribution-table", "read-broadcast-distribution-table-ack",
			"forwarded", "register-foreign-device", "read-foreign-device-table", "read-foreign-device-table-ack",
			"delete-foreign-device-table-entry", "distribute-broadcast", "original-unicast", "original-broadcast", "secure-bvll",
		}, b[1])
	}
	return nameOf([]string{
		"result", "original-unicast", "original-broadcast", "address-resolution", "forwarded-address-resolution", "address-resolution-ack",
		"virtual-address-resolution", "virtual-address-resolution-ack", "forwarded", "register-foreign-device",
		"delete-foreign-device-table-entry", "secure-bvll", "distribute-broadcast",
	}, b[1])
}

func bacnetAPDUType(n byte) string {
	return nameOf([]string{"confirmed-request", "unconfirmed-request", "simple-ack", "complex-ack", "segment-ack", "error", "reject", "abort"}, n)
}

// bacnetConfirmed names a BACnetConfirmedServiceChoice (clause 21).
func bacnetConfirmed(n byte) string {
	return nameOf([]string{
		"acknowledge-alarm", "confirmed-cov-notification", "confirmed-event-notification", "get-alarm-summary", "get-enrollment-summary",
		"subscribe-cov", "atomic-read-file", "atomic-write-file", "add-list-element", "remove-list-element", "create-object", "delete-object",
		"read-property", "read-property-conditional", "read-property-multiple", "write-property", "write-property-multiple",
		"device-communication-control", "confirmed-private-transfer", "confirmed-text-message", "reinitialize-device",
		"vt-open", "vt-close", "vt-data", "authenticate", "request-key", "read-range", "life-safety-operation", "subscribe-cov-property",
		"get-event-information", "subscribe-cov-property-multiple", "confirmed-cov-notification-multiple", "confirmed-audit-notification", "audit-log-query",
	}, n)
}

// bacnetUnconfirmed names a BACnetUnconfirmedServiceChoice (clause 21).
func bacnetUnconfirmed(n byte) string {
	return nameOf([]string{
		"i-am", "i-have", "unconfirmed-cov-notification", "unconfirmed-event-notification", "unconfirmed-private-transfer", "unconfirmed-text-message",
		"time-synchronization", "who-has", "who-is", "utc-time-synchronization", "write-group", "unconfirmed-cov-notification-multiple",
		"unconfirmed-audit-notification", "who-am-i", "you-are",
	}, n)
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *bacnet) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) < bacnetBVLC || b[0] != bacnetIPv4 && b[0] != bacnetIPv6 {
		return More
	}
	function := bacnetFunction(b)
	if function == "" {
		return More
	}
	s.Doc.AddString(p.function, function)
	head := bacnetBVLC
	six := b[0] == bacnetIPv6
	switch function {
	case "original-unicast":
		if six {
			head += 6 // virtual addresses of both ends
		}
	case "original-broadcast", "distribute-broadcast":
		if six {
			head += 3
		}
	case "forwarded":
		head += 6 // address and port of who sent it
		if six {
			head += 3 + 18 - 6
		}
	default:
		return More
	}
	if len(b) > head {
		p.network(s, b[head:])
	}
	return More
}

// network reads an NPDU (clause 6.2).
func (p *bacnet) network(s *Session, b []byte) {
	const version, networkMessage, hasDestination, hasSource = 1, 0x80, 0x20, 0x08
	if len(b) < 2 || b[0] != version || b[1]&networkMessage != 0 {
		return
	}
	control := b[1]
	head := 2
	for _, bit := range [...]byte{hasDestination, hasSource} {
		if control&bit != 0 {
			if len(b) < head+3 {
				return
			}
			head += 3 + int(b[head+2]) // network, length, address
		}
	}
	if control&hasDestination != 0 {
		head++ // hop count
	}
	if len(b) > head {
		p.application(s, b[head:])
	}
}

// application reads an APDU (clause 20.1).
func (p *bacnet) application(s *Session, b []byte) {
	const segmented = 0x08
	s.Doc.AddString(p.apduType, bacnetAPDUType(b[0]>>4))
	choice := 0
	switch bacnetAPDUType(b[0] >> 4) {
	case "confirmed-request":
		choice = 3
		if b[0]&segmented != 0 {
			choice += 2
		}
	case "complex-ack":
		choice = 2
		if b[0]&segmented != 0 {
			choice += 2
		}
	case "simple-ack", "error":
		choice = 2
	case "unconfirmed-request":
		if len(b) >= 2 {
			if name := bacnetUnconfirmed(b[1]); name != "" {
				s.Doc.AddString(p.service, name)
				p.names(s, b[2:], name == "i-have" || name == "who-has" || name == "you-are")
			}
		}
		return
	default:
		return
	}
	if len(b) <= choice {
		return
	}
	if name := bacnetConfirmed(b[choice]); name != "" {
		s.Doc.AddString(p.service, name)
		p.names(s, b[choice+1:], false)
	}
}

// names looks through a service's parameters (clause 20.2) for names of objects: texts that follow the property
// identifier object-name, or all texts.
func (p *bacnet) names(s *Session, b []byte, all bool) {
	const (
		context, extended = 0x08, 0x0f
		opening, closing  = 6, 7
		characterString   = 7
		objectName        = 77 // BACnetPropertyIdentifier
	)
	property := -1
	for len(b) > 0 {
		tag := b[0]
		number, size := tag>>4, int(tag&7)
		b = b[1:]
		if number == extended {
			if len(b) == 0 {
				return
			}
			number, b = b[0], b[1:]
		}
		if tag&context != 0 && (size == opening || size == closing) || tag&context == 0 && number == 1 { // a boolean's value is in its tag
			continue
		}
		if size == 5 {
			var ok bool
			if size, b, ok = bacnetLength(b); !ok {
				return
			}
		}
		if size > len(b) {
			return
		}
		value := b[:size]
		b = b[size:]
		switch {
		case tag&context == 0 && number == characterString && (all || property == objectName), all && tag&context != 0 && number == 3:
			if name := bacnetText(value); name != "" {
				s.Doc.AddString(p.objectName, name)
			}
		case tag&context != 0 && (number == 1 || number == 2) && size >= 1 && size <= 4: // propertyIdentifier in all services
			property = 0
			for _, c := range value {
				property = property<<8 | int(c)
			}
		}
	}
}

// bacnetLength reads the length of a value of more than 4 bytes.
func bacnetLength(b []byte) (size int, rest []byte, ok bool) {
	switch {
	case len(b) >= 3 && b[0] == 254:
		return int(binary.BigEndian.Uint16(b[1:])), b[3:], true
	case len(b) >= 5 && b[0] == 255:
		return int(binary.BigEndian.Uint32(b[1:])), b[5:], true
	case len(b) >= 1 && b[0] < 254:
		return int(b[0]), b[1:], true
	}
	return 0, nil, false
}

// bacnetText decodes a character string (clause 20.2.9), "" for none in a character set that is read.
func bacnetText(b []byte) string {
	if len(b) < 2 {
		return ""
	}
	text := b[1:]
	switch b[0] {
	case 0: // UTF-8
		return string(text)
	case 4: // UCS-2
		var units []uint16
		for ; len(text) >= 2; text = text[2:] {
			units = append(units, binary.BigEndian.Uint16(text))
		}
		return string(utf16.Decode(units))
	case 5: // ISO 8859-1
		runes := make([]rune, len(text))
		for i, c := range text {
			runes[i] = rune(c)
		}
		return string(runes)
	}
	return ""
}
