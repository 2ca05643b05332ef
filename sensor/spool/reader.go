package spool

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"wirelake/sensor/capture"
)

// Record is one packet of a segment.
type Record struct {
	TimeNanos int64  // capture time, ns since 1970; whatever the capture's clock said
	WireLen   int    // bytes on the wire
	Data      []byte // captured bytes; valid until the next call of Next
	Comment   string // of the packet, of any bytes
	Offset    int64  // of the record in the file
}

// Damage is a stretch of a segment that could not be read.
type Damage struct {
	File   string
	Offset int64 // where it begins
	Bytes  int64
	Reason string
	// Tail says that nothing follows: the writer was killed, or the power failed. Else
	// records behind it were found again.
	Tail bool
}

func (d Damage) String() string {
	return fmt.Sprintf("%s: offset %d: %s: %d bytes passed over", d.File, d.Offset, d.Reason, d.Bytes)
}

// Reader reads a segment, also one that was being written when the machine died:
// it gives every whole record. It is not safe for concurrent use.
type Reader struct {
	Header Header

	name   string
	src    io.Reader
	buf    []byte
	start  int   // in buf, of what is not read
	end    int   // in buf
	off    int64 // in the file, of buf[start]
	srcErr error // what ended src; io.EOF

	damaged func(Damage)
	losses  Losses
	ended   bool
	packets uint64
	comment string // of the next packet

	position capture.Position
	placed   bool // a position stood before the first packet
}

// How much is read at once: little at first, for most segments of quiet lanes are small.
const (
	firstReadSize = 16 << 10
	readSize      = 1 << 20
)

// NewReader reads the header of the segment that src streams. The name stands in
// errors and damages; damaged is told of each stretch that cannot be read and may be nil.
//
// The error wraps ErrVersion or ErrCorrupt when the header cannot be read; io.EOF
// says that the file is empty, as after a crash right after it was made.
func NewReader(src io.Reader, name string, damaged func(Damage)) (*Reader, error) {
	r := &Reader{name: name, src: src, damaged: damaged}
	if damaged == nil {
		r.damaged = func(Damage) {}
	}
	if n := r.peek(12); n < 12 {
		if n == 0 && errors.Is(r.srcErr, io.EOF) {
			return nil, io.EOF
		}
		return nil, r.short("header")
	}
	n, err := headerSize(r.buf[r.start:r.end])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if r.peek(n) < n {
		return nil, r.short("header")
	}
	if r.Header, err = decodeHeader(r.buf[r.start : r.start+n]); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r.skip(n)
	return r, nil
}

func (r *Reader) short(what string) error {
	if r.srcErr != nil && !errors.Is(r.srcErr, io.EOF) {
		return fmt.Errorf("%s: offset %d: %w", r.name, r.off, r.srcErr)
	}
	return fmt.Errorf("%s: %w: %s is cut after %d bytes", r.name, ErrCorrupt, what, r.end-r.start)
}

// peek makes n bytes available, or as many as there are, and returns how many.
func (r *Reader) peek(n int) int {
	for r.end-r.start < n && r.srcErr == nil {
		size := len(r.buf)
		if r.end == size && size < readSize { // it was filled: there is more where that came from
			size = min(max(firstReadSize, 4*size), readSize)
		}
		if size = max(size, n); size > len(r.buf) {
			grown := make([]byte, size)
			r.end = copy(grown, r.buf[r.start:r.end])
			r.buf, r.start = grown, 0
		}
		if r.start > 0 && (r.start+n > len(r.buf) || r.start == r.end) {
			r.end = copy(r.buf, r.buf[r.start:r.end])
			r.start = 0
		}
		var got int
		got, r.srcErr = r.src.Read(r.buf[r.end:])
		r.end += got
	}
	return min(n, r.end-r.start)
}

func (r *Reader) skip(n int) {
	r.start += n
	r.off += int64(n)
}

// Next reads the next packet into rec, and returns io.EOF after the last whole one.
// Damage is passed over and told; any other error is of the disk.
func (r *Reader) Next(rec *Record) error {
	for !r.ended {
		if r.peek(recordHeaderSize) < recordHeaderSize {
			return r.end0("record header is cut")
		}
		h, ok := decodeRecordHeader(r.buf[r.start:r.end], r.Header.Nonce)
		if !ok {
			if err := r.resync("no record here"); err != nil {
				return err
			}
			continue
		}
		size := recordHeaderSize + h.n
		if r.peek(size) < size {
			return r.end0("record is cut")
		}
		data := r.buf[r.start+recordHeaderSize : r.start+size : r.start+size]
		if crc32.Update(r.Header.Nonce, castagnoli(), data) != h.sum {
			if err := r.resync("record has another checksum"); err != nil {
				return err
			}
			continue
		}
		at := r.off
		r.skip(size)
		r.position = follow(r.position, h.kind, data)
		if (h.kind == kindLosses || h.kind == kindPlace) && r.packets == 0 {
			_, ok := decodePosition(data)
			r.placed = r.placed || ok
		}
		switch h.kind {
		case kindPacket:
			*rec = Record{TimeNanos: h.timeNanos, WireLen: int(h.wireLen), Data: data, Comment: r.comment, Offset: at}
			r.packets++
			r.comment = ""
			return nil
		case kindLosses:
			if l, ok := decodeLosses(data); ok {
				r.losses.add(l)
			}
		case kindText:
			r.comment = string(data[:min(len(data), MaxCommentBytes)])
		case kindEnd:
			r.ended = true
		}
	}
	return io.EOF
}

// end0 ends the segment within what should be a record, or in order when there is nothing.
func (r *Reader) end0(reason string) error {
	if !errors.Is(r.srcErr, io.EOF) {
		return fmt.Errorf("%s: offset %d: %w", r.name, r.off+int64(r.end-r.start), r.srcErr)
	}
	if n := r.end - r.start; n > 0 {
		// A header whose data are cut may be damage too, with whole records behind it.
		return r.resync(reason)
	}
	r.ended = true
	return io.EOF
}

// resync passes over bytes up to the next whole record. It returns io.EOF when there is none.
func (r *Reader) resync(reason string) error {
	d := Damage{File: r.name, Offset: r.off, Reason: reason}
	r.comment = "" // of what may be missing
	for {
		r.skip(1)
		d.Bytes++
		if r.peek(recordHeaderSize) < recordHeaderSize {
			if !errors.Is(r.srcErr, io.EOF) {
				return fmt.Errorf("%s: offset %d: %w", r.name, r.off, r.srcErr)
			}
			d.Bytes += int64(r.end - r.start)
			r.skip(r.end - r.start)
			d.Tail = true
			r.damaged(d)
			r.ended = true
			return io.EOF
		}
		h, ok := decodeRecordHeader(r.buf[r.start:r.end], r.Header.Nonce)
		if !ok {
			continue
		}
		size := recordHeaderSize + h.n
		if r.peek(size) < size || crc32.Update(r.Header.Nonce, castagnoli(), r.buf[r.start+recordHeaderSize:r.start+size]) != h.sum {
			continue
		}
		r.damaged(d)
		return nil
	}
}

// Losses returns what was lost while the records read so far were written.
func (r *Reader) Losses() Losses { return r.losses }

// Packets returns how many packets were read.
func (r *Reader) Packets() uint64 { return r.packets }

// From says where the segment's first packet stands. The segment itself mostly says so too.
func (r *Reader) From(p capture.Position) { r.position = p }

// Position is where the packet stands that comes behind the records read so far.
func (r *Reader) Position() capture.Position { return r.position }
