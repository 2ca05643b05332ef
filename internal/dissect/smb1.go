package dissect

import (
	"bytes"
	"encoding/binary"
	"strings"
)

const smb1Header = 32

// smb1Body splits a message of version 1 into its parameters and its data (MS-CIFS
// 2.2.3). dataAt is where the data begins, for the padding of Unicode texts.
func smb1Body(b []byte) (words, data []byte, dataAt int, ok bool) {
	if len(b) < smb1Header+3 {
		return nil, nil, 0, false
	}
	n := 2 * int(b[smb1Header])
	at := smb1Header + 1 + n
	if len(b) < at+2 {
		return nil, nil, 0, false
	}
	size := int(binary.LittleEndian.Uint16(b[at:]))
	at += 2
	return b[smb1Header+1 : at-2], b[at:min(at+size, len(b))], at, true
}

// smb1 reads a message of version 1 (MS-CIFS 2.2.4, MS-SMB 2.2.4).
func (p *smb) smb1(s *Session, dir Dir, b []byte) {
	words, data, at, ok := smb1Body(b)
	if !ok {
		return
	}
	const reply, unicodeFlag = 0x80, 0x8000
	texts := smb1Texts{b: data, at: at, unicode: binary.LittleEndian.Uint16(b[10:])&unicodeFlag != 0}
	answer := b[9]&reply != 0
	if p.smb1File(s, dir, b, words, answer, texts) {
		return
	}
	switch b[4] {
	case 0x06, 0x01, 0x10: // delete, delete directory, check directory: a format byte, then a path
		if !answer && len(data) > 1 && b[4] == 0x06 {
			texts.skip(1)
			smbAdd(s, p.f.filename, texts.next())
		}
	case 0x72:
		p.smb1Negotiate(s, answer, words, data)
	case 0x73:
		p.smb1Session(s, answer, words, &texts)
	case 0x07: // rename: a format byte and a path, twice
		if !answer {
			for range 2 {
				texts.skip(1)
				smbAdd(s, p.f.filename, texts.next())
			}
		}
	}
}

// smb1Negotiate keeps the dialects offered, and notes the one chosen by its number.
func (p *smb) smb1Negotiate(s *Session, answer bool, words, data []byte) {
	if !answer {
		p.dialects = p.dialects[:0]
		for len(data) > 1 && data[0] == 2 && len(p.dialects) < 32 {
			name, rest, ok := bytes.Cut(data[1:], []byte{0})
			if !ok {
				return
			}
			p.dialects = append(p.dialects, string(name[:min(len(name), 64)]))
			data = rest
		}
		return
	}
	if len(words) < 2 {
		return
	}
	const referenceMax = 10 // dialects that the reference remembers; Windows and Samba offer no more
	if i := int(binary.LittleEndian.Uint16(words)); i < len(p.dialects) && (!s.Reference || i < referenceMax) {
		s.Doc.SetString(p.f.dialect, p.dialects[i])
	}
}

// smb1Session reads a session setup, whose forms differ by their number of words.
func (p *smb) smb1Session(s *Session, answer bool, words []byte, texts *smb1Texts) {
	switch n := len(words) / 2; {
	case !answer && n == 12: // a security blob, system, software, domain
		size := int(binary.LittleEndian.Uint16(words[14:]))
		p.security(s, texts.bytes(size))
	case !answer && n == 13: // two passwords, account, domain, system, software
		texts.skip(int(binary.LittleEndian.Uint16(words[14:])) + int(binary.LittleEndian.Uint16(words[16:])))
		user := texts.next()
		smbAdd(s, p.f.user, user)
		s.addOwnUser([]byte(user))
		smbAdd(s, p.f.domain, texts.next())
		p.smb1System(s, texts)
		return
	case answer && s.Reference: // which tells of clients
		return
	case answer && n == 4:
		size := int(binary.LittleEndian.Uint16(words[6:]))
		p.security(s, texts.bytes(size))
	case answer && n == 3:
	default:
		return
	}
	p.smb1System(s, texts)
	smbAdd(s, p.f.domain, texts.next())
}

func (p *smb) smb1System(s *Session, texts *smb1Texts) {
	smbAdd(s, p.f.os, texts.next())
	smbAdd(s, p.f.version, texts.next())
}

// smb1Texts reads the texts of a message's data, one after the other. Unicode
// ones begin at even offsets of the message.
type smb1Texts struct {
	b       []byte
	at      int
	unicode bool
}

func (t *smb1Texts) bytes(n int) []byte {
	n = min(n, len(t.b))
	out := t.b[:n]
	t.skip(n)
	return out
}

func (t *smb1Texts) skip(n int) {
	n = min(n, len(t.b))
	t.b, t.at = t.b[n:], t.at+n
}

// next returns the next text, "" when there is none.
func (t *smb1Texts) next() string {
	const longest = 1024
	if !t.unicode {
		text, _, ok := bytes.Cut(t.b, []byte{0})
		t.skip(len(text) + 1)
		if !ok && len(text) == 0 || len(text) > longest {
			return ""
		}
		return string(text)
	}
	if t.at%2 != 0 {
		t.skip(1)
	}
	n := 0
	for n+1 < len(t.b) && t.b[n]|t.b[n+1] != 0 {
		n += 2
	}
	text := t.b[:n]
	t.skip(n + 2)
	if n > 2*longest {
		return ""
	}
	return strings.TrimRight(utf16LEText(text), "\x00")
}
