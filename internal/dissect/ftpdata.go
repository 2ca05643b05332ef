package dissect

import "wirelake/internal/spi"

// ftpData is a data connection of FTP (RFC 959 section 3.2) that a control connection told of: a file or a listing.
type ftpData struct {
	Base
	f        *ftpFields
	transfer *ftpTransfer
	hash     *fileHash
	from     Dir // who sends
}

func newFTPData(r *spi.Registry) Protocol {
	f := declareFTP(r)
	return Protocol{Name: "ftp-data", New: func(s *Session) Parser {
		t, ok := s.Announced().(*ftpTransfer)
		if !ok {
			return nil
		}
		return &ftpData{f: f, transfer: t, hash: newFileHash()}
	}}
}

// Parse implements Parser.
func (p *ftpData) Parse(_ *Session, dir Dir, b []byte) (int, Status) {
	p.from = dir
	p.hash.write(b, fileHeadBytes)
	return len(b), More
}

// Gap implements Parser: the file goes on without its hashes.
func (p *ftpData) Gap(*Session, Dir, int) Status {
	p.hash.lost = true
	return More
}

// End implements Parser. What the control connection said of the transfer is known by now.
func (p *ftpData) End(s *Session, final bool) {
	t := p.transfer
	s.Doc.AddString(p.f.control, t.Control)
	direction := ""
	switch t.Command {
	case "RETR":
		direction = "download"
	case "STOR", "STOU", "APPE":
		direction = "upload"
	case "LIST", "NLST", "MLSD":
		direction = "list"
	}
	if direction != "" {
		s.Doc.AddString(p.f.direction, direction)
	}
	if t.Name != "" {
		s.Doc.AddString(p.f.filename, t.Name)
	}
	if final && direction != "list" {
		p.f.files.add(s, "ftp", t.Name, p.hash, !t.Part && !t.Failed && s.Began[p.from] && s.Ended[p.from])
	}
}
