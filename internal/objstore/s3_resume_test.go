package objstore_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"wirelake/internal/config"
	"wirelake/internal/objstore"
	"wirelake/internal/objstore/storetest"
	"wirelake/testenv"
)

const (
	resumePart = 5 << 20
	resumeSize = 4*resumePart + 12345 // five parts
)

// resumable is a bucket, and an object that is uploaded to it in parts.
type resumable struct {
	bucket  *testenv.S3
	store   objstore.Store
	note    string
	content []byte
}

func newResumable(t *testing.T) *resumable {
	t.Helper()
	bucket := s3Bucket(t)
	opts := testOptions()
	opts.PartSize, opts.PartConcurrency = 5*config.MiB, 1
	opts.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	return &resumable{bucket, opener(bucket, opts)(t), filepath.Join(t.TempDir(), "upload.json"), storetest.Bytes(77, resumeSize)}
}

// put uploads content until so many bytes are on their way, as a process that dies
// then, and returns how many were sent.
func (r *resumable) put(t *testing.T, key string, content []byte, until int64) (sent int64, err error) {
	t.Helper()
	ctx, die := context.WithCancel(t.Context())
	defer die()
	var n atomic.Int64
	_, err = objstore.PutBytes(ctx, r.store, key, content, objstore.IfAbsent(), objstore.Resume(r.note), objstore.Pace(func(ctx context.Context, piece int) error {
		if n.Load() >= until {
			die()
			return ctx.Err()
		}
		n.Add(int64(piece))
		return nil
	}))
	return n.Load(), err
}

// cut uploads two parts and a half.
func (r *resumable) cut(t *testing.T, key string) {
	t.Helper()
	if _, err := r.put(t, key, r.content, 2*resumePart+resumePart/2); !errors.Is(err, context.Canceled) {
		t.Fatalf("the upload was not cut: %v", err)
	}
	if _, err := os.Stat(r.note); err != nil {
		t.Fatal(err)
	}
	if n := r.unfinished(t); n != 1 {
		t.Fatalf("%d unfinished uploads", n)
	}
}

// unfinished returns how many uploads the store has begun.
func (r *resumable) unfinished(t *testing.T) int {
	t.Helper()
	n := 0
	for _, key := range []string{bucketPrefix + "a", bucketPrefix + "b"} { // MinIO lists those of a key, not of a prefix
		out, err := r.bucket.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &r.bucket.Bucket, Prefix: &key})
		if err != nil {
			t.Fatal(err)
		}
		n += len(out.Uploads)
	}
	return n
}

// wantDone uploads content to the end, of which so many bytes must be sent.
func (r *resumable) wantDone(t *testing.T, key string, content []byte, bytes int64) {
	t.Helper()
	sent, err := r.put(t, key, content, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	if sent != bytes {
		t.Errorf("%d bytes were sent, want %d", sent, bytes)
	}
	got, _, err := objstore.GetAll(t.Context(), r.store, key)
	if err != nil || string(got) != string(content) {
		t.Errorf("the store has %d bytes of %d, or others: %v", len(got), len(content), err)
	}
	if _, err := os.Stat(r.note); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the note of a finished upload: %v", err)
	}
	if n := r.unfinished(t); n != 0 {
		t.Errorf("%d unfinished uploads are left", n)
	}
}

const bucketPrefix = "pre/fix-1/" // of the first store that an opener opens

func TestResume(t *testing.T) {
	t.Run("cut", func(t *testing.T) {
		r := newResumable(t)
		r.cut(t, "a")
		r.wantDone(t, "a", r.content, resumeSize-2*resumePart)
	})
	t.Run("cut twice", func(t *testing.T) {
		r := newResumable(t)
		r.cut(t, "a")
		if sent, err := r.put(t, "a", r.content, resumePart+resumePart/2); !errors.Is(err, context.Canceled) || sent < resumePart {
			t.Fatalf("%d bytes, %v", sent, err)
		}
		r.wantDone(t, "a", r.content, resumeSize-3*resumePart)
	})
	t.Run("forgotten by the store", func(t *testing.T) {
		r := newResumable(t)
		r.cut(t, "a")
		key := bucketPrefix + "a"
		out, err := r.bucket.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &r.bucket.Bucket, Prefix: &key})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.bucket.Client().AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: &r.bucket.Bucket, Key: &key, UploadId: out.Uploads[0].UploadId}); err != nil {
			t.Fatal(err)
		}
		r.wantDone(t, "a", r.content, resumeSize)
	})
	t.Run("content changed", func(t *testing.T) {
		r := newResumable(t)
		r.cut(t, "a")
		changed := append([]byte(nil), r.content...)
		changed[17]++
		r.wantDone(t, "a", changed, resumeSize-resumePart) // the second part is the same
	})
	t.Run("size changed", func(t *testing.T) {
		r := newResumable(t)
		r.cut(t, "a")
		r.wantDone(t, "a", r.content[:resumeSize-1], resumeSize-1)
	})
	t.Run("another key", func(t *testing.T) {
		r := newResumable(t)
		r.cut(t, "a")
		r.wantDone(t, "b", r.content, resumeSize)
	})
	t.Run("small object after it", func(t *testing.T) {
		r := newResumable(t)
		r.cut(t, "a")
		r.wantDone(t, "b", r.content[:1000], 1000)
	})
	t.Run("key taken meanwhile", func(t *testing.T) {
		r := newResumable(t)
		r.cut(t, "a")
		if _, err := objstore.PutBytes(t.Context(), r.store, "a", []byte("other")); err != nil {
			t.Fatal(err)
		}
		if _, err := r.put(t, "a", r.content, 1<<40); !errors.Is(err, objstore.ErrExists) {
			t.Errorf("over another's object: %v", err)
		}
		if _, err := os.Stat(r.note); !errors.Is(err, fs.ErrNotExist) || r.unfinished(t) != 0 {
			t.Errorf("%d unfinished uploads are left, the note: %v", r.unfinished(t), err)
		}
	})
	t.Run("abandoned", func(t *testing.T) {
		r := newResumable(t)
		r.cut(t, "a")
		for range 2 { // the second time there is nothing to do
			if err := objstore.Abandon(t.Context(), objstore.Instrument(r.store, nil, "test"), r.note); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.unfinished(t); n != 0 {
			t.Errorf("%d unfinished uploads are left", n)
		}
	})
}

func TestResumeWithDamagedNote(t *testing.T) {
	for name, note := range map[string]string{
		"empty":         "",
		"no JSON":       "\x00\x00\x00",
		"other version": `{"version":9,"upload":"x"}`,
		"no parts":      `{"version":1,"store":"s3://x","key":"a","upload":"x","size":5,"part_bytes":0}`,
		"unknown store": `{"version":1,"store":"s3://elsewhere","key":"a","upload":"x","size":10485761,"part_bytes":5242880}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newResumable(t)
			if err := os.WriteFile(r.note, []byte(note), 0o600); err != nil {
				t.Fatal(err)
			}
			r.wantDone(t, "a", r.content, resumeSize)
		})
	}
	t.Run("abandoned", func(t *testing.T) {
		r := newResumable(t)
		if err := os.WriteFile(r.note, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := objstore.Abandon(t.Context(), r.store, r.note); err == nil {
			t.Error("no error")
		}
		if _, err := os.Stat(r.note); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the note: %v", err)
		}
	})
}

// TestResumeOfACompleteUpload loses the answer to the last request, and then the process.
func TestResumeOfACompleteUpload(t *testing.T) {
	m, open := newMeddler(t)
	s := open(t)
	note, content := filepath.Join(t.TempDir(), "upload.json"), storetest.Bytes(3, 9<<20)
	ctx, die := context.WithCancel(t.Context())
	defer die()
	m.lose = func(r *http.Request) bool {
		complete := r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
		if complete {
			context.AfterFunc(r.Context(), die) // when the answer is lost
		}
		return complete
	}
	if _, err := objstore.PutBytes(ctx, s, "a", content, objstore.IfAbsent(), objstore.Resume(note)); !errors.Is(err, context.Canceled) {
		t.Fatalf("the answer was not lost: %v", err)
	}
	m.lose = never
	o, err := objstore.PutBytes(t.Context(), s, "a", content, objstore.IfAbsent(), objstore.Resume(note))
	if err != nil || o.Size != int64(len(content)) {
		t.Errorf("the upload that was complete: %+v, %v", o, err)
	}
	if _, err := os.Stat(note); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the note: %v", err)
	}
}

// FuzzUploadNote abandons, in a folder, what notes of any content tell of.
func FuzzUploadNote(f *testing.F) {
	f.Add([]byte(`{"version":1,"store":"s3://x","key":"a","upload":"x","size":10485761,"part_bytes":5242880}`))
	f.Add([]byte(`{"version":1,"size":-1}`))
	path := filepath.Join(f.TempDir(), "upload.json")
	store, err := objstore.Open(f.Context(), f.TempDir(), objstore.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = objstore.Abandon(t.Context(), store, path) // an error is as good
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the note: %v", err)
		}
	})
}
