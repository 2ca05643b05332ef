package dissect

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

func TestRTSP(t *testing.T) {
	request := func(method, more string) string {
		return method + " rtsp://192.0.2.1:8554/live RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: player/1\r\n" + more + "\r\n"
	}
	answer := func(more, body string) string {
		return "RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: cam/2\r\n" + more + "\r\n" + body
	}
	media := "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=live\r\nc=IN IP4 10.0.0.1\r\nm=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
	described := answer("Content-Type: application/sdp\r\nContent-Length: "+strconv.Itoa(len(media))+"\r\n", media)
	packet := "\x80\x60\x00\x01\x00\x00\x00\x00\x12\x34\x56\x78" + strings.Repeat("v", 500)
	wireSession(t, 8554, func(t *testing.T, s *Session) {
		t.Helper()
		wantStrings(t, s, "protocol", "rtsp", "rtp", "rtcp")
		wantStrings(t, s, "rtsp.method", "OPTIONS", "DESCRIBE", "SETUP", "PLAY")
		wantStrings(t, s, "rtsp.uri", "rtsp://192.0.2.1:8554/live")
		wantStrings(t, s, "rtsp.useragent", "player/1")
		wantStrings(t, s, "rtsp.server", "cam/2")
		wantStrings(t, s, "rtsp.user", "joe")
		wantStrings(t, s, "rtp.ssrc", "0x12345678")
		if got := intsOf(s, "rtsp.statuscode"); len(got) != 1 || got[0] != 200 {
			t.Errorf("status: got %d, want 200", got)
		}
	}, request("OPTIONS", ""), answer("", ""), request("DESCRIBE", "Authorization: Digest username=\"joe\", realm=\"x\"\r\n"), described,
		request("SETUP", "Transport: RTP/AVP/TCP;interleaved=0-1\r\n"), answer("", ""), request("PLAY", ""),
		answer("", "")+"$\x00"+counted(2, packet)+"$\x01"+counted(2, "\x80\xc8\x00\x01\x12\x34\x56\x78....")+"$\x00"+counted(2, packet))

	// The ports that were agreed on are RTP's before its packets show it.
	set, lane := New(), new(Expected)
	control := newTestSession(set, TCP, 40000, 554)
	control.Expected = lane
	control.Stream(Client, []byte(request("SETUP", "Transport: RTP/AVP;unicast;client_port=50000-50001\r\n")))
	control.Stream(Server, []byte(answer("Transport: RTP/AVP;unicast;client_port=50000-50001;server_port=6000-6001\r\n", "")))
	stream := newTestSession(set, UDP, 6000, 50000)
	stream.Src, stream.Dst = netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")
	stream.Expected = lane
	stream.Datagram(Client, 0, []byte(packet))
	wantStrings(t, stream, "protocol", "rtp")

	reference := newSeedSession(set, TCP, 40000, 554)
	reference.Reference = true
	reference.Stream(Client, []byte(request("SETUP", "")))
	wantStrings(t, reference, "protocol", "rtsp")
	wantStrings(t, reference, "rtsp.method")
}

func FuzzRTSP(f *testing.F) {
	fuzzParser(f, "rtsp", "SETUP rtsp://a/b RTSP/1.0\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n$\x00\x00\x0c\x80\x60aaaaaaaaaa", "RTSP/1.0 200 OK\r\nTransport: x;client_port=1-2\r\n\r\n")
}
