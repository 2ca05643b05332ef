package query

import (
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"wirelake/internal/packet"
	"wirelake/internal/spi"
)

const (
	defaultPackets = 200
	maxPackets     = 2000
	// maxPacketBytes bounds the captured bytes of one answer.
	maxPacketBytes = 32 << 20
)

// packetsAnswer is a session's packets as the GUI takes them.
type packetsAnswer struct {
	Total     int          `json:"total"`
	Truncated bool         `json:"truncated"`
	Packets   []packetInfo `json:"packets"`
	Warnings  []string     `json:"warnings,omitempty"`
}

type packetInfo struct {
	N             int     `json:"n"`
	Time          float64 `json:"time"` // ms since 1970, with a fraction
	Src           bool    `json:"src"`
	Length        int     `json:"length"`
	Captured      int     `json:"captured"`
	Data          string  `json:"data"` // base64
	PayloadOffset int     `json:"payloadOffset"`
	PayloadLength int     `json:"payloadLength"`
	Summary       string  `json:"summary,omitempty"`

	nanos   int64
	payload []byte
}

// packets answers …/packets: HTML as Arkime does, JSON when that is asked for.
func (a *API) packets(w http.ResponseWriter, r *http.Request, p *params) error {
	if a.Packets == nil {
		return errNoPackets()
	}
	limit, err := p.number("packets", defaultPackets, maxPackets)
	if err != nil {
		return err
	}
	limit = max(limit, 1)
	d, warnings, err := a.find(r.Context(), chi.URLParam(r, "node"), chi.URLParam(r, "id"), nil)
	if err != nil {
		return err
	}
	answer := packetsAnswer{Packets: []packetInfo{}, Warnings: warnings}
	describe := newDescriber(d)
	size := 0
	for pkt, err := range a.Packets.Session(r.Context(), d) {
		if err != nil {
			if answer.Total == 0 {
				return err
			}
			answer.Warnings = append(answer.Warnings, "not all packets could be read: "+err.Error())
			break
		}
		answer.Total++
		size += len(pkt.Data)
		if answer.Total > limit || size > maxPacketBytes {
			answer.Truncated = true
			break
		}
		answer.Packets = append(answer.Packets, describe.packet(answer.Total, pkt))
	}
	if answer.Truncated {
		// The document knows how many there are; the rest need not be fetched to be counted.
		answer.Total = limit
		if n, ok := d.Int(spi.NetworkPackets); ok {
			answer.Total = max(int(n), len(answer.Packets))
		}
	}
	if p.Get("format") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json") {
		a.writeJSON(w, r, http.StatusOK, answer)
		return nil
	}
	return a.packetsHTML(w, r, p, answer)
}

// describer says of packets what the GUI shows: the direction, the payload's place and a line of text.
type describer struct {
	source   netip.AddrPort
	sourceIP bool
	mac      string
	decoders map[uint32]*packet.Decoder // by link type: a decoder keeps fragments of a stream
}

func newDescriber(d *spi.Document) *describer {
	out := &describer{mac: d.String(spi.SourceMAC), decoders: make(map[uint32]*packet.Decoder)}
	if addr, err := netip.ParseAddr(d.String(spi.SourceIP)); err == nil {
		port, _ := d.Int(spi.SourcePort)
		out.source, out.sourceIP = netip.AddrPortFrom(addr, uint16(port)), true //nolint:gosec // G115: a port of ours
	}
	return out
}

func (s *describer) packet(n int, p Packet) packetInfo {
	dec := s.decoders[p.LinkType]
	if dec == nil {
		dec = packet.NewDecoder(p.LinkType, packet.Options{})
		s.decoders[p.LinkType] = dec
	}
	var parsed packet.Packet
	dec.Decode(p.Data, p.TimeNanos, p.WireLen, &parsed)
	info := packetInfo{
		N: n, Time: float64(p.TimeNanos) / 1e6, nanos: p.TimeNanos, Src: s.fromSource(&parsed), Length: p.WireLen, Captured: len(p.Data),
		Data: base64.StdEncoding.EncodeToString(p.Data), Summary: summary(&parsed),
		payload: append([]byte(nil), parsed.Payload...),
	}
	if len(parsed.Payload) > 0 {
		// The payload is a part of the frame that reaches to the frame's capacity, so its start follows from that.
		info.PayloadOffset, info.PayloadLength = cap(p.Data)-cap(parsed.Payload), len(parsed.Payload)
	}
	return info
}

func (s *describer) fromSource(p *packet.Packet) bool {
	if s.sourceIP && p.Key.IsIP() {
		src, dst := p.Src(), p.Dst()
		if src.Addr() != dst.Addr() {
			return src.Addr() == s.source.Addr()
		}
		return src.Port() == s.source.Port()
	}
	m := p.SrcMAC
	return s.mac == "" || s.mac == fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// summary describes a packet in a line.
func summary(p *packet.Packet) string {
	if !p.Key.IsIP() {
		if p.EtherType > 0 {
			return fmt.Sprintf("ethertype 0x%04x", p.EtherType)
		}
		return p.Mark.String()
	}
	src, dst := p.Src(), p.Dst()
	switch p.Proto {
	case packet.ProtoTCP:
		return fmt.Sprintf("TCP %d → %d [%s] seq=%d ack=%d win=%d len=%d", src.Port(), dst.Port(), flagNames(p.Flags), p.Seq, p.Ack, p.Window, len(p.Payload))
	case packet.ProtoUDP:
		return fmt.Sprintf("UDP %d → %d len=%d", src.Port(), dst.Port(), len(p.Payload))
	case packet.ProtoSCTP:
		return fmt.Sprintf("SCTP %d → %d len=%d", src.Port(), dst.Port(), len(p.Payload))
	case packet.ProtoICMP, packet.ProtoICMPv6:
		return fmt.Sprintf("ICMP type=%d code=%d len=%d", p.ICMPType, p.ICMPCode, len(p.Payload))
	}
	return fmt.Sprintf("IP protocol %d len=%d", p.Proto, len(p.L4))
}

func flagNames(flags uint16) string {
	var out []string
	for _, f := range []struct {
		bit  uint16
		name string
	}{{packet.FlagSYN, "SYN"}, {packet.FlagFIN, "FIN"}, {packet.FlagRST, "RST"}, {packet.FlagPSH, "PSH"}, {packet.FlagACK, "ACK"},
		{packet.FlagURG, "URG"}, {packet.FlagECE, "ECE"}, {packet.FlagCWR, "CWR"}, {packet.FlagAE, "AE"}} {
		if flags&f.bit != 0 {
			out = append(out, f.name)
		}
	}
	return strings.Join(out, ",")
}

// packetsPage is a fragment that escapes all it is given: payloads are hostile.
const packetsPage = `<div class="session-packets">
{{- range .Warnings}}<p class="warning">{{.}}</p>{{end}}
{{- range .Packets}}
<div class="{{if .Src}}sessionsrc{{else}}sessiondst{{end}}"><div class="session-detail-ts" value="{{.Millis}}"><em>{{if .Src}}Source{{else}}Destination{{end}}</em> <span>{{.Time}}</span> <span>{{.Length}} bytes</span> <span>{{.Summary}}</span></div><pre>{{.Text}}</pre></div>
{{- end}}
{{- if .Truncated}}<p>{{len .Packets}} of {{.Total}} packets</p>{{end}}
</div>
`

func (a *API) packetsHTML(w http.ResponseWriter, r *http.Request, p *params, answer packetsAnswer) error {
	var show func([]byte) string
	switch base := p.Get("base"); base {
	case "hex":
		show = func(b []byte) string { return hexDump(b, p.Get("line") == "true" || p.Get("line") == "1") }
	case "", "ascii":
		show = printable
	case "utf8", "natural":
		show = func(b []byte) string { return strings.ToValidUTF8(string(b), "\ufffd") }
	default:
		return badParam("base", "%q is not one of hex, ascii, utf8 and natural", base)
	}
	type shown struct {
		Src     bool
		Millis  int64
		Time    string
		Length  int
		Summary string
		Text    string
	}
	page := struct {
		Warnings  []string
		Packets   []shown
		Truncated bool
		Total     int
	}{Warnings: answer.Warnings, Truncated: answer.Truncated, Total: answer.Total}
	frames := p.flag("showFrames")
	for _, info := range answer.Packets {
		text := show(info.payload)
		if frames {
			raw, err := base64.StdEncoding.DecodeString(info.Data)
			if err != nil {
				return err
			}
			text = show(raw)
		} else if len(info.payload) == 0 {
			continue // as Arkime: what says nothing is not shown
		}
		page.Packets = append(page.Packets, shown{info.Src, info.nanos / 1e6, time.Unix(0, info.nanos).UTC().Format("2006-01-02 15:04:05.000000000"), info.Length, info.Summary, text})
	}
	tmpl, err := template.New("packets").Parse(packetsPage)
	if err != nil {
		return err
	}
	var b strings.Builder
	if err := tmpl.Execute(&b, page); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	if _, err := w.Write([]byte(b.String())); err != nil {
		a.Log.DebugContext(r.Context(), "client left", "path", r.URL.Path, "error", err)
	}
	return nil
}

// printable replaces what is not printable ASCII by dots, and keeps lines.
func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		switch {
		case c == '\n' || c == '\t' || c >= ' ' && c < 0x7f:
			out[i] = c
		case c == '\r':
			out[i] = ' '
		default:
			out[i] = '.'
		}
	}
	return string(out)
}

// hexDump writes 16 bytes a line, with their characters and, asked for, the offset.
func hexDump(b []byte, offsets bool) string {
	var out strings.Builder
	for at := 0; at < len(b); at += 16 {
		line := b[at:min(at+16, len(b))]
		if offsets {
			fmt.Fprintf(&out, "%08x  ", at)
		}
		for i := range 16 {
			if i < len(line) {
				fmt.Fprintf(&out, "%02x ", line[i])
			} else {
				out.WriteString("   ")
			}
		}
		text := make([]byte, len(line))
		for i, c := range line {
			text[i] = '.'
			if c >= ' ' && c < 0x7f {
				text[i] = c
			}
		}
		out.WriteString(" " + string(text) + "\n")
	}
	return out.String()
}
