package dissect

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// What is here finds connections that a capture holds from their middle on, or one side of only. The reference does not.

// sideOf returns the side of the dialogue that sends in the direction: where the first packet of a session was not the
// client's, its source is the server, which the port tells.
func (s *Session) sideOf(dir Dir, port uint16) Dir {
	if !s.Reference && s.SrcPort == port && s.DstPort != port {
		return dir.Other()
	}
	return dir
}

// onPort returns a matcher for what f accepts on a port of TCP.
func onPort(port uint16, f func(b []byte) bool) Matcher {
	return Matcher{On: TCP, Port: port, MinLen: 4, Func: func(s *Session, _ Dir, b []byte) bool { return !s.Reference && f(b) }}
}

// dialogueLine accepts bytes that begin with a line of text that begins with one of the words, in any case.
func dialogueLine(words ...string) func(b []byte) bool {
	return func(b []byte) bool {
		line, n := nextLine(b[:min(len(b), 600)])
		if n < 2 || b[n-2] != '\r' {
			return false
		}
		for _, w := range words {
			if hasPrefixFold(line, w) {
				return true
			}
		}
		return false
	}
}

// imapLine accepts a command of IMAP behind its tag, or an answer.
func imapLine(b []byte) bool {
	line, n := nextLine(b[:min(len(b), 600)])
	tag, rest, ok := bytes.Cut(line, []byte(" "))
	if n == 0 || !ok || len(tag) == 0 || len(tag) > 16 {
		return false
	}
	if string(tag) == "*" {
		return len(rest) > 2 && (rest[0] >= '0' && rest[0] <= '9' || isLetters(rest[:2]))
	}
	for _, c := range tag {
		if !isAlnum(c) && c != '.' && c != '-' {
			return false
		}
	}
	verb, _, _ := bytes.Cut(rest, []byte(" "))
	switch string(bytes.ToUpper(verb)) {
	case "OK", "NO", "BAD", "CAPABILITY", "LOGIN", "AUTHENTICATE", "STARTTLS", "SELECT", "EXAMINE", "LIST", "LSUB", "STATUS", "NOOP", "UID", "FETCH",
		"LOGOUT", "IDLE", "APPEND", "SEARCH", "STORE", "COPY", "NAMESPACE", "ID", "CLOSE", "EXPUNGE", "ENABLE":
		return true
	}
	return false
}

// mqttPackets accepts bytes that are packets of MQTT one behind the other (OASIS MQTT 3.1.1, section 2.2).
func mqttPackets(b []byte) bool {
	for n := 0; len(b) > 0; n++ {
		typ, flags := b[0]>>4, b[0]&15
		switch {
		case typ == 0 || typ == 15:
			return false
		case typ == mqttPublish:
			if flags>>1&3 == 3 {
				return false
			}
		case typ == 6 || typ == mqttSubscribe || typ == mqttUnsubscribe:
			if flags != 2 {
				return false
			}
		case flags != 0:
			return false
		}
		size, head := mqttLength(b[1:])
		if head <= 0 {
			return false
		}
		if 1+head+size > len(b) {
			return n > 0 || typ == mqttPublish && size < 1<<20 // the last may go on
		}
		b = b[1+head+size:]
	}
	return true
}

// mysqlMiddle accepts a command of MySQL, or the packets of an answer, whose numbers go on from 1 ("MySQL Internals",
// Protocol Basics, Command Phase).
func mysqlMiddle(b []byte) bool {
	const refused, firstCode, lastCode = 0xff, 1000, 5000
	size := func() int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
	whole := len(b)-mysqlHeader >= size()
	if size() == 0 || len(b) == mysqlHeader {
		return false
	}
	body := b[mysqlHeader:]
	if b[3] == 0 {
		return mysqlCommand(body, size()) && (whole && size() == len(body) || !whole && body[0] == mysqlQuery)
	}
	if b[3] == 1 && whole && body[0] == refused && len(body) > 9 { // an error: its code, a mark and the SQLSTATE
		code := binary.LittleEndian.Uint16(body[1:])
		return code >= firstCode && code < lastCode && body[3] == '#'
	}
	n := 0
	for len(b) >= mysqlHeader {
		if int(b[3]) != n+1 || size() == 0 {
			return false
		}
		n++
		if len(b)-mysqlHeader < size() {
			break
		}
		b = b[mysqlHeader+size():]
	}
	return n > 1 || n == 1 && len(b) == 0 && body[0] == 0 && len(body) >= 7 // OK
}

const mysqlQuery = 3

// mysqlCommand accepts a packet of a client behind its log-in: a command of which all is one byte, or a text.
func mysqlCommand(body []byte, size int) bool {
	const quit, use, ping, prepare, execute, reset = 1, 2, 14, 22, 23, 31
	switch body[0] {
	case quit, ping, reset:
		return size == 1
	case use, mysqlQuery, prepare:
		text := body[1:min(len(body), 9)]
		return len(text) > 0 && (isStatement(text) || len(text) > 1 && text[0] == 0 && text[1] == 1) // no attributes, in one set
	case execute: // a statement, flags, and how often: once
		return size >= 10 && len(body) >= 10 && binary.LittleEndian.Uint32(body[6:]) == 1
	}
	return false
}

// isStatement reports whether a text may begin a statement of SQL, before which there may be blanks and lines.
func isStatement(b []byte) bool { return isPrintable(bytes.TrimLeft(b, " \t\r\n")) }

// postgresqlMessages accepts messages of PostgreSQL one behind the other: a letter and a length (PostgreSQL 16
// documentation, 55.7). A query may go on.
func postgresqlMessages(b []byte) bool {
	const kinds = "QPBEDSCXFfdcHpTDCZ123nstENAKRIGWV"
	for n := 0; len(b) > 0; n++ {
		if strings.IndexByte(kinds, b[0]) < 0 {
			return false
		}
		if len(b) < 5 {
			return n > 0
		}
		size := binary.BigEndian.Uint32(b[1:])
		if size < 4 || size > 1<<24 {
			return false
		}
		if 1+int(size) > len(b) {
			return n > 0 || b[0] == 'Q' && isStatement(b[5:min(len(b), 13)])
		}
		b = b[1+size:]
	}
	return true
}
