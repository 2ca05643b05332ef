package pcapfile

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// maxOptionBytes is the most that an option's 16-bit length holds.
const maxOptionBytes = math.MaxUint16

// NgWriter writes a pcapng file of one section, little-endian, with nanosecond timestamps. Interfaces may
// be added at any time before their first packet. It buffers as Writer does.
type NgWriter struct {
	w          *bufio.Writer
	b          []byte
	interfaces int
}

// NewNgWriter starts a file. The application is named in its header; it may be empty.
func NewNgWriter(w io.Writer, application string) (*NgWriter, error) {
	f := &NgWriter{w: bufio.NewWriterSize(w, writeBufferBytes)}
	le := binary.LittleEndian
	const userApplication = 4
	b := f.begin(blockSection)
	b = le.AppendUint32(b, byteOrderMagic)
	b = le.AppendUint16(b, 1) // version 1.0
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, math.MaxUint64) // section length: not given
	if application != "" {
		b = endOptions(appendOption(b, userApplication, application))
	}
	return f, f.finish(b)
}

// AddInterface adds an interface and returns its index for Write. Of i it takes link type, snaplen (0: no
// limit), name and description.
func (w *NgWriter) AddInterface(i Interface) (int, error) {
	if i.LinkType > math.MaxUint16 {
		return 0, fmt.Errorf("%w: link type %d", ErrRecord, i.LinkType)
	}
	const name, description, resolution = 2, 3, 9
	le := binary.LittleEndian
	b := w.begin(blockInterface)
	b = le.AppendUint16(b, uint16(i.LinkType))
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, i.Snaplen)
	if i.Name != "" {
		b = appendOption(b, name, i.Name)
	}
	if i.Description != "" {
		b = appendOption(b, description, i.Description)
	}
	b = endOptions(appendOption(b, resolution, "\x09"))
	if err := w.finish(b); err != nil {
		return 0, err
	}
	w.interfaces++
	return w.interfaces - 1, nil
}

// Write appends a packet: rec's time, wire length, interface, bytes and comment. It does not keep the bytes.
func (w *NgWriter) Write(rec *Record) error {
	if rec.TimeNanos < 0 || len(rec.Data) > MaxRecordBytes || rec.WireLen < 0 || int64(rec.WireLen) > math.MaxUint32 {
		return fmt.Errorf("%w: time %d ns, %d bytes of %d", ErrRecord, rec.TimeNanos, len(rec.Data), rec.WireLen)
	}
	if rec.Interface < 0 || rec.Interface >= w.interfaces {
		return fmt.Errorf("%w: interface %d of %d", ErrRecord, rec.Interface, w.interfaces)
	}
	const comment = 1
	le := binary.LittleEndian
	b := w.begin(blockEnhanced)
	b = le.AppendUint32(b, uint32(rec.Interface))
	b = le.AppendUint32(b, uint32(uint64(rec.TimeNanos)>>32))
	b = le.AppendUint32(b, uint32(rec.TimeNanos))
	b = le.AppendUint32(b, uint32(len(rec.Data)))
	b = le.AppendUint32(b, uint32(rec.WireLen))
	b = pad4(append(b, rec.Data...))
	if rec.Comment != "" {
		b = endOptions(appendOption(b, comment, rec.Comment))
	}
	return w.finish(b)
}

// Flush writes what is buffered.
func (w *NgWriter) Flush() error { return w.w.Flush() }

// begin starts a block: its type, and room for its length.
func (w *NgWriter) begin(typ uint32) []byte {
	le := binary.LittleEndian
	return le.AppendUint32(le.AppendUint32(w.b[:0], typ), 0)
}

// finish sets the length at both ends and writes the block.
func (w *NgWriter) finish(b []byte) error {
	le := binary.LittleEndian
	total := uint32(len(b) + 4)
	le.PutUint32(b[4:], total)
	w.b = le.AppendUint32(b, total)
	_, err := w.w.Write(w.b)
	return err
}

// appendOption appends an option, its text cut to what fits.
func appendOption(b []byte, code uint16, v string) []byte {
	if len(v) > maxOptionBytes {
		v = v[:maxOptionBytes]
	}
	le := binary.LittleEndian
	b = le.AppendUint16(le.AppendUint16(b, code), uint16(len(v)))
	return pad4(append(b, v...))
}

func endOptions(b []byte) []byte { return append(b, 0, 0, 0, 0) }

func pad4(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
