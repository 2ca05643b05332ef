package chunk

import "sync"

// blockBytes is the size of the pieces that a builder keeps records in: small
// enough for a thousand lanes at once, large enough to hold any usual packet.
const (
	blockShift = 18
	blockBytes = 1 << blockShift
)

// Blocks is a pool of the memory that builders keep records in. Builders that
// share one pass memory on as lanes come, go and are sealed. It is safe for
// concurrent use; the zero value is ready.
type Blocks struct {
	mu   sync.Mutex
	free [][]byte
}

func (p *Blocks) get() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b
	}
	return make([]byte, 0, blockBytes)
}

func (p *Blocks) put(blocks [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range blocks {
		if cap(b) == blockBytes { // the block of an oversized record goes to the garbage collector
			p.free = append(p.free, b[:0])
		}
	}
}

// recordBuffer holds records one after the other. A record is never split, so
// it is found by one 32-bit position: number of the block, offset in the block.
type recordBuffer struct {
	pool   *Blocks
	blocks [][]byte
}

// alloc returns room for n bytes, and its position.
func (r *recordBuffer) alloc(n int) (b []byte, pos uint32) {
	last := len(r.blocks) - 1
	if last < 0 || len(r.blocks[last])+n > cap(r.blocks[last]) {
		if n > blockBytes {
			r.blocks = append(r.blocks, make([]byte, 0, n))
		} else {
			r.blocks = append(r.blocks, r.pool.get())
		}
		last++
	}
	at := len(r.blocks[last])
	r.blocks[last] = r.blocks[last][:at+n]
	return r.blocks[last][at : at+n : at+n], uint32(last<<blockShift | at) //nolint:gosec // maxBlocks bounds it
}

// maxBlocks is the most blocks that a position can number.
const maxBlocks = 1 << (32 - blockShift)

// at returns the bytes from pos to the end of its block.
func (r *recordBuffer) at(pos uint32) []byte {
	return r.blocks[pos>>blockShift][pos&(blockBytes-1):]
}

func (r *recordBuffer) reset() {
	r.pool.put(r.blocks)
	clear(r.blocks)
	r.blocks = r.blocks[:0]
}
