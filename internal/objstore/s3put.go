package objstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"
)

// Limits of S3 on multipart uploads.
const (
	maxParts     = 10_000
	maxPartBytes = 5 << 30
)

// partsBeforeGrowth is after how many parts of an upload of unknown size their
// size doubles, so that 10,000 parts hold the 5 TiB that an object may have.
const partsBeforeGrowth = 1000

// abortTimeout bounds the clearing away of a failed upload, which goes on when
// the caller's context has ended.
const abortTimeout = 10 * time.Second

// writeIDName is the metadata that holds a random id of the write that made the
// object. A conditional write whose answer was lost is repeated, and then refused
// because of itself: the id tells whether the object in the way is our own.
const writeIDName = "wirelake-write"

func (s *s3Store) Put(ctx context.Context, key string, r io.Reader, size int64, opts ...PutOption) (Object, error) {
	o, err := s.put(ctx, key, r, size, opts)
	if err != nil {
		return Object{}, fmt.Errorf("put %q: %w", key, err)
	}
	return o, nil
}

// upload is one Put.
type upload struct {
	s    *s3Store
	key  string
	name *string
	po   putOptions
	id   string
	size int64 // -1: unknown
	cut  int64 // bytes of each part of the upload that is resumed; 0: none is
}

func (s *s3Store) put(ctx context.Context, key string, r io.Reader, size int64, opts []PutOption) (Object, error) {
	name, err := s.name(key)
	if err != nil {
		return Object{}, err
	}
	po, err := newPutOptions(opts)
	if err != nil {
		return Object{}, err
	}
	u := &upload{s: s, key: key, name: name, po: po, id: rand.Text(), size: size}
	up, err := u.resume(ctx)
	if err != nil {
		return Object{}, err
	}
	src, err := u.source(ctx, r)
	if err != nil {
		return Object{}, err
	}
	first, last, err := src.next(ctx, u.partBytes(0))
	if err != nil {
		return Object{}, err
	}
	if last {
		return u.single(ctx, first)
	}
	if po.ifAbsent {
		// Only to spare the bytes: what decides is the condition at the end.
		switch o, id, err := s.head(ctx, key); {
		case err == nil && id == u.id:
			return o, nil // a resumed upload was complete
		case err == nil && up != nil:
			return Object{}, u.failed(ctx, up, ErrExists)
		case err == nil:
			return Object{}, ErrExists
		}
	}
	return u.multipart(ctx, src, first, up)
}

// partBytes returns the size of the part of index i.
func (u *upload) partBytes(i int) int64 {
	if u.cut != 0 {
		return u.cut
	}
	part := int64(u.s.opts.PartSize)
	if u.size >= 0 {
		if u.size <= part {
			return max(u.size, 1)
		}
		const mib = 1 << 20
		return max(part, (u.size/maxParts/mib+1)*mib)
	}
	return min(part<<min(i/partsBeforeGrowth, 16), maxPartBytes)
}

// unsignedPayload leaves the body out of the signature: its checksum is in a
// header that is signed, and SHA-256 of every packet on both sides costs more
// than the rest of the upload.
func unsignedPayload(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

func (u *upload) contentType() *string {
	if u.po.contentType == "" {
		return nil
	}
	return &u.po.contentType
}

// conditions returns the headers If-None-Match and If-Match.
func (u *upload) conditions() (ifNoneMatch, ifMatch *string) {
	if u.po.ifAbsent {
		ifNoneMatch = aws.String("*")
	}
	if u.po.ifMatch != "" {
		ifMatch = quote(u.po.ifMatch)
	}
	return ifNoneMatch, ifMatch
}

// single uploads an object in one request.
func (u *upload) single(ctx context.Context, p part) (Object, error) {
	in := &s3.PutObjectInput{
		Bucket: &u.s.bucket, Key: u.name, Body: u.po.pacedBody(ctx, p.body), ContentLength: &p.size,
		ContentType: u.contentType(), ChecksumCRC32C: checksumHeader(p.sum),
		Metadata: map[string]string{writeIDName: u.id},
	}
	in.IfNoneMatch, in.IfMatch = u.conditions()
	out, err := u.s.client.PutObject(ctx, in, unsignedPayload)
	if err != nil {
		return u.settle(ctx, s3Error(ctx, err))
	}
	return Object{Key: u.key, Size: p.size, ETag: unquote(out.ETag), ModTime: time.Now().UTC()}, nil
}

// settle decides what the failure of the request that makes the object visible
// means. It may have succeeded in an attempt whose answer was lost.
func (u *upload) settle(ctx context.Context, err error) (Object, error) {
	conditional := u.po.ifAbsent || u.po.ifMatch != ""
	var lost error // what it is when the object is not ours
	switch {
	case ctx.Err() != nil:
		return Object{}, err
	case conditional && isConflict(err), errors.Is(err, errPrecondition):
		lost = ErrMismatch
		if u.po.ifAbsent {
			lost = ErrExists
		}
	case isNoUpload(err):
		lost = err // completed before, or taken away by a lifecycle rule
	case u.po.ifMatch != "" && errors.Is(err, ErrNotFound):
		lost = ErrMismatch // nothing there to match
	default:
		return Object{}, err
	}
	o, id, headErr := u.s.head(ctx, u.key)
	switch {
	case headErr == nil && id == u.id:
		return o, nil
	case headErr != nil && !errors.Is(headErr, ErrNotFound):
		return Object{}, fmt.Errorf("%w; and whether it was written is unknown: %w", err, headErr)
	case isConflict(err) && headErr != nil && u.po.ifAbsent:
		return Object{}, err // a conflict with a delete: nobody won
	}
	return Object{}, lost
}

// isConflict is a 409: conditional writes came at once, and the server lets
// nobody win before one of them is repeated.
func isConflict(err error) bool {
	return statusOf(err) == http.StatusConflict
}

func isNoUpload(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "NoSuchUpload"
}

// multipart uploads an object in parts, of which first is read already; up is the
// upload to go on with, or nil.
func (u *upload) multipart(ctx context.Context, src partSource, first part, up *begun) (Object, error) {
	if up == nil {
		var err error
		if up, err = u.begin(ctx); err != nil {
			return Object{}, err
		}
	}
	parts, err := u.parts(ctx, up, src, first)
	if err != nil {
		return Object{}, u.failed(ctx, up, err)
	}
	size, whole := src.total()
	sum := checksumHeader(whole)
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &u.s.bucket, Key: u.name, UploadId: up.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		ChecksumCRC32C:  sum, ChecksumType: types.ChecksumTypeFullObject, MpuObjectSize: &size,
	}
	in.IfNoneMatch, in.IfMatch = u.conditions()
	out, err := u.s.client.CompleteMultipartUpload(ctx, in)
	o := Object{Key: u.key, Size: size, ModTime: time.Now().UTC()}
	if err != nil {
		if o, err = u.settle(ctx, s3Error(ctx, err)); err != nil {
			return Object{}, u.failed(ctx, up, err)
		}
	} else {
		o.ETag = unquote(out.ETag)
		if got := aws.ToString(out.ChecksumCRC32C); got != "" && got != *sum {
			return Object{}, fmt.Errorf("the server stored an object of CRC32C %s, what was sent has %s", got, *sum)
		}
	}
	if up.noted {
		if err := removeNote(u.po.resume); err != nil {
			u.s.opts.Logger.WarnContext(ctx, "note of a finished upload not removed", "key", u.key, "error", err)
		}
	}
	return o, nil
}

// parts uploads the parts, several at once.
func (u *upload) parts(ctx context.Context, up *begun, src partSource, first part) ([]types.CompletedPart, error) {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(u.s.opts.PartConcurrency)
	var done []*types.CompletedPart
	var resumed int64
	err := func() error {
		p, last := first, false
		for i := 0; ; i++ {
			if i == maxParts {
				return fmt.Errorf("the object is larger than %d parts of up to %d bytes", maxParts, u.partBytes(i-1))
			}
			completed := &types.CompletedPart{PartNumber: aws.Int32(int32(i + 1))}
			done = append(done, completed)
			if had, ok := up.has(int32(i+1), p); ok {
				completed.ETag, completed.ChecksumCRC32C = had.ETag, had.ChecksumCRC32C
				resumed += p.size
				p.release()
			} else {
				full := p
				g.Go(func() error {
					defer full.release()
					return u.part(gctx, up.id, completed, full)
				})
			}
			if last {
				return nil
			}
			var err error
			if p, last, err = src.next(gctx, u.partBytes(i+1)); err != nil {
				return err
			}
			if p.size == 0 {
				return nil // the source ended where the part before did
			}
		}
	}()
	// An error of the group comes first: the reading stops because of it.
	if gerr := g.Wait(); gerr != nil {
		err = gerr
	}
	if err != nil {
		return nil, err
	}
	if up.have != nil {
		u.s.opts.Logger.InfoContext(ctx, "upload resumed", "key", u.key, "bytes", u.size, "stored_before", resumed)
	}
	parts := make([]types.CompletedPart, len(done))
	for i, p := range done {
		parts[i] = *p
	}
	return parts, nil
}

func (u *upload) part(ctx context.Context, id *string, completed *types.CompletedPart, p part) error {
	sum := checksumHeader(p.sum)
	out, err := u.s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.s.bucket, Key: u.name, UploadId: id, PartNumber: completed.PartNumber,
		Body: u.po.pacedBody(ctx, p.body), ContentLength: &p.size, ChecksumCRC32C: sum,
	}, unsignedPayload)
	if err != nil {
		return fmt.Errorf("upload part %d: %w", *completed.PartNumber, s3Error(ctx, err))
	}
	completed.ETag, completed.ChecksumCRC32C = out.ETag, sum
	return nil
}
