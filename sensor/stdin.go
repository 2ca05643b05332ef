package sensor

import (
	"context"
	"io"
)

// stdinBytes is the size of a read of the standard input.
const stdinBytes = 256 << 10

// interruptible reads a stream whose Read may block for ever, and which ends when
// the context does: what came in before can then be stored as if the stream were
// whole, for it will not come again. The goroutine that reads stays until its Read
// returns, since a blocked read of a pipe cannot be ended otherwise.
type interruptible struct {
	ctx    context.Context // lives as long as the reading of the stream
	blocks chan readBlock
	free   chan []byte
	now    readBlock
	at     []byte
}

type readBlock struct {
	b   []byte
	err error
}

func newInterruptible(ctx context.Context, r io.Reader) *interruptible {
	s := &interruptible{ctx: ctx, blocks: make(chan readBlock, 2), free: make(chan []byte, 2)}
	s.free <- make([]byte, stdinBytes)
	s.free <- make([]byte, stdinBytes)
	go func() {
		for {
			var buf []byte
			select {
			case buf = <-s.free:
			case <-ctx.Done():
				return
			}
			n, err := r.Read(buf[:stdinBytes])
			s.blocks <- readBlock{buf[:n], err} // has room for both buffers
			if err != nil {
				return
			}
		}
	}()
	return s
}

// Read returns what there is, and io.EOF once the context has ended.
func (s *interruptible) Read(p []byte) (int, error) {
	for len(s.at) == 0 {
		if s.now.err != nil {
			return 0, s.now.err
		}
		if s.now.b != nil {
			s.free <- s.now.b
			s.now.b = nil
		}
		select {
		case s.now = <-s.blocks:
			s.at = s.now.b
		case <-s.ctx.Done():
			select { // what is read already is not lost
			case s.now = <-s.blocks:
				s.at = s.now.b
			default:
				return 0, io.EOF
			}
		}
	}
	n := copy(p, s.at)
	s.at = s.at[n:]
	return n, nil
}
