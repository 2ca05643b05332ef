package query

import (
	"container/list"
	"sync"

	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
)

// footerCache keeps the footers that were used last, up to a number of bytes, by key and ETag.
// It is safe for concurrent use.
type footerCache struct {
	mu    sync.Mutex
	limit int64
	bytes int64
	byKey map[string]*list.Element
	order *list.List // of *cachedFooter, the one used last in front
}

type cachedFooter struct {
	key, etag string
	size      int64
	file      *sessionfile.File
	bytes     int64
}

func newFooterCache(limit int64) *footerCache {
	return &footerCache{limit: limit, byKey: map[string]*list.Element{}, order: list.New()}
}

func (c *footerCache) get(obj objstore.Object) *sessionfile.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[obj.Key]
	if !ok {
		return nil
	}
	f := e.Value.(*cachedFooter)
	if f.etag != obj.ETag || f.size != obj.Size {
		c.remove(e)
		return nil
	}
	c.order.MoveToFront(e)
	return f.file
}

// rows returns the rows of a file whose footer is here.
func (c *footerCache) rows(obj objstore.Object) (int64, bool) {
	if f := c.get(obj); f != nil {
		return f.Rows(), true
	}
	return 0, false
}

func (c *footerCache) put(obj objstore.Object, file *sessionfile.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[obj.Key]; ok {
		c.remove(e)
	}
	if file.Object.ETag != obj.ETag || file.Object.Size != obj.Size {
		return // written between the listing and the read: the next search will know it
	}
	f := &cachedFooter{key: obj.Key, etag: obj.ETag, size: obj.Size, file: file, bytes: file.Memory()}
	c.byKey[obj.Key] = c.order.PushFront(f)
	c.bytes += f.bytes
	for c.bytes > c.limit && c.order.Len() > 1 {
		c.remove(c.order.Back())
	}
}

func (c *footerCache) remove(e *list.Element) {
	f := e.Value.(*cachedFooter)
	c.order.Remove(e)
	delete(c.byKey, f.key)
	c.bytes -= f.bytes
}
