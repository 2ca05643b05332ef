package indicators

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Limits of a list, against what is no list at all.
const (
	maxText   = 4 << 30  // bytes of text: 10 million lines of 400
	maxWindow = 64 << 20 // of zstd, which holds it in memory
	lineBytes = 64 << 10 // a longer line is bad
)

// Read reads a list: text, as it is or compressed with gzip or zstd, an entry a line. What
// follows a comma, and comments after #, ; or //, are passed over. The error is one of r,
// of the compression, of ctx, that there are more than limit entries, or that most lines are
// no entries: then it is not a list but something else.
func Read(ctx context.Context, r io.Reader, kind Kind, limit int) (*List, error) {
	text, done, err := decompress(r)
	if err != nil {
		return nil, err
	}
	defer done()
	in := bufio.NewReaderSize(&limitReader{r: text, left: maxText}, lineBytes)
	b := listBuilder{kind: kind}
	for line := 1; ; line++ {
		if line&0xffff == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if b.b.n >= 2*limit { // an entry has one or two hashes
			return nil, fmt.Errorf("line %d: %w: at most %d fit", line, errTooMany, limit)
		}
		text, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			b.bad(line, fmt.Sprintf("longer than %d bytes", lineBytes))
			err = skipLine(in)
		} else if len(text) > 0 {
			b.line(line, text)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	l := b.finish()
	if l.Entries > limit {
		return nil, fmt.Errorf("%w: %d, and at most %d fit", errTooMany, l.Entries, limit)
	}
	if l.Bad > l.Entries {
		return nil, fmt.Errorf("no list: %d lines are bad and %d good, the first bad one is line %d: %s", l.Bad, l.Entries, l.First.Line, l.First.Reason)
	}
	return l, nil
}

// skipLine reads to the end of a line.
func skipLine(in *bufio.Reader) error {
	for {
		_, err := in.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// limitReader fails after so many bytes: a few compressed ones may stand for any number.
type limitReader struct {
	r    io.Reader
	left int64
}

func (l *limitReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("more than %d GiB of text", maxText>>30)
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

// decompress returns the text of r, and what lets go of the decoder.
func decompress(r io.Reader) (io.Reader, func(), error) {
	in := bufio.NewReader(r)
	magic, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}): // RFC 1952
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, nil, fmt.Errorf("gzip: %w", err)
		}
		return z, func() {}, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}): // RFC 8878
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("zstd: %w", err)
		}
		return z, z.Close, nil
	}
	return in, func() {}, nil
}

func (b *listBuilder) bad(line int, reason string) {
	if b.list.Bad++; b.list.Bad == 1 {
		b.list.First = BadLine{line, reason}
	}
}

// line adds the entry of a line, if it has one.
func (b *listBuilder) line(number int, text []byte) {
	if number == 1 {
		text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // the mark that some editors begin files with
	}
	entry, err := cutEntry(text)
	if err == nil && len(entry) > 0 {
		err = b.add(entry)
	}
	if err != nil {
		b.bad(number, err.Error())
	}
}

// cutEntry returns the first column of a line, nothing for an empty line or a comment.
func cutEntry(text []byte) ([]byte, error) {
	text = bytes.TrimSpace(text)
	if isComment(text) {
		return nil, nil
	}
	if text[0] == '"' { // CSV (RFC 4180); entries have no quotes in them
		entry, rest, closed := bytes.Cut(text[1:], []byte{'"'})
		if !closed || len(rest) > 0 && rest[0] != ',' {
			return nil, notA(text, "column in quotes")
		}
		return bytes.TrimSpace(entry), nil
	}
	for i, c := range text {
		switch c {
		case ',', ';':
			return bytes.TrimSpace(text[:i]), nil
		case ' ', '\t':
			rest := bytes.TrimSpace(text[i:])
			if rest[0] != ',' && !isComment(rest) {
				return nil, notA(text, "entry: it has spaces")
			}
			return text[:i], nil
		}
	}
	return text, nil
}

// isComment reports whether text is empty or a comment.
func isComment(text []byte) bool {
	return len(text) == 0 || text[0] == '#' || text[0] == ';' || bytes.HasPrefix(text, []byte("//"))
}
