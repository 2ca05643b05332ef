package sensor

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"wirelake/internal/packet"
	"wirelake/sensor/spool"
)

// The file that keeps what is remembered of the flows of a lane behind a segment, so
// that a flow past its cut-off stays past it when the sensor is started anew:
// docs/spool-format.md, "Flows".
const (
	flowsMagic   = "WLFLOWS\x00"
	flowsVersion = 1
	flowsHead    = 32
	flowBytes    = 16 + 16 + 2 + 2 + 1 + 1 + 8 + 8 + 1 // without names
	maxFlowNames = 8

	// maxKeptFlows bounds the file to some 10 MiB.
	maxKeptFlows = 1 << 17
)

// errFlows says that a file of flows is damaged.
var errFlows = errors.New("damaged file of flows")

// sum identifies rules: what was decided by others is decided anew.
func (c *cutRules) sum() uint64 {
	h := sha256.New()
	for _, r := range c.rules {
		_, _ = fmt.Fprintf(h, "%q %d\n", r.text, r.bytes) // never fails
	}
	return binary.LittleEndian.Uint64(h.Sum(nil))
}

// appendState appends what is remembered of flows that a rule cuts, the ones seen last first.
func (c *cutter) appendState(b []byte) []byte {
	le, begin := binary.LittleEndian, len(b)
	b = append(b, flowsMagic...)
	b = append(b, flowsVersion, 0, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint64(b, c.rules.sum())
	b = le.AppendUint64(b, uint64(c.since)) //nolint:gosec // two's complement
	n := uint32(0)
	for i, flows := range []map[packet.Key]*cutFlow{c.young, c.old} {
		for k, f := range flows {
			if f.limit < 0 || !f.decided || n == maxKeptFlows {
				continue // it is decided anew
			}
			if i == 1 && c.young[k] != nil {
				continue
			}
			b = append(append(b, k.A[:]...), k.B[:]...)
			b = le.AppendUint16(le.AppendUint16(b, k.PortA), k.PortB)
			b = append(b, k.Proto, byte(k.Kind))
			b = le.AppendUint64(le.AppendUint64(b, uint64(f.bytes)), uint64(f.limit)) //nolint:gosec // not negative
			b = append(b, byte(len(f.protocols)))
			for _, name := range f.protocols {
				b = append(append(b, byte(len(name))), name...)
			}
			n++
		}
	}
	le.PutUint32(b[begin+12:], n)
	return le.AppendUint32(b, crc32.Checksum(b[begin:], crc32.MakeTable(crc32.Castagnoli)))
}

// setState takes what appendState gave, and forgets what it had. On an error, which
// wraps errFlows, it is as before.
func (c *cutter) setState(b []byte) error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", errFlows, what) }
	le := binary.LittleEndian
	switch {
	case len(b) < flowsHead+4 || string(b[:8]) != flowsMagic:
		return bad("it does not begin as one")
	case b[8] != flowsVersion:
		return bad(fmt.Sprintf("version %d, supported is %d", b[8], flowsVersion))
	case crc32.Checksum(b[:len(b)-4], crc32.MakeTable(crc32.Castagnoli)) != le.Uint32(b[len(b)-4:]):
		return bad("its checksum does not hold")
	}
	n, same, since := le.Uint32(b[12:]), le.Uint64(b[16:]) == c.rules.sum(), int64(le.Uint64(b[24:])) //nolint:gosec // two's complement
	rest := b[flowsHead : len(b)-4]
	if n > maxKeptFlows || int(n)*flowBytes > len(rest) {
		return bad(fmt.Sprintf("%d flows in %d bytes", n, len(b)))
	}
	flows := make(map[packet.Key]*cutFlow, n)
	for range n {
		if len(rest) < flowBytes {
			return bad("it is cut")
		}
		var k packet.Key
		copy(k.A[:], rest)
		copy(k.B[:], rest[16:])
		k.PortA, k.PortB, k.Proto, k.Kind = le.Uint16(rest[32:]), le.Uint16(rest[34:]), rest[36], packet.Kind(rest[37])
		f := &cutFlow{bytes: int64(le.Uint64(rest[38:])), limit: int64(le.Uint64(rest[46:])), decided: same} //nolint:gosec // checked below
		names := int(rest[54])
		rest = rest[flowBytes:]
		if f.bytes < 0 || f.limit < 0 || names > maxFlowNames {
			return bad("a flow is no flow")
		}
		for range names {
			if len(rest) < 1 || len(rest) < 1+int(rest[0]) {
				return bad("it is cut")
			}
			f.protocols = append(f.protocols, string(rest[1:1+int(rest[0])]))
			rest = rest[1+int(rest[0]):]
		}
		flows[k] = f
	}
	if len(rest) != 0 {
		return bad(fmt.Sprintf("%d bytes behind its flows", len(rest)))
	}
	c.young, c.old, c.since = flows, map[packet.Key]*cutFlow{}, since
	return nil
}

// loadFlows gives the lane's new cutter what an earlier process knew when it had sealed
// the segment before g.
func (l *liveLane) loadFlows(g *spool.Segment) {
	path := g.FlowsBefore()
	b, err := os.ReadFile(path)
	if err == nil {
		err = l.cutter.setState(b)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.log.Warn("flows under way get their bytes before a cut again", "file", path, "error", err)
	}
}

// saveFlows keeps what is known behind g, which is sealed and still there. As long as g is, the file does not count.
func (l *liveLane) saveFlows(ctx context.Context, g *spool.Segment) {
	if l.cutter.rules == nil {
		return
	}
	if err := writeFlows(g.FlowsFile(), l.cutter.appendState(nil)); err != nil {
		l.log.WarnContext(ctx, "flows not kept for the next start", "file", g.FlowsFile(), "error", err)
	}
}

func writeFlows(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "flows-*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path) // Finish syncs the folder
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
