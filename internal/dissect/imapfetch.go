package dissect

import (
	"bytes"
	"mime"
	"strconv"
	"strings"
)

// response reads a line of the server: what FETCH returns (RFC 9051 section 7.5.2). With goesOn it follows a
// literal, with opens one follows it.
func (p *imap) response(s *Session, d *imapDir, line []byte, goesOn, opens bool) {
	if !goesOn {
		d.number = 0
		rest, ok := bytes.CutPrefix(line, []byte("* "))
		number, rest, ok2 := bytes.Cut(rest, []byte(" "))
		if !ok || !ok2 || !hasPrefixFold(rest, "fetch ") {
			return
		}
		d.number, _ = strconv.Atoi(string(number))
	}
	if d.number <= 0 {
		return
	}
	if i := indexFold(line, "BODYSTRUCTURE ("); i >= 0 {
		p.structure(s, d.number, line[i+len("BODYSTRUCTURE "):])
	}
	if opens {
		p.fetched(s, d, line)
	}
}

// indexFold returns where the upper-case ASCII text stands in b, in any case, or -1.
func indexFold(b []byte, upper string) int {
	return bytes.Index(bytes.ToUpper(b), []byte(upper))
}

// fetched says what the literal behind the line is.
func (p *imap) fetched(s *Session, d *imapDir, line []byte) {
	item := line[:bytes.LastIndexByte(line, '{')]
	item = bytes.TrimRight(item, " ~")
	size, _ := imapLiteral(line)
	section, offset, binary, ok := imapSection(item)
	if !ok {
		return
	}
	last := section[strings.LastIndexByte(section, '.')+1:]
	headers := strings.HasPrefix(section, "HEADER")
	switch {
	case offset >= 0:
		p.piece(s, d, section, offset, size, binary)
	case section == "" || headers:
		d.use, d.message = imapMessage, p.message(s, mailEnvelope)
	case last == "MIME":
		if size <= imapMaxHeaders {
			d.use = imapMIME
			p.partial.imapPart = imapPart{d.number, strings.TrimSuffix(section, ".MIME")}
		}
	default:
		if part, ok := p.part(d.number, section, binary); ok {
			d.use, d.message = imapMessage, p.newPart(s, part)
		}
	}
}

// imapSection reads the item that stands last in a line: BODY[section], BODY[section]<offset>, BINARY[section] or
// one of RFC 3501's names for such. offset is -1 for none.
func imapSection(item []byte) (section string, offset int, binary, ok bool) {
	const longest = 64
	upper := bytes.ToUpper(item)
	for _, name := range [...]string{"RFC822", "RFC822.HEADER", "RFC822.TEXT"} {
		if rest, ok := bytes.CutSuffix(upper, []byte(name)); ok && (len(rest) == 0 || rest[len(rest)-1] == ' ' || rest[len(rest)-1] == '(') {
			return strings.TrimPrefix(name[len("RFC822"):], "."), -1, false, true
		}
	}
	offset = -1
	if bytes.HasSuffix(upper, []byte(">")) {
		i := bytes.LastIndexByte(upper, '<')
		if i < 0 {
			return "", -1, false, false
		}
		n, err := strconv.ParseUint(string(upper[i+1:len(upper)-1]), 10, 40)
		if err != nil {
			return "", -1, false, false
		}
		offset, upper = int(n), upper[:i]
	}
	if !bytes.HasSuffix(upper, []byte("]")) {
		return "", -1, false, false
	}
	at := bytes.LastIndex(upper, []byte("BODY["))
	if i := bytes.LastIndex(upper, []byte("BINARY[")); i > at {
		at, binary = i, true
	}
	if at < 0 {
		return "", -1, false, false
	}
	text := upper[at+bytes.IndexByte(upper[at:], '[')+1 : len(upper)-1]
	text, _, _ = bytes.Cut(text, []byte(" ")) // the list of HEADER.FIELDS
	return string(text[:min(len(text), longest)]), offset, binary, true
}

// piece begins a literal that is a piece of a message or part, from the offset on.
func (p *imap) piece(s *Session, d *imapDir, section string, offset, size int, binary bool) {
	at := imapPart{d.number, section}
	if p.partial.message == nil || p.partial.imapPart != at || p.partial.next != offset {
		p.endPartial(s)
		if offset != 0 {
			return
		}
		p.partial = imapPartial{imapPart: at}
		if section == "" || section == "HEADER" {
			p.partial.message = p.message(s, mailEnvelope)
		} else if part, ok := p.part(d.number, section, binary); ok {
			p.partial.message = p.newPart(s, part)
		}
	}
	p.partial.next += size
	d.use, d.message = imapRange, p.partial.message
}

// newPart begins a part that is fetched alone.
func (p *imap) newPart(s *Session, part mailPart) *mailMessage {
	m := p.mail.newPart(s, "imap", part)
	if m != nil && s.Reference {
		m.fields = mailNothing
	}
	return m
}

// endPartial ends what was fetched piece by piece. Its last part is whole only if a boundary ended it: no piece
// says that it is the last.
func (p *imap) endPartial(s *Session) {
	p.partial.message.end(s, false)
	p.partial.message = nil
}

// part returns what is known of a part of a message. It returns false for sections that are no parts.
func (p *imap) part(number int, section string, binary bool) (mailPart, bool) {
	if section == "" || section[0] < '1' || section[0] > '9' || strings.HasSuffix(section, "TEXT") || strings.Contains(section, "HEADER") {
		return mailPart{}, false
	}
	part, known := p.parts[imapPart{number, section}]
	if !known {
		part.encoding = encodingUnknown
	}
	if binary { // RFC 3516: decoded by the server
		part.encoding = ""
		part.attachment = part.attachment || part.media != "" && !strings.HasPrefix(part.media, "text/")
	}
	return part, true
}

// keepPart keeps what is known of a part.
func (p *imap) keepPart(s *Session, at imapPart, part mailPart) {
	n := 128 + len(at.section) + len(part.name) + len(part.media) + len(part.encoding)
	if len(p.parts) >= imapMaxParts || !s.Hold(n) {
		return
	}
	p.held += n
	if p.parts == nil {
		p.parts = make(map[imapPart]mailPart)
	}
	p.parts[at] = part
}

// forgetParts forgets the parts: numbers are those of another mailbox.
func (p *imap) forgetParts(s *Session) {
	p.endPartial(s)
	s.Hold(-p.held)
	p.parts, p.held = nil, 0
}

// partHeaders reads the headers of the part named by p.partial.
func (p *imap) partHeaders(s *Session, b []byte) {
	at := p.partial.imapPart
	var part mailPart
	text := strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n\t", " "), "\r\n ", " ")
	for _, line := range strings.Split(text, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "content-type":
			media, _, file := mediaType(value)
			part.media = media
			part.setName(file)
		case "content-transfer-encoding":
			part.encoding = strings.ToLower(value)
		case "content-disposition":
			part.attachment = hasPrefixFold([]byte(value), "attachment")
			if name := dispositionName(value); name != "" {
				part.name = "" // it says more than the name in Content-Type
				part.setName(name)
			}
		}
	}
	p.keepPart(s, at, part)
}

// setName sets the name of the attachment, unless it has one.
func (p *mailPart) setName(name string) {
	if name != "" && p.name == "" {
		name = baseName(decodeWords(name))
		p.name = name[:min(len(name), maxFileName)]
	}
}

// structure keeps what a BODYSTRUCTURE (RFC 9051 section 7.5.2) tells of the parts of a message.
func (p *imap) structure(s *Session, number int, b []byte) {
	list := imapList{b: b}
	tree, ok := list.next(0)
	if ok {
		p.structurePart(s, number, "", tree)
	}
}

// structurePart files a body of the tree and those within, numbered as in FETCH.
func (p *imap) structurePart(s *Session, number int, section string, body imapNode) {
	if len(body.list) == 0 {
		return
	}
	if len(body.list[0].list) > 0 { // multipart: its parts first
		for i, part := range body.list {
			if len(part.list) == 0 {
				return
			}
			sub := strconv.Itoa(i + 1)
			if section != "" {
				sub = section + "." + sub
			}
			p.structurePart(s, number, sub, part)
		}
		return
	}
	if len(body.list) < 7 {
		return
	}
	part := mailPart{
		media:    strings.ToLower(body.list[0].text + "/" + body.list[1].text),
		encoding: strings.ToLower(body.list[5].text),
	}
	for _, field := range body.list[7:] {
		if len(field.list) == 2 && len(field.list[0].list) == 0 && (len(field.list[1].list) > 0 || field.list[1].text == "") {
			part.attachment = part.attachment || strings.EqualFold(field.list[0].text, "attachment")
			part.setName(imapParam(field.list[1], "filename"))
		}
	}
	part.setName(imapParam(body.list[2], "name"))
	if section == "" {
		section = "1"
	}
	p.keepPart(s, imapPart{number, section}, part)
}

// imapParam returns a parameter of a list of names and values, whose long and encoded forms (RFC 2231) are put together.
func imapParam(list imapNode, name string) string {
	header := []byte("x/x")
	for i := 0; i+1 < len(list.list); i += 2 {
		k, v := list.list[i].text, list.list[i+1].text
		if strings.EqualFold(k, name) {
			return v
		}
		header = append(append(append(header, "; "...), k...), '=')
		if strings.HasSuffix(k, "*") {
			header = append(header, v...)
		} else {
			header = append(append(append(header, '"'), strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v)...), '"')
		}
	}
	_, params, err := mime.ParseMediaType(string(header))
	if err != nil {
		return ""
	}
	return params[name]
}

// imapNode is a string, "" for NIL, or a list in parentheses.
type imapNode struct {
	text string
	list []imapNode
}

// imapList reads parenthesized lists (RFC 9051 section 4.4).
type imapList struct {
	b []byte
	n int // nodes read
}

const (
	imapMaxNesting = 16
	imapMaxNodes   = 4096
)

// next reads a node. It returns false at the end of a list, and where the text is none.
func (l *imapList) next(depth int) (imapNode, bool) {
	l.b = bytes.TrimLeft(l.b, " ")
	if l.n++; len(l.b) == 0 || depth > imapMaxNesting || l.n > imapMaxNodes {
		return imapNode{}, false
	}
	switch l.b[0] {
	case ')':
		l.b = l.b[1:]
		return imapNode{}, false
	case '(':
		l.b = l.b[1:]
		var out imapNode
		for {
			node, ok := l.next(depth + 1)
			if !ok {
				return out, true
			}
			out.list = append(out.list, node)
		}
	case '"':
		var text []byte
		for i := 1; i < len(l.b); i++ {
			switch l.b[i] {
			case '\\':
				i++
				if i < len(l.b) {
					text = append(text, l.b[i])
				}
			case '"':
				l.b = l.b[i+1:]
				return imapNode{text: string(text)}, true
			default:
				text = append(text, l.b[i])
			}
		}
		l.b = nil
		return imapNode{}, false
	}
	end := bytes.IndexAny(l.b, " ()")
	if end < 0 {
		end = len(l.b)
	}
	text := string(l.b[:end])
	l.b = l.b[end:]
	if strings.EqualFold(text, "NIL") {
		text = ""
	}
	return imapNode{text: text}, true
}
