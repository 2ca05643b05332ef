package dissect

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"wirelake/internal/spi"
)

// socks reads what a client asks of a SOCKS proxy, versions 4, 4a and 5 (RFC 1928,
// 1929), and hands the tunnel's bytes over to classification.
type socks struct {
	Base
	f       *socksFields
	begun   bool
	client  Dir // who asks: not always the side that opened the connection
	version byte
	asked   bool         // the request is complete
	state   [2]socksStep // what a direction sends next, version 5
	method  int          // the server's choice, -1 before it
}

type socksFields struct {
	host, ip, port, user spi.FieldID
}

type socksStep uint8

const (
	socksGreeting socksStep = iota
	socksAuth
	socksRequest
	socksDone
)

func newSOCKS(r *spi.Registry) Protocol {
	f := &socksFields{
		host: r.Declare(spi.Field{Path: "socks.host", Type: spi.LoTerm, Exprs: []string{"host.socks", "socks.host"}, Hot: true, Bloom: true, Name: "Host", Help: "host asked for"}),
		ip:   r.Declare(spi.Field{Path: "socks.ip", Type: spi.IP, Exprs: []string{"ip.socks"}, Hot: true, Bloom: true, Port: "socks.port", Name: "IP", Help: "address asked for"}),
		port: r.Declare(spi.Field{Path: "socks.port", Type: spi.Integer, Exprs: []string{"port.socks"}, Hot: true, Name: "Port", Help: "port asked for"}),
		user: r.Declare(spi.Field{Path: "socks.user", Type: spi.Term, Exprs: []string{"socks.user"}, Name: "User", Help: "user name given to the proxy"}),
	}
	return Protocol{
		Name: "socks",
		Matchers: []Matcher{
			{On: TCP, Bytes: "\x05", MinLen: 3, Func: socks5Greeting},
			{On: TCP, Bytes: "\x04\x01", MinLen: 9, Func: socks4Request},
		},
		New: func(*Session) Parser { return &socks{f: f, method: -1} },
	}
}

// socks5Greeting accepts a list of methods that are known, and nothing behind it.
func socks5Greeting(_ *Session, _ Dir, b []byte) bool {
	if len(b) != 2+int(b[1]) {
		return false
	}
	for _, m := range b[2:] {
		if m > 9 && m < 0x80 {
			return false
		}
	}
	return b[1] > 0
}

// socks4Request accepts a CONNECT to an address or, in 4a, a name, whose texts
// can be read and end where the payload does.
func socks4Request(_ *Session, _ Dir, b []byte) bool {
	if b[len(b)-1] != 0 || len(b) > 8+2*256 || b[4] == 0 && b[5]|b[6] != 0 || b[4]|b[7] == 0 {
		return false
	}
	for _, c := range b[8:] {
		if c != 0 && (c < 0x20 || c > 0x7e) {
			return false
		}
	}
	return true
}

// Parse implements Parser.
func (p *socks) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	if !p.begun {
		p.begun, p.client, p.version = true, dir, b[0]
	}
	const longest = 1024 // no message is so long
	var n int
	var ok bool
	switch {
	case p.version == 4 && dir == p.client:
		n, ok = p.request4(s, b)
	case p.version == 4:
		return p.reply4(s, b)
	case dir == p.client:
		n, ok = p.client5(s, b)
	default:
		return p.server5(s, b)
	}
	if !ok || n == 0 && len(b) > longest && !p.asked {
		return n, Done
	}
	return n, More
}

// request4 reads a request of version 4 or 4a. What follows it belongs to the tunnel.
func (p *socks) request4(s *Session, b []byte) (int, bool) {
	if p.asked || len(b) < 9 {
		return 0, true
	}
	if b[0] != 4 {
		return 0, false
	}
	user, rest, ended := bytes.Cut(b[8:], []byte{0})
	if !ended {
		return 0, true
	}
	n := 8 + len(user) + 1
	port, ip := binary.BigEndian.Uint16(b[2:]), [4]byte(b[4:8])
	if ip[0]|ip[1]|ip[2] == 0 && ip[3] != 0 { // 4a: the name follows
		host, _, ended := bytes.Cut(rest, []byte{0})
		if !ended {
			return 0, true
		}
		n += len(host) + 1
		p.target(s, host, netip.Addr{}, port)
	} else {
		p.target(s, nil, netip.AddrFrom4(ip), port)
	}
	if len(user) > 0 {
		s.Doc.SetString(p.f.user, string(user))
	}
	p.asked = true
	return n, true
}

func (p *socks) reply4(s *Session, b []byte) (int, Status) {
	const length, granted = 8, 0x5a
	if len(b) < length {
		return 0, More
	}
	if b[0] != 0 || b[1] != granted || !p.asked {
		return 0, Done
	}
	s.Handover("")
	return length, Done
}

// client5 reads the client's messages of version 5.
func (p *socks) client5(s *Session, b []byte) (int, bool) {
	step := &p.state[0]
	switch {
	case p.asked || len(b) < 2:
		return 0, true
	case *step == socksGreeting:
		n := 2 + int(b[1])
		if b[0] != 5 || len(b) < n {
			return 0, b[0] == 5
		}
		*step = socksRequest
		return n, true
	case b[0] == 1: // user name and password (RFC 1929)
		u := int(b[1])
		if len(b) < 3+u || len(b) < 3+u+int(b[2+u]) {
			return 0, true
		}
		if u > 0 {
			s.Doc.SetString(p.f.user, string(b[2:2+u]))
		}
		s.AddTag("socks:password")
		return 3 + u + int(b[2+u]), true
	case b[0] != 5:
		return 0, p.method > 2 // another authentication: its bytes are not read
	}
	n, host, ip, port := socks5Address(b)
	if n <= 0 {
		return 0, n == 0
	}
	p.target(s, host, ip, port)
	p.asked = true
	return n, true
}

// server5 reads the proxy's messages of version 5.
func (p *socks) server5(s *Session, b []byte) (int, Status) {
	n := 0
	step := &p.state[1]
	if *step == socksGreeting {
		if len(b) < 2 {
			return 0, More
		}
		if b[0] != 5 || b[1] == 0xff {
			return 0, Done
		}
		p.method = int(b[1])
		*step, n = socksRequest, 2
		if p.method == 2 {
			*step = socksAuth
		}
	}
	if *step == socksAuth {
		if len(b) < n+2 {
			return n, More
		}
		if b[n] != 1 || b[n+1] != 0 {
			return n, Done
		}
		*step, n = socksRequest, n+2
	}
	if len(b) < n+2 {
		return n, More
	}
	if b[n] != 5 || b[n+1] != 0 {
		return n, Done
	}
	m, _, _, _ := socks5Address(b[n:])
	switch {
	case m < 0:
		return n, Done
	case m == 0:
		return n, More
	}
	s.Handover("")
	return n + m, Done
}

// socks5Address reads a request or reply: its length, 0 when more bytes are needed and -1 when it is none.
func socks5Address(b []byte) (n int, host []byte, ip netip.Addr, port uint16) {
	if len(b) < 5 {
		return 0, nil, netip.Addr{}, 0
	}
	size := 0
	switch b[3] {
	case 1:
		size = 4
	case 3:
		size = 1 + int(b[4])
	case 4:
		size = 16
	default:
		return -1, nil, netip.Addr{}, 0
	}
	n = 4 + size + 2
	if len(b) < n {
		return 0, nil, netip.Addr{}, 0
	}
	addr := b[4 : 4+size]
	if b[3] == 3 {
		host = addr[1:]
	} else {
		ip, _ = netip.AddrFromSlice(addr)
	}
	return n, host, ip, binary.BigEndian.Uint16(b[n-2:])
}

// target notes what the client asked for.
func (p *socks) target(s *Session, host []byte, ip netip.Addr, port uint16) {
	if len(host) > 0 {
		if a, err := netip.ParseAddr(string(host)); err == nil {
			ip = a
		} else {
			s.Doc.SetString(p.f.host, string(host))
		}
	}
	if ip.IsValid() {
		s.Doc.SetString(p.f.ip, ip.Unmap().String())
	}
	s.Doc.SetInt(p.f.port, int64(port))
}
