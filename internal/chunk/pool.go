package chunk

import "sync"

// blockBytes is the size of the pieces that a builder keeps records in; its first
// ones are smaller, so that thousands of lanes with few packets each fit in memory.
const (
	blockShift      = 18
	blockBytes      = 1 << blockShift
	firstBlockBytes = 4 << 10
	blockGrowth     = 4
)

// Pool is the memory that builders work with. Builders that share one pass it on
// as lanes come, go and are sealed. It is safe for concurrent use; the zero value
// is ready.
type Pool struct {
	mu      sync.Mutex
	blocks  [][]byte
	sealers []*sealer
}

func (p *Pool) getBlock() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.blocks); n > 0 {
		b := p.blocks[n-1]
		p.blocks = p.blocks[:n-1]
		return b
	}
	return make([]byte, 0, blockBytes)
}

func (p *Pool) putBlocks(blocks [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range blocks {
		if cap(b) == blockBytes { // others go to the garbage collector
			p.blocks = append(p.blocks, b[:0])
		}
	}
}

func (p *Pool) getSealer() *sealer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.sealers); n > 0 {
		s := p.sealers[n-1]
		p.sealers = p.sealers[:n-1]
		return s
	}
	return &sealer{}
}

func (p *Pool) putSealer(s *sealer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sealers = append(p.sealers, s)
}

// recordBuffer holds records one after the other. A record is never split, so
// it is found by one 32-bit position: number of the block, offset in the block.
type recordBuffer struct {
	pool   *Pool
	blocks [][]byte
	mem    int // bytes of the blocks
}

// alloc returns room for n bytes, and its position.
func (r *recordBuffer) alloc(n int) (b []byte, pos uint32) {
	last := len(r.blocks) - 1
	if last < 0 || len(r.blocks[last])+n > cap(r.blocks[last]) {
		r.blocks = append(r.blocks, r.newBlock(n))
		last++
		r.mem += cap(r.blocks[last])
	}
	at := len(r.blocks[last])
	r.blocks[last] = r.blocks[last][:at+n]
	return r.blocks[last][at : at+n : at+n], uint32(last<<blockShift | at) //nolint:gosec // maxBlocks bounds it
}

// newBlock returns the next block, which must have room for n bytes.
func (r *recordBuffer) newBlock(n int) []byte {
	size := firstBlockBytes
	for i := 0; i < len(r.blocks) && size < blockBytes; i++ {
		size *= blockGrowth
	}
	switch {
	case n > blockBytes:
		return make([]byte, 0, n)
	case size >= blockBytes || n > size:
		return r.pool.getBlock()
	}
	return make([]byte, 0, size)
}

// maxBlocks is the most blocks that a position can number.
const maxBlocks = 1 << (32 - blockShift)

// at returns the bytes from pos to the end of its block.
func (r *recordBuffer) at(pos uint32) []byte {
	return r.blocks[pos>>blockShift][pos&(blockBytes-1):]
}

func (r *recordBuffer) reset() {
	r.pool.putBlocks(r.blocks)
	clear(r.blocks)
	r.blocks, r.mem = r.blocks[:0], 0
}
