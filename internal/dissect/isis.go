package dissect

import (
	"bytes"

	"wirelake/internal/spi"
)

// isis names the PDUs of IS-IS (ISO/IEC 10589 section 9), which ride on LLC.
type isis struct {
	Base
	msgType spi.FieldID
}

// isisPDU returns the name of a PDU type, "" for others.
func isisPDU(n byte) string {
	names := [...]string{15: "lan-l1-hello", 16: "lan-l2-hello", 17: "p2p-hello", 18: "l1-lsp", 20: "l2-lsp",
		24: "l1-csnp", 25: "l2-csnp", 26: "l1-psnp", 27: "l2-psnp",
	}
	if int(n) < len(names) {
		return names[n]
	}
	return ""
}

const (
	llcOSI        = 0xfe
	chdlcOSI      = 0xfefe                  // in Cisco's HDLC, where one byte follows
	isisID        = "\x83"                  // of ISO 9577, the first byte of the header
	isisLLC       = "\xfe\xfe\x03" + isisID // DSAP, SSAP, unnumbered information
	isisHeaderLen = 8
)

func newISIS(r *spi.Registry) Protocol {
	p := &isis{
		msgType: r.Declare(spi.Field{Path: "isis.msgType", Type: spi.LoTerm, List: true, Exprs: []string{"isis.msgType"}, Name: "Type", Help: "names of the PDU types"}),
	}
	return Protocol{
		Name: "isis",
		Matchers: []Matcher{
			{On: Ethernet, Number: llcOSI, Bytes: isisLLC, MinLen: len(isisLLC) + isisHeaderLen},
			{On: Ethernet, Number: chdlcOSI, Offset: 1, Bytes: isisID, MinLen: 1 + isisHeaderLen},
		},
		New: func(*Session) Parser { return p },
	}
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *isis) Datagram(s *Session, _ Dir, b []byte) Status {
	if s.Number == chdlcOSI {
		b = b[min(1, len(b)):]
	} else if bytes.HasPrefix(b, []byte(isisLLC)) {
		b = b[len(isisLLC)-1:]
	}
	// The discriminator is the header's first byte; the type is its fifth, in 5 bits.
	if len(b) < isisHeaderLen || b[0] != isisID[0] {
		return More
	}
	if name := isisPDU(b[4] & 0x1f); name != "" {
		s.Doc.AddString(p.msgType, name)
	}
	return More
}
