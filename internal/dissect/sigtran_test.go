package dissect

import (
	"strings"
	"testing"
)

// m3uaData builds a DATA message (RFC 4666 section 3.3.1) from point code 100 to 200.
func m3uaData(indicator byte, user string) []byte {
	label := "\x00\x00\x00\x64\x00\x00\x00\xc8" + string([]byte{indicator}) + "\x02\x00\x05"
	param := "\x02\x10\x00" + string([]byte{byte(4 + len(label) + len(user))}) + label + user
	param += strings.Repeat("\x00", (4-len(param)%4)%4)
	context := "\x00\x06\x00\x08\x00\x00\x00\x01"
	return []byte("\x01\x00\x01\x01\x00\x00\x00" + string([]byte{byte(8 + len(context) + len(param))}) + context + param)
}

// unitdata builds an SCCP UDT (Q.713 section 4.10) between subsystems.
func unitdata(ssn byte, data string) string {
	address := "\x02\x42" + string([]byte{ssn})
	return "\x09\x00\x03\x05\x07" + address[:1] + "\x42" + string([]byte{ssn}) + address + string([]byte{byte(len(data))}) + data
}

func TestM3UA(t *testing.T) {
	initialDP := ber(0x30, ber(0x80, "\x01"), ber(0x83, "\x84\x13\x94\x71\x02\x35"), ber(0x9a, "\x02"), "\x9f\x32\x02\x83\x00")
	begin := func(dialogue string) string {
		return ber(0x62, ber(0x48, "\x01\x02\x03\x04"), dialogue, ber(0x6c, ber(0xa1, ber(2, "\x01"), ber(2, "\x00"), initialDP)))
	}
	dialogue := ber(0x6b, ber(0x28, ber(0x06, "\x00\x11\x86\x05\x01\x01\x01"), ber(0xa0, ber(0x60, ber(0x80, "\x07\x80"), ber(0xa1, ber(0x06, "\x04\x00\x00\x01\x15\x03\x04"))))))
	report := ber(0x65, ber(0x49, "\x01\x02\x03\x04"), ber(0x6c, ber(0xa1, ber(2, "\x02"), ber(0x80, "\x01"), ber(2, "\x17"), ber(0x30)), ber(0xa2, ber(2, "\x03"), ber(0x30, ber(2, "\x23"), ber(0x30)))))
	for name, first := range map[string]string{"by subsystem": unitdata(146, begin("")), "by application context": unitdata(8, begin(dialogue)),
		"with indefinite lengths": unitdata(146, "\x62\x80"+ber(0x48, "\x01\x02\x03\x04")+"\x6c\x80"+ber(0xa1, ber(2, "\x01"), ber(2, "\x00"), initialDP)+"\x00\x00\x00\x00")} {
		s := newTestSession(New(), SCTP, 2905, 2905)
		s.Datagram(Client, 3, []byte("\x01\x00\x03\x01\x00\x00\x00\x08")) // ASP up
		s.Datagram(Client, 3, m3uaData(3, first))
		s.Datagram(Server, 3, m3uaData(3, unitdata(8, report)))
		s.Datagram(Server, 3, m3uaData(5, "isup"))
		wantInts(t, s, "m3ua.si", 3, 5)
		wantInts(t, s, "sccp.src", 100)
		wantInts(t, s, "sccp.dst", 200)
		wantInts(t, s, "tcap.opcode", 0, 23, 35)
		wantStrings(t, s, "camel.op", "initialdp", "requestreportbcsmevent", "applycharging")
		wantStrings(t, s, "camel.calling", "4917205")
		wantStrings(t, s, "protocol", "m3ua", "sctp", "sccp", "tcap", "camel")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestSCCPForms reads the data of extended and of long messages (Q.713 sections 4.18 and 4.20).
func TestSCCPForms(t *testing.T) {
	data := ber(0x62, ber(0x6c, ber(0xa1, ber(2, "\x01"), ber(2, "\x2e"))))
	n := string([]byte{byte(len(data))})
	for name, message := range map[string]string{
		"extended": "\x11\x80\x0f\x04\x06\x08\x00" + "\x02\x42\x06" + "\x02\x42\x07" + n + data,
		"long":     "\x13\x80\x0f\x07\x00\x08\x00\x09\x00\x00\x00" + "\x02\x42\x06" + "\x02\x42\x07" + n + "\x00" + data,
	} {
		s := newTestSession(New(), SCTP, 40000, 2905)
		s.Datagram(Client, 3, m3uaData(3, message))
		wantInts(t, s, "tcap.opcode", 46)
		wantStrings(t, s, "camel.op")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}
