package objstore

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
)

// part is a piece of an object that is uploaded in one request.
type part struct {
	body    io.ReadSeeker
	size    int64
	sum     uint32 // CRC32C
	release func() // gives back the memory
}

// partSource cuts what is to be uploaded into parts.
type partSource interface {
	// next returns the next part, of n bytes when the source has as many, and
	// whether the source ends with it. It waits for memory until ctx ends. A
	// source that ends exactly with a part may tell so by an empty one.
	next(ctx context.Context, n int64) (p part, last bool, err error)

	// total returns the size of all parts and the CRC32C of the whole.
	total() (size int64, sum uint32)
}

// source returns the parts of r, which is not copied when it can be read at
// several places.
func (u *upload) source(ctx context.Context, r io.Reader) (partSource, error) {
	if at, ok := r.(interface {
		io.ReaderAt
		io.Seeker
	}); ok && u.size >= 0 {
		base, err := at.Seek(0, io.SeekCurrent)
		if err == nil {
			return &sections{r: at, base: base, size: u.size}, nil
		}
		// A pipe is an os.File as well: it is read as it comes.
	}
	b := &buffers{src: sizedReader{ctx: ctx, r: r, want: u.size}, free: make(chan []byte, u.s.opts.PartConcurrency+1)}
	for range cap(b.free) {
		b.free <- nil // made when needed
	}
	return b, nil
}

// buffers reads parts into memory, a limited number at once.
type buffers struct {
	src  sizedReader
	free chan []byte
	sum  uint32
}

func (b *buffers) total() (int64, uint32) { return b.src.n, b.sum }

func (b *buffers) next(ctx context.Context, n int64) (part, bool, error) {
	var buf []byte
	select {
	case buf = <-b.free:
	case <-ctx.Done():
		return part{}, false, ctx.Err()
	}
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	content, last, err := b.read(buf[:n])
	if err != nil {
		return part{}, false, err
	}
	b.sum = crc32.Update(b.sum, castagnoli(), content)
	return part{
		body: bytes.NewReader(content), size: int64(len(content)), sum: crc32.Checksum(content, castagnoli()),
		release: func() { b.free <- buf },
	}, last, nil
}

// read fills buf, and reports whether the source ended.
func (b *buffers) read(buf []byte) (content []byte, last bool, err error) {
	got, err := io.ReadFull(&b.src, buf)
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return buf[:got], true, nil
	case err != nil:
		return nil, false, err
	case b.src.n == b.src.want:
		// All that was announced. One more read tells whether there is more.
		var extra [1]byte
		if _, err := io.ReadFull(&b.src, extra[:]); err != io.EOF {
			return nil, false, err
		}
		return buf[:got], true, nil
	}
	return buf[:got], false, nil
}

// sections are parts of something that can be read anywhere: they are read once
// for their checksum, and again when they are sent.
type sections struct {
	r          io.ReaderAt
	base, size int64
	pos        int64 // from base
	sum        uint32
}

func (s *sections) total() (int64, uint32) { return s.pos, s.sum }

func (s *sections) next(ctx context.Context, n int64) (part, bool, error) {
	n = min(n, s.size-s.pos)
	p := part{body: io.NewSectionReader(s.r, s.base+s.pos, n), size: n, release: func() {}}
	sums := sumWriter{part: &p.sum, whole: &s.sum}
	read, err := io.Copy(sums, &sizedReader{ctx: ctx, r: io.NewSectionReader(s.r, s.base+s.pos, n), want: -1})
	s.pos += read
	if err == nil && read < n {
		err = fmt.Errorf("the source ended after %d of %d bytes: %w", s.pos, s.size, io.ErrUnexpectedEOF)
	}
	if err != nil || s.pos < s.size {
		return p, false, err
	}
	var extra [1]byte
	switch n, err := s.r.ReadAt(extra[:], s.base+s.size); {
	case n > 0:
		return part{}, false, fmt.Errorf("the source holds more than the %d bytes announced", s.size)
	case err != nil && err != io.EOF:
		return part{}, false, err
	}
	return p, true, nil
}

// sumWriter computes two checksums of the same bytes.
type sumWriter struct{ part, whole *uint32 }

func (w sumWriter) Write(b []byte) (int, error) {
	*w.part = crc32.Update(*w.part, castagnoli(), b)
	*w.whole = crc32.Update(*w.whole, castagnoli(), b)
	return len(b), nil
}
