package objstore

import (
	"context"
	"fmt"
	"iter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func (s *s3Store) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if !possiblePrefix(prefix) {
			return
		}
		in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix + prefix)}
		if startAfter != "" {
			in.StartAfter = aws.String(s.prefix + startAfter)
		}
		for pages := s3.NewListObjectsV2Paginator(s.client, in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Object{}, fmt.Errorf("list %q after %q: %w", prefix, startAfter, s3Error(ctx, err)))
				return
			}
			for _, c := range page.Contents {
				key := aws.ToString(c.Key)[len(s.prefix):]
				if CheckKey(key) != nil {
					continue // the folder marker of some console: not ours, nor readable by its key
				}
				o := Object{Key: key, Size: aws.ToInt64(c.Size), ETag: unquote(c.ETag), ModTime: aws.ToTime(c.LastModified).UTC()}
				if !yield(o, nil) {
					return
				}
			}
		}
	}
}

func (s *s3Store) ListPrefixes(ctx context.Context, prefix, delim string) ([]string, error) {
	if delim == "" {
		return nil, fmt.Errorf("list prefixes of %q: the delimiter is empty", prefix)
	}
	if !possiblePrefix(prefix) {
		return nil, nil
	}
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix + prefix), Delimiter: &delim}
	var found []string
	for pages := s3.NewListObjectsV2Paginator(s.client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list prefixes of %q: %w", prefix, s3Error(ctx, err))
		}
		for _, p := range page.CommonPrefixes {
			found = append(found, aws.ToString(p.Prefix)[len(s.prefix):])
		}
	}
	return found, nil
}

func (s *s3Store) Delete(ctx context.Context, key string) error {
	name, err := s.name(key)
	if err == nil {
		_, err = s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: name})
		err = s3Error(ctx, err)
	}
	if err != nil {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	return nil
}
