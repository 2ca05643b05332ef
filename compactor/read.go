package compactor

import (
	"context"
	"iter"

	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// documents yields the rows of a Parquet file, with the fields given; nil fields are all.
func documents(ctx context.Context, store objstore.Store, key string, schema *sessionfile.Schema, fields []spi.FieldID) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		r, err := sessionfile.NewReader(store, schema)
		if err != nil {
			yield(nil, err)
			return
		}
		f, err := r.Open(ctx, key)
		if err != nil {
			yield(nil, err)
			return
		}
		for d, err := range f.Documents(ctx, fields) {
			if !yield(d, err) {
				return
			}
		}
	}
}
