package dissect

import (
	"encoding/binary"
	"strings"
	"testing"
)

func u16le(n int) string { return string([]byte{byte(n), byte(n >> 8)}) }

func wide(s string) string {
	var out strings.Builder
	for _, c := range s {
		out.WriteString(u16le(int(c)))
	}
	return out.String()
}

// smbFrame puts the length in front of a message.
func smbFrame(message string) string {
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(message)))
	return string(head[:]) + message
}

// smb1Message builds a message of version 1 with ASCII texts, or Unicode ones.
func smb1Message(command, flags byte, unicode bool, words, data string) string {
	flags2 := "\x00\x00"
	if unicode {
		flags2 = "\x00\x80"
	}
	return smbFrame("\xffSMB" + string([]byte{command}) + "\x00\x00\x00\x00" + string([]byte{flags}) + flags2 +
		strings.Repeat("\x00", 20) + string([]byte{byte(len(words) / 2)}) + words + u16le(len(data)) + data)
}

func TestSMB1(t *testing.T) {
	login := strings.Repeat("\x00", 14) + u16le(2) + u16le(3) + strings.Repeat("\x00", 8)
	client := smb1Message(0x72, 0, false, "", "\x02PC NETWORK\x00\x02NT LM 0.12\x00") +
		smb1Message(0x73, 0, false, login, "pwpwdme\x00DOM\x00Unix\x00Samba\x00") +
		smb1Message(0x75, 0, true, "\xff\x00\x00\x00\x00\x00"+u16le(1), "\x00"+wide(`\\SRV\IPC$`)+"\x00\x00?????\x00") +
		smb1Message(0xa2, 0, true, strings.Repeat("\x00", 48), "\x00"+wide(`\dir\file.txt`)+"\x00\x00") +
		smb1Message(0x06, 0, false, "\x00\x00", "\x04old.txt\x00")
	server := smb1Message(0x72, 0x80, false, "\x01\x00", "") + smb1Message(0x73, 0x80, false, "\xff\x00\x00\x00\x00\x00", "Windows\x00LanMan\x00GROUP\x00")
	for _, n := range []int{1 << 20, 9} {
		s := httpSession(n, client, server)
		s.End(true)
		wantStrings(t, s, "smb.dialect", "NT LM 0.12")
		wantStrings(t, s, "smb.user", "me")
		wantStrings(t, s, "user", "me")
		wantStrings(t, s, "smb.domain", "DOM", "GROUP")
		wantStrings(t, s, "smb.os", "Unix", "Windows")
		wantStrings(t, s, "smb.version", "Samba", "LanMan")
		wantStrings(t, s, "smb.share", `\\SRV\IPC$`)
		wantStrings(t, s, "smb.filename", `\dir\file.txt`, "old.txt")
		wantStrings(t, s, "tags")
	}
}

// smb2Message builds a message of version 2 whose buffer follows a body of fixed size.
func smb2Message(command, flags, next int, body, buffer string) string {
	return "\xfeSMB" + u16le(64) + strings.Repeat("\x00", 6) + u16le(command) + u16le(0) + u16le(flags) + u16le(0) + u16le(next) + u16le(0) +
		strings.Repeat("\x00", 40) + body + buffer
}

func TestSMB2(t *testing.T) {
	path, name := wide(`\\srv\data`), wide("report.pdf")
	tree := smb2Message(3, 0, 72+len(path), u16le(9)+u16le(0)+u16le(72)+u16le(len(path)), path)
	create := smb2Message(5, 0, 0, strings.Repeat("\x00", 44)+u16le(64+56)+u16le(len(name))+strings.Repeat("\x00", 8), name)
	negotiate := smb2Message(0, 1, 0, u16le(65)+u16le(0)+u16le(0x0311)+u16le(0), "")
	write := "\xfeSMB" + strings.Repeat("\x00", 8) + u16le(9) + strings.Repeat("\x00", 50) + strings.Repeat("w", 200<<10)
	for _, n := range []int{1 << 20, 1000, 11} {
		s := httpSession(n, smbFrame(write[:64+16])+smbFrame(write)+smbFrame(tree+create), smbFrame(negotiate))
		s.End(true)
		wantStrings(t, s, "smb.share", `\\srv\data`)
		wantStrings(t, s, "smb.filename", "report.pdf")
		wantStrings(t, s, "smb.dialect", "SMB 3.1.1")
		wantStrings(t, s, "tags")
	}
}

// TestSMB2Dialects holds the names of all dialects (MS-SMB2 section 2.2.4), and that none is chosen while another negotiation follows.
func TestSMB2Dialects(t *testing.T) {
	for n, want := range map[int][]string{0x0202: {"SMB 2.0.2"}, 0x0210: {"SMB 2.1"}, 0x0300: {"SMB 3.0"}, 0x0302: {"SMB 3.0.2"}, 0x0311: {"SMB 3.1.1"}, 0x02ff: nil} {
		s := newTestSession(New(), TCP, 40000, 445)
		s.Stream(Client, []byte(smbFrame(smb2Message(0, 0, 0, u16le(36)+strings.Repeat("\x00", 34), ""))))
		s.Stream(Server, []byte(smbFrame(smb2Message(0, 1, 0, u16le(65)+u16le(0)+u16le(n)+u16le(0), ""))))
		wantStrings(t, s, "smb.dialect", want...)
	}
}

// TestSMB2Login reads a log-in by NTLM within SPNEGO's answer token (MS-SMB2 2.2.5, RFC 4178, MS-NLMP 2.2.1.3).
func TestSMB2Login(t *testing.T) {
	texts := []string{"DOM", "me", "HOST7"}
	head, data := "NTLMSSP\x00"+u32le(3)+strings.Repeat("\x00", 16), ""
	for _, text := range texts {
		text = wide(text)
		head += u16le(len(text)) + u16le(len(text)) + u32le(64+len(data))
		data += text
	}
	token := head + strings.Repeat("\x00", 8) + u32le(ntlmUnicode) + data
	blob := ber(0xa1, ber(0x30, ber(0xa2, ber(4, token))))
	for _, reference := range []bool{false, true} {
		s := newTestSession(New(), TCP, 40000, 445)
		s.Reference = reference
		s.Stream(Client, []byte(smbFrame(smb2Message(1, 0, 0, u16le(25)+strings.Repeat("\x00", 10)+u16le(64+24)+u16le(len(blob))+strings.Repeat("\x00", 8), blob))))
		wantStrings(t, s, "smb.user", "me")
		wantStrings(t, s, "smb.domain", "DOM")
		wantStrings(t, s, "smb.host", "HOST7")
		wantStrings(t, s, "ntlm.host", "HOST7")
		wantStrings(t, s, "user", "me")
	}
}

func TestDCERPC(t *testing.T) {
	lsarpc := "\x78\x57\x34\x12\x34\x12\xcd\xab\xef\x00\x01\x23\x45\x67\x89\xab"
	pdu := func(typ byte, body string) string {
		return "\x05\x00" + string([]byte{typ}) + "\x03\x10\x00\x00\x00" + u16le(16+len(body)) + "\x00\x00\x01\x00\x00\x00" + body
	}
	bind := pdu(11, "\xb8\x10\xb8\x10\x00\x00\x00\x00\x01\x00\x00\x00"+"\x00\x00\x01\x00"+lsarpc+"\x02\x00\x01\x00"+strings.Repeat("\x00", 20))
	request := pdu(0, "\x10\x00\x00\x00\x00\x00\x2c\x00"+strings.Repeat("x", 40))
	for _, n := range []int{1 << 20, 16} {
		s := httpSession(n, bind+request)
		s.End(true)
		wantStrings(t, s, "dcerpc.uuid", "12345778-1234-abcd-ef00-0123456789ab")
		wantStrings(t, s, "dcerpc.interface", "lsarpc")
		wantStrings(t, s, "dcerpc.version", "2")
		wantStrings(t, s, "dcerpc.msgType", "bind", "request")
		wantStrings(t, s, "protocol", "dcerpc", "lsarpc")
		f, _ := s.Doc.Registry().ByPath("dcerpc.opnum")
		if got, _ := s.Doc.Int(f.ID); got != 44 {
			t.Errorf("operation: got %d, want 44", got)
		}
	}
}
