package dissect

import "strings"

// smbFiles keeps track of the files that a session has open, and hashes what is read or written in order.
type smbFiles struct {
	fields  *fileFields
	source  string
	open    map[smbID]*smbFile
	pending map[smbCall]smbAsked // requests without an answer
	pipes   map[uint32]bool      // trees that are no disks
	last    *smbFile             // opened by the answer before, for chains of related requests
}

// smbID names an open file: the FileId of version 2 and 3, of which the persistent half may be shared, or the FID of version 1.
type smbID [16]byte

// smbCall names a request: MessageId, or MID and PID of version 1.
type smbCall uint64

// smbAsked is what an answer must know of its request.
type smbAsked struct {
	command uint16
	tree    uint32
	name    string // of the file or share
	file    smbID
	offset  int64
}

// smbFile is an open file.
type smbFile struct {
	name    string
	size    int64 // when it was opened, -1: not known
	hash    *fileHash
	next    int64 // offset behind what was hashed
	top     int64 // highest offset behind anything carried
	written bool
	ended   bool // the server said that the file ends here
	held    int
}

const (
	smbMaxOpen    = 128  // open files that are followed
	smbMaxPending = 1024 // requests without an answer
)

func newSMBFiles(fields *fileFields) *smbFiles {
	return &smbFiles{fields: fields, source: "smb", open: make(map[smbID]*smbFile), pending: make(map[smbCall]smbAsked), pipes: make(map[uint32]bool)}
}

// ask keeps what the answer to a request must know.
func (p *smbFiles) ask(s *Session, call smbCall, asked smbAsked) {
	if len(p.pending) < smbMaxPending && s.Hold(smbAskedBytes+len(asked.name)) {
		p.forget(s, call)
		p.pending[call] = asked
	}
}

const smbAskedBytes = 96 // about what a request that waits costs

// answer returns what was kept of the request of an answer.
func (p *smbFiles) answer(s *Session, call smbCall) (smbAsked, bool) {
	asked, ok := p.pending[call]
	p.forget(s, call)
	return asked, ok
}

func (p *smbFiles) forget(s *Session, call smbCall) {
	if asked, ok := p.pending[call]; ok {
		s.Hold(-smbAskedBytes - len(asked.name))
		delete(p.pending, call)
	}
}

// tree notes whether a tree is a share of files. Pipes and printers are not.
func (p *smbFiles) tree(id uint32, disk bool) {
	if len(p.pipes) < smbMaxOpen {
		p.pipes[id] = !disk
	}
}

// opened notes a file that the server opened.
func (p *smbFiles) opened(s *Session, asked smbAsked, id smbID, size int64) {
	p.last = nil
	if p.pipes[asked.tree] || len(p.open) >= smbMaxOpen {
		return
	}
	held := 128 + len(asked.name)
	if !s.Hold(held) {
		return
	}
	p.closed(s, id, -1)
	f := &smbFile{name: asked.name, size: size, held: held}
	p.open[id] = f
	p.last = f
}

// file returns the open file with the id; one of all ones is that of the request before in the chain.
func (p *smbFiles) file(id smbID) *smbFile {
	if id == smbRelated() {
		return p.last
	}
	return p.open[id]
}

func smbRelated() (id smbID) {
	for i := range id {
		id[i] = 0xff
	}
	return id
}

// begin says that bytes of the file from the offset on follow, and returns how many of them are to be skipped, or
// false when none are of use.
func (p *smbFiles) begin(s *Session, f *smbFile, offset int64, size int, write bool) (skip int, ok bool) {
	if f == nil || size <= 0 || offset < 0 {
		return 0, false
	}
	if f.hash == nil {
		if !s.Hold(fileHashBytes) {
			return 0, false
		}
		f.held += fileHashBytes
		f.hash = newFileHash()
	}
	f.written = f.written || write
	f.top = max(f.top, offset+int64(size))
	switch {
	case offset == f.next:
	case offset == 0: // from the beginning again
		f.hash.reset()
		f.next = 0
	case offset+int64(size) <= f.next:
		return 0, false // again
	case offset < f.next:
		return int(f.next - offset), true
	default:
		f.hash.lost = true // a hole: what follows is counted only
		f.next = offset
	}
	return 0, true
}

// write takes bytes of the file.
func (f *smbFile) write(b []byte) {
	f.hash.write(b, fileHeadBytes)
	f.next += int64(len(b))
}

// closed notes a file that was read or written. size is its size when it was closed, -1: not known.
func (p *smbFiles) closed(s *Session, id smbID, size int64) {
	f := p.open[id]
	if f == nil {
		return
	}
	delete(p.open, id)
	s.Hold(-f.held)
	p.note(s, f, size)
}

// note files a file that was carried, with its hashes when it was carried from its beginning to its end.
func (p *smbFiles) note(s *Session, f *smbFile, size int64) {
	if f.hash == nil || f.hash.n == 0 {
		return
	}
	if size < 0 {
		size = f.size
	}
	whole := f.next >= f.top && (f.next == size || f.ended || f.written && f.next >= size)
	p.fields.add(s, p.source, strings.TrimPrefix(f.name, `\`), f.hash, whole)
}

// end notes the files that were not closed.
func (p *smbFiles) end(s *Session) {
	for id := range p.open {
		p.closed(s, id, -1)
	}
}
