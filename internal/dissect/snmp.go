package dissect

import (
	"encoding/hex"

	"wirelake/internal/spi"
)

// snmp reads SNMP, versions 1 (RFC 1157), 2c (RFC 3416) and, as far as it is in clear, 3 (RFC 3412, 3414).
type snmp struct {
	Base
	version, community, typ, errorStatus, variable, trapOID, engineID, secLevel spi.FieldID
}

const snmpTrapOID = "1.3.6.1.6.3.1.1.4.1.0" // snmpTrapOID.0 (RFC 3418)

func newSNMP(r *spi.Registry) Protocol {
	term := func(path, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "snmp." + path, Type: spi.Term, List: true, Exprs: []string{"snmp." + expr}, Name: name, Help: help})
	}
	p := &snmp{
		version:     r.Declare(spi.Field{Path: "snmp.version", Type: spi.Integer, List: true, Exprs: []string{"snmp.version"}, Name: "Version", Help: "version numbers"}),
		community:   term("community", "community", "Community", "community text"),
		typ:         term("type", "type", "Type", "PDU types"),
		errorStatus: term("error", "error", "Error", "error status by name"),
		variable:    term("variable", "variable", "Variable", "OIDs of the variables"),
		trapOID:     term("trapOid", "trap-oid", "Trap OID", "OIDs of traps"),
		engineID:    term("engineId", "engineId", "Engine id", "version 3 engine ids, hex"),
		secLevel:    term("secLevel", "secLevel", "Security level", "version 3 security levels"),
	}
	return Protocol{
		Name: "snmp",
		Matchers: []Matcher{
			{On: UDP, Bytes: "0", MinLen: 10, Func: snmpMessage},
			{On: TCP, Bytes: "0", MinLen: 10, Func: func(s *Session, d Dir, b []byte) bool { return !s.Reference && snmpMessage(s, d, b) }}, // RFC 3430
		},
		New: func(*Session) Parser { return p },
	}
}

func snmpType(tag byte) string {
	names := [...]string{"GetRequest", "GetNextRequest", "GetResponse", "SetRequest", "Trap", "GetBulkRequest", "InformRequest", "SNMPv2-Trap", "Report"}
	if n := int(tag) - 0xa0; n >= 0 && n < len(names) {
		return names[n]
	}
	return ""
}

// snmpError returns the name of an error status (RFC 3416 section 3).
func snmpError(n int64) string {
	names := [...]string{
		1: "tooBig", 2: "noSuchName", 3: "badValue", 4: "readOnly", 5: "genErr", 6: "noAccess", 7: "wrongType",
		8: "wrongLength", 9: "wrongEncoding", 10: "wrongValue", 11: "noCreation", 12: "inconsistentValue",
		13: "resourceUnavailable", 14: "commitFailed", 15: "undoFailed", 16: "authorizationError", 17: "notWritable", 18: "inconsistentName",
	}
	if n > 0 && n < int64(len(names)) {
		return names[n]
	}
	return ""
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *snmp) Datagram(s *Session, _ Dir, b []byte) Status {
	_, message, _, ok := berNext(b)
	if !ok {
		return More
	}
	_, v, rest, ok := berNext(message)
	version, isInt := berInt(v)
	if !ok || !isInt || version < 0 || version > 3 {
		return More
	}
	if version == 3 {
		s.Doc.AddInt(p.version, 3)
		p.version3(s, rest)
		return More
	}
	s.Doc.AddInt(p.version, version+1)
	tag, community, rest, ok := berNext(rest)
	if !ok || tag != 4 {
		return More
	}
	if len(community) > 0 {
		s.Doc.AddBytes(p.community, community)
	}
	p.pdu(s, rest)
	return More
}

// Parse implements Parser: over TCP messages follow one another (RFC 3430).
func (p *snmp) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	const head, longest = 6, 64 << 10
	n := 0
	for len(b)-n >= head {
		size, at := berLength(b[n:])
		if b[n] != 0x30 || at == 0 || size > longest {
			return n, Done
		}
		if len(b)-n < at+size {
			break
		}
		p.Datagram(s, dir, b[n:n+at+size])
		n += at + size
	}
	return n, More
}

// version3 reads the headers of a message of version 3, and its PDU when it is in clear.
func (p *snmp) version3(s *Session, b []byte) {
	_, global, rest, ok := berNext(b)
	if !ok {
		return
	}
	var flags []byte
	for i := range 3 { // id, largest size, flags
		var v []byte
		if _, v, global, ok = berNext(global); !ok {
			return
		}
		if i == 2 {
			flags = v
		}
	}
	if len(flags) != 1 {
		return
	}
	const auth, priv = 1, 2
	switch flags[0] & (auth | priv) {
	case 0:
		s.Doc.AddString(p.secLevel, "noAuthNoPriv")
	case auth:
		s.Doc.AddString(p.secLevel, "authNoPriv")
	case auth | priv:
		s.Doc.AddString(p.secLevel, "authPriv")
	}
	_, security, rest, ok := berNext(rest)
	if !ok {
		return
	}
	if _, usm, _, ok := berNext(security); ok {
		if _, engine, usm, ok := berNext(usm); ok {
			if len(engine) > 0 {
				s.Doc.AddString(p.engineID, hex.EncodeToString(engine[:min(len(engine), 32)])) // RFC 3411: 5 to 32 bytes
			}
			for range 2 { // boots and time
				_, _, usm, _ = berNext(usm)
			}
			if _, user, _, ok := berNext(usm); ok {
				s.AddUser(user)
			}
		}
	}
	if flags[0]&priv != 0 {
		return
	}
	_, scoped, _, ok := berNext(rest)
	for range 2 { // context engine and name
		if ok {
			_, _, scoped, ok = berNext(scoped)
		}
	}
	if ok {
		p.pdu(s, scoped)
	}
}

func (p *snmp) pdu(s *Session, b []byte) {
	if len(b) == 0 || snmpType(b[0]) == "" {
		return
	}
	s.Doc.AddString(p.typ, snmpType(b[0]))
	tag, body, _, ok := berNext(b)
	if !ok {
		return
	}
	var v []byte
	if tag == 0xa4 { // the trap of version 1 has a head of its own
		for i := range 5 {
			if _, v, body, ok = berNext(body); !ok {
				return
			}
			if oid := berOID(v); i == 0 && oid != "" {
				s.Doc.AddString(p.trapOID, oid)
			}
		}
	} else {
		for i := range 3 { // request id, error status, error index
			if _, v, body, ok = berNext(body); !ok {
				return
			}
			n, isInt := berInt(v)
			if name := snmpError(n); i == 1 && isInt && name != "" && tag != 0xa5 { // a bulk request has counts here
				s.Doc.AddString(p.errorStatus, name)
			}
		}
	}
	_, list, _, ok := berNext(body)
	for ok && len(list) > 0 {
		var binding []byte
		if tag, binding, list, ok = berNext(list); !ok || tag != 0x30 {
			return
		}
		tag, name, rest, named := berNext(binding)
		oid := berOID(name)
		if !named || tag != 6 || oid == "" {
			continue
		}
		s.Doc.AddString(p.variable, oid)
		if oid == snmpTrapOID {
			if tag, value, _, ok := berNext(rest); ok && tag == 6 {
				s.Doc.AddString(p.trapOID, berOID(value))
			}
		}
	}
}
