package sensor

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"strings"

	"wirelake/internal/objstore"
)

// objectSource is a prefix of an object store. Objects are read as they are
// streamed and never stored on this machine. They are written whole, so each is
// ready when it is seen.
type objectSource struct {
	store objstore.Store
	url   string // without a slash at the end
	after string
}

func (o *objectSource) list(ctx context.Context) iter.Seq2[watchItem, error] {
	return func(yield func(watchItem, error) bool) {
		for obj, err := range o.store.List(ctx, "", "") {
			if err != nil {
				if why := objstore.Check(ctx, o.store); why != nil { // it says what to do
					err = why
				}
				yield(watchItem{}, err)
				return
			}
			if obj.Size == 0 || strings.HasSuffix(obj.Key, "/") { // folders, as consoles make them
				continue
			}
			it := watchItem{name: obj.Key, order: obj.Key, version: obj.ETag, changed: obj.ModTime, size: obj.Size}
			if !yield(it, nil) {
				return
			}
		}
	}
}

func (o *objectSource) ready(watchItem) bool { return true }

func (o *objectSource) input(it watchItem) input {
	return input{path: o.url + "/" + it.name, size: it.size, walked: true, get: func(ctx context.Context) (io.ReadCloser, error) {
		r, _, err := o.store.Get(ctx, it.name)
		return r, err
	}}
}

func (o *objectSource) imported(ctx context.Context, it watchItem, damaged bool) error {
	if o.after != AfterDelete || damaged {
		return nil
	}
	now, err := o.store.Head(ctx, it.name)
	if errors.Is(err, objstore.ErrNotFound) || err == nil && now.ETag != it.version { // written anew meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	return o.store.Delete(ctx, it.name)
}

func (o *objectSource) wake() <-chan struct{} { return nil }
func (o *objectSource) close() error          { return nil }

// isGone reports whether a file or object is not there any more.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, objstore.ErrNotFound)
}
