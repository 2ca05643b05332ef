package dissect

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"

	"wirelake/internal/spi"
)

// bittorrent reads BitTorrent: the handshake of peers (BEP 3) with their client's name (BEP 10), the distributed hash
// table (BEP 5), trackers over UDP (BEP 15), local discovery (BEP 14) and the start of the transport over UDP (BEP 29).
type bittorrent struct {
	Base
	f      *bittorrentFields
	frames frames
	begun  [2]bool
}

type bittorrentFields struct {
	infohash, peerID, client, method, nodeID, port spi.FieldID
}

const (
	bittorrentHandshake = 68
	bittorrentProtocol  = "\x13BitTorrent protocol"
	utpHeader           = 20
	bittorrentMaxRead   = 4096 // of a message
)

func newBitTorrent(r *spi.Registry) Protocol {
	g := fieldGroup{r, "bittorrent"}
	f := &bittorrentFields{
		infohash: r.Declare(spi.Field{Path: "bittorrent.infohash", Type: spi.LoTerm, List: true, Exprs: []string{"bittorrent.infohash"}, Hot: true, Name: "Info hash", Help: "info hashes of torrents, hex"}),
		peerID:   g.list(spi.Term, "peerId", "Peer id", "ids that peers give themselves"),
		client:   g.list(spi.Term, "client", "Client", "client programs, by name or by the code in the peer id"),
		method:   g.list(spi.Term, "method", "Method", "queries of the distributed hash table, and actions of trackers"),
		nodeID:   g.list(spi.LoTerm, "nodeId", "Node id", "ids of nodes of the distributed hash table, hex"),
		port:     g.list(spi.Integer, "port", "Port", "ports that peers say they listen on"),
	}
	return Protocol{
		Name: "bittorrent",
		Matchers: []Matcher{
			{On: TCP, Bytes: bittorrentProtocol},
			{On: TCP, Bytes: "BSYNC\x00"}, // BitTorrent Sync
			{On: UDP, Bytes: "BSYNC\x00"},
			{On: UDP, Bytes: "d1:ad2:id20:"}, // BEP 5: dictionaries by the order of their keys
			{On: UDP, Bytes: "d1:rd2:id20:"},
			{On: UDP, Bytes: "d1:q"},
			{On: UDP, Bytes: "d1:el"},
			{On: UDP, Bytes: "d2:ip"}, // BEP 42
			{On: UDP, Bytes: "\x00\x00\x04\x17\x27\x10\x19\x80", MinLen: 16},
			{On: UDP, Bytes: "BT-SEARCH * HTTP/1.1"},
			{On: UDP, Bytes: "\x41", MinLen: utpHeader, Func: utpSYN},
		},
		New: func(*Session) Parser { return &bittorrent{f: f} },
	}
}

// Parse implements Parser.
func (p *bittorrent) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	if !p.begun[dir] {
		if len(b) < bittorrentHandshake {
			return 0, More
		}
		if b[0] != 19 {
			return 0, Done
		}
		p.hash(s, p.f.infohash, b[28:48])
		p.peer(s, b[48:68])
		p.begun[dir], n = true, bittorrentHandshake
	}
	const head, extended, maxMessage = 4, 20, 1 << 20
	m, st := p.frames.each(dir, b[n:], head, bittorrentMaxRead, func(h []byte) int {
		if size := binary.BigEndian.Uint32(h); size <= maxMessage {
			return head + int(size)
		}
		return 0 // encrypted, or none
	}, func(m []byte) bool {
		if len(m) > head+2 && m[head] == extended && m[head+1] == 0 { // BEP 10: a dictionary of the client's
			bencodeEach(m[head+2:], func(key, value []byte) {
				if string(key) == "v" {
					addText(s, p.f.client, value)
				}
			})
		}
		return true
	})
	return n + m, st
}

// utpSYN accepts the packet that opens a connection of the transport over UDP (BEP 29): type and version, at most one
// known extension, a window, nothing received and no data.
func utpSYN(s *Session, _ Dir, b []byte) bool {
	u32 := binary.BigEndian.Uint32
	return !s.Reference && u32(b[4:]) != 0 && u32(b[8:]) == 0 && (b[1] == 0 && len(b) == utpHeader || b[1] <= 2 && len(b) == utpHeader+2+int(b[min(len(b)-1, utpHeader+1)])) &&
		binary.BigEndian.Uint16(b[18:]) == 0
}

// utpData returns what a data packet of BEP 29 carries, nil for others.
func utpData(b []byte) []byte {
	const data, extensions = 0x01, 8
	if len(b) < utpHeader || b[0] != data {
		return nil
	}
	next, rest := b[1], b[utpHeader:]
	for range extensions {
		if next == 0 || len(rest) < 2 || len(rest) < 2+int(rest[1]) {
			break
		}
		next, rest = rest[0], rest[2+int(rest[1]):]
	}
	return rest
}

// Gap implements Parser.
func (p *bittorrent) Gap(_ *Session, dir Dir, missing int) Status { return p.frames.gap(dir, missing) }

// Datagram implements Parser.
func (p *bittorrent) Datagram(s *Session, dir Dir, b []byte) Status {
	switch {
	case len(b) > 2 && b[0] == 'd' && b[1] >= '0' && b[1] <= '9' && b[len(b)-1] == 'e': // the id of a tracker's connection may begin like this
		p.node(s, b)
	case bytes.HasPrefix(utpData(b), []byte(bittorrentProtocol)):
		if m := utpData(b); len(m) >= bittorrentHandshake {
			p.hash(s, p.f.infohash, m[28:48])
			p.peer(s, m[48:68])
		}
	case bytes.HasPrefix(b, []byte("BT-SEARCH ")):
		for line := range bytes.SplitSeq(b, []byte("\r\n")) {
			if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("Infohash")) {
				addText(s, p.f.infohash, bytes.TrimSpace(value))
			}
		}
	case dir == Client && len(b) >= 16:
		p.tracker(s, b)
	}
	return More
}

// tracker reads a request to a tracker.
func (p *bittorrent) tracker(s *Session, b []byte) {
	const hashAt, peerAt, portAt, announceLen = 16, 36, 96, 98
	switch binary.BigEndian.Uint32(b[8:]) {
	case 0:
		s.Doc.AddString(p.f.method, "connect")
	case 1:
		if len(b) >= announceLen {
			s.Doc.AddString(p.f.method, "announce")
			p.hash(s, p.f.infohash, b[hashAt:peerAt])
			p.peer(s, b[peerAt:peerAt+20])
			s.Doc.AddInt(p.f.port, int64(binary.BigEndian.Uint16(b[portAt:])))
		}
	case 2:
		s.Doc.AddString(p.f.method, "scrape")
		for rest := b[hashAt:]; len(rest) >= 20; rest = rest[20:] {
			p.hash(s, p.f.infohash, rest[:20])
		}
	}
}

// node reads a message of the distributed hash table.
func (p *bittorrent) node(s *Session, b []byte) {
	bencodeEach(b, func(key, value []byte) {
		switch string(key) {
		case "q":
			if len(value) <= 32 && isCommandWord(value) {
				s.Doc.AddBytes(p.f.method, value)
			}
		case "v":
			p.code(s, value)
		case "a", "r":
			bencodeEach(value, func(key, value []byte) {
				switch {
				case len(value) == 20 && string(key) == "id":
					p.hash(s, p.f.nodeID, value)
				case len(value) == 20 && string(key) == "info_hash":
					p.hash(s, p.f.infohash, value)
				}
			})
		}
	})
}

func (p *bittorrent) hash(s *Session, f spi.FieldID, b []byte) {
	s.Doc.AddString(f, hex.EncodeToString(b))
}

// peer notes a peer's id, of which the first bytes name its client (BEP 20): the rest is random bytes.
func (p *bittorrent) peer(s *Session, id []byte) {
	text := hex.EncodeToString(id)
	if isPrintable(id) {
		text = string(id)
	}
	s.Doc.AddString(p.f.peerID, text)
	if id[0] == '-' && id[7] == '-' {
		p.code(s, id[1:7])
	}
}

// code notes a client's code: two letters and its version, which in the distributed hash table is two bytes.
func (p *bittorrent) code(s *Session, b []byte) {
	if len(b) >= 2 && isLetters(b[:2]) {
		if !isPrintable(b) {
			b = b[:2]
		}
		addText(s, p.f.client, b[:min(len(b), 16)])
	}
}

func isPrintable(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

const bencodeMaxNesting = 16

// bencodeEach calls f for the entries of the dictionary at the front of b (BEP 3, "bencoding"): strings without their
// length, others as they are written. What is cut off or damaged ends it.
func bencodeEach(b []byte, f func(key, value []byte)) {
	if len(b) == 0 || b[0] != 'd' {
		return
	}
	for b = b[1:]; len(b) > 0 && b[0] != 'e'; {
		n := bencodeLen(b, 0)
		if n == 0 || b[0] < '0' || b[0] > '9' {
			return
		}
		key := bencodeText(b[:n])
		b = b[n:]
		if n = bencodeLen(b, 0); n == 0 {
			return
		}
		f(key, bencodeText(b[:n]))
		b = b[n:]
	}
}

// bencodeText returns a string without its length; others as they are.
func bencodeText(b []byte) []byte {
	if b[0] >= '0' && b[0] <= '9' {
		return b[bytes.IndexByte(b, ':')+1:]
	}
	return b
}

// bencodeLen returns how long the value at the front of b is, 0 when it does not end there.
func bencodeLen(b []byte, depth int) int {
	if len(b) == 0 || depth > bencodeMaxNesting {
		return 0
	}
	switch c := b[0]; {
	case c == 'i':
		return bytes.IndexByte(b, 'e') + 1
	case c == 'l' || c == 'd':
		n := 1
		for n < len(b) && b[n] != 'e' {
			m := bencodeLen(b[n:], depth+1)
			if m == 0 {
				return 0
			}
			n += m
		}
		if n >= len(b) {
			return 0
		}
		return n + 1
	case c >= '0' && c <= '9':
		size, i := 0, 0
		for ; i < len(b) && i < 8 && b[i] >= '0' && b[i] <= '9'; i++ {
			size = size*10 + int(b[i]-'0')
		}
		if i < len(b) && b[i] == ':' && i+1+size <= len(b) {
			return i + 1 + size
		}
	}
	return 0
}
