package objstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Resume makes an upload in parts go on where an earlier one of the same object was
// cut, by an error or by the end of its process: only parts that the store does not
// have are sent. The file at path, which the store writes and removes, notes the
// upload under way. It serves one object at a time: an upload of another key or size
// that it notes is aborted. The size must be known.
//
// Stores that hold no half-written object ignore it.
func Resume(path string) PutOption { return func(o *putOptions) { o.resume = path } }

// Abandon aborts the upload that the file of a [Resume] notes, and removes the file.
// Without a file there is nothing to do. A file that cannot be read is removed with
// an error: its upload is left to the bucket's lifecycle rule.
func Abandon(ctx context.Context, s Store, path string) error {
	n, err := readNote(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return errors.Join(err, removeNote(path))
	}
	if s3s, ok := unwrap(s).(*s3Store); ok {
		return s3s.abandon(ctx, path, n)
	}
	return removeNote(path)
}

// noteVersion is of the file that uploadNote is kept in.
const noteVersion = 1

// uploadNote is what must be known of a multipart upload to go on with it.
type uploadNote struct {
	Version   int    `json:"version"`
	Store     string `json:"store"`      // URL
	Key       string `json:"key"`        // below the URL
	Upload    string `json:"upload"`     // the store's id of the upload
	Write     string `json:"write"`      // the value of writeIDName
	Size      int64  `json:"size"`       // of the object
	PartBytes int64  `json:"part_bytes"` // of each part but the last
}

// readNote reads the note at path. An error that is not fs.ErrNotExist names the file.
func readNote(path string) (uploadNote, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return uploadNote{}, err
	}
	n, err := parseNote(b)
	if err != nil {
		return n, fmt.Errorf("note of an upload %s: %w", path, err)
	}
	return n, nil
}

func parseNote(b []byte) (n uploadNote, err error) {
	if err := json.Unmarshal(b, &n); err != nil {
		return n, err
	}
	switch {
	case n.Version != noteVersion:
		return n, fmt.Errorf("version %d, supported is %d", n.Version, noteVersion)
	case n.Upload == "", n.PartBytes < int64(minPartSize), n.PartBytes > maxPartBytes,
		n.Size <= n.PartBytes, (n.Size-1)/n.PartBytes >= maxParts:
		return n, fmt.Errorf("no upload in parts: %d bytes in parts of %d", n.Size, n.PartBytes)
	}
	return n, CheckKey(n.Key)
}

// save writes the note to path, durably.
func (n uploadNote) save(path string) (err error) {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	temp := path + ".tmp"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncFolder(filepath.Dir(path))
}

// removeNote removes a note. One that comes back with a power cut names an upload
// that the store has forgotten.
func removeNote(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// begun is a multipart upload that the store knows.
type begun struct {
	id    *string
	noted bool                 // a later Put can go on with it
	have  map[int32]types.Part // what the store had of it when it was resumed
}

// begin begins an upload in parts.
func (u *upload) begin(ctx context.Context) (*begun, error) {
	created, err := u.s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &u.s.bucket, Key: u.name, ContentType: u.contentType(), Metadata: map[string]string{writeIDName: u.id},
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c, ChecksumType: types.ChecksumTypeFullObject,
	})
	if err != nil {
		return nil, fmt.Errorf("begin upload: %w", s3Error(ctx, err))
	}
	up := &begun{id: created.UploadId}
	if u.po.resume == "" || u.size < 0 {
		return up, nil
	}
	n := uploadNote{
		Version: noteVersion, Store: u.s.url, Key: u.key, Upload: aws.ToString(up.id), Write: u.id,
		Size: u.size, PartBytes: u.partBytes(0),
	}
	if err := n.save(u.po.resume); err != nil {
		// The upload itself needs no note.
		u.s.opts.Logger.WarnContext(ctx, "upload not noted; when it is cut it starts from its first byte", "key", u.key, "error", err)
		return up, nil
	}
	up.noted = true
	return up, nil
}

// resume returns the upload that was noted for this object, nil when there is none
// that can go on.
func (u *upload) resume(ctx context.Context) (*begun, error) {
	path, log := u.po.resume, u.s.opts.Logger
	if path == "" {
		return nil, nil //nolint:nilnil // nil is no upload
	}
	n, err := readNote(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil //nolint:nilnil // likewise
	case err != nil:
		log.WarnContext(ctx, "the upload starts anew", "key", u.key, "error", err)
		return nil, removeNote(path)
	case n.Store != u.s.url || n.Key != u.key || n.Size != u.size:
		return nil, u.s.abandon(ctx, path, n)
	}
	u.id = n.Write // an object with this id is the one that was uploaded, though nobody heard the answer
	have, err := u.s.listParts(ctx, u.name, n.Upload)
	switch {
	case isNoUpload(err):
		log.WarnContext(ctx, "the store has forgotten an upload; it starts anew", "key", u.key)
		return nil, removeNote(path)
	case errors.Is(err, ErrDenied):
		log.WarnContext(ctx, "the parts of an upload may not be listed; it starts anew", "key", u.key, "error", err)
		return nil, u.s.abandon(ctx, path, n)
	case err != nil:
		return nil, fmt.Errorf("list parts: %w", err)
	}
	u.cut = n.PartBytes
	return &begun{id: &n.Upload, noted: true, have: have}, nil
}

// listParts returns the parts that the store has of an upload, by number.
func (s *s3Store) listParts(ctx context.Context, name *string, id string) (map[int32]types.Part, error) {
	have := map[int32]types.Part{}
	pages := s3.NewListPartsPaginator(s.client, &s3.ListPartsInput{Bucket: &s.bucket, Key: name, UploadId: &id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s3Error(ctx, err)
		}
		for _, p := range page.Parts {
			have[aws.ToInt32(p.PartNumber)] = p
		}
	}
	return have, nil
}

// has returns the part of this number when the store has it with the same content. A
// store that tells no checksum gets the part again.
func (up *begun) has(number int32, p part) (types.Part, bool) {
	had, ok := up.have[number]
	return had, ok && aws.ToInt64(had.Size) == p.size && aws.ToString(had.ChecksumCRC32C) == *checksumHeader(p.sum)
}

// failed clears away an upload that cannot go on. One that can is left for the next Put.
func (u *upload) failed(ctx context.Context, up *begun, err error) error {
	if up.noted && (ctx.Err() != nil || !isFinal(err)) {
		return err
	}
	return errors.Join(err, u.abort(ctx, up))
}

// isFinal reports whether a repetition of the request would be refused as well.
func isFinal(err error) bool {
	if errors.Is(err, ErrExists) || errors.Is(err, ErrMismatch) {
		return true
	}
	switch status := statusOf(err); status {
	case http.StatusUnauthorized, http.StatusForbidden: // credentials come back
		return false
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return false
	default:
		return status/100 == 4
	}
}

// abort takes back an upload. One that stays is invisible but costs storage,
// until the bucket's lifecycle rule for unfinished uploads removes it.
func (u *upload) abort(ctx context.Context, up *begun) error {
	err := u.s.abort(ctx, u.name, up.id)
	if up.noted {
		err = errors.Join(err, removeNote(u.po.resume))
	}
	return err
}

func (s *s3Store) abort(ctx context.Context, name, id *string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: name, UploadId: id})
	if err = s3Error(ctx, err); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("abort upload: %w", err)
	}
	return nil
}

// abandon aborts a noted upload that nobody goes on with.
func (s *s3Store) abandon(ctx context.Context, path string, n uploadNote) error {
	if n.Store != s.url {
		s.opts.Logger.WarnContext(ctx, "unfinished upload left in another store", "store", n.Store, "key", n.Key, "upload", n.Upload)
		return removeNote(path)
	}
	name, err := s.name(n.Key)
	if err != nil {
		return errors.Join(err, removeNote(path))
	}
	switch err := s.abort(ctx, name, &n.Upload); {
	case errors.Is(err, ErrDenied): // the bucket's lifecycle rule may
		s.opts.Logger.WarnContext(ctx, "unfinished upload left in the store", "key", n.Key, "upload", n.Upload, "error", err)
	case err != nil:
		return err // the store does not answer: the note is needed yet
	}
	return removeNote(path)
}
