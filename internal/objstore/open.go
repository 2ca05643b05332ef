package objstore

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Options are what a URL does not say. The zero value is good for services.
type Options struct {
	// Logger gets a warning for each request that is repeated. Nil logs nothing.
	Logger *slog.Logger

	// MustExist makes Open of a file:// URL fail when the folder is not there,
	// instead of creating it. For commands that only read, which would
	// otherwise answer a mistyped path with an empty store.
	MustExist bool

	// MaxAttempts is how often a request to S3 is tried in all (default 8,
	// which with the backoff between them outlasts about ten seconds).
	MaxAttempts int

	// Timeout is how long an attempt on S3 may pass without a byte received
	// (default 30 s). A slow transfer that moves is not cut off.
	Timeout time.Duration

	// PartBytes is the size of the parts of a multipart upload and the largest
	// object that is uploaded in one request (default 8 MiB, at least 5 MiB).
	PartBytes int64

	// PartConcurrency is how many parts of one object are uploaded at once
	// (default 4). A Put holds at most PartConcurrency+1 parts in memory.
	PartConcurrency int

	// DialControl, when set, sees every address before a connection to S3 is
	// made and refuses it by an error, as net.Dialer.Control does.
	DialControl func(network, address string, c syscall.RawConn) error
}

const (
	defaultMaxAttempts     = 8
	defaultTimeout         = 30 * time.Second
	defaultPartBytes       = 8 << 20
	defaultPartConcurrency = 4
	minPartBytes           = 5 << 20 // S3 refuses smaller ones, save for the last
)

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = defaultMaxAttempts
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.PartBytes <= 0 {
		o.PartBytes = defaultPartBytes
	}
	o.PartBytes = max(o.PartBytes, minPartBytes)
	if o.PartConcurrency <= 0 {
		o.PartConcurrency = defaultPartConcurrency
	}
	return o
}

// Open returns the store that url names, after checking that it can be used:
//
//	s3://bucket/prefix?endpoint=http://host:9000&region=eu-west-1&path_style=true
//	file:///absolute/dir    file://./relative/dir    /a/path    a/path
//
// The parameters of an s3 URL are optional. What they leave open, and the
// credentials, come from the environment, the shared configuration files or the
// machine's role, as the AWS SDK finds them (AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL_S3, AWS_PROFILE, …). The
// region is us-east-1 when nothing names one. Path-style addressing is on when
// an endpoint is set. A file path is taken as it stands, without %-decoding.
//
// The folder of a file URL is created when it is missing, unless
// [Options.MustExist] is set. A bucket is never created. Credentials that are
// missing or refused are ErrDenied, a bucket that is missing is ErrNotFound; the
// message says what to do.
func Open(ctx context.Context, url string, opts Options) (Store, error) {
	opts = opts.withDefaults()
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		scheme, rest = "file", url
	}
	switch scheme {
	case "file":
		if rest == "" {
			return nil, fmt.Errorf("store URL %q names no folder: write file:///dir", url)
		}
		dir, err := filepath.Abs(rest)
		if err != nil {
			return nil, fmt.Errorf("store URL %q: %w", url, err)
		}
		return openFile(dir, opts)
	case "s3":
		return openS3(ctx, url, opts)
	}
	return nil, fmt.Errorf("store URL %q: unknown scheme %q: know s3:// and file://", url, scheme)
}
