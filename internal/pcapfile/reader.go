package pcapfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// MaxRecordBytes is the most captured bytes of one packet. libpcap's own limit is 256 KiB and 128 MiB for
// USB; beyond 16 MiB a length is taken for damage.
const MaxRecordBytes = 16 << 20

// MaxInterfaces is how many interfaces a pcapng file may declare; each costs memory until its end.
const MaxInterfaces = 1 << 14

// Interface describes where packets of a file were captured. A pcap file has one.
type Interface struct {
	LinkType    uint32 // LINKTYPE_ number
	Snaplen     uint32 // bytes; 0: no limit
	Name        string // as pcapng has it; may be empty
	Description string
	UnitsPerSec uint64 // resolution of its timestamps
	OffsetSec   int64  // added to its timestamps, seconds
}

// Record is one packet of a file.
type Record struct {
	TimeNanos int64  // capture time, ns since 1970 UTC; in simple packet blocks, which have none, that of the record before
	WireLen   int    // bytes on the wire
	Interface int    // index in Reader.Interfaces
	Data      []byte // captured bytes, valid until the next call of Next
	Comment   string // of the packet (pcapng), lines joined by newlines
	Offset    int64  // of the record in the decompressed stream
}

// Reader reads the records of one capture file in file order. It is not safe for concurrent use.
type Reader struct {
	name       string
	w          window
	src        *source
	release    func()
	compressed bool
	interfaces []Interface
	lastNanos  int64 // time of the last record
	priorNanos int64 // and of the one before, in pcap files
	firstSec   int64 // what the header says that should be the first, in pcap files
	seen       bool  // there was a record
	done       bool

	ng    bool
	order order // of the file, or of the section

	// pcap
	nanos      bool
	recordHead int
	swapLens   int // 1: lengths are in reverse order in the header; 0: not; -1: the smaller is the captured one

	// pcapng
	sectionFirst int // index of the section's first interface
	tlsKeys      func([]byte)
}

// NewReader reads the header of the capture file that r streams. The name is used in errors.
//
// It detects compression and format by their magic numbers. It returns ErrFormat, wrapped, for anything
// else, and r's errors as they are. Close releases what the decompressor holds; it does not close r.
func NewReader(r io.Reader, name string) (*Reader, error) {
	f := &Reader{name: name, src: &source{r: r}, release: func() {}}
	f.w = window{r: f.src}
	plain := f.w
	head := plain.peek(len(xzMagic))
	if bytes.HasPrefix(head, []byte(xzMagic)) {
		head = plain.peek(64) // for the dictionary's size
	}
	z, release, err := decompress(head, &rest{w: &plain})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if z != nil {
		f.compressed, f.release = true, release
		f.w = window{r: z}
	} else {
		f.w = plain
	}
	if err := f.open(); err != nil {
		f.release()
		return nil, err
	}
	return f, nil
}

// rest reads what is left in a window and then its stream.
type rest struct{ w *window }

func (r *rest) Read(p []byte) (int, error) {
	w := r.w
	if w.start < w.end {
		n := copy(p, w.buf[w.start:w.end])
		w.start += n
		return n, nil
	}
	if w.err != nil {
		return 0, w.err
	}
	return w.r.Read(p)
}

// Interfaces returns the interfaces seen so far; those of a pcapng file come with its blocks. The slice
// must not be changed.
func (r *Reader) Interfaces() []Interface { return r.interfaces }

// OnTLSKeys has f called with each TLS key log that a pcapng file holds, in the course of Next: its secrets are those of the
// packets behind it, whatever section or interface they are of. The bytes are text in the format of package keylog, or
// should be, and valid during the call.
func (r *Reader) OnTLSKeys(f func(lines []byte)) { r.tlsKeys = f }

// Name returns the name given to NewReader.
func (r *Reader) Name() string { return r.name }

// Offset returns the position in the decompressed stream after the last record.
func (r *Reader) Offset() int64 { return r.w.offset() }

// Close releases the decompressor. It does not close the underlying reader.
func (r *Reader) Close() error {
	r.done = true
	r.release()
	r.release = func() {}
	return nil
}

// open reads the file header.
func (r *Reader) open() error {
	head := r.w.peek(4)
	if err := r.streamError(); err != nil && len(head) < 4 {
		return err
	}
	if len(head) < 4 && errors.Is(r.w.err, io.ErrUnexpectedEOF) { // the decompressor's
		return &TruncatedError{Name: r.name, Have: int64(len(head))}
	}
	if len(head) < 4 {
		return fmt.Errorf("%s: %w: %d bytes", r.name, ErrFormat, len(head))
	}
	if be32(head) == blockSection {
		if b := r.w.peek(minBlockBytes); len(b) >= minBlockBytes {
			if _, ok := sectionOrder(b); !ok {
				return fmt.Errorf("%s: %w: byte-order magic 0x%08x", r.name, ErrFormat, be32(b[8:]))
			}
		}
		r.ng = true
		return nil
	}
	return r.openPcap()
}

// Next reads the next record into rec, which it overwrites.
//
// At the end it returns io.EOF. A *TruncatedError or *CorruptError tells of damage; the reader can be used
// on, and in the first case the next call returns io.EOF. Any other error is one of reading the stream.
// Next allocates nothing for packets without comments.
func (r *Reader) Next(rec *Record) error {
	if r.done {
		return io.EOF
	}
	if r.ng {
		return r.nextBlock(rec)
	}
	return r.nextPcap(rec)
}

// end is called where the stream stops with have bytes of a record left. It returns the error that says
// why; the reader is done then.
func (r *Reader) end(have int) error {
	r.done = true
	if err := r.streamError(); err != nil {
		return err
	}
	if have > 0 || errors.Is(r.w.err, io.ErrUnexpectedEOF) {
		return &TruncatedError{Name: r.name, Offset: r.w.offset(), Have: int64(have)}
	}
	return io.EOF
}

// streamError returns the error that ended the stream, nil when it simply ended. What a decompressor
// says of its input is corruption of the file, without a way on.
func (r *Reader) streamError() error {
	switch err := r.w.err; {
	case r.src.err != nil:
		return fmt.Errorf("read %s: offset %d: %w", r.name, r.w.offset(), r.src.err)
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil
	case r.compressed:
		return &CorruptError{Name: r.name, Offset: r.w.base + int64(r.w.end), Reason: "decompress: " + err.Error()}
	default:
		return fmt.Errorf("read %s: offset %d: %w", r.name, r.w.offset(), err)
	}
}

// resync skips from the record at hand to the next place where plausible says that records go on, and
// returns the error that tells it. Plausible sees the stream from a candidate on.
func (r *Reader) resync(reason string, plausible func() bool) error {
	at := r.w.offset()
	for {
		r.w.skip(1)
		if len(r.w.peek(1)) == 0 {
			r.done = true
			break
		}
		if plausible() {
			break
		}
	}
	if r.done {
		if err := r.streamError(); err != nil && r.src.err != nil {
			return err
		}
	}
	return &CorruptError{Name: r.name, Offset: at, Reason: reason, Skipped: r.w.offset() - at}
}

// cutOrCorrupt decides what a record means that reaches past the end of the file: when records go on
// inside it, its length was corrupt; else the file is cut.
func (r *Reader) cutOrCorrupt(have int, reason string, plausible func() bool) error {
	at, start, base := r.w.offset(), r.w.start, r.w.base
	if r.streamError() == nil {
		for r.w.start++; r.w.start < r.w.end; r.w.start++ {
			if plausible() {
				return &CorruptError{Name: r.name, Offset: at, Reason: reason, Skipped: r.w.offset() - at}
			}
		}
	}
	// The stream has ended, so the window did not move.
	r.w.start, r.w.base = start, base
	return r.end(have)
}
