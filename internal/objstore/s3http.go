package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

const (
	dialTimeout = 5 * time.Second

	// Connections kept open: as many as ranges are fetched at once.
	maxIdleConns = 64

	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

func newHTTPClient(opts Options) *awshttp.BuildableClient {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: opts.DialControl}
	return awshttp.NewBuildableClient().
		WithReadTimeout(0). // stallConn does it, in both directions
		WithTransportOptions(func(t *http.Transport) {
			t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dialer.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &stallConn{Conn: c, timeout: opts.Timeout}, nil
			}
			t.MaxIdleConns = maxIdleConns
			t.MaxIdleConnsPerHost = maxIdleConns
			t.IdleConnTimeout = opts.Timeout / 2 // before stallConn would end it
			t.ForceAttemptHTTP2 = false          // a connection per range, so that one loss stalls one range
			t.DisableCompression = true
			t.ReadBufferSize = 64 << 10
			t.WriteBufferSize = 64 << 10
		})
}

// stallConn ends when no byte has moved for the timeout, in either direction:
// while a long request is written, its answer is waited for all the time.
type stallConn struct {
	net.Conn
	timeout time.Duration
}

func (c *stallConn) Read(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// writeStep is how much is written under one deadline: little enough that a slow
// link moves it within the timeout.
const writeStep = 64 << 10

func (c *stallConn) Write(p []byte) (int, error) {
	written := 0
	for {
		if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[written:min(len(p), written+writeStep)])
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// retryer is the SDK's standard one, with a shorter and jittered backoff, with
// the failures added that it does not know, and a line in the log each time.
type retryer struct {
	*retry.Standard
	log *slog.Logger
	say *sayer
}

// A store that is away for a week would fill a disk with warnings: after the first of
// an outage there is one in so much time.
const (
	repeatsFirst = 10
	repeatsEvery = time.Minute
)

// sayer decides which repeated requests are worth a warning.
type sayer struct {
	mu    sync.Mutex
	said  int // of this outage
	since time.Time
}

func (s *sayer) level() slog.Level {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch quiet := time.Since(s.since); {
	case quiet >= 2*repeatsEvery: // an outage of its own
		s.said = 0
	case quiet < repeatsEvery && s.said >= repeatsFirst:
		return slog.LevelDebug
	}
	s.since = time.Now()
	s.said++
	return slog.LevelWarn
}

func newRetryer(opts Options, say *sayer) retryer {
	r := retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = opts.MaxAttempts
		// The default bucket of tokens makes a client under load give up at the
		// first failures of an outage; attempts and backoff bound ours.
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			return backoff(attempt), nil
		})
		o.Retryables = append([]retry.IsErrorRetryable{
			retry.NoRetryCanceledError{},
			retry.IsErrorRetryableFunc(brokenAnswer),
			retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{408: {}, 429: {}, 500: {}, 502: {}, 503: {}, 504: {}}},
			retry.RetryableErrorCode{Codes: map[string]struct{}{
				"InternalError": {}, "RequestTimeout": {}, "OperationAborted": {},
				"ConditionalRequestConflict": {}, // another writer was at it: repeat to learn who won
				// Bytes were damaged on the way there, in the words of AWS and of MinIO.
				"BadDigest": {}, "XAmzContentChecksumMismatch": {},
			}},
		}, o.Retryables...)
	})
	return retryer{r, opts.Logger, say}
}

// backoff is the pause before the attempt after this one (1, 2, …): a random
// part of a time that doubles, so that clients do not come back in step.
func backoff(attempt int) time.Duration {
	limit := maxBackoff
	if shift := attempt - 1; shift < 6 {
		limit = min(maxBackoff, firstBackoff<<shift)
	}
	return limit/2 + rand.N(limit/2) //nolint:gosec // jitter is no secret
}

// brokenAnswer recognises answers that broke off, which the SDK reports as an
// unexpected end or as XML that it cannot read.
func brokenAnswer(err error) aws.Ternary {
	var de *smithy.DeserializationError
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.As(err, &de) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// RetryDelay is called before each pause.
func (r retryer) RetryDelay(attempt int, err error) (time.Duration, error) {
	wait, delayErr := r.Standard.RetryDelay(attempt, err)
	r.log.Log(context.Background(), r.say.level(), "object store request repeated", "attempt", attempt, "wait", wait, "error", err)
	return wait, delayErr
}

// errPrecondition is a 412: what If-Match or If-None-Match asked for does not hold.
var errPrecondition = errors.New("precondition failed")

// s3Error wraps the package's sentinel for what the SDK reported.
func s3Error(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		if errors.Is(err, cause) {
			return err
		}
		return fmt.Errorf("%w: %w", cause, err)
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "NoSuchKey", "NotFound", "NoSuchBucket":
			return fmt.Errorf("%w: %w", ErrNotFound, err)
		case "InvalidRange":
			return fmt.Errorf("%w: %w", ErrRange, err)
		case "PreconditionFailed":
			return fmt.Errorf("%w: %w", errPrecondition, err)
		}
	}
	switch statusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: %w", ErrDenied, err)
	case http.StatusNotFound:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case http.StatusPreconditionFailed:
		return fmt.Errorf("%w: %w", errPrecondition, err)
	case http.StatusRequestedRangeNotSatisfiable:
		return fmt.Errorf("%w: %w", ErrRange, err)
	}
	return err
}

// statusOf returns the HTTP status that an error of the SDK comes from, 0 for none.
func statusOf(err error) int {
	var response interface{ HTTPStatusCode() int }
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}
