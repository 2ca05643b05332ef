package dissect

import (
	"bytes"
	"encoding/binary"

	"wirelake/internal/spi"
)

// oracle reads the connect string of Oracle's Transparent Network Substrate (Oracle Net Services Reference,
// "Protocol Address Configuration"; TNS packets of type connect and data).
type oracle struct {
	host, service, user spi.FieldID
}

const (
	tnsHeader  = 8
	tnsConnect = 34 // a connect packet up to where connect data may begin, in the oldest version
	tnsLongest = 32 << 10
)

func newOracle(r *spi.Registry) Protocol {
	g := fieldGroup{r, "oracle"}
	p := &oracle{
		host:    g.scalar(spi.LoTerm, "host", "Host", "HOST of the connect string"),
		service: g.scalar(spi.LoTerm, "service", "Service", "SERVICE_NAME of the connect string"),
		user:    g.scalar(spi.LoTerm, "user", "User", "USER of the connect string"),
	}
	return Protocol{
		Name: "oracle",
		Matchers: []Matcher{{On: TCP, Offset: 4, Bytes: "\x01", MinLen: tnsConnect, Func: func(_ *Session, _ Dir, b []byte) bool {
			version := binary.BigEndian.Uint16(b[8:])
			offset := int(binary.BigEndian.Uint16(b[26:]))
			return version >= 300 && version < 400 && binary.BigEndian.Uint16(b[2:]) == 0 &&
				int(binary.BigEndian.Uint16(b)) >= tnsConnect && offset >= tnsConnect-8 && offset <= int(binary.BigEndian.Uint16(b))
		}}},
		New: func(*Session) Parser { return &oracleParser{oracle: p} },
	}
}

type oracleParser struct {
	Base
	*oracle
	data                            []byte // connect data so far
	want                            int    // bytes of connect data still to come, in packets of type data
	hostName, serviceName, userName string
}

// Parse implements Parser: the client's first packet, and the one behind it when connect data did not fit.
func (p *oracleParser) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	if dir == Server {
		return len(b), DirDone
	}
	n := 0
	for len(b)-n >= tnsHeader {
		packet := b[n:]
		size := int(binary.BigEndian.Uint16(packet))
		if size < tnsHeader || size > tnsLongest {
			return n, Done
		}
		if len(packet) < size {
			break
		}
		if !p.packet(s, packet[:size]) {
			return n, Done
		}
		n += size
		if p.want <= 0 {
			p.connectString(s, p.data)
			return n, DirDone
		}
	}
	return n, More
}

// packet keeps what a packet has of the connect data.
func (p *oracleParser) packet(s *Session, b []byte) bool {
	const connect, data = 1, 6
	at := len(b)
	switch {
	case b[4] == connect && len(b) >= tnsConnect:
		p.want = min(int(binary.BigEndian.Uint16(b[24:])), tnsLongest)
		at = int(binary.BigEndian.Uint16(b[26:]))
	case b[4] == data:
		at = tnsHeader + 2 // behind flags
	}
	b = b[min(at, len(b)):]
	b = b[:min(len(b), p.want)]
	if !s.Hold(len(b)) {
		return false
	}
	p.data = append(p.data, b...)
	p.want -= len(b)
	return true
}

func (p *oracleParser) connectString(s *Session, b []byte) {
	p.hostName = tnsValue(b, "HOST")
	p.userName = tnsValue(b, "USER")
	if p.serviceName = tnsValue(b, "SERVICE_NAME"); p.serviceName == "" && !s.Reference {
		p.serviceName = tnsValue(b, "SID") // what came before services, which the reference does not tell
	}
}

// tnsValue returns the first value of "(KEY=value)" in a connect string, in which keys have any case and blanks
// may stand around the equals sign.
func tnsValue(b []byte, key string) string {
	const longestKey = 64
	for {
		i := bytes.IndexByte(b, '(')
		if i < 0 {
			return ""
		}
		b = b[i+1:]
		name, _, ok := bytes.Cut(b[:min(len(b), longestKey)], []byte("="))
		if !ok {
			continue
		}
		rest := b[len(name)+1:]
		if !bytes.EqualFold(bytes.TrimSpace(name), []byte(key)) {
			continue
		}
		value, _, ok := bytes.Cut(rest, []byte(")"))
		if value = bytes.TrimSpace(value); ok && len(value) > 0 && value[0] != '(' {
			return string(value)
		}
	}
}

// End implements Parser: a session that goes on is still the same log-in.
func (p *oracleParser) End(s *Session, _ bool) {
	for _, v := range [...]struct {
		f    spi.FieldID
		text string
	}{{p.host, p.hostName}, {p.service, p.serviceName}, {p.user, p.userName}} {
		if v.text != "" {
			s.Doc.SetString(v.f, v.text)
		}
	}
}
