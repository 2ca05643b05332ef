package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Credentials and region of the MinIO servers that are started here.
const (
	AccessKey = "wirelake"
	SecretKey = "wirelake-secret"
	Region    = "us-east-1"
)

// MinIOServer is a running MinIO on 127.0.0.1.
type MinIOServer struct {
	addr    string
	process *process
	buckets atomic.Int64
}

// StartMinIO starts a server with an empty temporary folder. Close ends it; so does the end of this process.
func StartMinIO() (*MinIOServer, error) {
	program, err := cached("minio", "bin/minio")
	if err != nil {
		return nil, err
	}
	addr, release, err := reserve()
	if err != nil {
		return nil, err
	}
	defer release() // it listens by then
	dir, err := os.MkdirTemp("", "wirelake-minio-")
	if err != nil {
		return nil, err
	}
	env := []string{
		"MINIO_ROOT_USER=" + AccessKey, "MINIO_ROOT_PASSWORD=" + SecretKey, "MINIO_REGION=" + Region,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "HOME=" + dir,
	}
	p, err := startProcess("minio", dir, env,
		program, "server", filepath.Join(dir, "data"), "--address", addr, "--quiet")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &MinIOServer{addr: addr, process: p}
	if err := p.waitReady("http://"+addr+"/minio/health/live", func(status int) bool { return status == 200 }); err != nil {
		p.kill()
		return nil, err
	}
	return s, nil
}

// Close kills the server and removes its data.
func (s *MinIOServer) Close() { s.process.kill() }

// NewBucket makes an empty bucket.
func (s *MinIOServer) NewBucket(ctx context.Context) (*S3, error) {
	b := &S3{Endpoint: "http://" + s.addr, Bucket: fmt.Sprintf("test-%d", s.buckets.Add(1)), server: s}
	if _, err := b.Client().CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &b.Bucket}); err != nil {
		return nil, fmt.Errorf("make bucket %s of %s: %w", b.Bucket, s.addr, err)
	}
	return b, nil
}

// S3 is one bucket of a MinIO server.
type S3 struct {
	Endpoint string // http://127.0.0.1:PORT
	Bucket   string
	server   *MinIOServer
}

// sharedMinIO is the server that all tests of this process use: half a second and 100 MB each would add up.
var sharedMinIO shared[*MinIOServer] //nolint:gochecknoglobals // a process has no other owner

// MinIO returns a new, empty bucket on a MinIO server that the tests of this process share.
func MinIO(t testing.TB) *S3 {
	t.Helper()
	s, err := sharedMinIO.get(StartMinIO)
	return newBucket(t, s, err)
}

// NewMinIO returns a bucket on a server of the test's own, for tests that Stop it. It ends with the test.
func NewMinIO(t testing.TB) *S3 {
	t.Helper()
	s, err := StartMinIO()
	if err == nil {
		t.Cleanup(s.Close)
	}
	return newBucket(t, s, err)
}

func newBucket(t testing.TB, s *MinIOServer, err error) *S3 {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.NewBucket(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Stop kills the server. Only for a bucket of NewMinIO.
func (b *S3) Stop() { b.server.Close() }

// Addr returns host:port of the server, as Proxy wants it.
func (b *S3) Addr() string { return b.server.addr }

// Via returns the same bucket reached through another address, such as that of a Proxy.
func (b *S3) Via(addr string) *S3 {
	return &S3{Endpoint: "http://" + addr, Bucket: b.Bucket, server: b.server}
}

// URL returns the bucket as the store URL of wirelake: s3://bucket/prefix?endpoint=…. Credentials come from Env.
func (b *S3) URL(prefix string) string {
	q := url.Values{"endpoint": {b.Endpoint}, "region": {Region}, "path_style": {"true"}}
	u := url.URL{Scheme: "s3", Host: b.Bucket, RawQuery: q.Encode()}
	if prefix != "" {
		u.Path = "/" + prefix
	}
	return u.String()
}

// Env returns the variables that an AWS SDK or a wirelake process needs to use the bucket.
func (b *S3) Env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + AccessKey, "AWS_SECRET_ACCESS_KEY=" + SecretKey, "AWS_REGION=" + Region,
		"AWS_ENDPOINT_URL_S3=" + b.Endpoint,
	}
}

// Setenv sets Env for the rest of the test. Like t.Setenv, it cannot be used in parallel tests.
func (b *S3) Setenv(t testing.TB) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", SecretKey)
	t.Setenv("AWS_REGION", Region)
	t.Setenv("AWS_ENDPOINT_URL_S3", b.Endpoint)
}

// Client returns a plain AWS client for the server, for what a test does behind wirelake's back.
func (b *S3) Client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(b.Endpoint), Region: Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, ""),
	})
}
