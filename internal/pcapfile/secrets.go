package pcapfile

import (
	"context"
	"errors"
	"io"
)

// TLSKeys has f called with each TLS key log of the pcapng file that r streams, wherever in the file it stands: as
// [Reader.OnTLSKeys] does, but for packets in front of it as well. It reads all of the file, of other formats no more than the
// header. Damage is passed over: whoever reads the packets is told of it.
func TLSKeys(ctx context.Context, r io.Reader, name string, f func(lines []byte)) (err error) {
	in, err := NewReader(r, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if !in.ng {
		return nil
	}
	in.OnTLSKeys(f)
	var rec Record
	var truncated *TruncatedError
	var corrupt *CorruptError
	for n := 0; ; n++ {
		if n&0xfff == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch err := in.Next(&rec); {
		case err == nil, errors.As(err, &truncated), errors.As(err, &corrupt):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}
