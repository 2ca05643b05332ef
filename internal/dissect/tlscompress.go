package dissect

import (
	"bytes"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// tlsCertificates returns the Certificate message that a CompressedCertificate holds (RFC 8879 section 4). It is false for
// algorithms that are not known, for a message longer than those that are read, and for one that does not have the length it says.
func tlsCertificates(b []byte) ([]byte, bool) {
	r := tlsReader{b: b}
	algorithm, size := r.uint16(), r.uint24()
	packed := r.take(r.uint24())
	if r.bad || size == 0 || size > maxTLSHandshake {
		return nil, false
	}
	var in io.Reader
	switch src := bytes.NewReader(packed); algorithm {
	case 1:
		z, err := zlib.NewReader(src)
		if err != nil {
			return nil, false
		}
		in = z
	case 2:
		in = brotli.NewReader(src) // its buffer has the size of the window, 16 MiB at most, or of the data if that is less
	case 3:
		z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20)) // RFC 8878 section 3.1.1.1.2
		if err != nil {
			return nil, false
		}
		defer z.Close()
		in = z
	default:
		return nil, false
	}
	out := make([]byte, size+1)
	n, err := io.ReadFull(in, out)
	return out[:size], n == size && err == io.ErrUnexpectedEOF //nolint:errorlint // as io.ReadFull gives it
}
