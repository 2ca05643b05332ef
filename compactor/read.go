package compactor

import (
	"context"
	"errors"
	"iter"

	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

func documents(ctx context.Context, store objstore.Store, key string, schema *sessionfile.Schema, fields []spi.FieldID) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) { yield(nil, errors.New("not yet")) }
}
