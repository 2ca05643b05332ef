package sensor

import (
	"context"
	"fmt"

	"wirelake/internal/chunk"
	"wirelake/internal/packet"
	"wirelake/internal/pcapfile"
)

// lane is the stream of chunks of one interface of a file or a series.
type lane struct {
	meta     chunk.Meta // of the next chunk
	decoder  *packet.Decoder
	builder  *chunk.Builder // the open chunk; nil when there is none
	mem      int64          // its memory
	file     *FileResult    // where its packets come from
	stored   chan struct{}  // closed when the chunk before is stored
	existing map[string]bool
	last     string   // of existing, until a chunk behind it was handed over
	keys     laneKeys // of the open chunk
}

// newLane begins a lane. What the store already has of it is listed once, so that
// a first import asks nothing more of the store.
func (r *importRun) newLane(ctx context.Context, name string, iface pcapfile.Interface) (*lane, error) {
	l := &lane{
		meta:    chunk.Meta{Sensor: r.im.cfg.Sensor, Lane: name, LinkType: iface.LinkType, Snaplen: iface.Snaplen, Generator: r.im.opts.Generator},
		decoder: packet.NewDecoder(iface.LinkType, packet.Options{}),
		stored:  make(chan struct{}), existing: map[string]bool{},
		keys: laneKeys{log: r.im.opts.Keys},
	}
	close(l.stored) // nothing comes before the first chunk
	for obj, err := range r.im.store.List(ctx, chunk.LanePrefix(l.meta.Sensor, name), "") {
		if err != nil {
			err = fmt.Errorf("list the chunks of lane %s: %w", name, err)
			r.up.fail(err)
			return nil, err
		}
		l.existing[obj.Key] = true
		l.last = obj.Key
	}
	return l, nil
}

// begin opens a chunk.
func (r *importRun) begin(l *lane) error {
	var err error
	l.builder, err = r.up.builders.get()
	return err
}

// seal hands the open chunk of a lane over to be stored.
func (r *importRun) seal(ctx context.Context, l *lane, final bool) error {
	m := l.meta
	m.KeyNanos = max(m.KeyNanos, l.builder.EarliestNanos())
	m.Final = final
	job := &sealJob{builder: l.builder, meta: m, mem: l.mem, file: l.file, before: l.stored, stored: make(chan struct{}), exists: l.existing[chunk.Key(m)], keys: l.keys.take(m)}
	if !job.exists {
		job.behind, l.last = l.last, ""
	}
	l.meta.KeyNanos, l.stored = m.KeyNanos, job.stored
	l.meta.Sequence++
	r.open -= l.mem
	l.builder, l.mem = nil, 0
	return r.up.store(ctx, job)
}
