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

// TestSSHSides holds that the client is told by what the messages say, whoever the session's source is and whatever the ports
// are, and by the ports where they say nothing.
func TestSSHSides(t *testing.T) {
	lists := func(kex string) []byte {
		return sshKex(kex, "hk", "encC", "encS", "macC", "macS", "none", "zlib", "", "")
	}
	key := string(sshStrings(nil, "ssh-ed25519", strings.Repeat("k", 32)))
	group := sshPacket(sshStrings([]byte{sshDHReply}, "p", "g"))
	for _, tt := range []struct {
		name           string
		kexC, kexS     string
		client, server string // behind the KEXINITs
		greeting       string // in front of the server's banner
		port           uint16
	}{
		{name: "the client takes extensions", kexC: "kexc,ext-info-c", kexS: "kexs"},
		{name: "the server takes extensions", kexC: "kexc", kexS: "kexs,ext-info-s"},
		{name: "strict key exchange, the client's", kexC: "kexc,kex-strict-c-v00@openssh.com", kexS: "kexs"},
		{name: "strict key exchange, the server's", kexC: "kexc", kexS: "kexs,kex-strict-s-v00@openssh.com"},
		{name: "the client begins", kexC: "kexc", kexS: "kexs", client: string(sshPacket(sshStrings([]byte{30}, "e")))},
		{name: "the server replies", kexC: "kexc", kexS: "kexs", server: string(sshPacket(sshStrings([]byte{sshDHReply}, key, "f", "sig")))},
		{name: "the client asks for a group", kexC: "kexc", kexS: "kexs", client: string(sshPacket(append([]byte{sshGEXAsk}, make([]byte, 12)...))), server: string(group)},
		{name: "a reply within a group", kexC: "kexc", kexS: "kexs", server: string(group) + string(sshPacket(sshStrings([]byte{sshGEXReply}, key, "f", "sig")))},
		{name: "RSA, where the server begins", kexC: "kexc", kexS: "kexs", server: string(sshPacket(sshStrings([]byte{sshRSAKey}, key, "transient")))},
		{name: "the server says more before its banner", kexC: "kexc", kexS: "kexs", greeting: "no entry\r\n"},
		{name: "the server's port", kexC: "kexc", kexS: "kexs", port: 22},
	} {
		for _, mode := range []string{"the server is the source", "the client is the source", "the server is the source, and came second"} {
			s := newTestSession(allProtocols(), TCP, 40000, 2222)
			if tt.port != 0 {
				s.DstPort = tt.port
			}
			s.Began = [2]bool{}
			client, server := Client, Server
			if mode != "the client is the source" {
				client, server, s.SrcPort, s.DstPort = Server, Client, s.DstPort, s.SrcPort
			}
			banners := func() {
				s.Stream(server, []byte("SSH-2.0-server\r\n"))
				s.Stream(client, []byte("SSH-2.0-client\r\n"))
			}
			greeting := []byte(tt.greeting + "SSH-2.0-server\r\n")
			if strings.HasSuffix(mode, "second") || tt.greeting != "" {
				banners = func() {
					s.Stream(client, []byte("SSH-2.0-client\r\n"))
					s.Stream(server, greeting)
				}
			}
			banners()
			s.Stream(server, append(lists(tt.kexS), tt.server...))
			s.Stream(client, append(lists(tt.kexC), tt.client...))
			s.End(true)
			ok := true
			for path, want := range map[string]string{"ssh.hassh": tt.kexC + ";encC;macC;none", "ssh.hasshServer": tt.kexS + ";encS;macS;zlib"} {
				if got := stringsOf(s, path); len(got) != 1 || got[0] != md5Hex(want) {
					ok = false
				}
			}
			if got := len(stringsOf(s, "ssh.key")); !ok || got != strings.Count(tt.server, key) {
				t.Errorf("%s, %s: hassh %q, hasshServer %q, %d keys", tt.name, mode, stringsOf(s, "ssh.hassh"), stringsOf(s, "ssh.hasshServer"), got)
			}
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
