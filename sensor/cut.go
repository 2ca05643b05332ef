package sensor

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"wirelake/internal/dissect"
	"wirelake/internal/expr"
	"wirelake/internal/packet"
	"wirelake/internal/spi"
)

// cutRules are the compiled rules that cut long flows. They do not change, and are
// safe for concurrent use.
type cutRules struct {
	set      *dissect.Set
	registry *spi.Registry // of the fields of all sessions: those of dissectors are not known here
	rules    []cutRule
}

type cutRule struct {
	text  string
	match *expr.Expr
	bytes int64
	// protocol says that the rule asks for protocols, so that it cannot be decided
	// before there is payload.
	protocol bool
}

// cutFields are the fields that are known of a flow while it is sealed.
func cutFields() []spi.FieldID {
	return []spi.FieldID{
		spi.SourceIP, spi.DestinationIP, spi.SourcePort, spi.DestinationPort, spi.IPProtocol, spi.EtherType, spi.Protocol, spi.VLAN, spi.VNI,
		spi.SourceOuterIP, spi.DestinationOuterIP,
	}
}

// compileCutRules checks and compiles rules. No rules give nil.
func compileCutRules(rules []CutRule, set *dissect.Set) (*cutRules, error) {
	if len(rules) == 0 {
		return nil, nil //nolint:nilnil // nothing is cut
	}
	c := &cutRules{set: set, registry: spi.NewRegistry().Freeze()}
	var errs []error
	for i, r := range rules {
		rule, err := c.compile(r)
		if err != nil {
			errs = append(errs, fmt.Errorf("cut[%d].match: %w", i, err))
			continue
		}
		c.rules = append(c.rules, rule)
	}
	return c, errors.Join(errs...)
}

func (c *cutRules) compile(r CutRule) (cutRule, error) {
	text := strings.TrimSpace(r.Match)
	if c.set.HasProtocol(text) || text == "tcp" || text == "udp" {
		text = "protocols == " + text
	}
	e, err := expr.Parse(text, c.registry, time.Now())
	if err != nil {
		return cutRule{}, err
	}
	rule := cutRule{text: r.Match, match: e, bytes: int64(r.Bytes)}
	known := cutFields()
	for _, f := range e.Fields() {
		if !slices.Contains(known, f.ID) {
			names := make([]string, len(known))
			for i, id := range known {
				names[i] = c.registry.Field(id).Path
			}
			return rule, fmt.Errorf("%s is not known while packets are sealed; known are %s", f.Path, strings.Join(names, ", "))
		}
		rule.protocol = rule.protocol || f.ID == spi.Protocol
	}
	return rule, nil
}

// How much is remembered of flows. Flows of 4 million packets that are open at once
// are few; a flow that is forgotten gets its bytes again.
const (
	maxCutFlows  = 1 << 18 // in each of two generations: 30 MiB
	cutFlowAge   = 10 * time.Minute
	recognizeFor = 4 // packets with payload in which a protocol is looked for
)

// cutter cuts the flows of one lane. It belongs to the goroutine that seals it.
type cutter struct {
	rules      *cutRules
	recognizer *dissect.Recognizer
	doc        *spi.Document

	// Flows move from old to young when they are seen. Old is dropped when young is
	// full or has its age: so what is remembered is bounded, and nothing is scanned.
	young, old map[packet.Key]*cutFlow
	since      int64 // packet time at which young began

	packets, bytes uint64 // cut so far
}

// cutFlow is what is remembered of a flow.
type cutFlow struct {
	bytes     int64 // payload kept
	limit     int64 // where it is cut; -1 never
	decided   bool
	looked    uint8 // packets with payload looked at
	protocols []string
}

func newCutter(rules *cutRules) *cutter {
	c := &cutter{}
	c.use(rules)
	return c
}

// use exchanges the rules. Flows are decided anew, with what was counted of them.
func (c *cutter) use(rules *cutRules) {
	if c.rules == rules {
		return
	}
	c.rules = rules
	if rules == nil {
		c.young, c.old = nil, nil
		return
	}
	c.recognizer, c.doc = dissect.NewRecognizer(rules.set), rules.registry.NewDocument()
	for _, flows := range []map[packet.Key]*cutFlow{c.young, c.old} {
		for _, f := range flows {
			f.decided = false
		}
	}
	if c.young == nil {
		c.young, c.old = map[packet.Key]*cutFlow{}, map[packet.Key]*cutFlow{}
	}
}

// keep returns how many bytes of the packet to keep: all, or its headers when its
// flow has had its bytes.
func (c *cutter) keep(p *packet.Packet, data []byte) int {
	if c.rules == nil || len(p.Payload) == 0 && p.Flags&packet.FlagSYN == 0 {
		return len(data)
	}
	f := c.flow(p)
	if p.Flags&(packet.FlagSYN|packet.FlagACK) == packet.FlagSYN {
		*f = cutFlow{} // a new connection with the ports of an old one
	}
	if !f.decided {
		c.decide(f, p)
	}
	n := len(p.Payload)
	if f.limit < 0 || f.bytes < f.limit || n == 0 {
		f.bytes += int64(n)
		return len(data)
	}
	head := cap(data) - cap(p.Payload) // the payload is a part of data
	if head <= 0 || head >= len(data) {
		return len(data)
	}
	c.packets++
	c.bytes += uint64(len(data) - head) //nolint:gosec // positive
	return head
}

func (c *cutter) flow(p *packet.Packet) *cutFlow {
	if age := p.TimeNanos - c.since; len(c.young) >= maxCutFlows || age > int64(cutFlowAge) || age < -int64(cutFlowAge) {
		c.young, c.old = map[packet.Key]*cutFlow{}, c.young
		if age > 2*int64(cutFlowAge) || age < -int64(cutFlowAge) {
			clear(c.old) // nothing was seen for long
		}
		c.since = p.TimeNanos
	}
	if f := c.young[p.Key]; f != nil {
		return f
	}
	f := c.old[p.Key]
	if f == nil {
		f = &cutFlow{}
	}
	c.young[p.Key] = f
	return f
}

// decide finds the rule of a flow, the first that holds. A rule that asks for a
// protocol stays open while the protocol may still show.
func (c *cutter) decide(f *cutFlow, p *packet.Packet) {
	f.limit, f.decided = -1, true
	if len(p.Payload) > 0 && f.looked < recognizeFor {
		f.looked++
		c.recognize(f, p)
	}
	c.describe(f, p)
	open := false
	for i := range c.rules.rules {
		r := &c.rules.rules[i]
		if r.match.Match(c.doc) {
			f.limit = r.bytes
			break
		}
		open = open || r.protocol
	}
	// What is decided by an earlier rule's protocol may still change.
	f.decided = !open || f.looked >= recognizeFor || len(f.protocols) > 0
}

func (c *cutter) recognize(f *cutFlow, p *packet.Packet) {
	var on dissect.Transport
	switch p.Key.Proto {
	case packet.ProtoTCP:
		on = dissect.TCP
	case packet.ProtoUDP:
		on = dissect.UDP
	default:
		return
	}
	c.recognizer.Recognize(on, p.SrcPort, p.DstPort, p.Payload, func(name string) {
		if len(f.protocols) < 8 && !slices.Contains(f.protocols, name) {
			f.protocols = append(f.protocols, name)
		}
	})
}

// describe fills the document with what is known of a flow. Who began it is not:
// the side with the lower port counts as the destination, as for most services.
func (c *cutter) describe(f *cutFlow, p *packet.Packet) {
	d := c.doc
	d.Reset()
	if p.Key.IsIP() {
		src, dst := p.Key.Src(packet.AtoB), p.Key.Dst(packet.AtoB)
		if src.Port() < dst.Port() {
			src, dst = dst, src
		}
		for _, v := range []struct {
			ip, port spi.FieldID
			at       netip.AddrPort
		}{{spi.SourceIP, spi.SourcePort, src}, {spi.DestinationIP, spi.DestinationPort, dst}} {
			d.AddIP(v.ip, v.at.Addr())
			d.SetInt(v.port, int64(v.at.Port()))
		}
		d.SetInt(spi.IPProtocol, int64(p.Key.Proto))
		switch p.Key.Proto {
		case packet.ProtoTCP:
			d.AddString(spi.Protocol, "tcp")
		case packet.ProtoUDP:
			d.AddString(spi.Protocol, "udp")
		}
	}
	d.SetInt(spi.EtherType, int64(p.EtherType))
	for _, v := range p.VLANs() {
		d.AddInt(spi.VLAN, int64(v.ID))
	}
	for _, v := range p.VNIs() {
		d.AddInt(spi.VNI, int64(v))
	}
	for _, o := range p.OuterIPs() {
		d.AddIP(spi.SourceOuterIP, o.SrcIP())
		d.AddIP(spi.DestinationOuterIP, o.DstIP())
	}
	for _, name := range f.protocols {
		d.AddString(spi.Protocol, name)
	}
}
