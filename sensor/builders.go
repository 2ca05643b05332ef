package sensor

import (
	"sync"

	"wirelake/internal/chunk"
)

// builders are builders of chunks that are not in use. They are safe for concurrent use.
type builders struct {
	cfg chunk.Config // of each

	mu   sync.Mutex
	free []*chunk.Builder
}

// get returns an empty builder.
func (p *builders) get() (*chunk.Builder, error) {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		return b, nil
	}
	p.mu.Unlock()
	return chunk.NewBuilder(p.cfg)
}

// put takes a builder back, with what is in it.
func (p *builders) put(b *chunk.Builder) {
	b.Reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, b)
}
