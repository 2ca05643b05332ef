package capture

import (
	"context"
	"errors"
	"io"
	"time"
)

const (
	// pumpBytes is the size of a read: what a pipe or a socket holds at most, usually.
	pumpBytes = 256 << 10
	// pumpBlocks are read ahead.
	pumpBlocks = 4
	// idleAfter is how long a stream is quiet before its sinks are told.
	idleAfter = 20 * time.Millisecond
	// busyAfter is how long sinks may be not told when a source is never quiet: some of
	// its lanes may be.
	busyAfter = 100 * time.Millisecond
)

// pump reads a stream whose Read may block for ever. It ends with the context,
// once what was read is used up, and calls idle when the stream is quiet. The
// goroutine that reads ends when its Read returns, so close the stream where that can be done.
type pump struct {
	ctx    context.Context // lives as long as the reading of the stream
	idle   func() error
	blocks chan pumpBlock
	free   chan []byte
	timer  *time.Timer
	told   time.Time // when idle was called last
	now    pumpBlock
	at     []byte // what is left of now
}

type pumpBlock struct {
	b   []byte
	err error
}

func newPump(ctx context.Context, r io.Reader, idle func() error) *pump {
	p := &pump{ctx: ctx, idle: idle, blocks: make(chan pumpBlock, pumpBlocks), free: make(chan []byte, pumpBlocks), timer: time.NewTimer(idleAfter)}
	for range pumpBlocks {
		p.free <- nil // made when first used: most streams need one or two
	}
	go p.run(r)
	return p
}

func (p *pump) run(r io.Reader) {
	for empty := 0; ; {
		var buf []byte
		select {
		case buf = <-p.free:
		case <-p.ctx.Done():
			return
		}
		if buf == nil {
			buf = make([]byte, pumpBytes)
		}
		n, err := r.Read(buf[:pumpBytes])
		if n == 0 && err == nil {
			if empty++; empty > 100 {
				err = io.ErrNoProgress
			}
		} else {
			empty = 0
		}
		p.blocks <- pumpBlock{buf[:n], err} // has room for all buffers
		if err != nil {
			return
		}
	}
}

// Read returns what there is, the stream's own error at its end, and io.EOF once
// the context has ended.
func (p *pump) Read(b []byte) (int, error) {
	for len(p.at) == 0 {
		if p.now.err != nil {
			return 0, p.now.err
		}
		if p.now.b != nil {
			p.free <- p.now.b
			p.now.b = nil
		}
		if err := p.next(); err != nil {
			return 0, err
		}
		p.at = p.now.b
	}
	n := copy(b, p.at)
	p.at = p.at[n:]
	return n, nil
}

// next takes the next block into now.
func (p *pump) next() error {
	select {
	case p.now = <-p.blocks:
		if time.Since(p.told) < busyAfter {
			return nil
		}
		return p.tell()
	default:
	}
	p.timer.Reset(idleAfter)
	select {
	case p.now = <-p.blocks:
		return nil
	case <-p.ctx.Done():
		return p.last()
	case <-p.timer.C:
	}
	if err := p.tell(); err != nil {
		return err
	}
	select {
	case p.now = <-p.blocks:
		return nil
	case <-p.ctx.Done():
		return p.last()
	}
}

// tell calls idle.
func (p *pump) tell() error {
	p.told = time.Now()
	return p.idle()
}

// last takes what was read before the context ended.
func (p *pump) last() error {
	select {
	case p.now = <-p.blocks:
		if p.now.err != nil && !errors.Is(p.now.err, io.EOF) {
			p.now.err = io.EOF // the stream was closed because the context ended
		}
		return nil
	default:
		return io.EOF
	}
}
