package dissect

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"

	"wirelake/internal/spi"
)

// rtp reads the Real-time Transport Protocol and its control protocol (RFC 3550, 3551, 5761): sources, payloads and names.
// Sessions are those that a session description announced (RFC 8866), as in SIP, and those whose packets go on as
// RTP's do.
type rtp struct {
	Base
	f         *rtpFields
	announced *rtpMedia
	begun     [2]rtpDir
	sure      bool
	misses    int
}

type rtpFields struct {
	ssrc, payload, codec, callID, media, rtcp, cname spi.FieldID
}

// rtpDir is a direction's last packet.
type rtpDir struct {
	ssrc     uint32
	sequence uint16
	run      int // packets that went on with one another
}

// rtpMedia is what a session description tells of a stream.
type rtpMedia struct {
	kind   string // audio, video
	callID string
	codecs map[byte]string // by payload type
}

const (
	rtpHeader  = 12
	rtpRun     = 4 // packets in sequence that make a session RTP
	rtpMisses  = 3 // packets that make it another protocol
	rtcpFirst  = 200
	rtcpSDES   = 202
	rtpMaxLine = 256
)

// declareRTP declares the fields of RTP, of which those that carry it within their streams note some.
func declareRTP(r *spi.Registry) *rtpFields {
	g := fieldGroup{r, "rtp"}
	return &rtpFields{
		ssrc:    g.list(spi.Term, "ssrc", "Source", "synchronization sources, hex"),
		payload: g.list(spi.Integer, "payloadType", "Payload type", "payload types by number"),
		codec:   g.list(spi.Term, "codec", "Codec", "encodings, by the session description or RFC 3551"),
		callID:  r.Declare(spi.Field{Path: "rtp.callId", Type: spi.Term, List: true, Exprs: []string{"rtp.callId"}, Hot: true, Name: "Call id", Help: "Call-ID of the SIP dialogue that set the stream up"}),
		media:   g.list(spi.Term, "media", "Media", "kinds of media announced: audio, video"),
		rtcp:    g.list(spi.Term, "rtcp", "RTCP", "kinds of control packets"),
		cname:   g.list(spi.Term, "cname", "CNAME", "canonical names of sources"),
	}
}

func newRTP(r *spi.Registry) Protocol {
	f := declareRTP(r)
	return Protocol{
		Name:     "rtp",
		Quiet:    true, // until packets go on as RTP's do
		Matchers: []Matcher{{On: UDP, MinLen: rtpHeader, Func: rtpStart}},
		New: func(s *Session) Parser {
			media, _ := s.Announced().(*rtpMedia)
			return &rtp{f: f, announced: media}
		},
	}
}

// rtpStart accepts what could be a packet: version 2 and a payload type in use, between ports that no service has.
func rtpStart(s *Session, _ Dir, b []byte) bool {
	if b[0]>>6 != 2 || s.SrcPort < 1024 || s.DstPort < 1024 {
		return false
	}
	pt := b[1] & 0x7f
	return b[1] >= rtcpFirst && b[1] <= 207 || pt <= 34 || pt >= 96
}

// Datagram implements Parser.
func (p *rtp) Datagram(s *Session, dir Dir, b []byte) Status {
	switch {
	case len(b) >= 8 && b[0]>>6 == 2 && b[1] >= rtcpFirst && b[1] <= 207:
		p.control(s, b)
		return More
	case len(b) < rtpHeader || b[0]>>6 != 2:
		if p.misses++; !p.sure && p.misses >= rtpMisses {
			return Done
		}
		return More // STUN and DTLS come on the same ports (RFC 7983)
	}
	d := &p.begun[dir]
	ssrc, sequence := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint16(b[2:])
	goesOn := d.run > 0 && ssrc == d.ssrc && sequence-d.sequence-1 < 16
	if !goesOn && d.run > 0 && !p.sure {
		if p.misses++; p.misses >= rtpMisses {
			return Done
		}
	}
	first := d.run == 0 || ssrc != d.ssrc
	if goesOn {
		d.run++
	} else {
		d.run = 1
	}
	d.ssrc, d.sequence = ssrc, sequence
	if p.announced != nil || d.run >= rtpRun {
		newly := !p.sure
		p.sure = true
		if newly || first {
			s.AddProtocol("rtp")
		}
		p.note(s, b)
	}
	return More
}

// source notes the source of a packet and the type of its payload, which it returns.
func (f *rtpFields) source(s *Session, b []byte) byte {
	s.Doc.AddString(f.ssrc, "0x"+strconv.FormatUint(uint64(binary.BigEndian.Uint32(b[8:]))|1<<32, 16)[1:])
	pt := b[1] & 0x7f
	s.Doc.AddInt(f.payload, int64(pt))
	return pt
}

func (p *rtp) note(s *Session, b []byte) {
	pt := p.f.source(s, b)
	codec := ""
	if p.announced != nil {
		codec = p.announced.codecs[pt]
		addText(s, p.f.callID, []byte(p.announced.callID))
		addText(s, p.f.media, []byte(p.announced.kind))
	}
	if codec == "" {
		codec = rtpCodec(pt)
	}
	addText(s, p.f.codec, []byte(codec))
}

// rtpCodec returns the encoding of a static payload type (RFC 3551 section 6), "" for others.
func rtpCodec(pt byte) string {
	return nameOf([]string{
		0: "PCMU", 3: "GSM", 4: "G723", 5: "DVI4", 6: "DVI4", 7: "LPC", 8: "PCMA", 9: "G722", 10: "L16", 11: "L16", 12: "QCELP", 13: "CN", 14: "MPA",
		15: "G728", 16: "DVI4", 17: "DVI4", 18: "G729", 25: "CelB", 26: "JPEG", 28: "nv", 31: "H261", 32: "MPV", 33: "MP2T", 34: "H263",
	}, pt)
}

// control reads a compound control packet (RFC 3550 section 6).
func (p *rtp) control(s *Session, b []byte) {
	var names []string
	var cnames [][]byte
	rest := b
	for len(rest) >= 4 && rest[0]>>6 == 2 && rest[1] >= rtcpFirst && len(names) < 16 {
		n := 4 * (1 + int(binary.BigEndian.Uint16(rest[2:])))
		name := nameOf([]string{"SR", "RR", "SDES", "BYE", "APP", "RTPFB", "PSFB", "XR"}, int(rest[1])-rtcpFirst)
		if name == "" || n > len(rest) {
			break
		}
		names = append(names, name)
		if rest[1] == rtcpSDES {
			cnames = append(cnames, sdesCNAMEs(rest[4:n])...)
		}
		rest = rest[n:]
	}
	// SRTCP has its tag behind what can be read; a compound begins with a report.
	if len(names) == 0 || names[0] != "SR" && names[0] != "RR" && p.announced == nil && !p.sure {
		p.misses++
		return
	}
	s.AddProtocol("rtcp")
	for _, name := range names {
		s.Doc.AddString(p.f.rtcp, name)
	}
	for _, name := range cnames {
		if isPrintable(name) { // encrypted ones are not
			addText(s, p.f.cname, name)
		}
	}
}

// sdesCNAMEs returns the canonical names in the chunks of a source description (RFC 3550 section 6.5).
func sdesCNAMEs(b []byte) (names [][]byte) {
	w := wire{b: b}
	for len(w.b) >= 6 && len(names) < 16 {
		before := len(w.b)
		w.take(4)
		for len(w.b) > 0 && w.b[0] != 0 {
			typ := w.be(1)
			if text := w.text(1); typ == 1 && len(text) > 0 {
				names = append(names, text)
			}
		}
		n := before - len(w.b)
		w.take(min(len(w.b), 4-n%4)) // at least one zero, to a multiple of 4
	}
	return names
}

// expectMedia tells the lane of the streams that a session description (RFC 8866) announces.
func expectMedia(s *Session, description []byte, callID string) {
	var common netip.Addr
	var media *rtpMedia
	var end netip.AddrPort
	announce := func() {
		if media == nil || !end.Addr().IsValid() || end.Port() == 0 {
			return
		}
		s.Expect(end, UDP, "rtp", false, media)
		s.Expect(netip.AddrPortFrom(end.Addr(), end.Port()+1), UDP, "rtp", false, media) // RTCP, RFC 3605's default
	}
	count := 0
	for line := range bytes.SplitSeq(description, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) < 2 || line[1] != '=' || len(line) > rtpMaxLine {
			continue
		}
		words := bytes.Fields(line[2:])
		switch line[0] {
		case 'c': // IN IP4 address[/ttl]
			if len(words) < 3 {
				continue
			}
			text, _, _ := bytes.Cut(words[2], []byte("/"))
			addr, err := netip.ParseAddr(string(text))
			if err != nil {
				continue
			}
			if media == nil {
				common = addr
			} else {
				end = netip.AddrPortFrom(addr, end.Port())
			}
		case 'm': // audio 49170 RTP/AVP 0 8
			announce()
			media = nil
			if count++; count > 16 || len(words) < 4 || !bytes.Contains(words[2], []byte("RTP/")) {
				continue
			}
			text, _, _ := bytes.Cut(words[1], []byte("/"))
			port, err := strconv.ParseUint(string(text), 10, 16)
			if err != nil {
				continue
			}
			media = &rtpMedia{kind: string(words[0]), callID: callID, codecs: make(map[byte]string)}
			end = netip.AddrPortFrom(common, uint16(port))
		case 'a': // rtpmap:96 opus/48000/2
			if rest, ok := bytes.CutPrefix(line[2:], []byte("rtpmap:")); ok && media != nil && len(media.codecs) < 32 {
				number, name, _ := bytes.Cut(rest, []byte(" "))
				if pt, err := strconv.ParseUint(string(number), 10, 7); err == nil {
					name, _, _ = bytes.Cut(name, []byte("/"))
					media.codecs[byte(pt)] = string(name)
				}
			}
		}
	}
	announce()
}
