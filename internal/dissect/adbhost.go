package dissect

import "bytes"

// The requests that a client makes of the local ADB server (AOSP, SERVICES.TXT and OVERVIEW.TXT): a length of four hex
// digits, and text. What follows "host:transport:" on the connection goes to the device.

const (
	adbHostHeader  = 4
	adbHostLongest = 4 << 10
)

// adbHostRequest accepts the head of a request to the host.
func adbHostRequest(_ *Session, _ Dir, b []byte) bool {
	return adbHostLength(b) > 0 && (at(adbHostHeader, "host:", "host-serial:", "host-usb:", "host-local:", "host-transport-id:")(nil, 0, b))
}

// adbHostLength returns the length of the request at the front of b, 0 for none.
func adbHostLength(b []byte) int {
	n := 0
	for _, c := range b[:adbHostHeader] {
		d := unhex(c)
		if d > 15 {
			return 0
		}
		n = n<<4 | int(d)
	}
	if n > adbHostLongest {
		return 0
	}
	return n
}

// host reads requests of the client; answers hold what is known otherwise.
func (p *adbParser) host(s *Session, dir Dir, b []byte) (int, Status) {
	if dir == Server {
		return len(b), DirDone
	}
	n := 0
	for len(b)-n >= adbHostHeader {
		size := adbHostLength(b[n:])
		if size == 0 {
			return n, Done // the stream is another service's
		}
		if len(b)-n < adbHostHeader+size {
			break
		}
		p.hostRequest(s, b[n+adbHostHeader:n+adbHostHeader+size])
		n += adbHostHeader + size
	}
	return n, More
}

// adbSerialLen returns the length of the serial number at the front of b, which may be an address with a port.
func adbSerialLen(b []byte) int {
	i := bytes.IndexByte(b, ':')
	if i < 0 {
		return len(b)
	}
	port, _, _ := bytes.Cut(b[i+1:], []byte(":"))
	for _, c := range port {
		if c < '0' || c > '9' {
			return i
		}
	}
	return i + 1 + len(port)
}

func (p *adbParser) hostRequest(s *Session, request []byte) {
	kind, rest, ok := bytes.Cut(request, []byte(":"))
	switch string(kind) {
	case "host-serial":
		serial := rest
		if i := adbSerialLen(rest); i < len(rest) {
			serial, rest = rest[:i], rest[i+1:]
		}
		s.Doc.AddBytes(p.serial, bytes.ToLower(serial))
	case "host":
		serial, found := bytes.CutPrefix(rest, []byte("transport:"))
		if !found && !s.Reference { // since version 1.0.41
			serial, found = bytes.CutPrefix(rest, []byte("tport:serial:"))
		}
		if found {
			s.Doc.AddBytes(p.serial, bytes.ToLower(serial))
		}
	case "host-usb", "host-local", "host-transport-id":
	default:
		p.open(s, adbStream{Client, 0}, request)
		return
	}
	s.Doc.AddString(p.service, "host")
	if ok {
		p.forward(s, "forward", rest)
	}
}
