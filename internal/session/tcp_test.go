package session

import (
	"strings"
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/spi"
)

// documentOf feeds frames in order and returns the first document.
func documentOf(t *testing.T, reference bool, frames []frame) *spi.Document {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Reference = reference
	var first *spi.Document
	set := dissect.New()
	b := New(set, cfg, nil, func(s *Session) {
		if first != nil {
			return
		}
		doc, _, err := set.Registry().ParseJSON(s.Doc.AppendJSON(nil, nil))
		if err != nil {
			t.Fatal(err)
		}
		first = doc
	})
	for i, p := range decodeFrames(t, frames) {
		b.Packet(&p, Position{Chunk: 1, Length: 1, Offset: uint64(i)}) //nolint:gosec // a small number
	}
	b.Flush()
	if first == nil {
		t.Fatal("no document")
	}
	return first
}

// TestInitRTT holds when the handshake ends: with the client's ACK, or for the reference with the first ACK without data.
func TestInitRTT(t *testing.T) {
	const c, s = 1, 2
	up := func(at int64, flags uint16, seq, ack uint32, text string) frame {
		return tcpFrame(at, c, s, 1000, 80, flags, seq, ack, text)
	}
	down := func(at int64, flags uint16, seq, ack uint32, text string) frame {
		return tcpFrame(at, s, c, 80, 1000, flags, seq, ack, text)
	}
	syn, synAck := up(0, fSYN, 10, 0, ""), down(20*ms, fSYNACK, 90, 11, "")
	for _, tt := range []struct {
		name            string
		frames          []frame
		own, reference  int64
		noOwn, noTheirs bool
	}{
		{"an ACK alone", []frame{syn, synAck, up(40*ms, fACK, 11, 91, "")}, 20, 20, false, false},
		{"an ACK with data, and no other", []frame{syn, synAck, up(40*ms, fPSH, 11, 91, "x")}, 20, 0, false, true},
		{"an ACK with data, acknowledged", []frame{syn, synAck, up(40*ms, fPSH, 11, 91, "x"), down(60*ms, fACK, 91, 12, "")}, 20, 30, false, false},
		{"no SYN", []frame{synAck, up(40*ms, fACK, 11, 91, "")}, 0, 0, true, true},
		{"the SYN-ACK was captured first", []frame{down(0, fSYNACK, 90, 11, ""), up(20*ms, fSYN, 10, 0, ""), up(40*ms, fACK, 11, 91, "")}, 0, 0, true, true},
		{"a SYN that is sent again", []frame{syn, up(10*ms, fSYN, 10, 0, ""), synAck, up(40*ms, fACK, 11, 91, "")}, 20, 20, false, false},
	} {
		for _, reference := range []bool{false, true} {
			want, none := tt.own, tt.noOwn
			if reference {
				want, none = tt.reference, tt.noTheirs
			}
			got, has := documentOf(t, reference, tt.frames).Int(spi.InitRTT)
			if has == none || got != want {
				t.Errorf("%s, reference %v: got %d, %v, want %d, %v", tt.name, reference, got, has, want, !none)
			}
		}
	}
}

// TestHole holds that what follows bytes which never came is read, and that the reference neither reads nor counts it,
// whether or not the other side acknowledged it.
func TestHole(t *testing.T) {
	frames := talk(0, 1, 2, 1000, 80, false, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
		"GET /lost HTTP/1.1\r\nHost: a\r\n\r\n", "", "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
	var kept []frame
	for _, f := range frames {
		if !strings.Contains(string(f.data), "/lost") {
			kept = append(kept, f)
		}
	}
	for i := range 40 {
		kept = append(kept, tcpFrame(sec+int64(i)*ms, 2, 1, 80, 1000, fACK, 94, 1085, "")) // acknowledges all
	}
	for _, tt := range []struct {
		reference bool
		paths     string
		bytes     int64
	}{{false, "/1 /2", 56}, {true, "/1", 28}} {
		doc := documentOf(t, tt.reference, kept)
		f, _ := doc.Registry().ByPath("http.path")
		var paths []string
		for v := range doc.Each(f.ID) {
			paths = append(paths, v.Str)
		}
		if got := strings.Join(paths, " "); got != tt.paths {
			t.Errorf("reference %v: paths %q, want %q", tt.reference, got, tt.paths)
		}
		if got, _ := doc.Int(spi.ClientBytes); got != tt.bytes {
			t.Errorf("reference %v: %d bytes, want %d", tt.reference, got, tt.bytes)
		}
	}
}

// TestTCPFlags holds what each counter counts (RFC 9293 section 3.1, RFC 9768 for AE).
func TestTCPFlags(t *testing.T) {
	const fECE, fCWR, fURG = 0x40, 0x80, 0x20
	one := func(flags uint16) frame { return tcpFrame(sec, 1, 2, 1000, 80, flags, 10, 20, "") }
	ae := one(fACK)
	ae.data[14+20+12] |= 1
	closed := one(fACK)
	closed.data[14+20+14], closed.data[14+20+15] = 0, 0
	closedRST := one(fRST)
	closedRST.data[14+20+14], closedRST.data[14+20+15] = 0, 0
	for _, tt := range []struct {
		name  string
		frame frame
		want  string
	}{
		{"SYN", one(fSYN), "syn"},
		{"SYN with ECN set-up", one(fSYN | fECE | fCWR), "syn ece cwr"},
		{"SYN-ACK", one(fSYNACK), "syn-ack"},
		{"ACK", one(fACK), "ack"},
		{"ACK with ECE", one(fACK | fECE), "ack ece"},
		{"ACK with URG", one(fACK | fURG), "ack urg"},
		{"ACK with AE", ae, "ack ae"},
		{"ACK with data pushed", one(fPSH), "psh"},
		{"FIN", one(fFIN), "fin"},
		{"RST", one(fRST), "rst"},
		{"RST with ACK", one(fRST | fACK), "rst"},
		{"everything at once", one(fSYN | fFIN | fPSH | fURG), "syn-ack psh fin urg"},
		{"no flags", one(0), ""},
		{"a zero window", closed, "ack srcZero"},
		{"a RST's window is none", closedRST, "rst"},
	} {
		doc := documentOf(t, true, []frame{tt.frame})
		var got []string
		for _, name := range []string{"syn", "syn-ack", "ack", "psh", "rst", "fin", "urg", "ece", "cwr", "ae", "srcZero", "dstZero"} {
			f, _ := doc.Registry().ByPath("tcpflags." + name)
			switch n, has := doc.Int(f.ID); {
			case !has || n > 1:
				t.Errorf("%s: tcpflags.%s is %d, %v", tt.name, name, n, has)
			case n == 1:
				got = append(got, name)
			}
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%s: counted %q, want %q", tt.name, text, tt.want)
		}
	}
}
