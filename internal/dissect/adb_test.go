package dissect

import (
	"encoding/binary"
	"fmt"
	"testing"
)

// adbMessage builds a message (protocol.txt, "struct message").
func adbMessage(command string, arg0, arg1 uint32, payload string) string {
	b := []byte(command)
	b = binary.LittleEndian.AppendUint32(b, arg0)
	b = binary.LittleEndian.AppendUint32(b, arg1)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	return string(binary.LittleEndian.AppendUint32(b, ^binary.LittleEndian.Uint32(b))) + payload
}

func adbPacket(id, payload string) string {
	return id + string(binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))) + payload
}

func TestADB(t *testing.T) {
	textSession(t, 5555, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "adb.version", "0x01000001")
		wantStrings(t, s, "adb.maxpayload", "262144")
		wantStrings(t, s, "adb.systemtype", "host", "device")
		wantStrings(t, s, "adb.serial", "emu1")
		wantStrings(t, s, "adb.service", "sync", "shell", "reverse")
		wantStrings(t, s, "adb.sync.operation", "send", "stat", "quit")
		wantStrings(t, s, "adb.sync.path", "/data/a,b.apk", "/system")
		wantStrings(t, s, "adb.shell.exitcode", "7")
		wantStrings(t, s, "adb.authtype", "token", "signature")
		wantStrings(t, s, "adb.forward.direction", "reverse")
		wantStrings(t, s, "adb.forward.local", "tcp:8081")
		wantStrings(t, s, "adb.forward.remote", "tcp:9090")
		wantStrings(t, s, "protocol", "adb")
	},
		adbMessage("CNXN", 0x01000001, 262144, "host::features=shell_v2"),
		adbMessage("AUTH", 1, 0, "12345678901234567890")+adbMessage("CNXN", 0x01000001, 262144, "device:EMU1:ro.product.name=x;"),
		adbMessage("AUTH", 2, 0, "signed")+
			adbMessage("OPEN", 5, 0, "sync:\x00")+adbMessage("WRTE", 5, 9, adbPacket("SEND", "/data/a,b.apk,33206")+adbPacket("DATA", "STAT\x03\x00\x00\x00no!"))+
			adbMessage("WRTE", 5, 9, adbPacket("STAT", "/system")+adbPacket("QUIT", ""))+
			adbMessage("OPEN", 6, 0, "shell,v2,raw:ls\x00"),
		adbMessage("OKAY", 3, 6, "")+adbMessage("WRTE", 3, 6, adbPacket("\x01", "text")+adbPacket("\x03", "\x07")),
		adbMessage("OPEN", 7, 0, "reverse:forward:tcp:8081;tcp:9090\x00"))
}

// TestADBHost reads requests to the local server.
func TestADBHost(t *testing.T) {
	request := func(text string) string { return fmt.Sprintf("%04x%s", len(text), text) }
	textSession(t, 5037, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "adb.service", "host", "shell")
		wantStrings(t, s, "adb.serial", "10.0.0.9:5555", "emulator-5554")
		wantStrings(t, s, "adb.forward.direction", "forward")
		wantStrings(t, s, "adb.forward.local", "tcp:6100")
		wantStrings(t, s, "adb.forward.remote", "tcp:7100")
		wantStrings(t, s, "protocol", "adb")
	}, request("host-serial:10.0.0.9:5555:forward:tcp:6100;tcp:7100"), "OKAYOKAY", request("host:transport:emulator-5554"), "OKAY", request("shell:ls -l"), "OKAYtotal 0")
	wireSession(t, 5037, func(t *testing.T, s *Session) { // as since version 1.0.41
		t.Helper()
		wantStrings(t, s, "adb.serial", "10.0.0.9:5555")
	}, request("host:tport:serial:10.0.0.9:5555"), "OKAY\x01\x00\x00\x00\x00\x00\x00\x00", request("sync:"), "OKAY")
}
