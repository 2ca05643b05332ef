package pcapfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
)

// secretsBlock builds a Decryption Secrets Block that says it holds n bytes.
func secretsBlock(o binary.AppendByteOrder, kind, n uint32, secrets string) []byte {
	b := o.AppendUint32(nil, kind)
	return block(o, blockSecrets, append(o.AppendUint32(b, n), secrets...))
}

// TestTLSKeys holds that key logs of TLS in a pcapng file come before the packets behind them, that other secrets are passed
// over, and that a damaged block is told and costs nothing else.
func TestTLSKeys(t *testing.T) {
	const tlsKeyLog, wireGuardKeyLog = 0x544c534b, 0x57474b4c
	for _, o := range []interface {
		binary.AppendByteOrder
		binary.ByteOrder
	}{le, be} {
		b := slices.Concat(sectionBlock(o), ifaceBlock(o, 1, 0, nil), secretsBlock(o, tlsKeyLog, 6, "first\n"), enhanced(o, 0, 1, []byte("packet"), nil),
			secretsBlock(o, wireGuardKeyLog, 5, "other"), secretsBlock(o, tlsKeyLog, 99, "too long"), block(o, blockSecrets, []byte("bad")),
			secretsBlock(o, tlsKeyLog, 7, "second\n"), enhanced(o, 0, 2, []byte("packet"), nil))
		r, err := NewReader(bytes.NewReader(b), "secrets")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		r.OnTLSKeys(func(lines []byte) { got = append(got, string(lines)) })
		damaged := 0
		for packets := 0; packets < 2; {
			var rec Record
			var corrupt *CorruptError
			switch err := r.Next(&rec); {
			case errors.As(err, &corrupt):
				damaged++
			case err != nil:
				t.Fatal(err)
			default:
				if packets++; len(got) != packets {
					t.Errorf("before packet %d: %q", packets, got)
				}
			}
		}
		if !slices.Equal(got, []string{"first\n", "second\n"}) || damaged != 2 {
			t.Errorf("secrets %q, %d damaged blocks; want two of each", got, damaged)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		got = nil
		if err := TLSKeys(t.Context(), bytes.NewReader(b), "secrets", func(lines []byte) { got = append(got, string(lines)) }); err != nil || !slices.Equal(got, []string{"first\n", "second\n"}) {
			t.Errorf("of the whole file: %q, %v", got, err)
		}
	}
}

// TestTLSKeysEnds holds that looking for secrets ends with its context, tells what is no capture, and reads only the header of pcap.
func TestTLSKeysEnds(t *testing.T) {
	recs, _ := numbered(4)
	pcap := bytes.NewReader(append(pcapBytes(be, magicMicros, 1, recs...), make([]byte, 4<<20)...))
	none := func(lines []byte) { t.Errorf("secrets %q", lines) }
	if err := TLSKeys(t.Context(), pcap, "pcap", none); err != nil || pcap.Len() < 2<<20 {
		t.Errorf("%v, %d bytes were not read", err, pcap.Len())
	}
	if err := TLSKeys(t.Context(), strings.NewReader("no capture at all"), "text", none); !errors.Is(err, ErrFormat) {
		t.Errorf("of a text: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	ng, _ := numberedNg(4)
	if err := TLSKeys(ended, bytes.NewReader(ng), "ng", none); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context ended: %v", err)
	}
}
