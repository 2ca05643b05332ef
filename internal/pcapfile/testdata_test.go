package pcapfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// pcapBytes builds a pcap file of the given magic and byte order. Fractions are in the file's unit.
func pcapBytes(o binary.AppendByteOrder, magic uint32, linkType uint32, recs ...rawRecord) []byte {
	b := o.AppendUint32(nil, magic)
	b = o.AppendUint16(b, 2)
	b = o.AppendUint16(b, 4)
	b = o.AppendUint64(b, 0)
	b = o.AppendUint32(b, 65535)
	b = o.AppendUint32(b, linkType)
	for _, r := range recs {
		b = appendRaw(b, o, magic, r)
	}
	return b
}

type rawRecord struct {
	sec, frac uint32
	wireLen   uint32 // 0: len(data)
	data      []byte
}

func appendRaw(b []byte, o binary.AppendByteOrder, magic uint32, r rawRecord) []byte {
	b = o.AppendUint32(b, r.sec)
	b = o.AppendUint32(b, r.frac)
	b = o.AppendUint32(b, uint32(len(r.data)))
	if r.wireLen == 0 {
		r.wireLen = uint32(len(r.data))
	}
	b = o.AppendUint32(b, r.wireLen)
	if magic == magicModified {
		b = append(b, make([]byte, 8)...)
	}
	return append(b, r.data...)
}

// block builds a pcapng block.
func block(o binary.AppendByteOrder, typ uint32, body []byte) []byte {
	body = pad4(bytes.Clone(body))
	b := o.AppendUint32(nil, typ)
	b = o.AppendUint32(b, uint32(len(body)+12))
	b = append(b, body...)
	return o.AppendUint32(b, uint32(len(body)+12))
}

func sectionBlock(o binary.AppendByteOrder) []byte {
	b := o.AppendUint32(nil, byteOrderMagic)
	b = o.AppendUint16(b, 1)
	b = o.AppendUint16(b, 0)
	return block(o, blockSection, o.AppendUint64(b, 1<<64-1))
}

// ifaceBlock builds an interface description; opts are code, value pairs in file form.
func ifaceBlock(o binary.AppendByteOrder, linkType uint16, snaplen uint32, opts []byte) []byte {
	b := o.AppendUint16(nil, linkType)
	b = o.AppendUint16(b, 0)
	b = o.AppendUint32(b, snaplen)
	return block(o, blockInterface, append(b, opts...))
}

func opt(o binary.AppendByteOrder, code uint16, v []byte) []byte {
	b := o.AppendUint16(nil, code)
	b = o.AppendUint16(b, uint16(len(v)))
	return pad4(append(b, v...))
}

func enhanced(o binary.AppendByteOrder, iface uint32, ts uint64, data, opts []byte) []byte {
	b := o.AppendUint32(nil, iface)
	b = o.AppendUint32(b, uint32(ts>>32))
	b = o.AppendUint32(b, uint32(ts))
	b = o.AppendUint32(b, uint32(len(data)))
	b = o.AppendUint32(b, uint32(len(data)))
	return block(o, blockEnhanced, append(pad4(append(b, data...)), opts...))
}

// readAll returns copies of all records and the errors met on the way, the final io.EOF left out.
func readAll(t testing.TB, b []byte) ([]Record, []Interface, []error) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b), "test")
	if err != nil {
		return nil, nil, []error{err}
	}
	defer func() { _ = r.Close() }()
	return drain(t, r)
}

func drain(t testing.TB, r *Reader) ([]Record, []Interface, []error) {
	t.Helper()
	var recs []Record
	var errs []error
	for rec := (Record{}); ; {
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			return recs, r.Interfaces(), errs
		}
		if err != nil {
			errs = append(errs, err)
			if len(errs) > 1000 {
				t.Fatal("a reader that does not end")
			}
			continue
		}
		c := rec
		c.Data = bytes.Clone(rec.Data)
		recs = append(recs, c)
	}
}

func gzipped(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	return compressed(t, &out, w, b)
}

func zstded(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	return compressed(t, &out, w, b)
}

func xzed(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	w, err := xz.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	return compressed(t, &out, w, b)
}

func compressed(t testing.TB, out *bytes.Buffer, w io.WriteCloser, b []byte) []byte {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
