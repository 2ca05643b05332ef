package objstore

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// castagnoli is the polynomial of CRC32C; crc32.MakeTable returns one shared table.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// checksumHeader writes a CRC32C as S3 has it: base64 of the big-endian bytes.
func checksumHeader(sum uint32) *string {
	return aws.String(base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum)))
}

func (s *s3Store) Get(ctx context.Context, key string) (io.ReadCloser, Object, error) {
	body, o, err := s.open(ctx, key, "")
	if err != nil {
		return nil, Object{}, fmt.Errorf("get %q: %w", key, err)
	}
	return body, o, nil
}

func (s *s3Store) GetRange(ctx context.Context, key string, off, n int64) ([]byte, Object, error) {
	b, o, err := s.getRange(ctx, key, off, n)
	if err != nil {
		return nil, Object{}, fmt.Errorf("get %q %s: %w", key, rangeText(off, n), err)
	}
	return b, o, nil
}

func (s *s3Store) getRange(ctx context.Context, key string, off, n int64) (_ []byte, _ Object, err error) {
	var spec string
	switch {
	case off < 0:
		spec = "bytes=" + strconv.FormatInt(off, 10)
	case n < 0:
		return nil, Object{}, fmt.Errorf("negative length %d", n)
	case n == 0: // HTTP has no empty ranges
		return s.emptyRange(ctx, key, off)
	default:
		last := off + n - 1
		if last < off { // beyond int64: to the end
			spec = fmt.Sprintf("bytes=%d-", off)
		} else {
			spec = fmt.Sprintf("bytes=%d-%d", off, last)
		}
	}
	body, o, err := s.open(ctx, key, spec)
	if errors.Is(err, ErrRange) {
		// Nothing there to send: an empty object, its end, or beyond it.
		return s.emptyRange(ctx, key, off)
	}
	if err != nil {
		return nil, Object{}, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	start, length, err := clampRange(off, n, o.Size)
	if err != nil {
		return nil, Object{}, err
	}
	if body.pos != start || body.end != start+length {
		return nil, Object{}, fmt.Errorf("the server sent bytes %d+%d of %d", body.pos, body.end-body.pos, o.Size)
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(body, b); err != nil {
		return nil, Object{}, err
	}
	return b, o, nil
}

// emptyRange answers for a range that holds no bytes.
func (s *s3Store) emptyRange(ctx context.Context, key string, off int64) ([]byte, Object, error) {
	o, _, err := s.head(ctx, key)
	if err != nil {
		return nil, Object{}, err
	}
	if off < 0 && o.Size > 0 {
		return nil, Object{}, fmt.Errorf("replaced while it was read: %w", ErrMismatch)
	}
	if _, _, err := clampRange(off, 0, o.Size); err != nil {
		return nil, Object{}, err
	}
	return []byte{}, o, nil
}

// open starts a GET of the whole object, or of an HTTP range of it.
func (s *s3Store) open(ctx context.Context, key, spec string) (*s3Body, Object, error) {
	name, err := s.name(key)
	if err != nil {
		return nil, Object{}, err
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: name}
	if spec != "" {
		in.Range = &spec
	}
	// Asks for the stored checksum without making the SDK verify it: it cannot
	// when a body is resumed, and s3Body can.
	out, err := s.client.GetObject(ctx, in, s3.WithAPIOptions(smithyhttp.SetHeaderValue("x-amz-checksum-mode", "ENABLED")))
	if err != nil {
		return nil, Object{}, s3Error(ctx, err)
	}
	length := aws.ToInt64(out.ContentLength)
	o := Object{Key: key, Size: length, ETag: unquote(out.ETag), ModTime: aws.ToTime(out.LastModified).UTC()}
	body := &s3Body{ctx: ctx, s: s, name: name, body: out.Body, end: length, etag: out.ETag}
	if out.ContentRange != nil {
		if body.pos, body.end, o.Size, err = parseContentRange(*out.ContentRange); err != nil {
			return nil, Object{}, errors.Join(err, out.Body.Close())
		}
	} else if sum := aws.ToString(out.ChecksumCRC32C); sum != "" && out.ChecksumType != types.ChecksumTypeComposite && !strings.Contains(sum, "-") {
		body.want = sum
	}
	body.o = o
	return body, o, nil
}

// parseContentRange reads "bytes 0-9/100" (RFC 9110, 14.4).
func parseContentRange(text string) (start, end, size int64, err error) {
	if text == "bytes 0--1/0" { // of MinIO, for the end of an empty object
		return 0, 0, 0, nil
	}
	var last int64
	if n, scanErr := fmt.Sscanf(text, "bytes %d-%d/%d", &start, &last, &size); n != 3 || scanErr != nil ||
		start < 0 || last < start || last >= size {
		return 0, 0, 0, fmt.Errorf("the server sent a Content-Range of %q", text)
	}
	return start, last + 1, size, nil
}

// s3Body reads an object, or a range of it, and starts again where the
// connection broke off.
type s3Body struct {
	ctx  context.Context
	s    *s3Store
	name *string
	etag *string
	o    Object

	body     io.ReadCloser // nil between a failure and the next attempt
	pos, end int64         // of the object: next byte, and the byte after the last
	sum      uint32        // CRC32C of what was read
	want     string        // checksum of the whole, when it is read from its start
	failures int           // in a row, without a byte between
	err      error         // final
}

func (b *s3Body) Read(p []byte) (int, error) {
	for b.err == nil {
		if b.pos == b.end {
			b.finish()
			break
		}
		if len(p) == 0 {
			return 0, nil
		}
		if err := b.ctx.Err(); err != nil { // what has come already would still be read
			b.fail(err)
			break
		}
		if b.body == nil {
			b.reopen()
			continue
		}
		n, err := b.body.Read(p[:min(int64(len(p)), b.end-b.pos)])
		if n > 0 {
			b.sum = crc32.Update(b.sum, castagnoli(), p[:n])
			b.pos += int64(n)
			b.failures = 0
		}
		if err != nil && b.pos < b.end {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			b.broken(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, b.err
}

func (b *s3Body) finish() {
	b.err = io.EOF
	if got := *checksumHeader(b.sum); b.want != "" && got != b.want {
		b.err = fmt.Errorf("get %q: what was read has CRC32C %s, not the stored %s", b.o.Key, got, b.want)
	}
}

// broken drops the connection after err and waits before the next attempt.
func (b *s3Body) broken(err error) {
	_ = b.body.Close() // what it says of a broken connection adds nothing
	b.body = nil
	b.failures++
	if b.failures >= b.s.opts.MaxAttempts || b.ctx.Err() != nil {
		b.fail(err)
		return
	}
	wait := backoff(b.failures)
	b.s.opts.Logger.WarnContext(b.ctx, "object read resumed", "key", b.o.Key, "offset", b.pos, "attempt", b.failures, "wait", wait, "error", err)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.ctx.Done():
		b.fail(err)
	}
}

func (b *s3Body) reopen() {
	out, err := b.s.client.GetObject(b.ctx, &s3.GetObjectInput{
		Bucket: &b.s.bucket, Key: b.name, IfMatch: b.etag,
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", b.pos, b.end-1)),
	})
	if err != nil {
		err = s3Error(b.ctx, err)
		if errors.Is(err, errPrecondition) || errors.Is(err, ErrNotFound) {
			err = fmt.Errorf("replaced or deleted while it was read: %w: %w", ErrMismatch, err)
		}
		b.fail(err)
		return
	}
	start, end, _, err := parseContentRange(aws.ToString(out.ContentRange))
	if err == nil && (start != b.pos || end != b.end) {
		err = fmt.Errorf("the server sent bytes %d-%d", start, end-1)
	}
	if err != nil {
		b.fail(errors.Join(err, out.Body.Close()))
		return
	}
	b.body = out.Body
}

func (b *s3Body) fail(err error) {
	b.err = fmt.Errorf("get %q at byte %d: %w", b.o.Key, b.pos, s3Error(b.ctx, err))
}

func (b *s3Body) Close() error {
	if b.err == nil {
		b.err = errors.New("read of a closed object")
	}
	if b.body == nil {
		return nil
	}
	err := b.body.Close()
	b.body = nil
	return err
}

func (s *s3Store) Head(ctx context.Context, key string) (Object, error) {
	o, _, err := s.head(ctx, key)
	if err != nil {
		return Object{}, fmt.Errorf("head %q: %w", key, err)
	}
	return o, nil
}

// head also returns the id of the write that made the object, if it had one.
func (s *s3Store) head(ctx context.Context, key string) (_ Object, writeID string, _ error) {
	name, err := s.name(key)
	if err != nil {
		return Object{}, "", err
	}
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: name})
	if err != nil {
		return Object{}, "", s3Error(ctx, err)
	}
	return Object{
		Key: key, Size: aws.ToInt64(out.ContentLength), ETag: unquote(out.ETag), ModTime: aws.ToTime(out.LastModified).UTC(),
	}, out.Metadata[writeIDName], nil
}
