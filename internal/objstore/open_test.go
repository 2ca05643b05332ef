package objstore_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wirelake/internal/objstore"
)

func TestOpenRefusesBadURLs(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"", "names no folder"},
		{"file://", "names no folder"},
		{"ftp://host/dir", `unknown scheme "ftp"`},
		{"s3://", "names no bucket"},
		{"s3:///prefix", "names no bucket"},
		{"s3://127.0.0.1:9000/bucket", "the bucket comes first"},
		{"s3://bucket/a/../b", "prefix"},
		{"s3://bucket?endpont=http://127.0.0.1:1", `unknown parameter "endpont"`},
		{"s3://bucket?endpoint=127.0.0.1:9000", "endpoint must be"},
		{"s3://bucket?path_style=maybe", `path_style is "maybe"`},
		{"s3://key:secret@bucket/", "credentials do not belong in it"},
		{"s3://key:se%cret@bucket/", "redacted"},
	} {
		_, err := objstore.Open(t.Context(), c.url, testOptions())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("open %q: got %v, want %q in it", c.url, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "cret@") {
			t.Errorf("open %q tells the secret: %v", c.url, err)
		}
	}
}

func TestOpenChecksS3(t *testing.T) {
	bucket := s3Bucket(t)
	opts := testOptions()
	opts.MaxAttempts = 2

	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}

	absent, silent := *bucket, *bucket
	absent.Bucket = "not-there"
	silent.Endpoint = nobody
	for _, c := range []struct {
		name, url, id, secret string
		is                    error
		want                  []string
	}{
		{"no such bucket", absent.URL("p"), "", "", objstore.ErrNotFound, []string{`no bucket "not-there"`, bucket.Endpoint, "create it"}},
		{"unknown access key", bucket.URL("p"), "nobody", "secret", objstore.ErrDenied, []string{"does not know the access key", "AWS_ACCESS_KEY_ID"}},
		{"wrong secret key", bucket.URL("p"), "", "wrong-secret", objstore.ErrDenied, []string{"does not accept the secret key", "AWS_SECRET_ACCESS_KEY"}},
		{"nobody listens", silent.URL("p"), "", "", objstore.ErrAway, []string{"no answer from " + nobody, "connection refused"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.id != "" {
				t.Setenv("AWS_ACCESS_KEY_ID", c.id)
			}
			if c.secret != "" {
				t.Setenv("AWS_SECRET_ACCESS_KEY", c.secret)
			}
			_, err := objstore.Open(t.Context(), c.url, opts)
			if !errors.Is(err, c.is) || errors.Is(err, objstore.ErrAway) != (c.is == objstore.ErrAway) { //nolint:errorlint // of the table
				t.Fatalf("got %v, want %v", err, c.is)
			}
			later := opts
			later.Unasked = true
			s, unasked := objstore.Open(t.Context(), c.url, later)
			if unasked != nil {
				t.Fatalf("without asking: %v", unasked)
			}
			if err := objstore.Check(t.Context(), objstore.Instrument(s, nil, "test")); !errors.Is(err, c.is) {
				t.Errorf("asked later: %v, want %v", err, c.is)
			}
			for _, w := range append(c.want, "store s3://") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is missing in: %v", w, err)
				}
			}
			if strings.Contains(err.Error(), "wrong-secret") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func TestOpenWithoutCredentials(t *testing.T) {
	bucket := s3Bucket(t)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "") // restored at the end
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	start := time.Now()
	_, err := objstore.Open(t.Context(), bucket.URL(""), testOptions())
	if !errors.Is(err, objstore.ErrDenied) || !strings.Contains(err.Error(), "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestOpenTakesEnvironment has the endpoint where the AWS SDK looks for it.
func TestOpenTakesEnvironment(t *testing.T) {
	bucket := s3Bucket(t)
	s, err := objstore.Open(t.Context(), "s3://"+bucket.Bucket+"/by/env/", testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objstore.PutBytes(t.Context(), s, "key", []byte("x")); err != nil {
		t.Fatal(err)
	}
	// The prefix is one, with a slash behind it or not.
	again, err := objstore.Open(t.Context(), bucket.URL("by/env"), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Head(t.Context(), "key"); err != nil {
		t.Error(err)
	}
	if s.URL() != "s3://"+bucket.Bucket+"/by/env/" {
		t.Errorf("URL is %q", s.URL())
	}
	// A neighbour whose name begins the same is not seen.
	other, err := objstore.Open(t.Context(), bucket.URL("by/en"), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	for o, err := range other.List(t.Context(), "", "") {
		t.Errorf("list gives %+v, %v", o, err)
	}
}

func TestOpenFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := objstore.Open(t.Context(), "file://"+dir+"/new", objstore.Options{MustExist: true}); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("a folder that must exist: %v", err)
	}
	for _, url := range []string{"file://" + dir + "/new/store", dir + "/new/store", "file://" + dir + "/with space/%41"} {
		s, err := objstore.Open(t.Context(), url, objstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := objstore.PutBytes(t.Context(), s, "a/b", []byte("x")); err != nil {
			t.Fatal(err)
		}
		path := strings.TrimPrefix(url, "file://")
		if b, err := os.ReadFile(filepath.Join(path, "a/b")); err != nil || string(b) != "x" {
			t.Errorf("%s: read %q, %v", url, b, err)
		}
		if s.URL() != "file://"+path {
			t.Errorf("URL is %q, want %q", s.URL(), "file://"+path)
		}
	}
	t.Chdir(dir)
	s, err := objstore.Open(t.Context(), "file://./relative", objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := "file://" + filepath.Join(dir, "relative"); s.URL() != want {
		t.Errorf("URL is %q, want %q", s.URL(), want)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := objstore.Open(t.Context(), filepath.Join(dir, "file"), objstore.Options{}); err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("a file for a folder: %v", err)
	}
}
