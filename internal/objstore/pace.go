package objstore

import (
	"context"
	"io"
)

// Pace makes Put ask wait before each piece of the content that it sends, also of what
// it repeats, and not of what the store has already. wait may block; its error ends the Put.
func Pace(wait func(ctx context.Context, n int) error) PutOption {
	return func(o *putOptions) { o.pace = wait }
}

// pacePiece is small, so that of many uploads which share little bandwidth none is
// silent for so long that it counts as stalled.
const pacePiece = 8 << 10

// paced returns r as it may be read.
func (o *putOptions) paced(ctx context.Context, r io.Reader) io.Reader {
	if o.pace == nil {
		return r
	}
	return &pacedReader{ctx: ctx, r: r, wait: o.pace}
}

// pacedBody returns the body of a request as it may be sent.
func (o *putOptions) pacedBody(ctx context.Context, body io.ReadSeeker) io.ReadSeeker {
	if o.pace == nil {
		return body
	}
	return struct {
		io.Reader
		io.Seeker
	}{o.paced(ctx, body), body}
}

type pacedReader struct {
	ctx  context.Context //nolint:containedctx // as long as one request
	r    io.Reader
	wait func(ctx context.Context, n int) error
}

func (p *pacedReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b[:min(len(b), pacePiece)])
	if n > 0 {
		if waited := p.wait(p.ctx, n); waited != nil {
			return n, waited
		}
	}
	return n, err
}
