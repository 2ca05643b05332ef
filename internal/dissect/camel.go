package dissect

import (
	"wirelake/internal/spi"
)

// camel reads the operations of the CAMEL Application Part (3GPP TS 29.078), which TCAP carries.
type camel struct {
	op, calling spi.FieldID
}

func declareCAMEL(r *spi.Registry) *camel {
	g := fieldGroup{r, "camel"}
	return &camel{
		op:      g.list(spi.LoTerm, "op", "Operation", "operation names"),
		calling: g.list(spi.Term, "calling", "Calling", "numbers of calling parties"),
	}
}

// camelOperation names an operation (TS 29.078 section 5.3), "" for others.
func camelOperation(n int64) string {
	names := [...]string{
		0: "initialDP", 16: "assistRequestInstructions", 17: "establishTemporaryConnection", 18: "disconnectForwardConnection",
		19: "connectToResource", 20: "connect", 22: "releaseCall", 23: "requestReportBCSMEvent", 24: "eventReportBCSM", 27: "collectInformation",
		31: "continue", 32: "initiateCallAttempt", 33: "resetTimer", 34: "furnishChargingInformation", 35: "applyCharging", 36: "applyChargingReport",
		41: "callGap", 44: "callInformationReport", 45: "callInformationRequest", 46: "sendChargingInformation", 47: "playAnnouncement",
		48: "promptAndCollectUserInformation", 49: "specializedResourceReport", 53: "cancel", 55: "activityTest",
		60: "initialDPSMS", 61: "furnishChargingInformationSMS", 62: "connectSMS", 63: "requestReportSMSEvent", 64: "eventReportSMS",
		65: "continueSMS", 66: "releaseSMS", 67: "resetTimerSMS",
		70: "activityTestGPRS", 71: "applyChargingGPRS", 72: "applyChargingReportGPRS", 73: "cancelGPRS", 74: "connectGPRS", 75: "continueGPRS",
		76: "entityReleasedGPRS", 77: "furnishChargingInformationGPRS", 78: "initialDPGPRS", 79: "releaseGPRS", 80: "eventReportGPRS",
		81: "requestReportGPRSEvent", 82: "resetTimerGPRS", 83: "sendChargingInformationGPRS",
		86: "disconnectForwardConnectionWithArgument", 88: "continueWithArgument", 90: "disconnectLeg", 93: "moveLeg", 95: "splitLeg",
		96: "entityReleased", 97: "playTone",
	}
	if n >= 0 && n < int64(len(names)) {
		return names[n]
	}
	return ""
}

// operation notes an operation and, when a call or a short message begins, who calls.
func (p *camel) operation(s *Session, opcode int64, invoke bool, argument []byte) {
	const initialDP, initialDPSMS = 0, 60
	name := camelOperation(opcode)
	if name == "" {
		return
	}
	s.AddProtocol("camel")
	s.Doc.AddString(p.op, name)
	if !invoke || opcode != initialDP && opcode != initialDPSMS {
		return
	}
	_, fields, _, ok := berAny(argument)
	for ok && len(fields) > 0 {
		var tag byte
		var value []byte
		if tag, value, fields, ok = berAny(fields); !ok {
			return
		}
		var number string
		switch {
		case opcode == initialDP && tag == 0x83 && len(value) > 2: // callingPartyNumber: ITU-T Q.763 section 3.10
			number = bcdDigits(value[2:], value[0]&0x80 != 0)
		case opcode == initialDPSMS && tag == 0x82 && len(value) > 1: // ISDN-AddressString: 3GPP TS 29.002
			number = bcdDigits(value[1:], false)
		}
		if number != "" {
			s.Doc.AddString(p.calling, number)
		}
	}
}

// bcdDigits returns digits of which each byte holds two, the first in its low bits, up to the filler 15; odd
// says that the last half byte is none.
func bcdDigits(b []byte, odd bool) string {
	const longest, filler = 32, 15
	var out []byte
	for i, c := range b[:min(len(b), longest)] {
		for half, d := range [...]byte{c & 0x0f, c >> 4} {
			if d == filler || odd && half == 1 && i == len(b)-1 {
				return string(out)
			}
			out = append(out, "0123456789*#ABC"[d])
		}
	}
	return string(out)
}
