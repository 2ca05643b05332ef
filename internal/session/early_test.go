package session

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"wirelake/internal/config"
)

// TestEarlyBytes reads a file over SMB whose first mebibyte comes last: a session keeps its limit unless the lane has bytes for it.
func TestEarlyBytes(t *testing.T) {
	const piece = 1 << 20
	content := strings.Repeat("0123456789abcdef", 2*piece/16)
	le := func(n int, size int) string {
		b := append(binary.LittleEndian.AppendUint64(nil, uint64(n)), make([]byte, size)...) //nolint:gosec // not negative
		return string(b[:size])
	}
	message := func(command, id, answer int, body string) string {
		m := "\xfeSMB" + le(64, 8) + le(command, 2) + le(1, 2) + le(answer, 8) + le(id, 8) + le(5<<32, 8) + le(1, 24) + body
		return string(binary.BigEndian.AppendUint32(nil, uint32(len(m)))) + m //nolint:gosec // small
	}
	file := strings.Repeat("f", 16)
	name := "a\x00.\x00i\x00s\x00o\x00"
	read := func(id, at int) string {
		return message(8, id, 0, le(49, 4)+le(piece, 4)+le(at, 8)+file+le(0, 17))
	}
	data := func(id, at int) string {
		return message(8, id, 1, le(17, 2)+"\x50\x00"+le(piece, 4)+le(0, 8)+content[at:at+piece])
	}
	texts := []string{
		message(5, 2, 0, le(57, 44)+le(64+56, 2)+le(len(name), 2)+le(0, 8)+name), message(5, 2, 1, le(89, 48)+le(2*piece, 16)+file+le(0, 8)),
		read(3, 0) + read(4, piece),
	}
	answers := data(4, piece) + data(3, 0)
	for len(answers) > 0 {
		n := min(len(answers), 1460)
		texts = append(texts, answers[:n], "")
		answers = answers[n:]
	}
	frames := talk(1_700_000_000*sec, 1, 300, 40000, 445, true, texts...)
	sum := sha256.Sum256([]byte(content))
	for _, lane := range []int{0, 2 * piece} {
		cfg := DefaultConfig()
		cfg.EarlyBytes = config.Size(lane)
		b, docs := collect(t, cfg)
		var most int64
		for _, p := range decodeFrames(t, frames) {
			b.Packet(&p, Position{})
			most = max(most, b.memory)
		}
		b.Flush()
		if len(docs) != 1 {
			t.Fatalf("%d documents", len(docs))
		}
		for _, d := range docs {
			if !strings.Contains(d.json, "a.iso") {
				t.Errorf("no file: %s", d.json)
			}
			if has := strings.Contains(d.json, hex.EncodeToString(sum[:])); has != (lane > 0) {
				t.Errorf("with %d bytes for the lane: hashes %v", lane, has)
			}
		}
		if own := most - int64(lane); own > 1<<20 {
			t.Errorf("with %d bytes for the lane the session took %d", lane, most)
		}
		if lane > 0 && most < piece {
			t.Errorf("%d bytes were counted, a mebibyte waits", most)
		}
	}
}
