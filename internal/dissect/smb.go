package dissect

import (
	"encoding/binary"

	"wirelake/internal/spi"
)

// smb reads Server Message Block over TCP (MS-SMB2 2.1): the messages of versions 1
// (smb1.go) and 2 and 3 (smb2.go).
type smb struct {
	Base
	f        *smbFields
	skip     [2]int   // bytes of the message at hand that are of no use
	dialects []string // offered by the client, version 1
}

type smbFields struct {
	dialect, domain, filename, host, os, share, user, version spi.FieldID
	ntlm                                                      *ntlm
}

// smbMaxRead is the most of a message that is read; reads and writes are longer and pass.
const smbMaxRead = 64 << 10

func newSMB(r *spi.Registry) Protocol {
	list := func(path, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "smb." + path, Type: spi.Term, List: true, Exprs: []string{expr}, Hot: path != "os" && path != "version", Name: name, Help: help})
	}
	f := &smbFields{
		dialect:  r.Declare(spi.Field{Path: "smb.dialect", Type: spi.Term, Exprs: []string{"smb.dialect"}, Name: "Dialect", Help: "dialect chosen"}),
		domain:   list("domain", "smb.domain", "Domain", "domains of users"),
		filename: list("filename", "smb.fn", "File name", "files opened, made or deleted"),
		host:     list("host", "host.smb", "Host", "names of client hosts"),
		os:       list("os", "smb.os", "OS", "operating system texts"),
		share:    list("share", "smb.share", "Share", "shares connected to"),
		user:     list("user", "smb.user", "User", "user names"),
		version:  list("version", "smb.ver", "Version", "version texts of the SMB software"),
		ntlm:     declareNTLM(r),
	}
	return Protocol{
		Name:     "smb",
		Matchers: []Matcher{{On: TCP, Bytes: "\x00", Func: at(4, "\xffSMB", "\xfeSMB", "\xfdSMB")}},
		New:      func(*Session) Parser { return &smb{f: f} },
	}
}

// Parse implements Parser.
func (p *smb) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	const head = 4 // zero, then a length of 3 bytes (MS-SMB2 2.1); NetBIOS has types there
	n := 0
	for {
		m := min(p.skip[dir], len(b)-n)
		p.skip[dir] -= m
		n += m
		if len(b)-n < head {
			return n, More
		}
		size := int(binary.BigEndian.Uint32(b[n:]) & 0xffffff)
		if b[n] != 0 {
			if b[n] < 0x81 || b[n] > 0x85 {
				return n, Done
			}
			n, p.skip[dir] = n+head, size // NetBIOS session service (RFC 1002 section 4.3)
			continue
		}
		need := min(size, smbMaxRead)
		if len(b)-n < head+need {
			return n, More
		}
		p.message(s, dir, b[n+head:n+head+need])
		n += head + need
		p.skip[dir] = size - need
	}
}

// Gap implements Parser: a message of known length survives it.
func (p *smb) Gap(_ *Session, dir Dir, missing int) Status {
	if missing > p.skip[dir] {
		return Done
	}
	p.skip[dir] -= missing
	return More
}

func (p *smb) message(s *Session, dir Dir, b []byte) {
	if len(b) < 4 {
		return
	}
	switch string(b[:4]) {
	case "\xffSMB":
		p.smb1(s, dir, b)
	case "\xfeSMB":
		p.smb2(s, b)
	}
}

// security reads a security blob: NTLM, bare or in SPNEGO.
func (p *smb) security(s *Session, blob []byte) {
	login := p.f.ntlm.find(s, blob)
	smbAdd(s, p.f.domain, login.domain)
	smbAdd(s, p.f.user, login.user)
	smbAdd(s, p.f.host, login.host)
}

func smbAdd(s *Session, f spi.FieldID, text string) {
	if text != "" {
		s.Doc.AddString(f, text)
	}
}
