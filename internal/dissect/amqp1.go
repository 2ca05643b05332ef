package dissect

import (
	"bytes"
	"encoding/binary"
)

// amqp1 reads AMQP 1.0 (OASIS AMQP 1.0, parts 1, 2 and 5): performatives, and what they name. Messages pass. SASL's and
// TLS' layers begin with a header of their own, as AMQP proper does behind them.
type amqp1 struct {
	f      *amqpFields
	frames frames
}

const amqp1Longest = 1 << 30 // a frame that is longer is none

func newAMQP1(f *amqpFields) *amqp1 { return &amqp1{f: f, frames: frames{begins: amqp1Begins}} }

// amqp1Begins accepts a frame that begins with a performative (part 2, section 2.3.1).
func amqp1Begins(_ Dir, b []byte) bool {
	return len(b) >= 11 && b[0] == 0 && amqp1Size(b) >= 11 && b[4] == 2 && b[5] <= 1 && b[8] == 0 && b[9] == 0x53 && amqp1Name(b[10]) != ""
}

// amqp1Size returns the length of the frame, or of the header, that begins with h; 0 for none.
func amqp1Size(h []byte) int {
	if string(h[:4]) == "AMQP" {
		return amqpHeader
	}
	if n := binary.BigEndian.Uint32(h); n >= amqpHeader && n <= amqp1Longest && h[4] >= 2 && h[5] <= 1 {
		return int(n)
	}
	return 0
}

// amqp1Name returns the name of a performative by its descriptor (part 2, section 2.7; part 5, section 5.3.3), "" for none.
func amqp1Name(descriptor byte) string {
	if descriptor >= 0x40 {
		return nameOf([]string{"sasl-mechanisms", "sasl-init", "sasl-challenge", "sasl-response", "sasl-outcome"}, descriptor-0x40)
	}
	if descriptor < 0x10 {
		return ""
	}
	return nameOf([]string{"open", "begin", "attach", "flow", "transfer", "disposition", "detach", "end", "close"}, descriptor-0x10)
}

// parse is Parse of the connection's parser.
func (p *amqp1) parse(s *Session, dir Dir, b []byte) (int, Status) {
	tls := false
	n, st := p.frames.each(dir, b, amqpHeader, amqpMaxRead, amqp1Size, func(m []byte) bool {
		if m[0] != 'A' {
			p.frame(s, m)
			return true
		}
		s.Doc.AddString(p.f.version, "1.0")
		const protocolTLS = 2
		tls = m[4] == protocolTLS && dir == Server
		return !tls
	})
	if tls {
		s.Handover("tls")
	}
	return n, st
}

// frame reads a frame's performative.
func (p *amqp1) frame(s *Session, m []byte) {
	w := wire{b: m}
	w.take(4 * int(m[4])) // the header, with its extension
	v := amqp1Next(&w)
	if v.kind != amqp1Described || len(v.b) != 1 {
		return
	}
	name := amqp1Name(v.b[0])
	list := amqp1Next(&w)
	if name == "" || list.kind != amqp1List {
		return
	}
	s.Doc.AddString(p.f.method, name)
	fields := wire{b: list.b}
	next := func() amqp1Value { return amqp1Next(&fields) }
	switch name {
	case "open":
		addText(s, p.f.container, next().text())
		addText(s, p.f.vhost, next().text())
		for range 7 { // sizes, channels, time-out, locales, capabilities
			next()
		}
		p.product(s, next())
	case "attach":
		for range 5 { // name, handle, role, modes of settling
			next()
		}
		for range 2 {
			if d := next(); d.kind == amqp1Described { // a source or a target: its address stands in front
				terminus := wire{b: next().b}
				addText(s, p.f.address, amqp1Next(&terminus).text())
			}
		}
	case "detach":
		next()
		next()
		p.failureOf(s, next(), next())
	case "end", "close":
		p.failureOf(s, next(), next())
	case "sasl-init":
		mechanism, response := next().text(), next().text()
		addText(s, p.f.mechanism, mechanism)
		if string(mechanism) == "PLAIN" {
			if parts := bytes.Split(response, []byte{0}); len(parts) == 3 {
				addText(s, p.f.user, parts[1])
				s.addOwnUser(parts[1])
			}
		} else if user := scramUser(response); bytes.HasPrefix(mechanism, []byte("SCRAM-")) && len(user) > 0 {
			addText(s, p.f.user, user)
			s.addOwnUser(user)
		}
		addText(s, p.f.vhost, next().text())
	case "sasl-outcome":
		if code := next(); len(code.b) == 1 && code.b[0] != 0 {
			s.Doc.AddString(p.f.failure, "sasl:"+nameOf([]string{"ok", "auth", "sys", "sys-perm", "sys-temp"}, code.b[0]))
		}
	}
}

// failureOf notes the condition of an error, which has the descriptor before it.
func (p *amqp1) failureOf(s *Session, descriptor, list amqp1Value) {
	if descriptor.kind == amqp1Described && list.kind == amqp1List {
		w := wire{b: list.b}
		addText(s, p.f.failure, amqp1Next(&w).text())
	}
}

// product notes product and version among a peer's properties.
func (p *amqp1) product(s *Session, properties amqp1Value) {
	var product, version []byte
	for w := (wire{b: properties.b}); properties.kind == amqp1List && len(w.b) > 0; {
		key, value := amqp1Next(&w), amqp1Next(&w)
		switch string(key.text()) {
		case "product":
			product = value.text()
		case "version":
			version = value.text()
		}
	}
	if len(product) > 0 {
		addText(s, p.f.product, bytes.TrimSpace(append(append(bytes.Clone(product), ' '), version...)))
	}
}

// amqp1Value is a value of the type system (part 1, section 1.6). Of one that is described, the descriptor comes first, and
// what it describes is the value behind it.
type amqp1Value struct {
	kind byte
	b    []byte
}

const (
	amqp1Other     = iota
	amqp1Text      // string, symbol or binary
	amqp1List      // list or map: values one behind the other
	amqp1Described // the descriptor, a number
)

// text returns the bytes of a text, nil for other values.
func (v amqp1Value) text() []byte {
	if v.kind != amqp1Text {
		return nil
	}
	return v.b
}

// amqp1Next takes the next value, whose first byte says how long it is (part 1, section 1.2).
func amqp1Next(w *wire) amqp1Value {
	code := byte(w.be(1))
	if code == 0 && !w.bad {
		d := amqp1Next(w)
		if len(d.b) == 8 {
			d.b = d.b[7:] // all descriptors of interest are small
		}
		return amqp1Value{amqp1Described, d.b}
	}
	switch code >> 4 {
	case 5, 6, 7, 8, 9:
		return amqp1Value{amqp1Other, w.take(1 << (code>>4 - 5))}
	case 0xa:
		return amqp1Value{amqp1Text, w.text(1)}
	case 0xb:
		return amqp1Value{amqp1Text, w.text(4)}
	case 0xc, 0xd:
		width := 1
		if code>>4 == 0xd {
			width = 4
		}
		body := wire{b: w.text(width)}
		body.take(width) // how many values
		return amqp1Value{amqp1List, body.b}
	case 0xe:
		return amqp1Value{amqp1Other, w.text(1)}
	case 0xf:
		return amqp1Value{amqp1Other, w.text(4)}
	case 4:
		if code == 0x45 { // the empty list
			return amqp1Value{kind: amqp1List}
		}
		return amqp1Value{}
	}
	w.take(len(w.b) + 1) // no type
	return amqp1Value{}
}
