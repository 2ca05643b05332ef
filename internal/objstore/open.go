package objstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"wirelake/internal/config"
)

// Config says how requests to S3 are made. Start from DefaultConfig; what is zero
// counts as the default.
type Config struct {
	MaxAttempts     int           `koanf:"max_attempts" help:"how often a request to S3 is tried in all; eight outlast an outage of some ten seconds"`
	Timeout         time.Duration `koanf:"timeout" help:"how long an attempt may pass without a byte moving; slow transfers are not cut off"`
	PartSize        config.Size   `koanf:"part_size" help:"size of the parts of a multipart upload, and of the largest object that is uploaded in one request"`
	PartConcurrency int           `koanf:"part_concurrency" help:"how many parts of one object are uploaded at once; one more is held in memory"`
}

// Limits of the configuration.
const (
	minPartSize = 5 * config.MiB // S3 refuses smaller ones, save for the last
	maxPartSize = 1 * config.GiB // of which PartConcurrency+1 are in memory

	maxPartConcurrency = 64
	maxMaxAttempts     = 100
	minTimeout         = 100 * time.Millisecond
)

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{MaxAttempts: 8, Timeout: 30 * time.Second, PartSize: 8 * config.MiB, PartConcurrency: 4}
}

// Validate reports every bad field, not only the first.
func (c Config) Validate() error {
	var errs []error
	if c.MaxAttempts < 1 || c.MaxAttempts > maxMaxAttempts {
		errs = append(errs, fmt.Errorf("max_attempts: %d is not between 1 and %d", c.MaxAttempts, maxMaxAttempts))
	}
	if c.Timeout < minTimeout {
		errs = append(errs, fmt.Errorf("timeout: %v is under %v", c.Timeout, minTimeout))
	}
	if c.PartSize < minPartSize || c.PartSize > maxPartSize {
		errs = append(errs, fmt.Errorf("part_size: %v is not between %v and %v", c.PartSize, minPartSize, maxPartSize))
	}
	if c.PartConcurrency < 1 || c.PartConcurrency > maxPartConcurrency {
		errs = append(errs, fmt.Errorf("part_concurrency: %d is not between 1 and %d", c.PartConcurrency, maxPartConcurrency))
	}
	return errors.Join(errs...)
}

// Options are what a URL does not say. The zero value is good for services.
type Options struct {
	Config

	// Logger is told of requests that are repeated: in a long outage the first by warnings,
	// and then one a minute. Nil logs nothing.
	Logger *slog.Logger

	// MustExist makes Open of a file:// URL fail when the folder is not there,
	// instead of creating it. For commands that only read, which would
	// otherwise answer a mistyped path with an empty store.
	MustExist bool

	// Unasked makes Open not ask S3 whether the store can be used: [Check] does. For
	// a service that has work to do while the store is away.
	Unasked bool

	// DialControl, when set, sees every address before a connection to S3 is
	// made and refuses it by an error, as net.Dialer.Control does.
	DialControl func(network, address string, c syscall.RawConn) error
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := DefaultConfig()
	o.MaxAttempts = cmp.Or(o.MaxAttempts, d.MaxAttempts)
	o.Timeout = cmp.Or(o.Timeout, d.Timeout)
	o.PartSize = cmp.Or(o.PartSize, d.PartSize)
	o.PartConcurrency = cmp.Or(o.PartConcurrency, d.PartConcurrency)
	return o
}

// Check asks whether the store can be used. An error wraps [ErrAway] when the store
// does not answer, or not now; others say what to do, as those of [Open].
func Check(ctx context.Context, s Store) error {
	if s3s, ok := unwrap(s).(*s3Store); ok {
		return s3s.check(ctx)
	}
	return nil // the folder was made
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
// message says what to do. A store that does not answer is ErrAway.
func Open(ctx context.Context, url string, opts Options) (Store, error) {
	opts = opts.withDefaults()
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("options of the object store: %w", err)
	}
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
