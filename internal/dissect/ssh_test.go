package dissect

import (
	"encoding/binary"
	"strings"
	"testing"
)

func sshPacket(payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+4))
	b = append(b, 4)
	return append(append(b, payload...), 0, 0, 0, 0)
}

func sshStrings(b []byte, list ...string) []byte {
	for _, s := range list {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	return b
}

func sshKex(lists ...string) []byte {
	return sshPacket(append(sshStrings(append([]byte{sshKexInit}, make([]byte, 16)...), lists...), 0, 0, 0, 0, 0))
}

func sshFlights() []flight {
	key := string(sshStrings(nil, "ssh-ed25519", strings.Repeat("k", 32)))
	return []flight{
		{Server, []byte("SSH-2.0-OpenSSH_9.6\r\n")},
		{Client, append([]byte("SSH-2.0-Go\r\n"), sshKex("kexc", "hk", "encC", "encS", "macC", "macS", "none", "zlib", "", "")...)},
		{Server, append(sshKex("kexs", "hk", "encC", "encS", "macC", "macS", "none", "zlib", "", ""), sshPacket(append(sshStrings([]byte{sshDHReply}, key, "f", "sig"), 0))...)},
		{Server, append(sshPacket([]byte{sshNewKeys}), 0xde, 0xad)},
	}
}

func TestSSH(t *testing.T) {
	got := streamDocument(New(), sshFlights())
	for _, want := range []string{
		`"version":["ssh-2.0-openssh_9.6","ssh-2.0-go"]`,
		`"hassh":["` + md5Hex("kexc;encC;macC;none") + `"]`,
		`"hasshServer":["` + md5Hex("kexs;encS;macS;zlib") + `"]`,
		`"key":["AAAAC3NzaC1lZDI1NTE5AAAAI`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s\nwant %s in it", got, want)
		}
	}
}

func FuzzSSH(f *testing.F) {
	set := New()
	for _, fl := range sshFlights() {
		f.Add(uint8(fl.dir), fl.b)
	}
	f.Fuzz(func(_ *testing.T, dir uint8, b []byte) {
		streamDocument(set, []flight{{Dir(dir & 1), append([]byte("SSH-2.0-x\n"), b...)}, {Dir(dir & 1), b}})
	})
}
