package dissect

import (
	"strconv"
	"strings"
	"testing"
)

// datagrams gives datagrams to a session, the client's and the server's in turn.
func datagrams(port uint16, texts ...string) *Session {
	s := newTestSession(allProtocols(), UDP, 40000, port)
	for i, text := range texts {
		if text != "" {
			s.Datagram(Dir(i%2), 0, []byte(text))
		}
	}
	s.End(true)
	return s
}

func TestWireGuard(t *testing.T) {
	rest := strings.Repeat("x", 200)
	s := datagrams(51820, "\x01\x00\x00\x00\x78\x56\x34\x12"+rest[:140], "\x02\x00\x00\x00\x01\x00\x00\x00\x78\x56\x34\x12"+rest[:80],
		"\x04\x00\x00\x00\x01\x00\x00\x00"+rest[:40], "\x03\x00\x00\x00\x01\x00\x00\x00"+rest[:56])
	wantStrings(t, s, "protocol", "wireguard")
	wantStrings(t, s, "wireguard.type", "initiation", "response", "data", "cookie")
	wantStrings(t, s, "wireguard.sender", "0x12345678", "0x00000001")
	wantStrings(t, s, "wireguard.receiver", "0x12345678", "0x00000001")
}

func TestOpenVPN(t *testing.T) {
	client, server := "CLIENTID", "SERVERID"
	hello := tlsHelloBytes
	for _, tt := range []struct {
		name string
		hmac int
		auth string
	}{{"without HMAC", 0, "none"}, {"SHA-1", 20, "tls-auth"}, {"SHA-256", 32, "tls-auth"}, {"SHA-512", 64, "tls-auth"}} {
		t.Run(tt.name, func(t *testing.T) {
			number := 0
			guard := func() string {
				if tt.hmac == 0 {
					return ""
				}
				number++
				return strings.Repeat("h", tt.hmac) + u32be(number) + "time"
			}
			reset := "\x38" + client + guard() + "\x00" + u32be(0)
			number = 0
			answer := "\x40" + server + guard() + "\x01" + u32be(0) + client + u32be(0)
			first := "\x20" + client + guard() + "\x01" + u32be(0) + server + u32be(1) + hello[:20]
			second := "\x20" + client + guard() + "\x00" + u32be(2) + hello[20:]
			ack := "\x28" + server + guard() + "\x02" + u32be(1) + u32be(2) + client
			s := datagrams(4444, reset, answer, second, ack, first, "", first, "\x48\x00\x00\x01data")
			wantStrings(t, s, "protocol", "openvpn", "tls")
			wantStrings(t, s, "openvpn.controlAuth", tt.auth)
			wantStrings(t, s, "openvpn.sessionId", "434c49454e544944", "5345525645524944")
			wantStrings(t, s, "openvpn.type", "hard-reset-client", "hard-reset-server", "control", "ack")
			if got := stringsOf(s, "tls.ja3"); len(got) != 1 {
				t.Errorf("got %d fingerprints of the TLS inside, want 1", len(got))
			}
			if s.Buffered() != 0 {
				t.Errorf("%d bytes are held behind the end", s.Buffered())
			}
			framed := func(packets ...string) (out string) {
				for _, p := range packets {
					out += counted(2, p)
				}
				return out
			}
			wireSession(t, 8443, func(t *testing.T, s *Session) {
				t.Helper()
				wantStrings(t, s, "openvpn.controlAuth", tt.auth)
				wantStrings(t, s, "protocol", "openvpn", "tls")
			}, framed(reset), framed(answer), framed(first, second))
		})
	}
	crypt := datagrams(4444, "\x38"+client+u32be(1)+"time"+strings.Repeat("t", 32)+"12345", "")
	wantStrings(t, crypt, "openvpn.controlAuth", "tls-crypt")
	wantStrings(t, datagrams(4444, "\x38"+strings.Repeat("no", 40)), "protocol")
	// tls-crypt-v2: packet ids of early negotiation, and the client's wrapped key behind.
	crypt = datagrams(4444, "\x50"+client+"\x0f\x00\x00\x01time"+strings.Repeat("t", 32)+"12345"+strings.Repeat("k", 290)+u16be(292), "\x40"+server+"\x0f\x00\x00\x01time"+strings.Repeat("t", 32)+"12345678901234567")
	wantStrings(t, crypt, "openvpn.controlAuth", "tls-crypt-v2")
	wantStrings(t, crypt, "openvpn.type", "hard-reset-client-v3", "hard-reset-server")
}

func TestBitTorrent(t *testing.T) {
	hash, id := "aaaaaaaaaaaaaaaaaaaa", "-UT3550-xxxxxxxxxxxx"
	handshake := "\x13BitTorrent protocol" + "\x00\x00\x00\x00\x00\x10\x00\x05" + hash + id
	extended := "\x14\x00d1:md6:ut_pexi1ee1:pi51413e1:v14:µTorrent 3.5.5e"
	extended = strings.Replace(extended, "14:µ", "15:µ", 1)
	wireSession(t, 6881, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "bittorrent")
		wantStrings(t, s, "bittorrent.infohash", strings.Repeat("61", 20))
		wantStrings(t, s, "bittorrent.peerId", id)
		wantStrings(t, s, "bittorrent.client", "UT3550", "µTorrent 3.5.5")
	}, handshake+counted(4, extended)+counted(4, "\x07"+strings.Repeat("p", 16<<10)), handshake)
	s := datagrams(6881, "d1:ad2:id20:"+id+"9:info_hash20:"+hash+"e1:q9:get_peers1:t2:aa1:v4:UT\x01\x021:y1:qe", "d1:rd2:id20:bbbbbbbbbbbbbbbbbbbb5:nodes0:e1:t2:aa1:y1:re")
	wantStrings(t, s, "bittorrent.method", "get_peers")
	wantStrings(t, s, "bittorrent.infohash", strings.Repeat("61", 20))
	wantStrings(t, s, "bittorrent.client", "UT")
	wantStrings(t, s, "protocol", "bittorrent")
	s = datagrams(6969, "\x00\x00\x04\x17\x27\x10\x19\x80"+u32be(0)+u32be(7), u32be(0)+u32be(7)+u64be(99),
		u64be(99)+u32be(1)+u32be(8)+hash+id+strings.Repeat("\x00", 40)+u16be(51413))
	wantStrings(t, s, "bittorrent.method", "connect", "announce")
	wantStrings(t, s, "bittorrent.peerId", id)
	s = datagrams(6771, "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\nInfohash: "+strings.Repeat("AB", 20)+"\r\n\r\n")
	wantStrings(t, s, "bittorrent.infohash", strings.Repeat("ab", 20))
	// A tracker's connection id may begin as the messages of the hash table do.
	s = datagrams(6969, "\x00\x00\x04\x17\x27\x10\x19\x80"+u32be(0)+u32be(7), u32be(0)+u32be(7)+"d\x9b\x97connx"[:8],
		"d\x9b\x97connx"[:8]+u32be(1)+u32be(8)+hash+id+strings.Repeat("\x00", 40)+u16be(51413))
	wantStrings(t, s, "bittorrent.method", "connect", "announce")
	// The transport over UDP: SYN, STATE, and DATA with the handshake behind an extension.
	utp := func(kind, extension string, ack int, rest string) string {
		return kind + extension + "\x00\x6a" + u32be(99) + u32be(ack) + u32be(1<<20) + u16be(1) + u16be(ack) + rest
	}
	s = datagrams(6881, utp("\x41", "\x00", 0, ""), utp("\x21", "\x00", 1, ""), utp("\x01", "\x01", 1, "\x00\x04abcd"+handshake))
	wantStrings(t, s, "protocol", "bittorrent")
	wantStrings(t, s, "bittorrent.infohash", strings.Repeat("61", 20))
	wantStrings(t, s, "bittorrent.peerId", id)
	wantStrings(t, datagrams(6881, utp("\x41", "\x00", 5, "")), "protocol")
}

func TestGTP(t *testing.T) {
	signal := datagrams(2152, "\x30\x1a\x00\x0c\x00\x00\x00\x00"+"\x10\x00\x00\x10\x01"+"\x85\x00\x04\x0a\x01\x02\x03")
	wantStrings(t, signal, "protocol", "gtp")
	wantStrings(t, signal, "gtp.type", "error-indication")
	wantStrings(t, signal, "gtp.nodeIp", "10.1.2.3")
	wantStrings(t, datagrams(2152, "\x30\xff\x00\x04\x00\x00\x00\x01what"), "protocol")
	element := func(typ byte, v string) string { return string([]byte{typ}) + counted(2, v) }
	apn := "\x08internet\x04mnc1\x06mcc262\x04gprs"
	body := "\x00\x01\x00\x00" + "\x02\x62\x02\x10\x00\x00\x00\x00\xf1" + "\x0e\x05" + "\x10\x00\x00\x00\x09" + "\x11\x00\x00\x00\x0a" +
		element(128, "\xf1\x21\x0a\x01\x02\x03") + element(131, apn) + element(133, "\xc0\x00\x02\x01") + element(134, "\x91\x94\x71\x10\x32\x54\xf6") + element(151, "\x02") + element(154, "\x53\x10\x90\x50\x00\x00\x00\x10")
	s := datagrams(2123, "\x32\x10"+u16be(len(body))+u32be(0)+body, "\x30\x02\x00\x02\x00\x00\x00\x05\x0e\x01")
	wantStrings(t, s, "protocol", "gtp")
	wantStrings(t, s, "gtp.type", "create-pdp-request", "echo-response")
	wantStrings(t, s, "gtp.imsi", "262001000000001")
	wantStrings(t, s, "gtp.msisdn", "49170123456")
	wantStrings(t, s, "gtp.apn", "internet.mnc1.mcc262.gprs")
	wantStrings(t, s, "gtp.teid", "0x00000009", "0x0000000a", "0x00000005")
	wantStrings(t, s, "gtp.userIp", "10.1.2.3")
	wantStrings(t, s, "gtp.nodeIp", "192.0.2.1")
	wantStrings(t, s, "gtp.access", "geran")
	two := func(typ byte, v string) string { return string([]byte{typ}) + u16be(len(v)) + "\x00" + v }
	v6 := "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01"
	body = u32be(0x1234) + "\x00\x00\x01\x00" + two(1, "\x62\x02\x10\x00\x00\x00\x00\xf1") + two(2, "\x10\x00") + two(71, apn) + two(79, "\x03\x40"+v6+"\x0a\x01\x02\x03") + two(82, "\x06") + two(83, "\x62\xf2\x20") +
		two(93, two(87, "\x80\x00\x00\x00\x77\xc0\x00\x02\x02"))
	s = datagrams(2123, "\x48\x20"+u16be(len(body))+body)
	wantStrings(t, s, "gtp.type", "create-session-request")
	wantStrings(t, s, "gtp.teid", "0x00001234", "0x00000077")
	wantStrings(t, s, "gtp.userIp", "2001:db8::1", "10.1.2.3")
	wantStrings(t, s, "gtp.nodeIp", "192.0.2.2")
	wantStrings(t, s, "gtp.access", "eutran")
	wantStrings(t, s, "gtp.plmn", "262-02")
}

func TestTACACS(t *testing.T) {
	packet := func(typ, number, flags byte, body string) string {
		return string([]byte{0xc0, typ, number, flags}) + "\x00\x00\xab\xcd" + counted(4, body)
	}
	start := "\x01\x00\x01\x01" + "\x05\x04\x09\x06" + "frank" + "tty0" + "192.0.2.9" + "secret"
	args := []string{"service=shell", "cmd=show", "cmd-arg=version", "cmd-arg=<cr>"}
	author := "\x06\x00\x01\x01" + "\x05\x04\x09\x04" + string([]byte{byte(len(args[0])), byte(len(args[1])), byte(len(args[2])), byte(len(args[3]))}) + "frank" + "tty0" + "192.0.2.9" + strings.Join(args, "")
	wireSession(t, 49, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "tacacs")
		wantStrings(t, s, "tacacs.type", "authentication", "authorization")
		wantStrings(t, s, "tacacs.user", "frank")
		wantStrings(t, s, "user", "frank")
		wantStrings(t, s, "tacacs.port", "tty0")
		wantStrings(t, s, "tacacs.remote", "192.0.2.9")
		wantStrings(t, s, "tacacs.service", "shell")
		wantStrings(t, s, "tacacs.command", "show version")
		wantStrings(t, s, "tacacs.sessionId", "0x0000abcd")
		wantStrings(t, s, "tacacs.secrecy", "plain")
	}, packet(1, 1, 1, start)+packet(1, 3, 1, "\x00\x06\x00\x00\x00secret")+packet(2, 1, 1, author), packet(1, 2, 1, "\x05\x01\x00\x00\x00\x00"))
	wireSession(t, 49, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "tacacs.secrecy", "obfuscated")
		wantStrings(t, s, "tacacs.user")
	}, packet(1, 1, 0, start))
}

func TestSyslog(t *testing.T) {
	s := datagrams(514, "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su 77 ID47 - 'su root' failed", "",
		"<165>Aug 24 05:34:00 CST 1987 mymachine myproc[10]: %% It's", "", "<13>Oct 11 22:14:15 gate sshd[99]: text: more", "", "<0>kernel: no host", "", "<13>just text here")
	wantStrings(t, s, "protocol", "syslog")
	wantStrings(t, s, "syslog.facility", "auth", "local4", "user", "kern")
	wantStrings(t, s, "syslog.severity", "crit", "notice", "emerg")
	wantStrings(t, s, "syslog.host", "mymachine.example.com", "cst", "gate")
	wantStrings(t, s, "syslog.app", "su", "sshd", "kernel")
	wantStrings(t, s, "syslog.procId", "77", "99")
	wantStrings(t, s, "syslog.msgId", "ID47")
	message := "<34>1 - host app - - - text\nwith lines"
	wireSession(t, 601, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "syslog.host", "host", "other")
		wantStrings(t, s, "protocol", "syslog")
	}, strconv.Itoa(len(message))+" "+message+strconv.Itoa(len(message)+1)+" "+strings.Replace(message, "host", "other", 1)+"20000 "+message+strings.Repeat("x", 20000-len(message)))
	wireSession(t, 514, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "syslog.app", "a", "b")
	}, "<13>Oct 11 22:14:15 h a: x\n<13>Oct 11 22:14:15 h b: x\n")
}

// rtpPacket builds a packet of RFC 3550 section 5.1.
func rtpPacket(sequence int) string {
	return "\x80\x60" + u16be(sequence) + u32be(sequence*160) + "\xca\xfe\x00\x01" + strings.Repeat("v", 40)
}

func TestRTP(t *testing.T) {
	s := datagrams(5004, rtpPacket(65534), rtpPacket(1), rtpPacket(65535), "", rtpPacket(0), "", rtpPacket(2), "", rtpPacket(3))
	wantStrings(t, s, "protocol", "rtp")
	wantStrings(t, s, "rtp.ssrc", "0xcafe0001")
	s = datagrams(5004, rtpPacket(1), "", rtpPacket(900), "", rtpPacket(17), "", rtpPacket(4000))
	wantStrings(t, s, "protocol")
	sdes := "\x81\xca\x00\x05" + "\xca\xfe\x00\x01" + "\x01\x09" + "me@host.a" + "\x00" + strings.Repeat("\x00", 4)
	s = datagrams(5005, "\x80\xc9\x00\x01\xca\xfe\x00\x01"+sdes)
	wantStrings(t, s, "protocol", "rtcp")
	wantStrings(t, s, "rtp.cname", "me@host.a")
	wantStrings(t, s, "rtp.rtcp", "RR", "SDES")
}

func TestRTPAnnounced(t *testing.T) {
	description := "v=0\r\no=a 1 1 IN IP4 10.0.0.1\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 5004 RTP/AVP 96 0\r\na=rtpmap:96 opus/48000/2\r\nm=video 6000/2 RTP/SAVPF 31\r\nc=IN IP4 10.0.0.3\r\n"
	invite := "INVITE sip:b@x SIP/2.0\r\nCall-ID: c1@x\r\nContent-Type: application/sdp\r\nContent-Length: " + strconv.Itoa(len(description)) + "\r\n\r\n" + description
	for _, on := range []Transport{UDP, TCP} {
		set, lane := New(), new(Expected)
		call := linkedSession(set, lane, on, "10.0.0.1:5060", "10.0.0.2:5060")
		if on == UDP {
			call.Datagram(Client, 0, []byte(invite))
		} else {
			call.Stream(Client, []byte(invite[:100]))
			call.Stream(Client, []byte(invite[100:]))
		}
		audio := linkedSession(set, lane, UDP, "10.0.0.2:7000", "10.0.0.1:5004")
		audio.Datagram(Client, 0, []byte(rtpPacket(7)))
		audio.End(true)
		wantStrings(t, audio, "protocol", "rtp")
		wantStrings(t, audio, "rtp.callId", "c1@x")
		wantStrings(t, audio, "rtp.codec", "opus")
		wantStrings(t, audio, "rtp.media", "audio")
		video := linkedSession(set, lane, UDP, "10.0.0.3:6000", "10.0.0.2:7002")
		video.Datagram(Client, 0, []byte(rtpPacket(7)))
		wantStrings(t, video, "rtp.media", "video")
	}
}

func FuzzWireGuard(f *testing.F) {
	fuzzParser(f, "wireguard", "\x01\x00\x00\x00"+strings.Repeat("x", 144))
}
func FuzzOpenVPN(f *testing.F) {
	fuzzParser(f, "openvpn", "\x38CLIENTID\x00\x00\x00\x00\x00", "\x20CLIENTID\x00\x00\x00\x00\x01"+tlsHelloBytes)
}
func FuzzBitTorrent(f *testing.F) {
	fuzzParser(f, "bittorrent", "\x13BitTorrent protocol"+strings.Repeat("x", 48)+"\x00\x00\x00\x0a\x14\x00d1:v1:ae",
		"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:aa1:y1:qe")
}
func FuzzGTP(f *testing.F) {
	fuzzParser(f, "gtp", "\x32\x10\x00\x0d\x00\x00\x00\x00\x00\x01\x00\x00\x02\x62\x02\x10\x00\x00\x00\x00\xf1", "\x48\x20\x00\x0c\x00\x00\x00\x01\x00\x00\x01\x00\x02\x00\x01\x00")
}
func FuzzTACACS(f *testing.F) {
	fuzzParser(f, "tacacs", "\xc0\x01\x01\x01\x00\x00\x00\x01\x00\x00\x00\x0c\x01\x00\x01\x01\x04\x00\x00\x00user")
}
func FuzzSyslog(f *testing.F) {
	fuzzParser(f, "syslog", "<34>1 2003-10-11T22:14:15.003Z h su - ID47 - x\n20 <13>Oct 11 22:14:15 h")
}
func FuzzRTP(f *testing.F) {
	fuzzParser(f, "rtp", rtpPacket(1), "\x80\xc9\x00\x01\xca\xfe\x00\x01\x81\xca\x00\x02\xca\xfe\x00\x01\x01\x02ab")
}
func FuzzSDP(f *testing.F) {
	f.Add([]byte("v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 5004 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"))
	set := New()
	f.Fuzz(func(t *testing.T, b []byte) {
		lane := new(Expected)
		expectMedia(linkedSession(set, lane, UDP, "10.0.0.1:5060", "10.0.0.2:5060"), b, "c")
		if len(lane.queue) > 64 {
			t.Fatalf("%d sessions are expected", len(lane.queue))
		}
	})
}
