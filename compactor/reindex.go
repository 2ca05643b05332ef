package compactor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"wirelake/internal/elastic"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// Reindex rebuilds the Elasticsearch indices of the days from..to (YYYY-MM-DD,
// both included, "" for no bound) from Parquet. Progress is called before each
// day. A day is asked of Parquet until its index is whole.
func Reindex(ctx context.Context, store objstore.Store, es *elastic.Client, reg *spi.Registry, from, to string, log *slog.Logger, progress func(day string, n, of int)) error {
	prefixes, err := store.ListPrefixes(ctx, "sessions/", "/")
	if err != nil {
		return err
	}
	var days []string
	for _, p := range prefixes {
		day, ok := strings.CutPrefix(path.Base(p), "day=")
		if ok && (from == "" || day >= from) && (to == "" || day <= to) {
			days = append(days, day)
		}
	}
	slices.Sort(days)
	if err := es.EnsureTemplate(ctx); err != nil {
		return err
	}
	schema, err := sessionfile.NewSchema(reg)
	if err != nil {
		return err
	}
	files, err := sessionfile.NewReader(store, schema)
	if err != nil {
		return err
	}
	for i, day := range days {
		progress(day, i, len(days))
		whole, err := reindexDay(ctx, store, files, es, day)
		if err != nil {
			return fmt.Errorf("day %s: %w", day, err)
		}
		if !whole {
			log.WarnContext(ctx, "day indexed, but another process fills its index anew, or has deleted it: Parquet answers for it until that is done", "day", day)
			continue
		}
		log.InfoContext(ctx, "day indexed", "day", day)
	}
	return nil
}

// reindexDay returns false when another process has begun to fill the day's index, or deleted it, meanwhile.
func reindexDay(ctx context.Context, store objstore.Store, files *sessionfile.Reader, es *elastic.Client, day string) (whole bool, err error) {
	if _, err := elastic.BeginFill(ctx, store, day); err != nil {
		return false, err
	}
	if err := es.DeleteIndex(ctx, day); err != nil {
		return false, err
	}
	if _, err := es.EnsureIndex(ctx, day); err != nil {
		return false, err
	}
	// Again: who began to fill the index in between has lost what it wrote.
	fill, err := elastic.BeginFill(ctx, store, day)
	if err != nil {
		return false, err
	}
	for obj, err := range store.List(ctx, "sessions/day="+day+"/", "") {
		if err != nil {
			return false, err
		}
		if !strings.HasSuffix(obj.Key, ".parquet") {
			continue
		}
		if err := indexFile(ctx, store, files, es, obj.Key, day); err != nil {
			return false, err
		}
	}
	if err := es.Refresh(ctx, day); err != nil {
		return false, err
	}
	err = elastic.UpdateDays(ctx, store, func(d elastic.Days) bool {
		now, held := d[day]
		if whole = held && now.Fill == fill; whole {
			d[day] = elastic.Day{Whole: true, Fill: fill}
		}
		return whole
	})
	return whole, err
}

// indexFile indexes the hot fields of all sessions of a Parquet file. When it returns, Elasticsearch has those that the
// file has then: who replaces a file indexes it afterwards, and what another read of the old one must not come last.
func indexFile(ctx context.Context, store objstore.Store, files *sessionfile.Reader, es *elastic.Client, key, day string) error {
	for {
		err := indexContent(ctx, store, files, es, key, day)
		if errors.Is(err, objstore.ErrNotFound) {
			return nil // deleted: it has no sessions
		}
		if !errors.Is(err, sessionfile.ErrChanged) {
			return err
		}
	}
}

// unchanged returns sessionfile.ErrChanged when the file at key is not the one with the ETag any more. One that was
// deleted has nothing else to index.
func unchanged(ctx context.Context, store objstore.Store, key, etag string) error {
	now, err := store.Head(ctx, key)
	if err == nil && now.ETag != etag {
		err = fmt.Errorf("%w: %q", sessionfile.ErrChanged, key)
	}
	if errors.Is(err, objstore.ErrNotFound) {
		return nil
	}
	return err
}

// indexContent indexes what the file has when it begins, and returns sessionfile.ErrChanged when the file has something
// else when it ends.
func indexContent(ctx context.Context, store objstore.Store, files *sessionfile.Reader, es *elastic.Client, key, day string) error {
	f, err := files.Open(ctx, key)
	if err != nil {
		return err
	}
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(indexWorkers)
	body := &elastic.Body{}
	send := func() {
		b := body
		body = &elastic.Body{}
		group.Go(func() error {
			_, err := es.Bulk(sending, day, b)
			return err
		})
	}
	for d, err := range f.Documents(sending, elastic.Needed(files.Schema().Registry())) {
		if err != nil {
			return errors.Join(err, group.Wait()) // what was sent may stay: it is right
		}
		body.Add(d)
		if body.Len() >= es.BulkBytes() {
			send()
		}
	}
	if body.Docs() > 0 {
		send()
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return unchanged(ctx, store, key, f.Object.ETag)
}
