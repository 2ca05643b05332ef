package dissect

import (
	"crypto/md5" //nolint:gosec // a file's name in indicator lists, not a protection
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"wirelake/internal/spi"
)

// fileFields are the facts of files that sessions carry: attachments of mails, files read and written over SMB,
// transferred by FTP, and HTTP bodies that are given a name. An object of the list is one file.
type fileFields struct {
	list                                 spi.ListID
	name, source, size, typ, md5, sha256 spi.FieldID
}

const (
	fileHeadBytes = 3072 // of a file that its type is found by: what the library looks at
	maxFileName   = 1024 // bytes
)

// declareFiles declares the fields of files, for all protocols that carry any.
func declareFiles(r *spi.Registry) *fileFields {
	list := r.Objects("files")
	term := func(path, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "files." + path, Type: spi.Term, Exprs: []string{"files." + path}, Hot: true, Name: name, Help: help})
	}
	sum := func(path, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "files." + path, Type: spi.LoTerm, Exprs: []string{"files." + path, path + ".files"}, Hot: true, Bloom: true, Name: name, Help: help})
	}
	return &fileFields{
		list:   list,
		name:   term("name", "File name", "names of files carried by mail, SMB, FTP and HTTP"),
		source: term("source", "Carried by", "protocols that carried files"),
		size:   r.Declare(spi.Field{Path: "files.size", Type: spi.Integer, Exprs: []string{"files.size"}, Name: "File size", Help: "sizes of files in bytes; of a file carried in part, the part"}),
		typ:    term("type", "File type", "media types of files, by their content"),
		md5:    sum("md5", "File MD5", "MD5 of whole files"),
		sha256: sum("sha256", "File SHA-256", "SHA-256 of whole files"),
	}
}

// add notes a file. f's hashes are noted when whole says that all of it was seen.
func (p *fileFields) add(s *Session, source, name string, f *fileHash, whole bool) {
	if f == nil || f.n == 0 && name == "" {
		return
	}
	o, ok := s.Doc.NewObject(p.list, spi.Root)
	if !ok {
		return
	}
	d := s.Doc
	d.SetStringIn(o, p.source, source)
	if name != "" {
		d.SetStringIn(o, p.name, name[:min(len(name), maxFileName)])
	}
	d.SetIntIn(o, p.size, f.n)
	if len(f.head) > 0 {
		d.SetStringIn(o, p.typ, contentType(f.head))
	}
	if whole && !f.lost && f.n > 0 {
		d.SetStringIn(o, p.md5, hexSum(f.md5))
		d.SetStringIn(o, p.sha256, hexSum(f.sha256))
	}
}

// contentType returns the media type of a file by its first bytes, without parameters.
func contentType(head []byte) string {
	kind, _, _ := strings.Cut(mimetype.Detect(head).String(), ";")
	return kind
}

// baseName returns the last element of a path of any system.
func baseName(path string) string {
	return path[strings.LastIndexAny(path, `/\`)+1:]
}

// fileHash hashes a file as it streams by; it serves one file after the other.
type fileHash struct {
	md5, sha256 hash.Hash
	n           int64
	head        []byte // the first bytes
	lost        bool   // some bytes are missing: no hashes
}

// fileHashBytes is about what a fileHash keeps, for [Session.Hold].
const fileHashBytes = fileHeadBytes + 512

func newFileHash() *fileHash {
	h := &fileHash{}
	h.reset()
	return h
}

// reset makes h ready for the next file.
func (h *fileHash) reset() {
	if h.md5 == nil {
		h.md5, h.sha256 = md5.New(), sha256.New() //nolint:gosec // a file's name in indicator lists, not a protection
	}
	h.md5.Reset()
	h.sha256.Reset()
	h.n, h.lost = 0, false
	h.head = h.head[:0]
}

// write takes the next bytes, of which the first of the file, to the limit, are kept.
func (h *fileHash) write(p []byte, limit int) {
	if len(h.head) < limit {
		h.head = append(h.head, p[:min(len(p), limit-len(h.head))]...)
	}
	h.n += int64(len(p))
	if !h.lost {
		h.md5.Write(p)    //nolint:errcheck // a hash never fails
		h.sha256.Write(p) //nolint:errcheck // a hash never fails
	}
}

func hexSum(h hash.Hash) string {
	var buf [sha256.Size]byte
	return hex.EncodeToString(h.Sum(buf[:0]))
}
