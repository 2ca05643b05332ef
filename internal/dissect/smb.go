package dissect

import (
	"bytes"
	"encoding/binary"

	"wirelake/internal/spi"
)

// smb reads Server Message Block over TCP (MS-SMB2 2.1): the messages of versions 1
// (smb1.go) and 2 and 3 (smb2.go).
type smb struct {
	Base
	f        *smbFields
	skip     [2]int     // bytes of the message at hand that are not read whole
	lost     [2]bool    // where the next message begins is not known
	bulk     [2]smbBulk // bytes of a file among them
	dialects []string   // offered by the client, version 1
	files    *smbFiles
}

// smbBulk is bytes of a file that pass in a message.
type smbBulk struct {
	lead, left int   // bytes before them, and how many they are
	at         int64 // where in the file
	file       *smbFile
}

type smbFields struct {
	dialect, domain, filename, host, os, share, user, version spi.FieldID
	ntlm                                                      *ntlm
	files                                                     *fileFields
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
		files:    declareFiles(r),
	}
	return Protocol{
		Name: "smb",
		Matchers: []Matcher{
			{On: TCP, Bytes: "\x00", Func: at(4, "\xffSMB", "\xfeSMB", "\xfdSMB")},
			{On: TCP, Bytes: "\x00", Func: func(s *Session, d Dir, b []byte) bool { return !s.Reference && at(4, "\xfcSMB")(s, d, b) }}, // compressed
			{On: TCP, Bytes: "\x81\x00\x00\x44\x20", MinLen: 72, Func: netbiosRequest},
			{On: TCP, Bytes: "\x82\x00\x00\x00\x00", Func: func(s *Session, dir Dir, b []byte) bool { // its answer, and SMB behind it
				return !s.Reference && at(8, "\xffSMB", "\xfeSMB")(s, dir, b)
			}},
		},
		New: func(*Session) Parser { return &smb{f: f, files: newSMBFiles(f.files)} },
	}
}

// netbiosRequest accepts a session request of NetBIOS (RFC 1002 section 4.3.2), two encoded names of 34 bytes, behind which
// SMB comes. The reference does not.
func netbiosRequest(s *Session, _ Dir, b []byte) bool {
	for _, at := range [2]int{4, 38} {
		if b[at] != 32 || b[at+33] != 0 {
			return false
		}
		for _, c := range b[at+1 : at+33] {
			if c < 'A' || c > 'P' {
				return false
			}
		}
	}
	return !s.Reference
}

// Parse implements Parser.
func (p *smb) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	const head = 4 // zero, then a length of 3 bytes (MS-SMB2 2.1); NetBIOS has types there
	n := 0
	if p.lost[dir] { // messages begin where segments do
		if !at(4, "\xffSMB", "\xfeSMB", "\xfdSMB", "\xfcSMB")(s, dir, b) || b[0] != 0 {
			return len(b), More
		}
		p.lost[dir] = false
	}
	for {
		m := min(p.skip[dir], len(b)-n)
		p.pass(s, dir, b[n:n+m])
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
		if whole := min(size, smbBulkHead); len(b)-n < head+whole {
			return n, More
		} else if bulk := smbBulkHeader(b[n+head : n+head+whole]); bulk > 0 {
			need = min(bulk, size)
		}
		if len(b)-n < head+need {
			return n, More
		}
		p.message(s, dir, b[n+head:n+head+need])
		n += head + need
		p.skip[dir] = size - need
	}
}

// smbBulkHead is how many bytes of a message tell whether it carries bytes of a file, and which.
const smbBulkHead = 116

// smbBulkHeader returns the length of the part before the bytes of a file that the message carries: a write, or the
// answer to a read, that stands alone. 0: it is read whole.
func smbBulkHeader(b []byte) int {
	switch {
	case len(b) >= smb2Header && string(b[:4]) == "\xfeSMB":
		return smb2BulkHeader(b)
	case len(b) > smb1Header && string(b[:4]) == "\xffSMB":
		return smb1BulkHeader(b)
	}
	return 0
}

// pass takes bytes of a message that is not read whole: those of a file are hashed.
func (p *smb) pass(s *Session, dir Dir, b []byte) {
	d := &p.bulk[dir]
	if d.file == nil || len(b) == 0 {
		return
	}
	m := min(d.lead, len(b))
	d.lead -= m
	b = b[m:min(len(b), m+d.left)]
	d.file.hash.at(s, d.at, b)
	d.at += int64(len(b))
	if d.left -= len(b); d.left == 0 {
		d.file = nil
	}
}

// carry says that size bytes of the file from its offset on stand in the message of the direction, at bytes behind the
// part that is read.
func (p *smb) carry(s *Session, dir Dir, f *smbFile, offset int64, at, size int, write bool) {
	p.bulk[dir] = smbBulk{}
	if p.files.begin(s, f, offset, size, write) && at >= 0 {
		p.bulk[dir] = smbBulk{lead: at, left: size, at: offset, file: f}
	}
}

// End implements Parser.
func (p *smb) End(s *Session, final bool) {
	if final {
		p.files.end(s)
	}
}

// Gap implements Parser: a message of known length survives it.
func (p *smb) Gap(s *Session, dir Dir, missing int) Status {
	if missing > p.skip[dir] {
		if s.Reference {
			return Done
		}
		p.lose(s, dir)
		return More
	}
	if d := &p.bulk[dir]; d.file != nil {
		m := min(d.lead, missing)
		d.lead -= m
		if m = min(d.left, missing-m); m > 0 {
			d.file.hash.lose(s)
			d.left, d.at = d.left-m, d.at+int64(m)
		}
		if d.left == 0 {
			d.file = nil
		}
	}
	p.skip[dir] -= missing
	return More
}

// lose says that where the next message begins is not known.
func (p *smb) lose(s *Session, dir Dir) {
	p.bulk[dir] = smbBulk{}
	for _, f := range p.files.open {
		if f.hash != nil {
			f.hash.lose(s) // whether it was in what is missing is not known
		}
	}
	p.skip[dir], p.lost[dir] = 0, true
}

func (p *smb) message(s *Session, dir Dir, b []byte) {
	if len(b) < 4 {
		return
	}
	switch string(b[:4]) {
	case "\xffSMB":
		p.smb1(s, dir, b)
	case "\xfeSMB":
		p.smb2(s, dir, b)
	}
}

// security reads a security blob: NTLM, bare or in SPNEGO. The reference does not read SPNEGO's first token, and of who
// logs in by bare NTLM it tells in NTLM's fields only.
func (p *smb) security(s *Session, blob []byte) {
	const initToken = 0x60 // RFC 2743 section 3.1
	if s.Reference && len(blob) > 0 && blob[0] == initToken {
		return
	}
	login := p.f.ntlm.find(s, blob)
	if s.Reference && bytes.HasPrefix(blob, []byte(ntlmSignature)) {
		return
	}
	smbAdd(s, p.f.domain, login.domain)
	smbAdd(s, p.f.user, login.user)
	smbAdd(s, p.f.host, login.host)
}

func smbAdd(s *Session, f spi.FieldID, text string) {
	if text != "" {
		s.Doc.AddString(f, text)
	}
}
