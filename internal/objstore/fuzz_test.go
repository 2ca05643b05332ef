package objstore

import (
	"strings"
	"testing"
)

// FuzzContentRange holds that what a server sends is a range inside the object,
// or an error.
func FuzzContentRange(f *testing.F) {
	for _, text := range []string{"bytes 0-9/10", "bytes 5-5/6", "bytes 0--1/0", "bytes */10", "bytes 9-0/10", "bytes 0-10/10", "", "bytes 1-2/-3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		start, end, size, err := parseContentRange(text)
		if err != nil {
			if start != 0 || end != 0 || size != 0 {
				t.Errorf("%q: %d-%d/%d with %v", text, start, end, size, err)
			}
			return
		}
		if start < 0 || end < start || end > size {
			t.Errorf("%q: bytes %d to %d of %d", text, start, end, size)
		}
	})
}

// FuzzS3URL holds that a URL is refused or names a bucket and a good prefix.
func FuzzS3URL(f *testing.F) {
	for _, text := range []string{
		"s3://bucket/a/b?endpoint=http://127.0.0.1:9000&region=r&path_style=false", "s3://bucket", "s3://a:PASSWORD@b/c", "s3://a:PASSWORD%@b",
		"s3://b/%2e%2e/x", "s3://b//", "s3://b?endpoint=http://u:PASSWORD@h", "s3://b:1", "s3://[::1]/x", "s3://b#f",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parseS3URL("s3://" + strings.TrimPrefix(text, "s3://"))
		if err != nil {
			return
		}
		if l.bucket == "" || strings.Contains(l.bucket, "/") {
			t.Errorf("%q: bucket %q", text, l.bucket)
		}
		if l.prefix != "" {
			if err := CheckKey(strings.TrimSuffix(l.prefix, "/")); err != nil || !strings.HasSuffix(l.prefix, "/") {
				t.Errorf("%q: prefix %q, %v", text, l.prefix, err)
			}
		}
	})
}

func TestPasswordsInURLsAreNotTold(t *testing.T) {
	for _, text := range []string{
		"s3://a:PASSWORD@b/c", "s3://a:PASSWORD%@b", "s3://a:PASS/PASSWORD@b", "s3://b?endpoint=http://u:PASSWORD@h", "s3://b/c?endpoint=https://PASSWORD@h&x=y",
	} {
		if _, err := parseS3URL(text); err == nil || strings.Contains(err.Error(), "PASSWORD") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
