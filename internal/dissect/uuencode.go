package dissect

import "bytes"

// uuFile is a file within the text of a mail, as uuencode writes it (IEEE Std 1003.1, "uuencode"): a line with its mode and
// name, lines of a length and groups of four characters, a line of length 0, and "end".
type uuFile struct {
	fileHash
	name string
	out  []byte
}

// uuBegin returns the file that a line begins, nil for none.
func uuBegin(line []byte) *uuFile {
	mode, name, ok := bytes.Cut(bytes.TrimPrefix(line, []byte("begin ")), []byte(" "))
	if !ok || len(mode)+len(name)+7 != len(line) || len(mode) < 3 || len(mode) > 4 || !isDigits(mode) {
		return nil
	}
	name = bytes.TrimSpace(name)
	if len(name) == 0 || len(name) > maxFileName {
		return nil
	}
	f := &uuFile{name: string(name)}
	f.reset()
	return f
}

// line takes the next line. It reports that the file ended, and whether it is whole: what is no line of it ends it too.
func (f *uuFile) line(line []byte) (ended, whole bool) {
	if string(line) == "end" {
		return true, true
	}
	if len(line) == 0 {
		return true, false
	}
	// Of the two characters for 0, blank and grave accent, mailers drop blanks at the end.
	n := int(line[0]-' ') & 63
	line = line[1:]
	f.out = f.out[:0]
	for ; n > len(f.out); line = line[min(4, len(line)):] {
		var group [4]byte
		for i := range group {
			if i < len(line) {
				if line[i] < ' ' || line[i] > '`' {
					return true, false
				}
				group[i] = (line[i] - ' ') & 63
			}
		}
		f.out = append(f.out, group[0]<<2|group[1]>>4, group[1]<<4|group[2]>>2, group[2]<<6|group[3])
	}
	f.write(f.out[:n], fileHeadBytes)
	return false, false
}

// uuLine takes a line of a text that may hold files.
func (m *mailMessage) uuLine(s *Session, b []byte, begins bool) {
	f := m.uu
	if f == nil {
		if begins && bytes.HasPrefix(b, []byte("begin ")) {
			m.uu = uuBegin(b)
		}
		return
	}
	if !begins {
		f.lost = true // no line of a file is so long
		return
	}
	if ended, whole := f.line(b); ended {
		m.endUU(s, whole)
	}
}

// endUU notes the file. The reference leaves such files out.
func (m *mailMessage) endUU(s *Session, whole bool) {
	f := m.uu
	m.uu = nil
	if f == nil || f.n == 0 {
		return
	}
	m.f.files.add(s, m.source, baseName(f.name), &f.fileHash, whole)
	if m.fields != mailAll || s.Reference {
		return
	}
	s.Doc.AddString(m.f.filename, f.name)
	if kind := magic(f.head); kind != "" {
		s.Doc.AddString(m.f.magic, kind)
	}
	if whole && !f.lost {
		s.Doc.AddString(m.f.md5, hexSum(f.md5))
		s.Doc.AddString(m.f.sha256, hexSum(f.sha256))
	}
}
