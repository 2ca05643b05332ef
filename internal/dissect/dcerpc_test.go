package dissect

import (
	"strings"
	"testing"
)

// TestDCERPCDatagrams reads datagrams (C706 section 12.5.2), which the reference does not: a call of the endpoint mapper in
// either byte order, and its answer.
func TestDCERPCDatagrams(t *testing.T) {
	const mapper = "\x08\x83\xaf\xe1\x1f\x5d\xc9\x11\x91\xa4\x08\x00\x2b\x14\xa0\xfa"
	const mapperBig = "\xe1\xaf\x83\x08\x5d\x1f\x11\xc9\x91\xa4\x08\x00\x2b\x14\xa0\xfa"
	datagram := func(kind byte, label, service, version, opnum, size string) string {
		return "\x04" + string([]byte{kind}) + "\x28\x00" + label + "\x00\x00\x00" + strings.Repeat("o", 16) + service + strings.Repeat("a", 16) + "boot" + version +
			"\x00\x00\x00\x00" + opnum + "\xff\xff\xff\xff" + size + "\x00\x00\x00\x00" + "arguments"
	}
	little := datagram(0, "\x10", mapper, "\x03\x00\x00\x00", "\x02\x00", "\x09\x00")
	big := datagram(0, "\x00", mapperBig, "\x00\x00\x00\x03", "\x00\x02", "\x00\x09")
	for _, text := range []string{little, big} {
		s := newTestSession(allProtocols(), UDP, 40000, 135)
		s.Datagram(Client, 0, []byte(text))
		s.Datagram(Server, 0, []byte(datagram(2, "\x10", mapper, "\x03\x00\x00\x00", "\x02\x00", "\x09\x00")))
		s.End(true)
		wantStrings(t, s, "protocol", "dcerpc", "epmapper")
		wantStrings(t, s, "dcerpc.msgType", "request", "response")
		wantStrings(t, s, "dcerpc.uuid", "e1af8308-5d1f-11c9-91a4-08002b14a0fa")
		wantStrings(t, s, "dcerpc.version", "3")
		if got := intsOf(s, "dcerpc.opnum"); len(got) != 1 || got[0] != 2 {
			t.Errorf("operations: got %v, want 2", got)
		}
	}
	for name, text := range map[string]string{"longer than it is": little[:len(little)-1], "of no kind": little[:1] + "\x20" + little[2:], "of no byte order": little[:4] + "\x77" + little[5:],
		"shorter than it is": little + "more", "of no interface": little[:24] + strings.Repeat("\x00", 16) + little[40:]} {
		if s := datagrams(135, text); s.HasProtocol("dcerpc") {
			t.Errorf("a datagram %s is one of DCE/RPC", name)
		}
	}
	s := newTestSession(allProtocols(), UDP, 40000, 135)
	s.Reference = true
	s.Datagram(Client, 0, []byte(little))
	if s.HasProtocol("dcerpc") {
		t.Error("the reference reads datagrams")
	}
}

// TestKerberosTicket tells whom a ticket is for of an answer whose request was not captured (RFC 4120 sections 5.3, 5.4.2).
func TestKerberosTicket(t *testing.T) {
	name := func(parts ...string) string {
		var list string
		for _, p := range parts {
			list += ber(0x1b, p)
		}
		return ber(0x30, ber(0xa0, ber(0x02, "\x02")), ber(0xa1, ber(0x30, list)))
	}
	ticket := ber(0x61, ber(0x30, ber(0xa0, ber(0x02, "\x05")), ber(0xa1, ber(0x1b, "EXAMPLE.ORG")), ber(0xa2, name("cifs", "filer.example.org")), ber(0xa3, "secret")))
	answer := ber(0x6d, ber(0x30, ber(0xa0, ber(0x02, "\x05")), ber(0xa1, ber(0x02, "\x0d")), ber(0xa3, ber(0x1b, "EXAMPLE.ORG")), ber(0xa4, name("erika")), ber(0xa5, ticket), ber(0xa6, "secret")))
	for _, reference := range []bool{false, true} {
		s := newTestSession(allProtocols(), UDP, 40000, 88)
		s.Reference = reference
		s.Datagram(Server, 0, []byte(answer))
		s.End(true)
		wantStrings(t, s, "krb5.cname", "erika")
		wantStrings(t, s, "krb5.realm", "EXAMPLE.ORG")
		want := []string{"cifs/filer.example.org"}
		if reference {
			want = nil
		}
		wantStrings(t, s, "krb5.sname", want...)
	}
}

// TestOracleSID tells of an identifier as of a service, which came later (Oracle Net Services Reference, "Protocol Address Configuration").
func TestOracleSID(t *testing.T) {
	const text = "(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=db.example.org)(PORT=1521))(CONNECT_DATA=(SID=ORCL)))"
	head := "\x00" + string([]byte{byte(58 + len(text))}) + "\x00\x00\x01\x00\x00\x00\x01\x3a\x01\x2c" + strings.Repeat("\x00", 12) + "\x00" + string([]byte{byte(len(text))}) + "\x00\x3a"
	for _, reference := range []bool{false, true} {
		s := newTestSession(allProtocols(), TCP, 40000, 1521)
		s.Reference = reference
		s.Stream(Client, []byte(head+strings.Repeat("\x00", 58-len(head))+text))
		s.End(true)
		wantStrings(t, s, "oracle.host", "db.example.org")
		want := []string{"orcl"}
		if reference {
			want = nil
		}
		wantStrings(t, s, "oracle.service", want...)
	}
}
