package dissect

import (
	"strings"

	"wirelake/internal/spi"
)

// tcap reads Transaction Capabilities (ITU-T Q.773): the operations of components.
type tcap struct {
	opcode spi.FieldID
	camel  *camel
}

func declareTCAP(r *spi.Registry) *tcap {
	return &tcap{
		opcode: fieldGroup{r, "tcap"}.list(spi.Integer, "opcode", "Operation", "operation numbers"),
		camel:  declareCAMEL(r),
	}
}

// message reads a TCAP message.
func (p *tcap) message(s *Session, state *sccpState, b []byte) {
	const unidirectional, begin, end, continues, abort = 0x61, 0x62, 0x64, 0x65, 0x67
	tag, body, _, ok := berAny(b)
	if !ok || tag != unidirectional && tag != begin && tag != end && tag != continues && tag != abort {
		return
	}
	s.AddProtocol("tcap")
	for len(body) > 0 {
		var value []byte
		if tag, value, body, ok = berAny(body); !ok {
			return
		}
		switch tag {
		case 0x6b:
			state.camel = state.camel || camelContext(tcapContext(value))
		case 0x6c:
			p.components(s, state, value)
		}
	}
}

// tcapContext returns the application context name of a dialogue portion: EXTERNAL, single ASN.1 type, AARQ or AARE, [1].
func tcapContext(b []byte) string {
	for _, want := range [...]byte{0x28, 0xa0, 0x60, 0xa1, 0x06} {
		for {
			tag, value, rest, ok := berAny(b)
			if !ok {
				return ""
			}
			if tag == want || want == 0x60 && tag == 0x61 {
				b = value
				break
			}
			b = rest
		}
	}
	return berOID(b)
}

// camelContext reports whether an application context is of CAP, versions 1 to 4 (3GPP TS 29.078 section 5.6).
func camelContext(oid string) bool {
	return strings.HasPrefix(oid, "0.4.0.0.1.0.50.") || strings.HasPrefix(oid, "0.4.0.0.1.21.3.") || strings.HasPrefix(oid, "0.4.0.0.1.23.3.")
}

func (p *tcap) components(s *Session, state *sccpState, b []byte) {
	const invoke, resultLast, resultNotLast = 0xa1, 0xa2, 0xa7
	for len(b) > 0 {
		tag, component, rest, ok := berAny(b)
		if !ok {
			return
		}
		b = rest
		if tag != invoke && tag != resultLast && tag != resultNotLast {
			continue
		}
		_, _, component, ok = berAny(component) // invoke id
		if !ok {
			continue
		}
		kind, value, argument, ok := berAny(component)
		if ok && tag == invoke && kind == 0x80 { // linked id
			kind, value, argument, ok = berAny(argument)
		}
		if ok && tag != invoke && kind == 0x30 {
			kind, value, argument, ok = berAny(value)
		}
		opcode, isInt := berInt(value)
		if !ok || kind != 0x02 || !isInt {
			continue
		}
		s.Doc.AddInt(p.opcode, opcode)
		if state.camel {
			p.camel.operation(s, opcode, tag == invoke, argument)
		}
	}
}
