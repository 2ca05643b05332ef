package dissect

import (
	"bytes"
	"strconv"
)

// Tags of operations (RFC 4511 section 4.2 and following).
const (
	ldapBind     = 0x60
	ldapSearch   = 0x63
	ldapCompare  = 0x6e
	ldapExtended = 0x77

	ldapEnumerated = 0x0a
)

// ldapOperation returns the name of the operation that a client's message asks for, "" for none.
func ldapOperation(tag byte) string {
	switch tag {
	case ldapBind:
		return "bind"
	case 0x42:
		return "unbind"
	case ldapSearch:
		return "search"
	case 0x66:
		return "modify"
	case 0x68:
		return "add"
	case 0x4a:
		return "delete"
	case 0x6c:
		return "modifyDN"
	case ldapCompare:
		return "compare"
	case 0x50:
		return "abandon"
	case ldapExtended:
		return "extended"
	}
	return ""
}

// ldapResult returns the name of a result code (RFC 4511 appendix A), its number when it has none.
func ldapResult(code int64) string {
	names := [...]string{
		1: "operationsError", 2: "protocolError", 3: "timeLimitExceeded", 4: "sizeLimitExceeded", 5: "compareFalse", 6: "compareTrue",
		7: "authMethodNotSupported", 8: "strongerAuthRequired", 10: "referral", 11: "adminLimitExceeded", 12: "unavailableCriticalExtension",
		13: "confidentialityRequired", 14: "saslBindInProgress", 16: "noSuchAttribute", 17: "undefinedAttributeType", 18: "inappropriateMatching",
		19: "constraintViolation", 20: "attributeOrValueExists", 21: "invalidAttributeSyntax", 32: "noSuchObject", 33: "aliasProblem",
		34: "invalidDNSyntax", 36: "aliasDereferencingProblem", 48: "inappropriateAuthentication", 49: "invalidCredentials",
		50: "insufficientAccessRights", 51: "busy", 52: "unavailable", 53: "unwillingToPerform", 54: "loopDetect", 64: "namingViolation",
		65: "objectClassViolation", 66: "notAllowedOnNonLeaf", 67: "notAllowedOnRDN", 68: "entryAlreadyExists", 69: "objectClassModsProhibited",
		71: "affectsMultipleDSAs", 80: "other",
	}
	if code >= 0 && code < int64(len(names)) && names[code] != "" {
		return names[code]
	}
	return strconv.FormatInt(code, 10)
}

// operation notes what a message asks for, on what, or how it ended.
func (p *ldap) operation(s *Session, tag byte, body []byte) {
	if name := ldapOperation(tag); name != "" {
		s.Doc.AddString(p.f.operation, name)
	}
	switch tag {
	case ldapSearch:
		p.search(s, body)
	case 0x4a: // the name alone
		addText(s, p.f.dn, body)
	case 0x66, 0x68, 0x6c, ldapCompare:
		if _, name, _, ok := berNext(body); ok {
			addText(s, p.f.dn, name)
		}
	case 0x61, 0x65, 0x67, 0x69, 0x6b, 0x6d, 0x6f, 0x78:
		if t, code, _, ok := berNext(body); ok && t == ldapEnumerated {
			if n, ok := berInt(code); ok && n != 0 {
				s.Doc.AddString(p.f.result, ldapResult(n))
			}
		}
	}
}

// search reads a search request (RFC 4511 section 4.5.1).
func (p *ldap) search(s *Session, b []byte) {
	_, base, b, ok := berNext(b)
	if !ok {
		return
	}
	if len(base) == 0 {
		base = []byte("<ROOT>")
	}
	addText(s, p.f.dn, base)
	for range 5 { // scope, aliases, limits, types only
		if _, _, b, ok = berNext(b); !ok {
			return
		}
	}
	var out bytes.Buffer
	if ldapFilter(&out, b, 0) {
		addText(s, p.f.filter, out.Bytes())
	}
	if _, _, b, ok = berNext(b); !ok {
		return
	}
	_, list, _, ok := berNext(b)
	for n := 0; ok && len(list) > 0 && n < 32; n++ {
		var name []byte
		if _, name, list, ok = berNext(list); ok {
			addText(s, p.f.attribute, name[:min(len(name), 128)])
		}
	}
}

const (
	ldapMaxDepth  = 16
	ldapMaxFilter = 512 // bytes of text that a filter is written as
)

// ldapFilter writes the filter at the front of b as text (RFC 4515). A long one ends in dots.
func ldapFilter(out *bytes.Buffer, b []byte, depth int) bool {
	tag, v, _, ok := berNext(b)
	if !ok || depth > ldapMaxDepth {
		return false
	}
	if out.Len() > ldapMaxFilter {
		if !bytes.HasSuffix(out.Bytes(), []byte("…")) {
			out.WriteString("…")
		}
		return true
	}
	out.WriteByte('(')
	defer out.WriteByte(')')
	switch tag {
	case 0xa0, 0xa1, 0xa2: // and, or, not
		out.WriteByte("&|!"[tag-0xa0])
		for len(v) > 0 && out.Len() <= ldapMaxFilter {
			if !ldapFilter(out, v, depth+1) {
				return false
			}
			_, _, v, _ = berNext(v)
		}
		return true
	case 0xa3, 0xa5, 0xa6, 0xa8: // equal, at least, at most, alike
		_, name, rest, ok := berNext(v)
		_, value, _, isValue := berNext(rest)
		out.Write(ldapText(name))
		out.WriteString([]string{"=", "", ">=", "<=", "", "~="}[tag-0xa3])
		out.Write(ldapText(value))
		return ok && isValue
	case 0xa4: // substrings
		_, name, rest, ok := berNext(v)
		_, parts, _, _ := berNext(rest)
		out.Write(ldapText(name))
		out.WriteByte('=')
		for i := 0; len(parts) > 0 && ok; i++ {
			var t byte
			var part []byte
			if t, part, parts, ok = berNext(parts); !ok {
				return false
			}
			if t != 0x80 && i == 0 {
				out.WriteByte('*') // no beginning
			}
			out.Write(ldapText(part))
			if t != 0x82 {
				out.WriteByte('*') // not the end
			}
		}
		return ok
	case 0x87: // present
		out.Write(ldapText(v))
		out.WriteString("=*")
		return true
	case 0xa9: // extensible
		var rule, name, value []byte
		dn := ""
		for ok && len(v) > 0 {
			var t byte
			var part []byte
			if t, part, v, ok = berNext(v); !ok {
				return false
			}
			switch t {
			case 0x81:
				rule = append([]byte(":"), ldapText(part)...)
			case 0x82:
				name = part
			case 0x83:
				value = part
			case 0x84:
				dn = ":dn"
			}
		}
		out.Write(ldapText(name))
		out.WriteString(dn)
		out.Write(rule)
		out.WriteString(":=")
		out.Write(ldapText(value))
		return true
	}
	return false
}

// ldapText returns a text as filters are written: what is no letter, and what has a meaning, in hexadecimal.
func ldapText(b []byte) []byte {
	const digits = "0123456789abcdef"
	b = b[:min(len(b), 128)]
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c < ' ' || c == 0x7f || c == '*' || c == '(' || c == ')' || c == '\\' {
			out = append(out, '\\', digits[c>>4], digits[c&15])
			continue
		}
		out = append(out, c)
	}
	return out
}
