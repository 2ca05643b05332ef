package dissect

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"wirelake/internal/spi"
)

// iscsi reads iSCSI (RFC 7143): initiators and targets in the texts of log-ins and discovery, and the operations. Data passes.
type iscsi struct {
	Base
	f      *iscsiFields
	frames frames
	header bool // digests of 4 bytes were agreed on
	data   bool
}

type iscsiFields struct {
	initiator, target, alias, address, user, sessionType, auth, operation, command, status spi.FieldID
}

const (
	iscsiHeader  = 48
	iscsiMaxRead = 16 << 10
	iscsiDigest  = 4
)

func newISCSI(r *spi.Registry) Protocol {
	g := fieldGroup{r, "iscsi"}
	hot := func(path, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "iscsi." + path, Type: spi.LoTerm, List: true, Exprs: []string{"iscsi." + path}, Hot: true, Name: name, Help: help})
	}
	f := &iscsiFields{
		initiator:   hot("initiator", "Initiator", "names of initiators"),
		target:      hot("target", "Target", "names of targets"),
		alias:       g.list(spi.Term, "alias", "Alias", "aliases of initiators and targets"),
		address:     g.list(spi.Term, "address", "Target address", "addresses of targets, as discovery tells them"),
		user:        g.list(spi.Term, "user", "User", "names of CHAP log-ins"),
		sessionType: g.list(spi.Term, "sessionType", "Session type", "Normal or Discovery"),
		auth:        g.list(spi.Term, "auth", "Authentication", "methods of authentication offered or chosen"),
		operation:   g.list(spi.Term, "operation", "Operations", "kinds of messages"),
		command:     g.list(spi.Term, "command", "SCSI commands", "SCSI commands by name or number"),
		status:      g.list(spi.Integer, "loginStatus", "Log-in status", "status of log-ins: class and detail, as in 0x0201"),
	}
	return Protocol{
		Name: "iscsi",
		Matchers: []Matcher{
			{On: TCP, Bytes: "\x43", MinLen: iscsiHeader, Func: iscsiLogin},
			{On: TCP, Bytes: "\x03", MinLen: iscsiHeader, Func: iscsiLogin},
		},
		New: func(*Session) Parser { return &iscsi{f: f} },
	}
}

// iscsiLogin accepts the first request of a log-in (RFC 7143 section 11.12).
func iscsiLogin(_ *Session, _ Dir, b []byte) bool {
	return b[2]|b[3] == 0 && b[4] == 0 && b[5] == 0 && b[1]&0x30 == 0 &&
		(bytes.Contains(b[iscsiHeader:], []byte("InitiatorName=")) || len(b) == iscsiHeader)
}

// Parse implements Parser.
func (p *iscsi) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	return p.frames.each(dir, b, iscsiHeader, iscsiMaxRead, p.size, func(m []byte) bool {
		p.message(s, m)
		return true
	})
}

// size returns the whole length of a message: header, more of it, data padded to a multiple of 4, digests.
func (p *iscsi) size(h []byte) int {
	n := iscsiHeader + 4*int(h[4])
	if p.header {
		n += iscsiDigest
	}
	if data := int(h[5])<<16 | int(h[6])<<8 | int(h[7]); data > 0 {
		n += (data + 3) &^ 3
		if p.data {
			n += iscsiDigest
		}
	}
	if iscsiOperation(h[0]&0x3f) == "" {
		return 0
	}
	return n
}

// Gap implements Parser.
func (p *iscsi) Gap(_ *Session, dir Dir, missing int) Status { return p.frames.gap(dir, missing) }

// iscsiOperation returns the name of a kind of message (section 11.2.1.2), "" for none.
func iscsiOperation(op byte) string {
	return nameOf([]string{
		0x00: "nop-out", 0x01: "scsi-command", 0x02: "task-request", 0x03: "login-request", 0x04: "text-request", 0x05: "data-out", 0x06: "logout-request",
		0x10: "snack-request", 0x20: "nop-in", 0x21: "scsi-response", 0x22: "task-response", 0x23: "login-response", 0x24: "text-response", 0x25: "data-in",
		0x26: "logout-response", 0x31: "r2t", 0x32: "async", 0x3f: "reject",
	}, op)
}

func (p *iscsi) message(s *Session, m []byte) {
	const command, loginRequest, textRequest, loginResponse, textResponse = 0x01, 0x03, 0x04, 0x23, 0x24
	op := m[0] & 0x3f
	s.Doc.AddString(p.f.operation, iscsiOperation(op))
	switch op {
	case command:
		s.Doc.AddString(p.f.command, scsiCommand(m[32]))
	case loginRequest, textRequest, loginResponse, textResponse:
		at := iscsiHeader + 4*int(m[4])
		if p.header {
			at += iscsiDigest
		}
		n := int(m[5])<<16 | int(m[6])<<8 | int(m[7])
		if at <= len(m) {
			p.texts(s, m[at:min(len(m), at+n)], op == loginResponse)
		}
		if op == loginResponse {
			s.Doc.AddInt(p.f.status, int64(binary.BigEndian.Uint16(m[36:])))
		}
	}
}

// texts reads pairs of names and values (section 6.1).
func (p *iscsi) texts(s *Session, b []byte, answer bool) {
	for pair := range bytes.SplitSeq(b, []byte{0}) {
		name, value, ok := bytes.Cut(pair, []byte("="))
		if !ok {
			continue
		}
		switch string(name) {
		case "InitiatorName":
			addText(s, p.f.initiator, value)
		case "TargetName":
			addText(s, p.f.target, value)
		case "InitiatorAlias", "TargetAlias":
			addText(s, p.f.alias, value)
		case "TargetAddress":
			addText(s, p.f.address, value)
		case "SessionType":
			addText(s, p.f.sessionType, value)
		case "CHAP_N":
			addText(s, p.f.user, value)
			s.addOwnUser(value)
		case "AuthMethod":
			for method := range bytes.SplitSeq(value, []byte(",")) {
				addText(s, p.f.auth, method)
			}
		case "HeaderDigest":
			p.header = p.header || answer && string(value) == "CRC32C"
		case "DataDigest":
			p.data = p.data || answer && string(value) == "CRC32C"
		}
	}
}

// scsiCommand returns the name of a SCSI command by its operation code (SPC-5, SBC-4).
func scsiCommand(op byte) string {
	if name := nameOf([]string{
		0x00: "TEST UNIT READY", 0x03: "REQUEST SENSE", 0x04: "FORMAT UNIT", 0x08: "READ(6)", 0x0a: "WRITE(6)", 0x12: "INQUIRY", 0x15: "MODE SELECT(6)",
		0x16: "RESERVE(6)", 0x17: "RELEASE(6)", 0x1a: "MODE SENSE(6)", 0x1b: "START STOP UNIT", 0x25: "READ CAPACITY(10)", 0x28: "READ(10)", 0x2a: "WRITE(10)",
		0x2e: "WRITE AND VERIFY(10)", 0x2f: "VERIFY(10)", 0x35: "SYNCHRONIZE CACHE(10)", 0x41: "WRITE SAME(10)", 0x42: "UNMAP", 0x4d: "LOG SENSE",
		0x55: "MODE SELECT(10)", 0x5a: "MODE SENSE(10)", 0x5e: "PERSISTENT RESERVE IN", 0x5f: "PERSISTENT RESERVE OUT", 0x83: "EXTENDED COPY",
		0x88: "READ(16)", 0x89: "COMPARE AND WRITE", 0x8a: "WRITE(16)", 0x91: "SYNCHRONIZE CACHE(16)", 0x93: "WRITE SAME(16)", 0x9e: "SERVICE ACTION IN(16)",
		0xa0: "REPORT LUNS", 0xa3: "MAINTENANCE IN", 0xa8: "READ(12)", 0xaa: "WRITE(12)",
	}, op); name != "" {
		return name
	}
	return "0x" + strconv.FormatUint(uint64(op)|0x100, 16)[1:]
}
