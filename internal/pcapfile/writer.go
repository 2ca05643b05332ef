package pcapfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// ErrRecord is returned by the writers, wrapped, for a packet that the format cannot hold. Nothing was
// written then; the writer can be used on.
var ErrRecord = errors.New("packet does not fit the format")

// DefaultSnaplen is what is written for no limit: what libpcap writes.
const DefaultSnaplen = 262144

const writeBufferBytes = 256 << 10

// Writer writes a pcap file with nanoseconds, little-endian. It buffers: call Flush at the end, or when a
// reader is to see what was written. It is not safe for concurrent use.
type Writer struct {
	w *bufio.Writer
}

// NewWriter starts a file of the given link type (LINKTYPE_ number); snaplen 0 is DefaultSnaplen.
func NewWriter(w io.Writer, linkType, snaplen uint32) (*Writer, error) {
	if snaplen == 0 {
		snaplen = DefaultSnaplen
	}
	if linkType > math.MaxUint16 {
		return nil, fmt.Errorf("%w: link type %d", ErrRecord, linkType)
	}
	f := &Writer{w: bufio.NewWriterSize(w, writeBufferBytes)}
	le := binary.LittleEndian
	h := le.AppendUint32(make([]byte, 0, fileHeadBytes), magicNanos)
	h = le.AppendUint16(h, 2)
	h = le.AppendUint16(h, 4)
	h = le.AppendUint64(h, 0) // time zone and accuracy, unused
	h = le.AppendUint32(h, snaplen)
	h = le.AppendUint32(h, linkType)
	_, err := f.w.Write(h)
	return f, err
}

// Write appends a packet, captured at timeNanos since 1970 and wireLen bytes long on the wire. Times
// outside 1970 to 2106 are ErrRecord. It does not keep data.
func (w *Writer) Write(timeNanos int64, wireLen int, data []byte) error {
	sec := timeNanos / 1_000_000_000
	if timeNanos < 0 || sec > math.MaxUint32 || len(data) > MaxRecordBytes || wireLen < 0 || int64(wireLen) > math.MaxUint32 {
		return fmt.Errorf("%w: time %d ns, %d bytes of %d", ErrRecord, timeNanos, len(data), wireLen)
	}
	le := binary.LittleEndian
	h := w.w.AvailableBuffer()
	h = le.AppendUint32(h, uint32(sec))
	h = le.AppendUint32(h, uint32(timeNanos%1_000_000_000))
	h = le.AppendUint32(h, uint32(len(data)))
	h = le.AppendUint32(h, uint32(wireLen))
	if _, err := w.w.Write(h); err != nil {
		return err
	}
	_, err := w.w.Write(data)
	return err
}

// Flush writes what is buffered.
func (w *Writer) Flush() error { return w.w.Flush() }
