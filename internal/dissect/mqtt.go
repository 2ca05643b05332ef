package dissect

import (
	"encoding/binary"

	"wirelake/internal/spi"
)

// mqtt reads MQTT 3.1, 3.1.1 and 5.0 (OASIS MQTT, chapter 3). Messages pass without being kept.
type mqtt struct {
	Base
	f       *mqttFields
	skip    [2]int  // bytes of the packet at hand that are of no use
	lost    [2]bool // where the next packet begins is not known
	version byte
}

type mqttFields struct {
	typ, version, clientID, flags, willTopic, topic, qos, connack spi.FieldID
}

// The control packet types that are read (section 2.1.2).
const (
	mqttConnect     = 1
	mqttConnack     = 2
	mqttPublish     = 3
	mqttSubscribe   = 8
	mqttUnsubscribe = 10
	mqttMaxHead     = 128 << 10 // the start of a packet that is read: CONNECT with texts of 64 KiB
)

func newMQTT(r *spi.Registry) Protocol {
	term := func(path, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "mqtt." + path, Type: spi.Term, List: true, Exprs: []string{"mqtt." + path}, Name: name, Help: help})
	}
	number := func(path, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "mqtt." + path, Type: spi.Integer, List: true, Exprs: []string{"mqtt." + path}, Name: name, Help: help})
	}
	f := &mqttFields{
		typ:       term("type", "Type", "packet types"),
		version:   term("version", "Version", "protocol versions"),
		clientID:  term("clientId", "Client id", "client ids"),
		flags:     term("flags", "Flags", "flags of CONNECT"),
		willTopic: term("willTopic", "Will topic", "topics of last wills"),
		topic:     term("topic", "Topic", "topics published or subscribed"),
		qos:       number("qos", "Quality of service", "quality of service levels"),
		connack:   number("connackCode", "CONNACK code", "return codes of CONNACK"),
	}
	return Protocol{
		Name: "mqtt",
		Matchers: []Matcher{
			{On: TCP, Bytes: "\x10", Func: at(2, "\x00\x04MQTT", "\x00\x06MQIsdp")},
			{On: TCP, Bytes: "\x10", Func: at(3, "\x00\x04MQTT", "\x00\x06MQIsdp")},
			onPort(1883, mqttPackets),
		},
		New: func(*Session) Parser { return &mqtt{f: f} },
	}
}

func mqttType(n byte) string {
	return [16]string{
		"", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
		"UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
	}[n&15]
}

// Parse implements Parser.
func (p *mqtt) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	if p.lost[dir] {
		if !mqttPackets(b) {
			return len(b), More
		}
		p.lost[dir] = false
	}
	for {
		m := min(p.skip[dir], len(b)-n)
		p.skip[dir] -= m
		n += m
		used, ok := p.packet(s, dir, b[n:])
		if !ok {
			return n, Done
		}
		if used == 0 {
			return n, More
		}
		n += used
	}
}

// packet reads a packet, or what is of use at its start. It returns 0 when it
// needs more bytes, and false for what is no packet.
func (p *mqtt) packet(s *Session, dir Dir, b []byte) (int, bool) {
	if len(b) < 2 {
		return 0, true
	}
	size, head := mqttLength(b[1:])
	if head < 0 {
		return 0, false
	}
	if head == 0 {
		return 0, true
	}
	head++
	typ, name := b[0]>>4, mqttType(b[0]>>4)
	if name == "" {
		return 0, false
	}
	need := 0 // of the body
	switch typ {
	case mqttConnect, mqttConnack, mqttSubscribe, mqttUnsubscribe:
		if need = size; need > mqttMaxHead {
			return 0, false
		}
	case mqttPublish:
		if size < 2 {
			return 0, false
		}
		if len(b) < head+2 {
			return 0, true
		}
		if need = 2 + int(binary.BigEndian.Uint16(b[head:])); need > size {
			return 0, false
		}
	}
	if len(b) < head+need {
		return 0, true
	}
	s.Doc.AddString(p.f.typ, name)
	body := b[head : head+need]
	switch typ {
	case mqttConnect:
		p.connect(s, body)
	case mqttConnack:
		if len(body) >= 2 {
			s.Doc.AddInt(p.f.connack, int64(body[1]))
		}
	case mqttPublish:
		s.Doc.AddInt(p.f.qos, int64(b[0]>>1&3))
		if len(body) > 2 {
			s.Doc.AddBytes(p.f.topic, body[2:])
		}
	case mqttSubscribe, mqttUnsubscribe:
		p.subscribe(s, typ, body)
	}
	p.skip[dir] = size - need
	return head + need, true
}

// mqttLength reads a length of up to 4 bytes (section 2.2.3). The second result
// is how many it takes, 0 when more are needed and -1 when it is none.
func mqttLength(b []byte) (size, n int) {
	for i := range min(len(b), 4) {
		size |= int(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return size, i + 1
		}
	}
	if len(b) < 4 {
		return 0, 0
	}
	return 0, -1
}

// mqttText splits a text behind its length of two bytes off b.
func mqttText(b []byte) (text, rest []byte, ok bool) {
	if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	return b[2:n], b[n:], true
}

// properties skips the properties that version 5 has here.
func (p *mqtt) properties(b []byte) ([]byte, bool) {
	if p.version < 5 {
		return b, true
	}
	size, n := mqttLength(b)
	if n <= 0 || len(b) < n+size {
		return nil, false
	}
	return b[n+size:], true
}

func (p *mqtt) connect(s *Session, b []byte) {
	_, b, ok := mqttText(b) // the protocol's name
	if !ok || len(b) < 4 {
		return
	}
	p.version = b[0]
	if name := nameOf([]string{3: "3.1", 4: "3.1.1", 5: "5.0"}, p.version); name != "" {
		s.Doc.AddString(p.f.version, name)
	}
	flags := b[1]
	const cleanSession, will, password, userName = 0x02, 0x04, 0x40, 0x80
	for _, f := range [...]struct {
		bit  byte
		name string
	}{{cleanSession, "cleanSession"}, {will, "hasWill"}, {password, "hasPassword"}} {
		if flags&f.bit != 0 {
			s.Doc.AddString(p.f.flags, f.name)
		}
	}
	b, ok = p.properties(b[4:])
	if !ok {
		return
	}
	client, b, ok := mqttText(b)
	if !ok {
		return
	}
	if len(client) > 0 {
		s.Doc.AddBytes(p.f.clientID, client)
	}
	if flags&will != 0 {
		if b, ok = p.properties(b); !ok {
			return
		}
		var topic []byte
		if topic, b, ok = mqttText(b); !ok {
			return
		}
		s.Doc.AddBytes(p.f.willTopic, topic)
		if _, b, ok = mqttText(b); !ok { // the will itself
			return
		}
	}
	if flags&userName != 0 {
		if user, _, ok := mqttText(b); ok {
			s.AddUser(user)
		}
	}
}

// mqttTopics reports whether b is topics only, as before version 5.
func mqttTopics(b []byte, typ byte) bool {
	for len(b) > 0 {
		topic, rest, ok := mqttText(b)
		if !ok || len(topic) == 0 {
			return false
		}
		if b = rest; typ == mqttSubscribe {
			if len(b) == 0 || b[0] > 2 {
				return false
			}
			b = b[1:]
		}
	}
	return true
}

func (p *mqtt) subscribe(s *Session, typ byte, b []byte) {
	if len(b) < 2 {
		return
	}
	if p.version == 0 && !mqttTopics(b[2:], typ) { // nobody said, and it is not as before version 5
		p.version = 5
	}
	b, ok := p.properties(b[2:])
	for ok && len(b) > 0 {
		var topic []byte
		if topic, b, ok = mqttText(b); !ok {
			return
		}
		s.Doc.AddBytes(p.f.topic, topic)
		if typ == mqttSubscribe && len(b) > 0 {
			b = b[1:] // the quality of service asked for
		}
	}
}

// Gap implements Parser: a message of known length survives it. Behind it packets are looked for where segments begin.
func (p *mqtt) Gap(s *Session, dir Dir, missing int) Status {
	if missing > p.skip[dir] {
		if s.Reference {
			return Done
		}
		p.skip[dir], p.lost[dir] = 0, true
		return More
	}
	p.skip[dir] -= missing
	return More
}
