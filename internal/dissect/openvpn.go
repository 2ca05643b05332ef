package dissect

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"

	"wirelake/internal/spi"
)

// openvpn reads the control channel of OpenVPN ("OpenVPN wire protocol", draft-openvpn-wire-protocol): the
// kinds of packets, the ids of the sessions, and the TLS inside, where it is not encrypted once more (tls-crypt).
type openvpn struct {
	Base
	f      *openvpnFields
	frames frames
	auth   int // bytes of HMAC in control packets; openvpnPlain, openvpnCrypt
	known  bool
	dirs   [2]openvpnDir
	tls    *nested
}

type openvpnFields struct {
	typ, session, auth spi.FieldID
}

// openvpnDir is a direction's part of the control channel.
type openvpnDir struct {
	next    uint32            // packet id that goes on with the TLS stream
	waiting map[uint32][]byte // packets that came early
}

const (
	openvpnPlain = -1 // no HMAC
	openvpnCrypt = -2 // encrypted

	// The highest byte of packet ids by which a client with tls-crypt-v2 says, and its server answers, that it
	// can do without state before its key is known.
	openvpnEarlyNegotiation = 0x0f

	openvpnMaxEarly = 16
	openvpnMaxAcks  = 8
	openvpnMaxRead  = 4096 // of a packet over TCP: those of the control channel are shorter
)

// Packet types.
const (
	openvpnSoftReset     = 3
	openvpnControl       = 4
	openvpnAck           = 5
	openvpnData1         = 6
	openvpnResetClient   = 7
	openvpnResetServer   = 8
	openvpnData2         = 9
	openvpnResetClient3  = 10
	openvpnControlWithWK = 11
)

func newOpenVPN(r *spi.Registry) Protocol {
	g := fieldGroup{r, "openvpn"}
	f := &openvpnFields{
		typ:     g.list(spi.Term, "type", "Packets", "kinds of packets"),
		session: g.list(spi.LoTerm, "sessionId", "Session id", "ids of the sessions of both peers, hex"),
		auth:    g.list(spi.Term, "controlAuth", "Control channel", "how control packets are protected: none, tls-auth, tls-crypt or tls-crypt-v2"),
	}
	return Protocol{
		Name: "openvpn",
		Matchers: []Matcher{
			{On: UDP, Bytes: "\x38", MinLen: 14, Func: func(_ *Session, _ Dir, b []byte) bool { return openvpnReset(b) != 0 }},
			{On: UDP, Bytes: "\x50", MinLen: 54, Func: func(_ *Session, _ Dir, b []byte) bool { return openvpnReset(b) != 0 }},
			{On: UDP, Bytes: "\x40", MinLen: 14, Func: func(_ *Session, _ Dir, b []byte) bool { return openvpnReset(b) != 0 }},
			{On: TCP, Offset: 2, Bytes: "\x38", MinLen: 16, Func: openvpnFramed},
			{On: TCP, Offset: 2, Bytes: "\x50", MinLen: 56, Func: openvpnFramed},
			{On: TCP, Offset: 2, Bytes: "\x40", MinLen: 16, Func: openvpnFramed},
			{On: UDP, Port: 1194, MinLen: 40, Func: func(_ *Session, _ Dir, b []byte) bool { return b[0]>>3 == openvpnData1 || b[0]>>3 == openvpnData2 }},
		},
		New: func(*Session) Parser { return &openvpn{f: f} },
	}
}

// openvpnFramed accepts a reset with its length in front.
func openvpnFramed(_ *Session, _ Dir, b []byte) bool {
	n := int(binary.BigEndian.Uint16(b))
	return 2+n <= len(b) && openvpnReset(b[2:2+n]) != 0
}

// openvpnReset returns how the packet that opens a session is protected, by its form: the bytes of the HMAC of
// tls-auth, openvpnPlain, openvpnCrypt; 0 when it is none. Behind type and session id it has, with tls-auth,
// HMAC, packet id and time; then acknowledgements, with the peer's session id, and a message id of 0.
func openvpnReset(b []byte) int {
	const head, replay, tag, ids = 9, 8, 32, 5
	tail := func(b []byte) bool { // acknowledgements and the message id
		if len(b) < ids || b[0] > openvpnMaxAcks {
			return false
		}
		n := ids + 4*int(b[0])
		if b[0] > 0 {
			n += 8
		}
		return len(b) == n && binary.BigEndian.Uint32(b[n-4:]) == 0
	}
	early := func(at int) bool { // a packet id of the first packets; those of tls-crypt-v2 count from 0x0f000000
		id := binary.BigEndian.Uint32(b[at:])
		return id&0xffffff >= 1 && id&0xffffff < 16 && (id>>24 == 0 || id>>24 == openvpnEarlyNegotiation)
	}
	op := b[0] >> 3
	if b[0]&7 != 0 || op != openvpnResetClient && op != openvpnResetServer && op != openvpnResetClient3 {
		return 0
	}
	if bytes.Count(b[1:head], []byte{0}) > 2 { // ids are random: this is another protocol's header
		return 0
	}
	if tail(b[head:]) {
		return openvpnPlain
	}
	for _, h := range [...]int{16, 20, 28, 32, 48, 64} {
		if len(b) > head+h+replay && early(head+h) && tail(b[head+h+replay:]) {
			return h
		}
	}
	if len(b) < head+replay+tag+ids || !early(head) {
		return 0
	}
	rest := len(b) - head - replay - tag - ids
	switch op { // how long what is encrypted can be tells
	case openvpnResetClient:
		if rest == 0 {
			return openvpnCrypt
		}
	case openvpnResetServer: // acknowledgements; since 2.6 what it takes of the client's early negotiation
		if n := rest - 8; n >= 4 && (n%4 == 0 || n%4 == 2) && n <= 4*openvpnMaxAcks+6 {
			return openvpnCrypt
		}
	case openvpnResetClient3: // the client's key, wrapped, its length last (tls-crypt-v2)
		const least = 32 + 256 + 2
		if n := int(binary.BigEndian.Uint16(b[len(b)-2:])); n >= least && n == rest {
			return openvpnCrypt
		}
	}
	return 0
}

// Parse implements Parser: packets with their length in front.
func (p *openvpn) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	return p.frames.each(dir, b, 2, openvpnMaxRead, func(h []byte) int {
		if n := int(binary.BigEndian.Uint16(h)); n > 0 {
			return 2 + n
		}
		return 0
	}, func(m []byte) bool {
		p.packet(s, dir, m[2:])
		return true
	})
}

// Gap implements Parser.
func (p *openvpn) Gap(_ *Session, dir Dir, missing int) Status { return p.frames.gap(dir, missing) }

// Datagram implements Parser.
func (p *openvpn) Datagram(s *Session, dir Dir, b []byte) Status {
	p.packet(s, dir, b)
	return More
}

// End implements Parser.
func (p *openvpn) End(s *Session, final bool) {
	if p.tls != nil {
		p.tls.end(s, final)
	}
}

func (p *openvpn) packet(s *Session, dir Dir, b []byte) {
	const head, replay = 9, 8
	if len(b) < head {
		return
	}
	op, key := b[0]>>3, b[0]&7
	name := nameOf([]string{
		1: "hard-reset-client-v1", 2: "hard-reset-server-v1", 3: "soft-reset", 4: "control", 5: "ack", 6: "data-v1", 7: "hard-reset-client", 8: "hard-reset-server",
		9: "data", 10: "hard-reset-client-v3", 11: "control-wrapped-key",
	}, op)
	if name == "" {
		return
	}
	s.Doc.AddString(p.f.typ, name)
	if op == openvpnData1 || op == openvpnData2 {
		return
	}
	s.Doc.AddString(p.f.session, hex.EncodeToString(b[1:head]))
	if op >= openvpnResetClient && op != openvpnControlWithWK && !p.known {
		if p.auth = openvpnReset(b); p.auth != 0 {
			p.known = true
			switch p.auth {
			case openvpnPlain:
				s.Doc.AddString(p.f.auth, "none")
			case openvpnCrypt:
				p.noteCrypt(s, op, b)
			default:
				s.Doc.AddString(p.f.auth, "tls-auth")
			}
		}
	}
	if !p.known || p.auth == openvpnCrypt || key != 0 || op == openvpnAck || op == openvpnSoftReset {
		return // later keys are agreed on in TLS sessions like the first
	}
	w := wire{b: b[head:]}
	if p.auth > 0 {
		w.take(p.auth + replay)
	}
	acks := int(w.be(1))
	if acks > openvpnMaxAcks {
		return
	}
	w.take(4 * acks)
	if acks > 0 {
		w.take(8) // the peer's session id
	}
	id := uint32(w.be(4))
	if w.bad {
		return
	}
	p.message(s, dir, id, w.b, op == openvpnControl || op == openvpnControlWithWK)
}

// noteCrypt tells the keys of one group of clients from those that each client has for itself, wrapped behind its first
// packet (tls-crypt-v2): servers answer those with the ids of early negotiation.
func (p *openvpn) noteCrypt(s *Session, op byte, b []byte) {
	if op == openvpnResetClient3 || b[9] == openvpnEarlyNegotiation {
		s.Doc.AddString(p.f.auth, "tls-crypt-v2")
		return
	}
	s.Doc.AddString(p.f.auth, "tls-crypt")
}

// message puts the messages of a direction in order: the first is the reset, the others are TLS.
func (p *openvpn) message(s *Session, dir Dir, id uint32, b []byte, tls bool) {
	d := &p.dirs[dir]
	if !tls {
		if id == 0 && d.next == 0 {
			d.next = 1
		}
		return
	}
	switch {
	case id < d.next:
		return // again
	case id > d.next:
		if id-d.next < openvpnMaxEarly && d.waiting[id] == nil && s.Hold(len(b)) {
			if d.waiting == nil {
				d.waiting = make(map[uint32][]byte)
			}
			d.waiting[id] = append([]byte{}, b...)
		}
		return
	}
	for {
		d.next++
		if p.tls == nil {
			p.tls = newNested(s)
			p.tls.begin(s)
			tls := *s.set.byName["tls"]
			tls.Quiet = s.Reference // which does not count it as TLS
			p.tls.s.attach(&tls)
		}
		p.tls.stream(s, dir, b)
		early, ok := d.waiting[d.next]
		if !ok {
			return
		}
		delete(d.waiting, d.next)
		s.Hold(-len(early))
		b = early
	}
}
