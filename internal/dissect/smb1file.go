package dissect

import "encoding/binary"

// Commands of version 1 that open, read, write and close files (MS-CIFS 2.2.4).
const (
	smb1Close       = 0x04
	smb1Open        = 0x2d
	smb1Read        = 0x2e
	smb1Write       = 0x2f
	smb1TreeConnect = 0x75
	smb1Create      = 0xa2
)

// smb1BulkHeader is smbBulkHeader for version 1.
func smb1BulkHeader(b []byte) int {
	const reply, readWords, writeWords = 0x80, 12, 12
	words, answer := int(b[smb1Header]), b[9]&reply != 0
	if b[4] == smb1Read && answer && words >= readWords || b[4] == smb1Write && !answer && words >= writeWords {
		return smb1Header + 1 + 2*words + 2
	}
	return 0
}

// smb1File reads the messages that open, read, write and close files. It returns false for others.
func (p *smb) smb1File(s *Session, dir Dir, b, words []byte, answer bool, texts smb1Texts) bool {
	le := binary.LittleEndian
	call := smbCall(le.Uint32(b[28:]))<<16 | smbCall(le.Uint16(b[26:])) // UID, MID and PID
	asked := smbAsked{command: uint16(b[4]), tree: uint32(le.Uint16(b[24:]))}
	if answer {
		if b[4] != smb1Close && b[4] != smb1Open && b[4] != smb1Read && b[4] != smb1TreeConnect && b[4] != smb1Create {
			return false
		}
		asked, ok := p.files.answer(s, call)
		if ok && asked.command == uint16(b[4]) && le.Uint32(b[5:]) == 0 {
			p.smb1Answer(s, dir, b, words, asked, texts)
		}
		return true
	}
	switch b[4] {
	case smb1TreeConnect: // a password, then the path, then the kind of service
		if len(words) >= 8 {
			texts.skip(int(le.Uint16(words[6:])))
			smbAdd(s, p.f.share, texts.next())
			p.files.ask(s, call, asked)
		}
	case smb1Open, smb1Create:
		asked.name = texts.next()
		smbAdd(s, p.f.filename, asked.name)
		p.files.ask(s, call, asked)
	case smb1Read:
		if len(words) >= 10 {
			asked.file, asked.offset = smb1ID(words[4:]), int64(le.Uint32(words[6:]))
			if len(words) >= 24 {
				asked.offset |= int64(le.Uint32(words[20:])) << 32
			}
			p.files.ask(s, call, asked)
		}
	case smb1Write:
		if len(words) >= 24 {
			offset := int64(le.Uint32(words[6:]))
			if len(words) >= 28 {
				offset |= int64(le.Uint32(words[24:])) << 32
			}
			p.smb1Carry(s, dir, b, int(le.Uint16(words[22:])), int(le.Uint16(words[20:]))|int(le.Uint16(words[18:]))<<16, p.files.file(smb1ID(words[4:])), offset, true)
		}
	case smb1Close:
		if len(words) >= 2 {
			asked.file = smb1ID(words)
			p.files.ask(s, call, asked)
		}
	default:
		return false
	}
	return true
}

func smb1ID(b []byte) (id smbID) {
	copy(id[:], b[:2])
	return id
}

func (p *smb) smb1Answer(s *Session, dir Dir, b, words []byte, asked smbAsked, texts smb1Texts) {
	le := binary.LittleEndian
	switch b[4] {
	case smb1TreeConnect: // the service is ASCII: A: for disks, LPT1:, IPC, COMM
		p.files.tree(uint32(le.Uint16(b[24:])), len(texts.b) > 1 && texts.b[0] == 'A')
	case smb1Open:
		if len(words) >= 16 {
			p.files.opened(s, asked, smb1ID(words[4:]), int64(le.Uint32(words[12:])))
		}
	case smb1Create:
		if len(words) >= 63 {
			p.files.opened(s, asked, smb1ID(words[5:]), int64(le.Uint64(words[55:])))
		}
	case smb1Read:
		if len(words) >= 16 {
			p.smb1Carry(s, dir, b, int(le.Uint16(words[12:])), int(le.Uint16(words[10:]))|int(le.Uint16(words[14:]))<<16, p.files.file(asked.file), asked.offset, false)
		}
	case smb1Close:
		p.files.closed(s, asked.file, -1)
	}
}

// smb1Carry hashes bytes of a file behind b, the head of the message.
func (p *smb) smb1Carry(s *Session, dir Dir, b []byte, at, size int, f *smbFile, offset int64, write bool) {
	if f != nil && at >= len(b) {
		p.carry(s, dir, f, offset, at-len(b), size, write)
	}
}
