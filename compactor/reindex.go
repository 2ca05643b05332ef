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
		if err := reindexDay(ctx, store, files, es, day); err != nil {
			return fmt.Errorf("day %s: %w", day, err)
		}
		log.InfoContext(ctx, "day indexed", "day", day)
	}
	return nil
}

func reindexDay(ctx context.Context, store objstore.Store, files *sessionfile.Reader, es *elastic.Client, day string) error {
	set := func(complete bool) error {
		return elastic.UpdateDays(ctx, store, func(d elastic.Days) bool {
			d[day] = complete
			return true
		})
	}
	if err := set(false); err != nil {
		return err
	}
	if err := es.DeleteIndex(ctx, day); err != nil {
		return err
	}
	if _, err := es.EnsureIndex(ctx, day); err != nil {
		return err
	}
	for obj, err := range store.List(ctx, "sessions/day="+day+"/", "") {
		if err != nil {
			return err
		}
		if !strings.HasSuffix(obj.Key, ".parquet") {
			continue
		}
		if err := indexFile(ctx, files, es, obj.Key, day); err != nil {
			return err
		}
	}
	if err := es.Refresh(ctx, day); err != nil {
		return err
	}
	return set(true)
}

// indexFile indexes the hot fields of all sessions of a Parquet file.
func indexFile(ctx context.Context, files *sessionfile.Reader, es *elastic.Client, key, day string) error {
	f, err := files.Open(ctx, key)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(indexWorkers)
	body := &elastic.Body{}
	send := func() {
		b := body
		body = &elastic.Body{}
		group.Go(func() error {
			_, err := es.Bulk(ctx, day, b)
			return err
		})
	}
	for d, err := range f.Documents(ctx, elastic.Needed(files.Schema().Registry())) {
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
	return group.Wait()
}
