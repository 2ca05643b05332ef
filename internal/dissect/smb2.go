package dissect

import "encoding/binary"

const smb2Header = 64

// smb2 reads the messages of versions 2 and 3 (MS-SMB2 2.2), which may be chained.
func (p *smb) smb2(s *Session, b []byte) {
	for range 32 { // a chain is as long as it likes; few are over 5
		if len(b) < smb2Header+8 || string(b[:4]) != "\xfeSMB" {
			return
		}
		next := int64(binary.LittleEndian.Uint32(b[20:]))
		one := b
		if next >= smb2Header && next < int64(len(b)) {
			one = b[:next]
		}
		p.smb2Message(s, one)
		if next < smb2Header || next >= int64(len(b)) {
			return
		}
		b = b[next:]
	}
}

func (p *smb) smb2Message(s *Session, b []byte) {
	const answerFlag = 1
	answer := binary.LittleEndian.Uint32(b[16:])&answerFlag != 0
	body := b[smb2Header:]
	// at returns the buffer whose place and length stand at the offset of the body.
	at := func(offset int) []byte {
		if len(body) < offset+4 {
			return nil
		}
		off, n := int(binary.LittleEndian.Uint16(body[offset:])), int(binary.LittleEndian.Uint16(body[offset+2:]))
		if off < smb2Header || off+n > len(b) {
			return nil
		}
		return b[off : off+n]
	}
	switch binary.LittleEndian.Uint16(b[12:]) {
	case 0: // negotiate
		if answer && len(body) >= 6 {
			if name := smb2Dialect(binary.LittleEndian.Uint16(body[4:])); name != "" {
				s.Doc.SetString(p.f.dialect, name)
			}
		}
	case 1: // session setup
		if answer {
			p.security(s, at(4))
		} else {
			p.security(s, at(12))
		}
	case 3: // tree connect
		if !answer {
			smbAdd(s, p.f.share, utf16LEText(at(4)))
		}
	case 5: // create
		if !answer {
			smbAdd(s, p.f.filename, utf16LEText(at(44)))
		}
	}
}

func smb2Dialect(n uint16) string {
	switch n {
	case 0x0202:
		return "SMB 2.02"
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
