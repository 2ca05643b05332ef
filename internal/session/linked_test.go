package session

import (
	"sort"
	"strings"
	"testing"
)

// TestLinked holds that a data connection of FTP is linked to its control connection whether packets come as captured
// or, as from a chunk, flow by flow.
func TestLinked(t *testing.T) {
	start := 1_700_000_000 * sec
	control := talk(start, 1, 300, 40000, 21, true, "", "220 hello\r\n", "PASV\r\n", "227 Entering Passive Mode (10,0,1,44,4,1)\r\n", "RETR a.txt\r\n", "150 go\r\n", "", "226 done\r\n", "QUIT\r\n", "221 bye\r\n")
	data := talk(start+75*ms, 1, 300, 40001, 1025, true, "", "the file\n")
	frames := append(control, data...)
	sort.SliceStable(frames, func(x, y int) bool { return frames[x].nanos < frames[y].nanos })
	packets := decodeFrames(t, frames)
	plain, want := collect(t, DefaultConfig())
	for i := range packets {
		plain.Packet(&packets[i], Position{})
	}
	plain.Flush()
	clustered, got := collect(t, DefaultConfig())
	feed(clustered, chunked(packets, len(packets)))
	clustered.Flush()
	compareDocs(t, "clustered", got, want)
	linked := 0
	for _, d := range want {
		if strings.Contains(d.json, `"control":["1:`) && strings.Contains(d.json, `"direction":["download"]`) && strings.Contains(d.json, `"name":"a.txt"`) {
			linked++
		}
	}
	if linked != 1 {
		t.Errorf("%d of %d documents are linked to a control connection, want 1", linked, len(want))
	}
}
