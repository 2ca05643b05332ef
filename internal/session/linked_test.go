package session

import (
	"fmt"
	"maps"
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

// TestLinkedAfterRestart holds that a data connection is linked by a process that goes on when its control connection has ended.
func TestLinkedAfterRestart(t *testing.T) {
	start := 1_700_000_000 * sec
	control := talk(start, 1, 300, 40000, 21, true, "", "220 hello\r\n", "PASV\r\n", "227 Entering Passive Mode (10,0,1,44,4,1)\r\n", "RETR a.txt\r\n", "150 go\r\n")
	data := talk(start+75*ms, 1, 300, 40001, 1025, true, "", "the ", "", "file", "", "\n")
	for i := range data[5:] {
		data[5+i].nanos += int64(i+1) * 20 * sec // the control connection is over by then
	}
	frames := append(control, data...)
	sort.SliceStable(frames, func(x, y int) bool { return frames[x].nanos < frames[y].nanos })
	packets := decodeFrames(t, frames)
	plain, want := collect(t, DefaultConfig())
	chunks := chunked(packets, 4)
	feed(plain, chunks)
	plain.Flush()
	told := 0
	for stop := range chunks {
		first, got := collect(t, DefaultConfig())
		feed(first, chunks[:stop])
		open := first.OpenFlows()
		for _, o := range open {
			if o.Told != "" && len(open) == 1 {
				told++
			}
		}
		second, rest := collect(t, DefaultConfig())
		if err := second.Restore(open); err != nil {
			t.Fatal(err)
		}
		var lane int64
		for _, c := range chunks[:stop] {
			for _, p := range c {
				second.Packet(p.p, p.pos)
			}
			lane = max(lane, chunkEnd(c))
		}
		if err := second.Resume(lane); err != nil {
			t.Fatal(err)
		}
		feed(second, chunks[stop:])
		second.Flush()
		maps.Copy(got, rest)
		compareDocs(t, fmt.Sprintf("stopped behind chunk %d", stop), got, want)
	}
	if told == 0 {
		t.Error("no checkpoint has the data connection without its control connection")
	}
}
