package session

import (
	"fmt"
	"sort"
	"strings"
	"testing"
)

// linkedTraffic is a control connection of FTP on which two files are fetched over data connections to the same port, which
// end long before the rest of the traffic.
func linkedTraffic() []frame {
	start := 1_700_000_000 * sec
	const passive = "227 Entering Passive Mode (10,0,1,44,4,1)\r\n"
	control := talk(start, 1, 300, 40000, 21, true, "", "220 hello\r\n", "PASV\r\n", passive, "RETR a.txt\r\n", "150 go\r\n", "", "226 done\r\n",
		"PASV\r\n", passive, "RETR b.txt\r\n", "150 go\r\n", "", "226 done\r\n", "QUIT\r\n", "221 bye\r\n")
	frames := append(control, talk(start+62*ms, 1, 300, 40001, 1025, true, "", "the file\n")...)
	frames = append(frames, talk(start+122*ms, 1, 300, 40002, 1025, true, "", "another file\n")...)
	for i := range int64(40) {
		frames = append(frames, udpFrame(start+i*sec, 5, 6, 7, 9, "tick"))
	}
	sort.SliceStable(frames, func(x, y int) bool { return frames[x].nanos < frames[y].nanos })
	return frames
}

// TestLinked holds that data connections of FTP are linked to their control connection whether packets come as captured
// or, as from chunks that end anywhere, flow by flow.
func TestLinked(t *testing.T) {
	packets := decodeFrames(t, linkedTraffic())
	plain, want := collect(t, DefaultConfig())
	for i := range packets {
		plain.Packet(&packets[i], Position{})
	}
	plain.Flush()
	for cut := range packets {
		clustered, got := collect(t, DefaultConfig())
		chunks := append(chunked(packets[:cut], cut+1), chunked(packets[cut:], len(packets))...)
		feed(clustered, chunks)
		clustered.Flush()
		compareDocs(t, fmt.Sprintf("chunks cut at packet %d", cut), got, want)
	}
	for _, name := range []string{"a.txt", "b.txt"} {
		linked := 0
		for _, d := range want {
			if strings.Contains(d.json, `"control":["1:`) && strings.Contains(d.json, `"direction":["download"]`) && strings.Contains(d.json, `"name":"`+name+`"`) {
				linked++
			}
		}
		if linked != 1 {
			t.Errorf("%d of %d documents of %s are linked to a control connection, want 1", linked, len(want), name)
		}
	}
}
