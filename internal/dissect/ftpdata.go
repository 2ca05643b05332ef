package dissect

import "wirelake/internal/spi"

// ftpData is a data connection of FTP (RFC 959 section 3.2) that a control connection told of: a file or a listing.
type ftpData struct {
	Base
	f        *ftpFields
	transfer *ftpTransfer
	hash     *fileHash // nil: of what is within TLS another tells
	from     Dir       // who sends
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
func (p *ftpData) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	const hello = "\x16\x03" // after PROT P (RFC 4217 section 9), which may have been said within TLS
	if len(p.hash.head) == 0 && !p.hash.lost && len(b) > tlsRecordHeader && string(b[:len(hello)]) == hello && tlsHello(s, dir, b) {
		p.hash = nil
		s.Handover("tls")
		return 0, Done
	}
	p.from = dir
	p.hash.write(b, fileHeadBytes)
	return len(b), More
}

// afterTLS implements tlsStarter.
func (p *ftpData) afterTLS() Parser {
	return &ftpData{f: p.f, transfer: p.transfer, hash: newFileHash()}
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
	if final && p.hash != nil && direction != "list" {
		p.f.files.add(s, "ftp", t.Name, p.hash, !t.Part && !t.Failed && s.Began[p.from] && s.Ended[p.from])
	}
}
