package dissect

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// smbFiles keeps track of the files that a session has open, and hashes what is read or written.
type smbFiles struct {
	fields  *fileFields
	source  string
	open    map[smbID]*smbFile
	pending map[smbCall]smbAsked // requests without an answer
	pipes   map[uint32]bool      // trees that are no disks
	last    *smbFile             // opened by the answer before, for chains of related requests
	parts   []*smbFile           // closed before they were carried whole, oldest first: some are opened again and go on
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
	tree    uint32
	name    string
	size    int64 // when it was opened, -1: not known
	hash    *scattered
	written bool
	ended   bool // the server said that the file ends here
	held    int
}

const (
	smbMaxOpen    = 128  // open files that are followed
	smbMaxPending = 1024 // requests without an answer
	smbMaxParts   = 8    // files that were closed before they were whole
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
	f := &smbFile{tree: asked.tree, name: asked.name, size: size, held: held}
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

// begin says that bytes of the file from the offset on follow, and reports whether they are of use.
func (p *smbFiles) begin(s *Session, f *smbFile, offset int64, size int, write bool) bool {
	if f == nil || size <= 0 || offset < 0 {
		return false
	}
	if f.hash == nil {
		if !s.Hold(fileHashBytes) {
			return false
		}
		f.held += fileHashBytes
		f.hash = newScattered()
		p.resume(s, f, offset, write)
	}
	h := f.hash
	f.written = f.written || write
	switch {
	case offset == 0 && (h.lost || write && h.next > 0):
		h.restart(s)
	case write && h.meets(offset, size): // what was hashed is written over
		h.lose(s)
	}
	h.expect(s, offset, size)
	return true
}

// resume goes on with a file that was carried in part before it was closed, when the piece at the offset is the next.
func (p *smbFiles) resume(s *Session, f *smbFile, offset int64, write bool) {
	for i, part := range p.parts {
		if part.tree != f.tree || part.name != f.name {
			continue
		}
		// A file that was read must not have changed its size since, one that was written must have what was written.
		same := f.size == part.size && !part.written || f.size == part.hash.next && part.written
		if offset > 0 && offset == part.hash.next && same && write == part.written {
			f.hash = part.hash
		}
		s.Hold(-part.held)
		p.parts = append(p.parts[:i:i], p.parts[i+1:]...)
		return
	}
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
	if f.hash != nil {
		p.keep(s, f)
	}
}

// keep keeps a file that was carried in part, from the beginning on, in case that it goes on when it is opened again.
func (p *smbFiles) keep(s *Session, f *smbFile) {
	h := f.hash
	if h.lost || h.next == 0 || h.next < h.top || f.size == h.next || !s.Hold(f.held) {
		return
	}
	if len(p.parts) >= smbMaxParts {
		s.Hold(-p.parts[0].held)
		p.parts = p.parts[1:]
	}
	p.parts = append(p.parts, f)
}

// note files a file that was carried, with its hashes when it was carried from its beginning to its end.
func (p *smbFiles) note(s *Session, f *smbFile, size int64) {
	h := f.hash
	if h == nil || len(h.have) == 0 {
		return
	}
	if size < 0 {
		size = f.size
	}
	whole := h.next >= h.top && (h.next == size || f.ended || f.written && h.next >= size)
	if !whole && len(h.early) > 0 {
		h.lose(s)
	}
	h.n = h.size()
	p.fields.add(s, p.source, strings.TrimPrefix(f.name, `\`), &h.fileHash, whole)
}

// end notes the files that were not closed.
func (p *smbFiles) end(s *Session) {
	ids := slices.SortedFunc(maps.Keys(p.open), func(a, b smbID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		p.closed(s, id, -1)
	}
	for _, part := range p.parts {
		s.Hold(-part.held)
	}
	p.parts = nil
}
