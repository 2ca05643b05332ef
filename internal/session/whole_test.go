package session

import (
	"bytes"
	"slices"
	"sort"
	"strings"
	"testing"

	"wirelake/internal/packet"
)

// TestWholeFile holds that a file which begins and ends with its connection has hashes only when both were captured.
func TestWholeFile(t *testing.T) {
	start := 1_700_000_000 * sec
	control := talk(start, 1, 300, 40000, 21, true, "", "220 hello\r\n", "PASV\r\n", "227 Entering Passive Mode (10,0,1,44,4,1)\r\n", "RETR a.txt\r\n", "150 go\r\n",
		"", "226 done\r\n", "QUIT\r\n", "221 bye\r\n")
	data := talk(start+62*ms, 1, 300, 40001, 1025, true, "", "the file\n")
	web := talk(start, 1, 300, 40002, 80, true, "GET /a.zip HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nPK\x03\x04 and so on")
	all := func(f []frame) []frame { return f }
	for _, tt := range []struct {
		name  string
		cut   func([]frame) []frame
		whole bool
	}{
		{"all of it", all, true},
		{"no end", func(f []frame) []frame { return f[:len(f)-3] }, false},
		{"a reset for an end", func(f []frame) []frame {
			reset := f[len(f)-3]
			reset.data = bytes.Clone(reset.data)
			reset.data[14+20+13] = byte(packet.FlagRST)
			return append(f[:len(f)-3:len(f)-3], reset)
		}, false},
	} {
		for source, frames := range map[string][]frame{
			"ftp":  append(control[:len(control):len(control)], tt.cut(data)...),
			"http": tt.cut(web),
		} {
			frames = slices.Clone(frames)
			sort.SliceStable(frames, func(x, y int) bool { return frames[x].nanos < frames[y].nanos })
			b, docs := collect(t, DefaultConfig())
			for _, p := range decodeFrames(t, frames) {
				b.Packet(&p, Position{})
			}
			b.Flush()
			found := 0
			for _, d := range docs {
				if !strings.Contains(d.json, `"source":"`+source+`"`) {
					continue
				}
				found++
				files := d.json[strings.Index(d.json, `"files":`):]
				files = files[:strings.Index(files, "}")]
				if has := strings.Contains(files, `"sha256"`); has != tt.whole {
					t.Errorf("%s: %s: hashes %v, want %v: %s", source, tt.name, has, tt.whole, files)
				}
			}
			if found != 1 {
				t.Errorf("%s: %s: %d documents with the file, want 1", source, tt.name, found)
			}
		}
	}
}
