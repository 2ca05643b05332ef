package dissect

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"wirelake/internal/spi"
)

// amqp reads AMQP 0-9-1 (its specification, sections 2.3 and 4.2): methods, and what they name. Contents pass. Of
// AMQP 1.0, another protocol with the same first bytes, it tells the version.
type amqp struct {
	Base
	f      *amqpFields
	frames frames
	begun  [2]bool
}

type amqpFields struct {
	version, method, exchange, routingKey, queue, vhost, user, mechanism, product, replyCode spi.FieldID
}

const (
	amqpHeader  = 8        // of the protocol
	amqpMaxRead = 16 << 10 // of a frame
)

func newAMQP(r *spi.Registry) Protocol {
	g := fieldGroup{r, "amqp"}
	f := &amqpFields{
		version:    g.list(spi.Term, "version", "Version", "protocol versions"),
		method:     g.list(spi.Term, "method", "Methods", "methods called, class and name"),
		exchange:   g.list(spi.Term, "exchange", "Exchange", "exchanges declared, published to or delivered from"),
		routingKey: g.list(spi.Term, "routingKey", "Routing key", "routing keys of messages and bindings"),
		queue:      g.list(spi.Term, "queue", "Queue", "queues declared, bound or consumed from"),
		vhost:      g.list(spi.Term, "vhost", "Virtual host", "virtual hosts opened"),
		user:       g.list(spi.Term, "user", "User", "user names of PLAIN and AMQPLAIN log-ins"),
		mechanism:  g.list(spi.Term, "mechanism", "Mechanism", "mechanisms of log-ins"),
		product:    g.list(spi.Term, "product", "Product", "products and versions of client and server"),
		replyCode:  g.list(spi.Integer, "replyCode", "Reply code", "reply codes of closes"),
	}
	return Protocol{
		Name:     "amqp",
		Matchers: []Matcher{{On: TCP, Bytes: "AMQP", MinLen: amqpHeader}},
		New:      func(*Session) Parser { return &amqp{f: f} },
	}
}

// Parse implements Parser.
func (p *amqp) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	if !p.begun[dir] {
		if m := min(4, len(b)); string(b[:m]) == "AMQP"[:m] {
			if len(b) < amqpHeader {
				return 0, More
			}
			if !p.header(s, b) {
				return 0, Done
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
func (p *amqp) Gap(_ *Session, dir Dir, missing int) Status { return p.frames.gap(dir, missing) }

// header reads the protocol header. It returns false for versions that are not read.
func (p *amqp) header(s *Session, b []byte) bool {
	text := ""
	switch {
	case b[4] == 0 && b[5] == 0:
		text = "0-" + strconv.Itoa(int(b[6])) + "-" + strconv.Itoa(int(b[7]))
	case b[4] == 1 && b[5] == 1: // 0-8 and 0-9
		text = strconv.Itoa(int(b[6])) + "-" + strconv.Itoa(int(b[7]))
	default: // 1.0: protocol id, major, minor, revision
		s.Doc.AddString(p.f.version, strconv.Itoa(int(b[5]))+"."+strconv.Itoa(int(b[6])))
		return false
	}
	s.Doc.AddString(p.f.version, text)
	return true
}

// amqpMethod returns the name of a method, class and name (section 1.2 of the reference), "" for none.
func amqpMethod(class, method uint64) string {
	name := ""
	classes := map[uint64]string{10: "connection", 20: "channel", 40: "exchange", 50: "queue", 60: "basic", 85: "confirm", 90: "tx"}
	switch class {
	case 10:
		name = map[uint64]string{
			10: "start", 11: "start-ok", 20: "secure", 21: "secure-ok", 30: "tune", 31: "tune-ok", 40: "open", 41: "open-ok",
			50: "close", 51: "close-ok", 60: "blocked", 61: "unblocked",
		}[method]
	case 20:
		name = map[uint64]string{10: "open", 11: "open-ok", 20: "flow", 21: "flow-ok", 40: "close", 41: "close-ok"}[method]
	case 40:
		name = map[uint64]string{10: "declare", 11: "declare-ok", 20: "delete", 21: "delete-ok", 30: "bind", 31: "bind-ok", 40: "unbind", 51: "unbind-ok"}[method]
	case 50:
		name = map[uint64]string{
			10: "declare", 11: "declare-ok", 20: "bind", 21: "bind-ok", 30: "purge", 31: "purge-ok", 40: "delete", 41: "delete-ok", 50: "unbind", 51: "unbind-ok",
		}[method]
	case 60:
		name = map[uint64]string{
			10: "qos", 11: "qos-ok", 20: "consume", 21: "consume-ok", 30: "cancel", 31: "cancel-ok", 40: "publish", 50: "return", 60: "deliver",
			70: "get", 71: "get-ok", 72: "get-empty", 80: "ack", 90: "reject", 100: "recover-async", 110: "recover", 111: "recover-ok", 120: "nack",
		}[method]
	case 85, 90:
		name = map[uint64]string{10: "select", 11: "select-ok", 20: "commit", 21: "commit-ok", 30: "rollback", 31: "rollback-ok"}[method]
	}
	if name == "" {
		return ""
	}
	return classes[class] + "." + name
}

// call reads a method frame.
func (p *amqp) call(s *Session, w *wire) {
	name := amqpMethod(w.be(2), w.be(2))
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
	s.AddUser(user)
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
