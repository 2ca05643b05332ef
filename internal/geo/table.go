package geo

import (
	"net/netip"
	"sync"

	"github.com/oschwald/maxminddb-golang/v2"
)

// maxRecords bounds the cache of a table. A country file has some hundred
// records, an ASN file less than a hundred thousand.
const maxRecords = 1 << 17

// table is one mmdb file. Many addresses share a record, so each is decoded once
// and then found by its place in the file, without allocating.
type table[T any] struct {
	reader *maxminddb.Reader
	decode func(maxminddb.Result) (T, bool)

	mu      sync.RWMutex
	records map[uintptr]record[T]
}

type record[T any] struct {
	value T
	ok    bool
}

func newTable[T any](r *maxminddb.Reader, decode func(maxminddb.Result) (T, bool)) *table[T] {
	return &table[T]{reader: r, decode: decode, records: map[uintptr]record[T]{}}
}

// lookup returns what the file has for the address. A damaged file has nothing.
func (t *table[T]) lookup(addr netip.Addr) (value T, ok bool) {
	addr = addr.Unmap().WithZone("")
	if t == nil || !public(addr) {
		return value, false
	}
	if addr.Is6() && t.reader.Metadata.IPVersion == 4 {
		return value, false
	}
	result := t.reader.Lookup(addr)
	if !result.Found() {
		return value, false
	}
	at := result.Offset()
	t.mu.RLock()
	r, known := t.records[at]
	t.mu.RUnlock()
	if !known {
		r.value, r.ok = t.decode(result)
		t.mu.Lock()
		if len(t.records) >= maxRecords {
			clear(t.records)
		}
		t.records[at] = r
		t.mu.Unlock()
	}
	return r.value, r.ok
}

func (t *table[T]) close() error {
	if t == nil {
		return nil
	}
	return t.reader.Close()
}

// public reports whether the address can be somewhere: files should not have the
// others, and some do.
func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate()
}
