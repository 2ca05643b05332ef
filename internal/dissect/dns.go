package dissect

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"

	"wirelake/internal/spi"
)

// dns reads DNS over UDP and TCP, mDNS and LLMNR (RFC 1035, 6762, 4795). Each
// question becomes an object of the dns list, and the answer to it joins the
// same object.
type dns struct {
	list, answers spi.ListID

	opcode, queryHost, queryType, queryClass, status, flags  spi.FieldID
	host, ip, puny, nsHost, nsIP, mxHost, mxIP               spi.FieldID
	aName, aType, aClass, aTTL, aIP, aCNAME, aNS, aMX, aPrio spi.FieldID
	aTXT, aCAA, aHTTPS, aDS, aNSEC, aRRSIG, aData            spi.FieldID
}

const (
	dnsHeaderLen = 12
	// maxDNSRecords bounds the records read of one message; 64 KiB holds no more honest ones.
	maxDNSRecords = 4096
	// maxDNSQuestions bounds those read of one message: mDNS asks a few dozen at once, all others one.
	maxDNSQuestions = 256
	dnsRoot         = "<root>"
)

func newDNSFields(r *spi.Registry) *dns {
	field := func(path string, t spi.Type, list bool, expr, name, help string) spi.FieldID {
		f := spi.Field{Path: path, Type: t, List: list, Exprs: []string{expr}, Name: name, Help: help, Group: "dns"}
		switch path {
		case "dns.host", "dns.ip":
			f.Hot, f.Bloom = true, true
		case "dns.qt", "dns.status", "dns.nameserverHost", "dns.nameserverIp", "dns.mailserverHost", "dns.mailserverIp":
			f.Hot = true
		}
		return r.Declare(f)
	}
	d := &dns{list: r.Objects("dns"), answers: r.Objects("dns.answers")}
	d.opcode = field("dns.opcode", spi.UpTerm, false, "dns.opcode", "Opcode", "operation of the query")
	d.queryHost = field("dns.queryHost", spi.LoTerm, false, "dns.query.host", "Query host", "name in the question")
	d.queryType = field("dns.qt", spi.UpTerm, false, "dns.query.type", "Query type", "type of the query")
	d.queryClass = field("dns.qc", spi.UpTerm, false, "dns.query.class", "Query class", "class of the query")
	d.status = field("dns.status", spi.UpTerm, false, "dns.status", "Status", "response code by name")
	d.flags = field("dns.headerFlags", spi.UpTerm, true, "dns.header_flags", "Header flags", "flags set in the header of the response")
	d.host = field("dns.host", spi.LoTerm, true, "host.dns", "Host", "names looked up and names in answers")
	d.ip = field("dns.ip", spi.IP, true, "ip.dns", "IP", "addresses in answers")
	d.puny = field("dns.puny", spi.LoTerm, true, "dns.puny", "Puny", "looked-up name in punycode")
	d.nsHost = field("dns.nameserverHost", spi.LoTerm, true, "host.dns.nameserver", "Name server", "name server hosts")
	d.nsIP = field("dns.nameserverIp", spi.IP, true, "ip.dns.nameserver", "Name server IP", "addresses of name server hosts")
	d.mxHost = field("dns.mailserverHost", spi.LoTerm, true, "host.dns.mailserver", "Mail server", "mail exchange hosts")
	d.mxIP = field("dns.mailserverIp", spi.IP, true, "ip.dns.mailserver", "Mail server IP", "addresses of mail exchange hosts")
	d.aName = field("dns.answers.name", spi.Term, false, "dns.answer.name", "Answer name", "owner name of an answer")
	d.aType = field("dns.answers.type", spi.UpTerm, false, "dns.answer.type", "Answer type", "type of an answer")
	d.aClass = field("dns.answers.class", spi.UpTerm, false, "dns.answer.class", "Answer class", "class of an answer")
	d.aTTL = field("dns.answers.ttl", spi.Integer, false, "dns.answer.ttl", "Answer TTL", "time to live of an answer, seconds")
	d.aIP = field("dns.answers.ip", spi.IP, false, "dns.answer.ip", "Answer IP", "address in an A or AAAA answer")
	d.aCNAME = field("dns.answers.cname", spi.Term, false, "dns.answer.cname", "Answer CNAME", "target of a CNAME")
	d.aNS = field("dns.answers.nameserver", spi.Term, false, "dns.answer.ns", "Answer NS", "host in an NS answer")
	d.aMX = field("dns.answers.mx", spi.Term, false, "dns.answer.mx", "Answer MX", "exchange host in an MX answer")
	d.aPrio = field("dns.answers.priority", spi.Integer, false, "dns.answer.priority", "Answer priority", "preference of an MX answer")
	d.aTXT = field("dns.answers.txt", spi.Term, true, "dns.answer.txt", "Answer TXT", "text of a TXT answer")
	d.aCAA = field("dns.answers.caa", spi.Term, false, "dns.answer.caa", "Answer CAA", "CAA record as text")
	d.aHTTPS = field("dns.answers.https", spi.Term, false, "dns.answer.https", "Answer HTTPS", "HTTPS or SVCB record as text")
	d.aDS = field("dns.answers.ds", spi.Term, false, "dns.answer.ds", "Answer DS", "DS record as text")
	d.aNSEC = field("dns.answers.nsec", spi.Term, false, "dns.answer.nsec", "Answer NSEC", "NSEC record as text")
	d.aRRSIG = field("dns.answers.rrsig", spi.Term, false, "dns.answer.rrsig", "Answer RRSIG", "RRSIG record as text")
	d.aData = field("dns.answers.data", spi.Term, false, "dns.answer.data", "Answer data", "host or text of an answer of another type (PTR, SRV, …)")
	return d
}

func newDNS(r *spi.Registry) Protocol {
	d := newDNSFields(r)
	return Protocol{
		Name: "dns",
		Matchers: []Matcher{
			{On: UDP, Port: 53, MinLen: dnsHeaderLen, Func: func(_ *Session, _ Dir, b []byte) bool { return plausibleDNS(b) }},
			{On: TCP, Port: 53, MinLen: 2 + dnsHeaderLen, Func: func(_ *Session, _ Dir, b []byte) bool { return plausibleDNS(b[2:]) }},
			{On: UDP, MinLen: dnsHeaderLen + 5, Func: dnsAnywhere},
			{On: TCP, MinLen: 2 + dnsHeaderLen + 5, Func: dnsAnywhere},
		},
		New: func(*Session) Parser { return &dnsParser{dns: d} },
	}
}

func newMDNS(r *spi.Registry) Protocol {
	return dnsOnPort(newDNSFields(r), "mdns", 5353)
}

func newLLMNR(r *spi.Registry) Protocol {
	return dnsOnPort(newDNSFields(r), "llmnr", 5355)
}

// dnsOnPort is DNS under another name, on a port that both ends or one of them use.
func dnsOnPort(d *dns, name string, port uint16) Protocol {
	return Protocol{
		Name: name,
		Matchers: []Matcher{{On: UDP, Port: port, MinLen: dnsHeaderLen, Func: func(s *Session, _ Dir, b []byte) bool {
			return !s.OnPort(53) && plausibleDNS(b)
		}}},
		New: func(*Session) Parser { return &dnsParser{dns: d} },
	}
}

// plausibleDNS looks at the header only: a known opcode, the Z bit clear, and counts that may be true.
func plausibleDNS(b []byte) bool {
	flags := binary.BigEndian.Uint16(b[2:])
	op := flags >> 11 & 15
	if op > 6 || op == 3 || flags&0x0040 != 0 {
		return false
	}
	records := 0
	for i := 4; i < dnsHeaderLen; i += 2 {
		records += int(binary.BigEndian.Uint16(b[i:]))
	}
	return records > 0 && records <= maxDNSRecords && binary.BigEndian.Uint16(b[4:]) <= 256
}

// dnsKey is what a question and its answer have in common.
type dnsKey struct {
	name         string
	qtype, class uint16
}

type dnsParser struct {
	Base
	*dns
	first   dnsKey // most sessions ask one question
	object  spi.ObjectID
	objects map[dnsKey]spi.ObjectID // the questions after the first

	reference bool // see [Session.Reference]
}

// Parse implements Parser: messages have a length of two bytes in front (RFC 1035 section 4.2.2).
func (p *dnsParser) Parse(s *Session, _ Dir, b []byte) (int, Status) {
	n := 0
	for len(b)-n >= 2 {
		size := int(binary.BigEndian.Uint16(b[n:]))
		if size < dnsHeaderLen {
			return n, Done
		}
		if len(b)-n-2 < size {
			break
		}
		p.message(s, b[n+2:n+2+size])
		n += 2 + size
	}
	return n, More
}

// Datagram implements Parser.
func (p *dnsParser) Datagram(s *Session, _ Dir, b []byte) Status {
	p.message(s, b)
	return More
}

// End implements Parser: a segment's document holds no object of the one before.
func (p *dnsParser) End(*Session, bool) {
	p.first, p.object, p.objects = dnsKey{}, spi.Root, nil
}

// question returns the object of a question, making it when it is new.
func (p *dnsParser) question(doc *spi.Document, k dnsKey) (o spi.ObjectID, fresh, ok bool) {
	if p.object != spi.Root && p.first == k {
		return p.object, false, true
	}
	if o, ok := p.objects[k]; ok {
		return o, false, true
	}
	o, ok = doc.NewObject(p.list, spi.Root)
	if !ok {
		return o, false, false
	}
	if p.object == spi.Root {
		p.first, p.object = k, o
		return o, true, true
	}
	if p.objects == nil {
		p.objects = make(map[dnsKey]spi.ObjectID)
	}
	p.objects[k] = o
	return o, true, true
}

func (p *dnsParser) message(s *Session, b []byte) {
	if len(b) < dnsHeaderLen {
		return
	}
	flags := binary.BigEndian.Uint16(b[2:])
	response := flags&0x8000 != 0
	counts := [4]int{}
	for i := range counts {
		counts[i] = int(binary.BigEndian.Uint16(b[4+2*i:]))
	}
	m := dnsMessage{b: b, at: dnsHeaderLen}
	opcode := flags >> 11 & 15
	mdns := s.OnPort(5353)
	doc := s.Doc
	p.reference = s.Reference
	const referenceQuestions = 10
	if s.Reference && (counts[0] == 0 || counts[0] > referenceQuestions) { // it reads no others
		s.AddTag("dns:qdcount-not-1")
		return
	}
	object := spi.Root // of the first question, which the answers join
	if counts[0] == 0 && response && !mdns && p.object != spi.Root {
		// The rest of a zone need not repeat the question (RFC 5936 section 2.2.1).
		p.respond(doc, p.object, &m, flags, counts[1]+counts[2]+counts[3], mdns)
		return
	}
	for range min(max(counts[0], 1), maxDNSQuestions) {
		at := m // mDNS answers repeat no question: the first record says what they are about
		name, ok := at.name()
		if !ok || at.at+4 > len(b) || counts[0] == 0 && !response {
			return
		}
		key := dnsKey{name: strings.ToLower(name), qtype: binary.BigEndian.Uint16(b[at.at:]), class: binary.BigEndian.Uint16(b[at.at+2:])}
		if at.at += 4; counts[0] > 0 {
			m = at
		}
		if mdns {
			key.class &= 0x7fff // the top bit asks for a unicast answer, or flushes caches (RFC 6762 sections 5.4, 10.2)
		}
		o, fresh, ok := p.question(doc, key)
		if !ok {
			return
		}
		if fresh {
			p.ask(doc, o, &key, opcode)
		}
		if object == spi.Root {
			object = o
		}
	}
	if !response || counts[0] > maxDNSQuestions {
		return
	}
	p.respond(doc, object, &m, flags, counts[1]+counts[2]+counts[3], mdns)
}

// ask files a question.
func (p *dnsParser) ask(doc *spi.Document, o spi.ObjectID, key *dnsKey, opcode uint16) {
	name := key.name
	if strings.Contains(name, "xn--") {
		if u, err := idna.Punycode.ToUnicode(name); err == nil && u != name {
			doc.AddStringIn(o, p.puny, name)
			name = u
		}
	}
	doc.SetStringIn(o, p.queryHost, name)
	addDNSHost(doc, o, p.host, name)
	doc.SetStringIn(o, p.opcode, dnsOpcodeName(opcode))
	doc.SetStringIn(o, p.queryType, dnsTypeName(key.qtype))
	doc.SetStringIn(o, p.queryClass, dnsClassName(key.class))
}

// addDNSHost adds a name to a list of hosts, of which the root is none.
func addDNSHost(doc *spi.Document, o spi.ObjectID, f spi.FieldID, name string) {
	if name != dnsRoot {
		doc.AddStringIn(o, f, name)
	}
}

// respond files what a response says behind its questions.
func (p *dnsParser) respond(doc *spi.Document, o spi.ObjectID, m *dnsMessage, flags uint16, records int, mdns bool) {
	for _, f := range [...]struct {
		bit  uint16
		name string
	}{{0x0400, "AA"}, {0x0200, "TC"}, {0x0100, "RD"}, {0x0080, "RA"}, {0x0020, "AD"}, {0x0010, "CD"}} {
		if flags&f.bit != 0 {
			doc.AddStringIn(o, p.flags, f.name)
		}
	}
	status := flags & 15
	if flags>>11&15 != dnsUpdate {
		status = p.records(doc, o, m, records, status, mdns)
	}
	doc.SetStringIn(o, p.status, dnsStatusName(status))
}

// records reads the records of all sections, and returns the response code with
// the upper bits of EDNS (RFC 6891 section 6.1.3).
func (p *dnsParser) records(doc *spi.Document, o spi.ObjectID, m *dnsMessage, count int, status uint16, mdns bool) uint16 {
	for range min(count, maxDNSRecords) {
		r, ok := m.record()
		if !ok {
			break
		}
		if r.rtype == dnsOPT {
			status |= uint16(r.ttl>>24) << 4 //nolint:gosec // eight bits
			continue
		}
		if mdns {
			r.class &= 0x7fff
		}
		if p.reference && m.namesRoot(&r) {
			continue // it takes the root for no name
		}
		p.answer(doc, o, m, &r)
	}
	return status
}

func (p *dnsParser) answer(doc *spi.Document, o spi.ObjectID, m *dnsMessage, r *dnsRecord) {
	a, ok := doc.NewObject(p.answers, o)
	if !ok {
		return
	}
	name := r.name
	if strings.Contains(name, "xn--") {
		if u, err := idna.Punycode.ToUnicode(name); err == nil {
			name = u
		}
	}
	doc.SetStringIn(a, p.aName, name)
	doc.SetStringIn(a, p.aType, dnsTypeName(r.rtype))
	doc.SetStringIn(a, p.aClass, dnsClassName(r.class))
	doc.SetIntIn(a, p.aTTL, int64(r.ttl))
	setText := func(f spi.FieldID, text string, ok bool) {
		if ok {
			doc.SetStringIn(a, f, text)
		}
	}
	switch r.rtype {
	case dnsA, dnsAAAA:
		addr, ok := netip.AddrFromSlice(r.data)
		if !ok || (r.rtype == dnsA) != (len(r.data) == 4) {
			return
		}
		doc.AddIPIn(a, p.aIP, addr)
		p.addAddress(doc, o, name, addr)
	case dnsCNAME:
		if target, ok := m.nameIn(r, 0); ok {
			doc.SetStringIn(a, p.aCNAME, target)
			addDNSHost(doc, o, p.host, target)
		}
	case dnsNS:
		if target, ok := m.nameIn(r, 0); ok {
			doc.SetStringIn(a, p.aNS, target)
			addDNSHost(doc, o, p.nsHost, target)
		}
	case dnsMX:
		if target, ok := m.nameIn(r, 2); ok {
			doc.SetIntIn(a, p.aPrio, int64(binary.BigEndian.Uint16(r.data)))
			doc.SetStringIn(a, p.aMX, target)
			addDNSHost(doc, o, p.mxHost, target)
		}
	case dnsTXT:
		for b := r.data; len(b) > 0 && int(b[0]) < len(b); b = b[1+int(b[0]):] {
			doc.AddStringIn(a, p.aTXT, string(b[1:1+int(b[0])]))
		}
	case dnsPTR, dnsDNAME:
		target, ok := m.nameIn(r, 0)
		setText(p.aData, target, ok)
	case dnsSRV:
		text, ok := m.srv(r)
		setText(p.aData, text, ok)
	case dnsCAA:
		text, ok := r.caa()
		setText(p.aCAA, text, ok)
	case dnsHTTPS, dnsSVCB:
		text, ok := m.svcb(r)
		setText(p.aHTTPS, text, ok)
	case dnsDS, dnsCDS:
		text, ok := r.ds()
		setText(p.aDS, text, ok)
	case dnsNSEC:
		text, ok := m.nsec(r)
		setText(p.aNSEC, text, ok)
	case dnsRRSIG:
		text, ok := m.rrsig(r)
		setText(p.aRRSIG, text, ok)
	}
}

// addAddress files an address under what its owner is: the name asked for or an
// alias of it, a name server, a mail exchange.
func (p *dnsParser) addAddress(doc *spi.Document, o spi.ObjectID, name string, addr netip.Addr) {
	holds := func(f spi.FieldID) bool {
		for v := range doc.EachIn(o, f) {
			if strings.EqualFold(v.Str, name) {
				return true
			}
		}
		return false
	}
	if holds(p.nsHost) {
		doc.AddIPIn(o, p.nsIP, addr)
	}
	if holds(p.mxHost) {
		doc.AddIPIn(o, p.mxIP, addr)
	}
	if holds(p.host) {
		doc.AddIPIn(o, p.ip, addr)
	}
}
