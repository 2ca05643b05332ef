package objstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// defaultRegion signs requests when nothing names a region: servers other than
// AWS mostly ignore it, and AWS says which one it should have been.
const defaultRegion = "us-east-1"

// s3Store keeps objects in a bucket, their keys behind an optional prefix.
//
// Writes carry a CRC32C of each part and of the whole object, which the server
// verifies; reading an object whole verifies it again. Bodies are not hashed a
// second time for the signature, which covers the checksum header.
type s3Store struct {
	client *s3.Client
	opts   Options
	bucket string
	prefix string // "" or ends in "/"
	url    string
}

// s3Location is a parsed s3:// URL.
type s3Location struct {
	bucket, prefix   string // prefix as in s3Store
	endpoint, region string // empty: from the environment
	pathStyle        *bool  // nil: on when there is an endpoint
}

func parseS3URL(text string) (s3Location, error) {
	bad := func(reason string, args ...any) (s3Location, error) {
		return s3Location{}, fmt.Errorf("store URL %q: %s", redactURL(text), fmt.Sprintf(reason, args...))
	}
	u, err := url.Parse(text)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the whole would repeat the URL, secrets included
		}
		return bad("%v", err)
	}
	if u.User != nil {
		return bad("credentials do not belong in it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	if u.Fragment != "" {
		return bad("it has a fragment (#)")
	}
	if u.Host == "" {
		return bad("it names no bucket: write s3://bucket/prefix")
	}
	if u.Port() != "" {
		return bad("the bucket comes first: write s3://bucket/prefix?endpoint=http://%s", u.Host)
	}
	l := s3Location{bucket: u.Host, prefix: strings.Trim(u.Path, "/")}
	if l.prefix != "" {
		if err := CheckKey(l.prefix); err != nil {
			return bad("prefix: %v", err)
		}
		l.prefix += "/"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return bad("%v", err)
	}
	for name, values := range query {
		value := values[len(values)-1]
		switch name {
		case "endpoint":
			e, err := url.Parse(value)
			if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || e.User != nil {
				return bad("endpoint must be http://host:port or https://host")
			}
			l.endpoint = value
		case "region":
			l.region = value
		case "path_style":
			b, err := strconv.ParseBool(value)
			if err != nil {
				return bad("path_style is %q, neither true nor false", value)
			}
			l.pathStyle = &b
		default:
			return bad("unknown parameter %q: know endpoint, region, path_style", name)
		}
	}
	return l, nil
}

// redactURL cuts what may be a password, all up to the last @, out of a URL that
// is shown in an error.
func redactURL(text string) string {
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		return "s3://[redacted]@" + text[i+1:]
	}
	return text
}

func openS3(ctx context.Context, text string, opts Options) (*s3Store, error) {
	l, err := parseS3URL(text)
	if err != nil {
		return nil, err
	}
	say := &sayer{}
	cfg, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithHTTPClient(newHTTPClient(opts)),
		awsconfig.WithRetryer(func() aws.Retryer { return newRetryer(opts, say) }),
	)
	if err != nil {
		return nil, fmt.Errorf("store %s: AWS settings: %w", text, err)
	}
	if l.region != "" {
		cfg.Region = l.region
	}
	if cfg.Region == "" {
		cfg.Region = defaultRegion
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		if l.endpoint != "" {
			o.BaseEndpoint = &l.endpoint
		}
		o.UsePathStyle = o.BaseEndpoint != nil
		if l.pathStyle != nil {
			o.UsePathStyle = *l.pathStyle
		}
		// Checksums are computed and verified here, over whole objects.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	s := &s3Store{client: client, opts: opts, bucket: l.bucket, prefix: l.prefix, url: text}
	if !opts.Unasked {
		if err := s.check(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// check asks for one key, which needs no more rights than every List does and,
// unlike a HEAD of the bucket, is answered with what is wrong.
func (s *s3Store) check(ctx context.Context) error {
	if _, err := s.client.Options().Credentials.Retrieve(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("store %s: %w: no credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the machine a role: %w", s.url, ErrDenied, err)
	}
	one := int32(1)
	_, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &s.prefix, MaxKeys: &one})
	if err == nil {
		return nil
	}
	err = s3Error(ctx, err)
	endpoint := "AWS"
	if e := s.client.Options().BaseEndpoint; e != nil {
		endpoint = *e
	}
	var api smithy.APIError
	code := ""
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	hint := ""
	switch {
	case code == "NoSuchBucket":
		hint = fmt.Sprintf("there is no bucket %q at %s: create it, or correct the name", s.bucket, endpoint)
	case code == "InvalidBucketName":
		hint = fmt.Sprintf("%q cannot be the name of a bucket: three to 63 of a-z, 0-9, - and .", s.bucket)
	case code == "InvalidAccessKeyId":
		hint = fmt.Sprintf("%s does not know the access key: check AWS_ACCESS_KEY_ID", endpoint)
	case code == "SignatureDoesNotMatch":
		hint = fmt.Sprintf("%s does not accept the secret key: check AWS_SECRET_ACCESS_KEY", endpoint)
	case code == "PermanentRedirect", code == "AuthorizationHeaderMalformed", code == "IllegalLocationConstraintException":
		hint = fmt.Sprintf("the bucket %q is in another region than %s: set AWS_REGION or ?region=", s.bucket, s.client.Options().Region)
	case errors.Is(err, ErrDenied):
		hint = fmt.Sprintf("the credentials may not list the bucket %q at %s: check them and their policy", s.bucket, endpoint)
	case errors.Is(ctx.Err(), context.Canceled):
		return err
	case code == "":
		hint = fmt.Sprintf("no answer from %s: check the endpoint and that it can be reached", endpoint)
		err = fmt.Errorf("%w: %w", ErrAway, err)
	case statusOf(err) >= 500, statusOf(err) == http.StatusTooManyRequests:
		hint = fmt.Sprintf("%s cannot list the bucket %q now", endpoint, s.bucket)
		err = fmt.Errorf("%w: %w", ErrAway, err)
	default:
		hint = fmt.Sprintf("%s refused to list the bucket %q", endpoint, s.bucket)
	}
	return fmt.Errorf("store %s: %s: %w", s.url, hint, err)
}

func (s *s3Store) URL() string { return s.url }

// name returns the key in the bucket.
func (s *s3Store) name(key string) (*string, error) {
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	full := s.prefix + key
	if len(full) > MaxKeyBytes {
		return nil, fmt.Errorf("%w: %d bytes long with the prefix, at most %d", ErrKey, len(full), MaxKeyBytes)
	}
	return &full, nil
}

// unquote turns an ETag header into an Object's; quote turns it back.
func unquote(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

func quote(etag string) *string { return aws.String(`"` + etag + `"`) }
