package dissect

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"wirelake/internal/spi"
)

// amqp reads AMQP 0-9-1 (its specification, sections 2.3 and 4.2): methods, and what they name. Contents pass. AMQP 1.0,
// another protocol with the same first bytes, is read by amqp1.
type amqp struct {
	Base
	f      *amqpFields
	frames frames
	begun  [2]bool
	one    *amqp1 // of version 1.0
}

type amqpFields struct {
	version, method, exchange, routingKey, queue, vhost, user, mechanism, product, replyCode spi.FieldID
	address, container, failure                                                              spi.FieldID
}

const (
	amqpHeader  = 8        // of the protocol
	amqpMaxRead = 16 << 10 // of a frame
)

func newAMQP(r *spi.Registry) Protocol {
	g := fieldGroup{r, "amqp"}
	f := &amqpFields{
		version:    g.list(spi.Term, "version", "Version", "protocol versions"),
		method:     g.list(spi.Term, "method", "Methods", "methods called, class and name; performatives (1.0)"),
		exchange:   g.list(spi.Term, "exchange", "Exchange", "exchanges declared, published to or delivered from"),
		routingKey: g.list(spi.Term, "routingKey", "Routing key", "routing keys of messages and bindings"),
		queue:      g.list(spi.Term, "queue", "Queue", "queues declared, bound or consumed from"),
		vhost:      g.list(spi.Term, "vhost", "Virtual host", "virtual hosts opened; host names that clients open (1.0)"),
		user:       g.list(spi.Term, "user", "User", "user names of PLAIN and AMQPLAIN log-ins"),
		mechanism:  g.list(spi.Term, "mechanism", "Mechanism", "mechanisms of log-ins"),
		product:    g.list(spi.Term, "product", "Product", "products and versions of client and server"),
		address:    g.list(spi.Term, "address", "Address", "sources and targets of links (1.0)"),
		container:  g.list(spi.Term, "container", "Container", "ids of containers (1.0)"),
		failure:    g.list(spi.Term, "error", "Error", "conditions of errors (1.0)"),
		replyCode:  g.list(spi.Integer, "replyCode", "Reply code", "reply codes of closes"),
	}
	return Protocol{
		Name: "amqp",
		Matchers: []Matcher{
			{On: TCP, Bytes: "AMQP", MinLen: amqpHeader},
			{On: TCP, Bytes: "\x01", MinLen: 12, Func: func(_ *Session, dir Dir, b []byte) bool { return amqpBegins(dir, b) }},
			{On: TCP, Bytes: "\x00", Port: 5672, MinLen: 12, Func: func(_ *Session, dir Dir, b []byte) bool { return amqp1Begins(dir, b) }},
		},
		New: func(*Session) Parser { return &amqp{f: f, frames: frames{begins: amqpBegins}} },
	}
}

// Parse implements Parser.
func (p *amqp) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	if p.one != nil {
		return p.one.parse(s, dir, b)
	}
	if !p.begun[dir] {
		if b[0] == 0 { // version 1.0, without the headers
			p.one = newAMQP1(p.f)
			return p.one.parse(s, dir, b)
		}
		if m := min(4, len(b)); string(b[:m]) == "AMQP"[:m] {
			if len(b) < amqpHeader {
				return 0, More
			}
			if p.one = p.header(s, b); p.one != nil {
				return p.one.parse(s, dir, b)
			}
			n = amqpHeader
		}
		p.begun[dir] = true
	}
	const frameHead, frameEnd = 7, 1
	m, st := p.frames.each(dir, b[n:], frameHead, amqpMaxRead, func(h []byte) int {
		if h[0] == 0 || h[0] > 8 {
			return 0
		}
		return frameHead + int(binary.BigEndian.Uint32(h[3:])) + frameEnd
	}, func(frame []byte) bool {
		if frame[0] == 1 {
			p.call(s, &wire{b: frame[frameHead:]})
		}
		return true
	})
	return n + m, st
}

// Gap implements Parser.
func (p *amqp) Gap(_ *Session, dir Dir, missing int) Status {
	if p.one != nil {
		return p.one.frames.gap(dir, missing)
	}
	return p.frames.gap(dir, missing)
}

// amqpBegins accepts a frame: a method that is known, or another kind that is whole, with its end.
func amqpBegins(_ Dir, b []byte) bool {
	const frameHead = 7
	if len(b) < frameHead+1 || b[0] != 1 && b[0] != 2 && b[0] != 3 && b[0] != 8 {
		return false
	}
	size := binary.BigEndian.Uint32(b[3:])
	if int64(size) >= int64(len(b)-frameHead) {
		return false
	}
	if b[0] == 1 && (size < 4 || amqpMethod(binary.BigEndian.Uint16(b[7:]), binary.BigEndian.Uint16(b[9:])) == "") {
		return false
	}
	return b[frameHead+size] == 0xce
}

// header reads the protocol header. It returns the reader of version 1.0 for that.
func (p *amqp) header(s *Session, b []byte) *amqp1 {
	text := ""
	switch {
	case b[4] == 0 && b[5] == 0:
		text = "0-" + strconv.Itoa(int(b[6])) + "-" + strconv.Itoa(int(b[7]))
	case b[4] == 1 && b[5] == 1: // 0-8 and 0-9
		text = strconv.Itoa(int(b[6])) + "-" + strconv.Itoa(int(b[7]))
	default:
		return newAMQP1(p.f)
	}
	s.Doc.AddString(p.f.version, text)
	return nil
}

// amqpMethod returns the name of a method, class and name (section 1.2 of the reference), "" for none.
func amqpMethod(class, method uint16) string {
	switch uint32(class)<<16 | uint32(method) {
	case 10<<16 | 10:
		return "connection.start"
	case 10<<16 | 11:
		return "connection.start-ok"
	case 10<<16 | 20:
		return "connection.secure"
	case 10<<16 | 21:
		return "connection.secure-ok"
	case 10<<16 | 30:
		return "connection.tune"
	case 10<<16 | 31:
		return "connection.tune-ok"
	case 10<<16 | 40:
		return "connection.open"
	case 10<<16 | 41:
		return "connection.open-ok"
	case 10<<16 | 50:
		return "connection.close"
	case 10<<16 | 51:
		return "connection.close-ok"
	case 10<<16 | 60:
		return "connection.blocked"
	case 10<<16 | 61:
		return "connection.unblocked"
	case 10<<16 | 70:
		return "connection.update-secret"
	case 10<<16 | 71:
		return "connection.update-secret-ok"
	case 20<<16 | 10:
		return "channel.open"
	case 20<<16 | 11:
		return "channel.open-ok"
	case 20<<16 | 20:
		return "channel.flow"
	case 20<<16 | 21:
		return "channel.flow-ok"
	case 20<<16 | 40:
		return "channel.close"
	case 20<<16 | 41:
		return "channel.close-ok"
	case 40<<16 | 10:
		return "exchange.declare"
	case 40<<16 | 11:
		return "exchange.declare-ok"
	case 40<<16 | 20:
		return "exchange.delete"
	case 40<<16 | 21:
		return "exchange.delete-ok"
	case 40<<16 | 30:
		return "exchange.bind"
	case 40<<16 | 31:
		return "exchange.bind-ok"
	case 40<<16 | 40:
		return "exchange.unbind"
	case 40<<16 | 51:
		return "exchange.unbind-ok"
	case 50<<16 | 10:
		return "queue.declare"
	case 50<<16 | 11:
		return "queue.declare-ok"
	case 50<<16 | 20:
		return "queue.bind"
	case 50<<16 | 21:
		return "queue.bind-ok"
	case 50<<16 | 30:
		return "queue.purge"
	case 50<<16 | 31:
		return "queue.purge-ok"
	case 50<<16 | 40:
		return "queue.delete"
	case 50<<16 | 41:
		return "queue.delete-ok"
	case 50<<16 | 50:
		return "queue.unbind"
	case 50<<16 | 51:
		return "queue.unbind-ok"
	case 60<<16 | 10:
		return "basic.qos"
	case 60<<16 | 11:
		return "basic.qos-ok"
	case 60<<16 | 20:
		return "basic.consume"
	case 60<<16 | 21:
		return "basic.consume-ok"
	case 60<<16 | 30:
		return "basic.cancel"
	case 60<<16 | 31:
		return "basic.cancel-ok"
	case 60<<16 | 40:
		return "basic.publish"
	case 60<<16 | 50:
		return "basic.return"
	case 60<<16 | 60:
		return "basic.deliver"
	case 60<<16 | 70:
		return "basic.get"
	case 60<<16 | 71:
		return "basic.get-ok"
	case 60<<16 | 72:
		return "basic.get-empty"
	case 60<<16 | 80:
		return "basic.ack"
	case 60<<16 | 90:
		return "basic.reject"
	case 60<<16 | 100:
		return "basic.recover-async"
	case 60<<16 | 110:
		return "basic.recover"
	case 60<<16 | 111:
		return "basic.recover-ok"
	case 60<<16 | 120:
		return "basic.nack"
	case 85<<16 | 10:
		return "confirm.select"
	case 85<<16 | 11:
		return "confirm.select-ok"
	case 90<<16 | 10:
		return "tx.select"
	case 90<<16 | 11:
		return "tx.select-ok"
	case 90<<16 | 20:
		return "tx.commit"
	case 90<<16 | 21:
		return "tx.commit-ok"
	case 90<<16 | 30:
		return "tx.rollback"
	case 90<<16 | 31:
		return "tx.rollback-ok"
	}
	return ""
}

// call reads a method frame.
func (p *amqp) call(s *Session, w *wire) {
	name := amqpMethod(uint16(w.be(2)), uint16(w.be(2))) //nolint:gosec // two bytes
	if name == "" {
		return
	}
	s.Doc.AddString(p.f.method, name)
	switch name {
	case "connection.start":
		w.take(2)
		p.product(s, w.text(4))
	case "connection.start-ok":
		p.product(s, w.text(4))
		mechanism := w.text(1)
		addText(s, p.f.mechanism, mechanism)
		p.login(s, string(mechanism), w.text(4))
	case "connection.open":
		addText(s, p.f.vhost, w.text(1))
	case "connection.close", "channel.close":
		if code := w.be(2); !w.bad {
			s.Doc.AddInt(p.f.replyCode, int64(code))
		}
	case "exchange.declare", "exchange.delete":
		w.take(2)
		addText(s, p.f.exchange, w.text(1))
	case "queue.declare", "queue.delete", "queue.purge", "basic.consume", "basic.get":
		w.take(2)
		addText(s, p.f.queue, w.text(1))
	case "queue.bind", "queue.unbind":
		w.take(2)
		addText(s, p.f.queue, w.text(1))
		addText(s, p.f.exchange, w.text(1))
		addText(s, p.f.routingKey, w.text(1))
	case "basic.publish":
		w.take(2)
		addText(s, p.f.exchange, w.text(1))
		addText(s, p.f.routingKey, w.text(1))
	case "queue.declare-ok": // which may have been the server's to name
		addText(s, p.f.queue, w.text(1))
	case "exchange.bind", "exchange.unbind":
		w.take(2)
		addText(s, p.f.exchange, w.text(1))
		addText(s, p.f.exchange, w.text(1))
		addText(s, p.f.routingKey, w.text(1))
	case "basic.return":
		if code := w.be(2); !w.bad {
			s.Doc.AddInt(p.f.replyCode, int64(code))
		}
		w.text(1)
		addText(s, p.f.exchange, w.text(1))
		addText(s, p.f.routingKey, w.text(1))
	case "basic.get-ok":
		w.take(9)
		addText(s, p.f.exchange, w.text(1))
		addText(s, p.f.routingKey, w.text(1))
	case "basic.deliver":
		w.text(1)
		w.take(9)
		addText(s, p.f.exchange, w.text(1))
		addText(s, p.f.routingKey, w.text(1))
	}
}

// login notes who logs in by PLAIN (RFC 4616) or AMQPLAIN, a table with LOGIN and PASSWORD.
func (p *amqp) login(s *Session, mechanism string, response []byte) {
	var user []byte
	switch mechanism {
	case "PLAIN":
		if parts := bytes.Split(response, []byte{0}); len(parts) == 3 {
			user = parts[1]
		}
	case "AMQPLAIN":
		user = amqpTableText(response, "LOGIN")
	}
	addText(s, p.f.user, user)
	s.addOwnUser(user)
}

// product notes product and version of a peer's properties.
func (p *amqp) product(s *Session, table []byte) {
	name, version := amqpTableText(table, "product"), amqpTableText(table, "version")
	if len(name) > 0 {
		addText(s, p.f.product, bytes.TrimSpace(append(append(bytes.Clone(name), ' '), version...)))
	}
}

// amqpTableText returns a long string of a field table, by its name (section 4.2.5.5). Only tables of simple values
// are walked to their end.
func amqpTableText(b []byte, name string) []byte {
	w := wire{b: b}
	for len(w.b) > 0 && !w.bad {
		key, kind := w.text(1), w.be(1)
		switch kind {
		case 'S':
			if v := w.text(4); string(key) == name {
				return v
			}
		case 'F', 'A', 'x':
			w.text(4)
		case 't', 'b', 'B':
			w.take(1)
		case 's', 'u', 'U':
			w.take(2)
		case 'I', 'i', 'f':
			w.take(4)
		case 'l', 'L', 'd', 'T':
			w.take(8)
		case 'D':
			w.take(5)
		case 'V':
		default:
			return nil
		}
	}
	return nil
}

// maxText is the most of a text that is noted.
const maxText = 1024

// addText notes a text, unless it is empty.
func addText(s *Session, f spi.FieldID, b []byte) {
	if len(b) > 0 {
		s.Doc.AddBytes(f, b[:min(len(b), maxText)])
	}
}
