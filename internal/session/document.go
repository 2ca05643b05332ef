package session

import (
	"encoding/hex"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"

	"wirelake/internal/packet"
	"wirelake/internal/spi"
)

// save writes a segment's document and hands it on. A last segment without
// packets is dropped: the segment before it said everything. The reference writes it.
func (b *Builder) save(f *flow, final bool) {
	if final && !b.cfg.Reference {
		for dir := range f.streams {
			if len(f.streams[dir].queue) > 0 {
				f.streams[dir].flush(&f.sides[dir])
			}
		}
	}
	doc := b.scratch
	if final && f.sctp != nil {
		b.flushSCTP(f)
	}
	if c := f.conn; c != nil {
		b.noteDisorder(f)
		c.s.Began, c.s.Ended = [2]bool{f.tcp.haveSyn, f.tcp.haveSynAck}, f.tcp.fin
		c.s.End(final)
		doc = c.doc
	} else {
		doc.Reset()
	}
	// A session of fragments that make no datagram is none to the reference.
	if f.seg.packets[0]+f.seg.packets[1] == 0 && (!b.cfg.Reference || f.segments == 0) {
		return
	}
	f.segments++
	if f.segments > f.suppress {
		b.write(f, doc, final)
	}
	if final {
		return
	}
	b.keep(f, doc)
	f.resetSegment()
	f.segStart = 0
	f.tcp.streamBase = [2]uint64{f.streams[0].bytes, f.streams[1].bytes}
}

// write fills the general fields in and emits the document.
func (b *Builder) write(f *flow, doc *spi.Document, final bool) {
	// A segment tells of its own time, so that a day's sessions are those of its
	// packets; the reference repeats the time of the session's first packet.
	first := f.first
	if f.segments > 1 && !b.cfg.Reference && f.segStart != 0 {
		first = f.segStart
	}
	lane := laneName(b.cfg)
	id := ID(lane, &f.key, first, f.first, f.firstSeq, f.segments)
	root := ""
	if f.segments > 1 {
		root = ID(lane, &f.key, f.first, f.first, f.firstSeq, 1)
	} else if !final {
		root = id
	}
	w := writer{doc}
	w.str(spi.ID, id)
	w.str(spi.RootID, root)
	w.str(spi.Node, b.cfg.Sensor)
	w.str(spi.Lane, b.cfg.Lane)
	w.str(spi.FilePath, b.cfg.File)
	w.int(spi.SegmentCount, int64(f.segments))
	writeTimes(w, first, f.newest, b.cfg.Reference)
	blind := b.cfg.Reference && f.kind == kindTCP && !f.tcp.haveSyn && !f.tcp.haveSynAck
	writeCounts(w, f, blind)
	b.writeEnds(w, f)
	b.writeLayer2(w, f)
	for dir, fields := range [2]struct{ ttl, dscp, payload8 spi.FieldID }{
		{spi.SourceTTL, spi.SourceDSCP, spi.SourcePayload8},
		{spi.DestinationTTL, spi.DestinationDSCP, spi.DestinationPayload8},
	} {
		for _, v := range f.seg.ttl[dir] {
			w.int(fields.ttl, int64(v))
		}
		for set := f.seg.dscp[dir] &^ 1; set != 0; set &= set - 1 { // 0 is the default, and not listed
			w.int(fields.dscp, int64(bits.TrailingZeros64(set)))
		}
		if n := f.payload8n[dir]; n > 0 && !blind && !f.dhcp {
			w.str(fields.payload8, hex.EncodeToString(f.payload8[dir][:n]))
		}
	}
	for _, c := range f.seg.comments {
		w.str(spi.PacketComment, c)
	}
	if f.kind == kindTCP {
		b.writeTCP(w, f)
	}
	writeProtocols(doc, f, b.cfg.Reference)
	if doc.Truncated() && !b.cfg.Reference {
		w.str(spi.Tags, "spi-truncated") // past the limits that cut the rest
	}
	b.out = Session{
		Doc: doc, Key: f.key, ID: id, RootID: root, Segment: f.segments, Final: final,
		First: first, Last: f.newest, Ranges: f.seg.ranges,
	}
	b.emit(&b.out)
}

// keep empties the document for the next segment, except what holds for the
// whole session: its protocols, tags and users.
func (b *Builder) keep(f *flow, doc *spi.Document) {
	if f.conn == nil {
		return
	}
	b.kept = b.kept[:0]
	for _, field := range []spi.FieldID{spi.Protocol, spi.Tags, spi.User} {
		for v := range doc.Each(field) {
			b.kept = append(b.kept, v)
		}
	}
	doc.Reset()
	for _, v := range b.kept {
		doc.Append(v)
	}
	clear(b.kept)
}

// writer appends scalars and lists that are known to hold no value yet, without
// the search for duplicates.
type writer struct{ doc *spi.Document }

func (w writer) int(f spi.FieldID, n int64) { w.doc.Append(spi.Value{Field: f, Int: n}) }

func (w writer) str(f spi.FieldID, s string) {
	if s != "" {
		w.doc.Append(spi.Value{Field: f, Str: s})
	}
}

// writeTimes writes the times of the first packet and of the one that came last,
// which is the earlier one where the capture's clock went back.
func writeTimes(w writer, firstNanos, lastNanos int64, reference bool) {
	first, last := floorMillis(firstNanos), floorMillis(lastNanos)
	w.int(spi.FirstPacket, first)
	w.int(spi.LastPacket, last)
	w.int(spi.Length, max(last-first, first-last))
	if reference { // it repeats the two times, at four bytes a session on disk
		w.int(spi.PacketRangeGTE, min(first, last))
		w.int(spi.PacketRangeLTE, max(first, last))
	}
}

// floorMillis returns the ms of a time in ns, cut to whole ones, before 1970 too.
func floorMillis(nanos int64) int64 {
	ms := nanos / 1e6
	if nanos%1e6 < 0 {
		ms--
	}
	return ms
}

// writeCounts writes the counts; blind, it leaves the payload out.
func writeCounts(w writer, f *flow, blind bool) {
	payload := f.seg.payload
	for i := range f.streams {
		if !blind {
			payload[i] += f.streams[i].bytes - f.tcp.streamBase[i]
		}
	}
	s := &f.seg
	w.int(spi.SourcePackets, int64(s.packets[0]))
	w.int(spi.DestinationPackets, int64(s.packets[1]))
	w.int(spi.NetworkPackets, int64(s.packets[0])+int64(s.packets[1]))
	w.int(spi.SourceBytes, int64(s.bytes[0]))
	w.int(spi.DestinationBytes, int64(s.bytes[1]))
	w.int(spi.NetworkBytes, int64(s.bytes[0]+s.bytes[1]))
	if s.cut > 0 {
		w.int(spi.CaptureCut, int64(s.cut)) //nolint:gosec // bytes of one session
	}
	w.int(spi.ClientBytes, int64(payload[0]))
	w.int(spi.ServerBytes, int64(payload[1]))
	w.int(spi.TotalDataBytes, int64(payload[0]+payload[1]))
}

// writeEnds writes addresses, ports and where the addresses are.
func (b *Builder) writeEnds(w writer, f *flow) {
	w.int(spi.IPProtocol, int64(f.proto))
	if !f.key.IsIP() {
		return
	}
	src, dst := f.key.Src(f.client), f.key.Dst(f.client)
	w.str(spi.SourceIP, addrText(src.Addr()))
	w.int(spi.SourcePort, int64(src.Port()))
	w.str(spi.DestinationIP, addrText(dst.Addr()))
	w.int(spi.DestinationPort, int64(dst.Port()))
	switch {
	case f.mark != packet.MarkNone || !f.hasCommunityID() || f.dhcp:
	case f.kind == kindESP && b.cfg.Reference:
		w.str(spi.CommunityID, packet.CommunityIDOfPorts(&f.key, 0))
	default:
		w.str(spi.CommunityID, packet.CommunityID(&f.key, f.client, f.icmp[0], f.icmp[1], 0))
	}
	if b.geo == nil {
		return
	}
	b.writePlace(w, src.Addr(), spi.SourceCountry, spi.SourceASN, spi.SourceASOrg, spi.SourceASFull)
	b.writePlace(w, dst.Addr(), spi.DestinationCountry, spi.DestinationASN, spi.DestinationASOrg, spi.DestinationASFull)
}

func (b *Builder) writePlace(w writer, a netip.Addr, country, number, org, full spi.FieldID) {
	c, asn, name := b.geo.Lookup(a)
	w.str(country, c)
	if asn != 0 {
		w.int(number, int64(asn))
		w.str(org, name)
		text := "AS" + strconv.FormatUint(uint64(asn), 10)
		if name != "" {
			text += " " + name
		}
		w.str(full, text)
	}
}

// hasCommunityID reports whether the flow's protocol is decoded to its ends; for
// others the reference gives no community id.
func (f *flow) hasCommunityID() bool { return f.kind != kindOther }

func addrText(a netip.Addr) string { return a.Unmap().String() }

func (b *Builder) writeLayer2(w writer, f *flow) {
	if f.ethertype != 0 {
		w.int(spi.EtherType, int64(f.ethertype))
	}
	for _, v := range f.q {
		w.int(spi.Dot1Q, int64(v))
		w.int(spi.VLAN, int64(v))
	}
	for _, v := range f.ad {
		w.int(spi.Dot1AD, int64(v))
		if !slices.Contains(f.q, v) {
			w.int(spi.VLAN, int64(v))
		}
	}
	for _, v := range f.vnis {
		w.int(spi.VNI, int64(v))
	}
	for dir, field := range [2]spi.FieldID{spi.SourceMAC, spi.DestinationMAC} {
		for _, m := range f.macs[dir] {
			w.str(field, packet.FormatMAC(m))
		}
	}
	outer := [2]spi.FieldID{spi.SourceOuterMAC, spi.DestinationOuterMAC}
	if b.cfg.Reference {
		outer[0], outer[1] = outer[1], outer[0]
	}
	for dir, field := range outer {
		for _, m := range f.outerMACs[dir] {
			w.str(field, packet.FormatMAC(m))
		}
	}
	for i := range f.outerIPs {
		w.doc.AddIP(spi.SourceOuterIP, f.outerIPs[i].SrcIP())
		w.doc.AddIP(spi.DestinationOuterIP, f.outerIPs[i].DstIP())
	}
}

func (b *Builder) writeTCP(w writer, f *flow) {
	t, c := &f.tcp, &f.seg.flags
	for _, n := range [...]struct {
		field spi.FieldID
		n     uint32
	}{
		{spi.FlagsSYN, c.syn}, {spi.FlagsSYNACK, c.synAck}, {spi.FlagsACK, c.ack}, {spi.FlagsPSH, c.psh},
		{spi.FlagsRST, c.rst}, {spi.FlagsFIN, c.fin}, {spi.FlagsURG, c.urg}, {spi.FlagsECE, c.ece},
		{spi.FlagsCWR, c.cwr}, {spi.FlagsAE, c.ae}, {spi.FlagsSrcZero, c.zero[0]}, {spi.FlagsDstZero, c.zero[1]},
	} {
		w.int(n.field, int64(n.n))
	}
	if !f.seg.tcpNoted {
		return
	}
	if rtt, ok := t.initRTT(); ok {
		w.int(spi.InitRTT, rtt)
	}
	if t.haveSyn {
		w.int(spi.SourceISNCount, int64(t.isns))
		w.int(spi.TCPSeqSource, int64(t.synSeq))
	}
	if t.haveSynAck {
		seq := t.synAckSeq
		if b.cfg.Reference && t.haveSyn && !t.synAckFirst {
			seq = 0
		}
		w.int(spi.TCPSeqDestination, int64(seq))
	}
	w.str(spi.TCPSynValidated, strconv.FormatBool(t.synValid))
	w.str(spi.TCPSynAckValidated, strconv.FormatBool(t.synAckValid))
}

// writeProtocols adds the names of the layers to those the dissectors found. To the reference ERSPAN is GRE. What a
// dissector recognized is not unknown.
func writeProtocols(doc *spi.Document, f *flow, reference bool) {
	if f.mark != packet.MarkNone && (reference || !doc.Has(spi.Protocol)) {
		doc.AddString(spi.Protocol, f.mark.String())
	}
	if name := [kinds]string{kindTCP: "tcp", kindUDP: "udp", kindSCTP: "sctp", kindICMP: "icmp", kindESP: "esp"}[f.kind]; name != "" {
		doc.AddString(spi.Protocol, name)
	}
	for _, t := range [...]struct {
		tunnel packet.Tunnels
		name   string
	}{
		{packet.TunnelMPLS, "mpls"}, {packet.TunnelPPPoE, "pppoe"}, {packet.TunnelPPP, "ppp"},
		{packet.TunnelGRE, "gre"}, {packet.TunnelERSPAN, "erspan"}, {packet.TunnelVXLAN, "vxlan"},
		{packet.TunnelVXLANGPE, "vxlan-gpe"}, {packet.TunnelGENEVE, "geneve"}, {packet.TunnelGTP, "gtp"},
		{packet.TunnelTeredo, "teredo"}, {packet.TunnelEtherIP, "etherip"}, {packet.TunnelL2TP, "l2tp"}, {packet.TunnelPIM, "pim"},
		{packet.TunnelSRv6, "srv6"}, {packet.TunnelLISP, "lisp"}, {packet.TunnelGUE, "gue"},
	} {
		if f.tunnels.Has(t.tunnel) && (!reference || t.tunnel != packet.TunnelERSPAN) {
			doc.AddString(spi.Protocol, t.name)
		}
	}
}

// noteDisorder tags what putting TCP in order showed. The reference does not compare bytes that come twice.
func (b *Builder) noteDisorder(f *flow) {
	for dir, names := range [2][2]string{
		{"out-of-order-src", "overlap-conflict-src"}, {"out-of-order-dst", "overlap-conflict-dst"},
	} {
		if f.streams[dir].disorder {
			f.conn.s.AddTag(names[0])
		}
		if f.streams[dir].conflict && !b.cfg.Reference {
			f.conn.s.AddTag(names[1])
		}
	}
}
