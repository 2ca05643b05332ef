package dissect

import (
	"crypto/md5" //nolint:gosec // an identity
	"encoding/hex"
	"testing"
)

// FuzzScattered holds that pieces in any order, some of them twice, make the hash of the whole or none, count each byte once
// and hold no more than their bound.
func FuzzScattered(f *testing.F) {
	f.Add([]byte("the contents of a file"), []byte{5, 0, 9, 5, 3, 20, 0, 9, 5, 20, 3, 1})
	f.Add(make([]byte, 4000), []byte{200, 255, 100, 255, 0, 255, 99, 200})
	f.Add(make([]byte, 4000), []byte{200, 255, 100, 255, 0, 255, 99, 200, 0})
	set := New()
	f.Fuzz(func(t *testing.T, content, order []byte) {
		s := newTestSession(set, TCP, 40000, 445)
		if len(order)%2 == 1 { // with room of the lane's
			s.Early = &EarlyBytes{Max: 2000}
			defer func() {
				if s.End(true); s.Early.held != 0 {
					t.Errorf("%d bytes wait behind the end", s.Early.held)
				}
			}()
		}
		s.Attach("smb")
		h := newScattered()
		came := make([]bool, len(content))
		for i := 0; i+1 < len(order) && len(content) > 0; i += 2 {
			offset := int(order[i]) * len(content) / 256
			piece := content[offset:min(len(content), offset+int(order[i+1])*16+1)]
			h.expect(s, int64(offset), len(piece))
			for at, half := 0, len(piece)/2; at < len(piece); at, half = half, len(piece) {
				if half > at {
					h.at(s, int64(offset+at), piece[at:half])
				}
			}
			for j := range piece {
				came[offset+j] = true
			}
			if s.Buffered() != h.held || h.held > h.kept || h.kept > s.maxEarly() {
				t.Fatalf("%d bytes are held, %d in blocks, %d announced", s.Buffered(), h.held, h.kept)
			}
		}
		count, prefix := int64(0), 0
		for i, c := range came {
			if c {
				count++
			}
			if c && prefix == i {
				prefix++
			}
		}
		if h.uncounted == 0 && h.size() != count {
			t.Fatalf("%d bytes came, %d were counted", count, h.size())
		}
		if h.lost {
			return
		}
		sum := md5.Sum(content[:prefix]) //nolint:gosec // an identity
		if h.next != int64(prefix) || hexSum(h.md5) != hex.EncodeToString(sum[:]) {
			t.Fatalf("hash of %d bytes is not that of the first %d", h.next, prefix)
		}
	})
}
