package dissect

import "encoding/binary"

const smb2Header = 64

// Commands of versions 2 and 3 (MS-SMB2 2.2.1.2).
const (
	smb2Negotiate   = 0
	smb2Setup       = 1
	smb2TreeConnect = 3
	smb2Create      = 5
	smb2Close       = 6
	smb2Read        = 8
	smb2Write       = 9
	smb2SetInfo     = 17
)

const smb2Answer = 1 // flag of answers

// smb2BulkHeader is smbBulkHeader for versions 2 and 3.
func smb2BulkHeader(b []byte) int {
	const writeBody, readBody = 48, 16
	if binary.LittleEndian.Uint32(b[20:]) != 0 {
		return 0 // one of a chain
	}
	answer := binary.LittleEndian.Uint32(b[16:])&smb2Answer != 0
	switch command := binary.LittleEndian.Uint16(b[12:]); {
	case command == smb2Write && !answer:
		return smb2Header + writeBody
	case command == smb2Read && answer && binary.LittleEndian.Uint32(b[8:]) == 0:
		return smb2Header + readBody
	}
	return 0
}

// smb2 reads the messages of versions 2 and 3 (MS-SMB2 2.2), which may be chained.
func (p *smb) smb2(s *Session, dir Dir, b []byte) {
	for range 32 { // a chain is as long as it likes; few are over 5
		if len(b) < smb2Header+8 || string(b[:4]) != "\xfeSMB" {
			return
		}
		next := int64(binary.LittleEndian.Uint32(b[20:]))
		one := b
		if next >= smb2Header && next < int64(len(b)) {
			one = b[:next]
		}
		p.smb2Message(s, dir, one)
		if next < smb2Header || next >= int64(len(b)) {
			return
		}
		b = b[next:]
	}
}

func (p *smb) smb2Message(s *Session, dir Dir, b []byte) {
	answer := binary.LittleEndian.Uint32(b[16:])&smb2Answer != 0
	body := b[smb2Header:]
	if answer {
		p.smb2Answer(s, dir, b, body)
		return
	}
	// at returns the buffer whose place and length stand at the offset of the body.
	at := func(offset int) []byte { return smb2Buffer(b, body, offset) }
	call := smbCall(binary.LittleEndian.Uint64(b[24:]))
	asked := smbAsked{command: binary.LittleEndian.Uint16(b[12:]), tree: binary.LittleEndian.Uint32(b[36:])}
	switch asked.command {
	case smb2Setup:
		p.security(s, at(12))
	case smb2TreeConnect:
		asked.name = utf16LEText(at(4))
		smbAdd(s, p.f.share, asked.name)
		p.files.ask(s, call, asked)
	case smb2Create:
		asked.name = utf16LEText(at(44))
		smbAdd(s, p.f.filename, asked.name)
		p.files.ask(s, call, asked)
	case smb2Close:
		if len(body) >= 24 {
			asked.file = smbID(body[8:24])
			p.files.ask(s, call, asked)
		}
	case smb2Read:
		if len(body) >= 32 {
			asked.file, asked.offset = smbID(body[16:32]), int64(binary.LittleEndian.Uint64(body[8:]))
			p.files.ask(s, call, asked)
		}
	case smb2Write:
		if len(body) >= 32 {
			p.smb2Carry(s, dir, b, int(binary.LittleEndian.Uint16(body[2:])), binary.LittleEndian.Uint32(body[4:]),
				p.files.file(smbID(body[16:32])), int64(binary.LittleEndian.Uint64(body[8:])), true)
		}
	case smb2SetInfo:
		p.smb2SetInfo(s, b, body)
	}
}

// smb2Buffer returns the buffer whose place and length stand at the offset of the body.
func smb2Buffer(b, body []byte, offset int) []byte {
	if len(body) < offset+4 {
		return nil
	}
	off, n := int(binary.LittleEndian.Uint16(body[offset:])), int(binary.LittleEndian.Uint16(body[offset+2:]))
	if off < smb2Header || off+n > len(b) {
		return nil
	}
	return b[off : off+n]
}

// smb2Carry hashes bytes of a file within b, or behind it where only the head of the message was read.
func (p *smb) smb2Carry(s *Session, dir Dir, b []byte, at int, size uint32, f *smbFile, offset int64, write bool) {
	if f == nil || size > 16<<20 || at < smb2Header {
		return
	}
	p.carry(s, dir, f, offset, 0, int(size), write)
	if p.bulk[dir].file == nil {
		return
	}
	if at >= len(b) {
		p.bulk[dir].lead += at - len(b)
		return
	}
	p.pass(s, dir, b[at:])
	if p.bulk[dir].file != nil { // the rest is not within the message, or was cut off a chain
		p.bulk[dir].file.hash.lose(s)
		p.bulk[dir] = smbBulk{}
	}
}

// smb2SetInfo notes the new name of a file (MS-SMB2 2.2.39, MS-FSCC 2.4.42).
func (p *smb) smb2SetInfo(s *Session, b, body []byte) {
	const file, rename, nameAt = 1, 10, 20
	if len(body) < 32 || body[2] != file || body[3] != rename {
		return
	}
	n, at := int64(binary.LittleEndian.Uint32(body[4:])), int64(binary.LittleEndian.Uint16(body[8:]))
	if at < smb2Header || n < nameAt || at+n > int64(len(b)) {
		return
	}
	info := b[at : at+n]
	if size := int64(binary.LittleEndian.Uint32(info[16:])); nameAt+size <= n {
		smbAdd(s, p.f.filename, utf16LEText(info[nameAt:nameAt+size]))
	}
}

// smb2Answer reads the answer to a request.
func (p *smb) smb2Answer(s *Session, dir Dir, b, body []byte) {
	const pending, endOfFile = 0x103, 0xc0000011
	status := binary.LittleEndian.Uint32(b[8:])
	if status == pending {
		return // the answer proper follows
	}
	command := binary.LittleEndian.Uint16(b[12:])
	switch command {
	case smb2Negotiate:
		if len(body) >= 6 {
			if name := smb2Dialect(binary.LittleEndian.Uint16(body[4:])); name != "" {
				s.Doc.SetString(p.f.dialect, name)
			}
		}
		return
	case smb2Setup:
		p.security(s, smb2Buffer(b, body, 4))
		return
	}
	asked, ok := p.files.answer(s, smbCall(binary.LittleEndian.Uint64(b[24:])))
	if !ok || asked.command != command {
		return
	}
	if status != 0 {
		if f := p.files.file(asked.file); command == smb2Read && status == endOfFile && f != nil {
			f.ended = f.hash != nil && asked.offset == f.hash.next
		}
		return
	}
	switch command {
	case smb2TreeConnect:
		p.files.tree(binary.LittleEndian.Uint32(b[36:]), len(body) > 2 && body[2] == 1)
	case smb2Create:
		if len(body) >= 80 {
			p.files.opened(s, asked, smbID(body[64:80]), int64(binary.LittleEndian.Uint64(body[48:])))
		}
	case smb2Read:
		if len(body) >= 16 {
			p.smb2Carry(s, dir, b, int(body[2]), binary.LittleEndian.Uint32(body[4:]), p.files.file(asked.file), asked.offset, false)
		}
	case smb2Close:
		size := int64(-1)
		if len(body) >= 56 && binary.LittleEndian.Uint16(body[2:])&1 != 0 { // attributes are given
			size = int64(binary.LittleEndian.Uint64(body[48:]))
		}
		p.files.closed(s, asked.file, size)
	}
}

// smb2Dialect names a dialect as MS-SMB2 section 1.7 does.
func smb2Dialect(n uint16) string {
	switch n {
	case 0x0202:
		return "SMB 2.0.2"
	case 0x0210:
		return "SMB 2.1"
	case 0x0300:
		return "SMB 3.0"
	case 0x0302:
		return "SMB 3.0.2"
	case 0x0311:
		return "SMB 3.1.1"
	}
	return "" // 0x02ff: a second negotiation follows
}
