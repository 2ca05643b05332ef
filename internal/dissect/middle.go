package dissect

import "bytes"

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
