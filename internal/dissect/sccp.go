package dissect

import (
	"encoding/binary"

	"wirelake/internal/spi"
)

// sccp reads the Signalling Connection Control Part (ITU-T Q.713) that other protocols carry.
type sccp struct {
	src, dst spi.FieldID
	tcap     *tcap
}

// sccpState is what a session has shown so far.
type sccpState struct {
	camel bool // the subsystems, or what they agreed on, speak CAMEL
}

func declareSCCP(r *spi.Registry) *sccp {
	g := fieldGroup{r, "sccp"}
	return &sccp{
		src:  g.list(spi.Integer, "src", "Src", "originating point codes"),
		dst:  g.list(spi.Integer, "dst", "Dst", "destination point codes"),
		tcap: declareTCAP(r),
	}
}

// message reads a message from one point code to another. Those with user data hold pointers to their
// variable parts, each counted from its own place (section 1.3).
func (p *sccp) message(s *Session, state *sccpState, from, to uint32, b []byte) {
	const (
		unitdata, unitdataService                 = 0x09, 0x0a
		extendedUnitdata, extendedUnitdataService = 0x11, 0x12
		longUnitdata, longUnitdataService         = 0x13, 0x14
	)
	s.AddProtocol("sccp")
	s.Doc.AddInt(p.src, int64(from))
	s.Doc.AddInt(p.dst, int64(to))
	if len(b) == 0 {
		return
	}
	var called, calling, data []byte
	switch b[0] {
	case unitdata, unitdataService: // type, class, three pointers
		called, calling, data = sccpPart(b, 2), sccpPart(b, 3), sccpPart(b, 4)
	case extendedUnitdata, extendedUnitdataService: // and a hop counter
		called, calling, data = sccpPart(b, 3), sccpPart(b, 4), sccpPart(b, 5)
	case longUnitdata, longUnitdataService:
		called, calling, data = sccpLongPart(b, 3, 1), sccpLongPart(b, 5, 1), sccpLongPart(b, 7, 2)
	default:
		return
	}
	if sccpSpeaksCAMEL(called) || sccpSpeaksCAMEL(calling) {
		state.camel = true
	}
	p.tcap.message(s, state, data)
}

// sccpPart returns the part behind its length that the pointer at the offset leads to.
func sccpPart(b []byte, at int) []byte {
	if len(b) <= at {
		return nil
	}
	return sccpValue(b, at+int(b[at]), 1)
}

// sccpLongPart is sccpPart for pointers of 2 bytes, which count from their last byte, to a length of 1 or 2 bytes, little endian.
func sccpLongPart(b []byte, at, lengthBytes int) []byte {
	if len(b) < at+2 {
		return nil
	}
	return sccpValue(b, at+1+int(binary.LittleEndian.Uint16(b[at:])), lengthBytes)
}

func sccpValue(b []byte, at, lengthBytes int) []byte {
	if len(b) < at+lengthBytes {
		return nil
	}
	size := int(b[at])
	if lengthBytes == 2 {
		size |= int(b[at+1]) << 8
	}
	at += lengthBytes
	return b[at:min(len(b), at+size)]
}

// sccpSpeaksCAMEL reports whether an address names the subsystem of CAP (section 3.4; 3GPP TS 23.003 section 8).
func sccpSpeaksCAMEL(address []byte) bool {
	const hasPointCode, hasSubsystem, camelApplicationPart = 1, 2, 146
	if len(address) < 2 || address[0]&hasSubsystem == 0 {
		return false
	}
	at := 1
	if address[0]&hasPointCode != 0 {
		at += 2
	}
	return len(address) > at && address[at] == camelApplicationPart
}
