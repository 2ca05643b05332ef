package objstore_test

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"wirelake/internal/objstore"
	"wirelake/internal/objstore/storetest"
	"wirelake/testenv"
)

// benchStores opens a store of each kind.
func benchStores(b *testing.B) (*testenv.S3, map[string]objstore.Store) {
	b.Helper()
	bucket := testenv.MinIO(b)
	bucket.Setenv(b)
	stores := map[string]objstore.Store{}
	for name, url := range map[string]string{"file": "file://" + b.TempDir(), "s3": bucket.URL("bench")} {
		s, err := objstore.Open(b.Context(), url, testOptions())
		if err != nil {
			b.Fatal(err)
		}
		stores[name] = s
	}
	return bucket, stores
}

// BenchmarkPut uploads an object of 64 MiB. The yardstick is one PutObject of the
// SDK as it comes.
func BenchmarkPut(b *testing.B) {
	bucket, stores := benchStores(b)
	content := storetest.Bytes(20, 64<<20)
	for name, s := range stores {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				if _, err := objstore.PutBytes(b.Context(), s, "put", content); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("bare", func(b *testing.B) {
		client := bucket.Client()
		key := "bare"
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			if _, err := client.PutObject(b.Context(), &s3.PutObjectInput{Bucket: &bucket.Bucket, Key: &key, Body: bytes.NewReader(content)}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkGetRange fetches a frame's worth of bytes, one at a time and 16 at once.
func BenchmarkGetRange(b *testing.B) {
	_, stores := benchStores(b)
	content := storetest.Bytes(21, 64<<20)
	for name, s := range stores {
		if _, err := objstore.PutBytes(b.Context(), s, "object", content); err != nil {
			b.Fatal(err)
		}
		for _, parallel := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/64KiB/%d", name, parallel), func(b *testing.B) {
				const n = 64 << 10
				b.ReportAllocs()
				b.SetBytes(int64(n * parallel))
				for b.Loop() {
					var wg sync.WaitGroup
					for i := range parallel {
						wg.Go(func() {
							if _, _, err := s.GetRange(b.Context(), "object", int64(i*3<<20), n); err != nil {
								b.Error(err)
							}
						})
					}
					wg.Wait()
				}
			})
		}
	}
}

// BenchmarkGet reads a whole object, its checksum verified.
func BenchmarkGet(b *testing.B) {
	_, stores := benchStores(b)
	content := storetest.Bytes(22, 64<<20)
	for name, s := range stores {
		if _, err := objstore.PutBytes(b.Context(), s, "object", content); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				r, _, err := s.Get(b.Context(), "object")
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, r); err != nil || n != int64(len(content)) {
					b.Fatal(n, err)
				}
				if err := r.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPutSmall writes checkpoints.
func BenchmarkPutSmall(b *testing.B) {
	_, stores := benchStores(b)
	for name, s := range stores {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			content := []byte(`{"after":"chunks/sensor=a/lane=b/"}`)
			o, err := objstore.PutBytes(b.Context(), s, "state/checkpoint", content)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if o, err = objstore.PutBytes(b.Context(), s, "state/checkpoint", content, objstore.IfMatch(o.ETag)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
