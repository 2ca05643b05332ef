package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/chunk"
	"wirelake/internal/config"
	"wirelake/internal/objstore"
	"wirelake/internal/pcapfile"
	"wirelake/internal/spi"
)

// PacketsConfig bounds what an export takes. Start from DefaultPacketsConfig.
type PacketsConfig struct {
	JoinGap     config.Size `koanf:"join_gap" help:"ranges of a chunk no further apart than this are fetched with one request"`
	Fetches     int         `koanf:"fetches" help:"requests of one export at once"`
	BatchBytes  config.Size `koanf:"batch_bytes" help:"what is fetched ahead of the packets being written, for each of up to three batches"`
	PieceBytes  config.Size `koanf:"piece_bytes" help:"a longer range is fetched piece by piece"`
	MemoryBytes config.Size `koanf:"memory_bytes" help:"packets held so that they come out in order of time; past it they may not"`
}

// DefaultPacketsConfig returns the documented defaults. A round trip to S3 takes some 15 ms, in which 8 MB/s, the
// rate of one connection, bring 128 KiB.
func DefaultPacketsConfig() PacketsConfig {
	return PacketsConfig{
		JoinGap: 128 * config.KiB, Fetches: 8, BatchBytes: 32 * config.MiB,
		PieceBytes: 64 * config.MiB, MemoryBytes: 256 * config.MiB,
	}
}

// minPieceBytes is the least piece of a range: above the largest frame.
const minPieceBytes = config.MiB

// Validate reports every bad setting.
func (c PacketsConfig) Validate() error {
	var errs []error
	if c.JoinGap < 0 {
		errs = append(errs, fmt.Errorf("join_gap: %v is negative", c.JoinGap))
	}
	if c.Fetches < 1 {
		errs = append(errs, fmt.Errorf("fetches: %d is under 1", c.Fetches))
	}
	if c.BatchBytes < minPieceBytes {
		errs = append(errs, fmt.Errorf("batch_bytes: %v is under %v", c.BatchBytes, minPieceBytes))
	}
	if c.PieceBytes < minPieceBytes {
		errs = append(errs, fmt.Errorf("piece_bytes: %v is under %v", c.PieceBytes, minPieceBytes))
	}
	if c.MemoryBytes < minPieceBytes {
		errs = append(errs, fmt.Errorf("memory_bytes: %v is under %v", c.MemoryBytes, minPieceBytes))
	}
	return errors.Join(errs...)
}

// Fetcher fetches packets by byte range. It implements [Packets].
type Fetcher struct {
	store   objstore.Store
	cfg     PacketsConfig
	dec     *chunk.Decoder
	log     *slog.Logger
	metrics packetMetrics
}

var _ Packets = (*Fetcher)(nil)

type packetMetrics struct {
	ranges, bytes, packets prometheus.Counter
	gone, damaged          prometheus.Counter
}

// NewFetcher returns the fetcher of a store. Reg and log may be nil.
func NewFetcher(store objstore.Store, cfg PacketsConfig, reg prometheus.Registerer, log *slog.Logger) (*Fetcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dec, err := chunk.NewDecoder(cfg.Fetches)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &Fetcher{store: store, cfg: cfg, dec: dec, log: log}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "wirelake_query_" + name, Help: help})
	}
	f.metrics = packetMetrics{
		ranges:  counter("packet_ranges_total", "Range requests for packets."),
		bytes:   counter("packet_range_bytes_total", "Bytes of chunks fetched for packets."),
		packets: counter("packets_exported_total", "Packets written to captures or shown."),
		gone:    counter("packet_sessions_gone_total", "Sessions asked for whose chunks were not in the store any more."),
		damaged: counter("packet_sessions_damaged_total", "Sessions asked for that lost packets to damage of a chunk."),
	}
	if reg != nil {
		for _, c := range []prometheus.Collector{f.metrics.ranges, f.metrics.bytes, f.metrics.packets, f.metrics.gone, f.metrics.damaged} {
			if err := reg.Register(c); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// run is the packets of one session in one chunk.
type run struct {
	session  int // number of the session in the export
	key      string
	linkType uint32
	offset   int64  // of the frames in the object
	length   int64  // of the frames, compressed
	skip     uint64 // raw bytes before the records
	size     uint64 // raw bytes of the records
	earliest int64  // no packet is earlier, ns since 1970
}

// runsOf returns where the packets of a session are.
func runsOf(d *spi.Document, session int) ([]run, error) {
	id := d.String(spi.ID)
	first, _ := d.Int(spi.FirstPacket)
	var runs []run
	for o := range d.Objects(spi.ChunkList, spi.Root) {
		r := run{session: session, key: d.StringIn(o, spi.ChunkKey), earliest: first * 1e6}
		var bad error
		number := func(f spi.FieldID) int64 {
			n, ok := d.IntIn(o, f)
			if !ok || n < 0 {
				bad = fmt.Errorf("session %s: %s of chunk %q is %d", id, d.Registry().Field(f).Path, r.key, n)
			}
			return n
		}
		r.linkType = uint32(number(spi.ChunkLinkType)) //nolint:gosec // G115: written from 32 bits
		r.offset, r.length = number(spi.ChunkOffset), number(spi.ChunkLength)
		r.skip, r.size = uint64(number(spi.ChunkSkip)), uint64(number(spi.ChunkSize)) //nolint:gosec // G115: not negative
		if bad != nil {
			return nil, bad
		}
		meta, err := chunk.ParseKey(r.key)
		if err != nil {
			return nil, fmt.Errorf("session %s: %w", id, err)
		}
		r.earliest = max(r.earliest, meta.KeyNanos)
		runs = append(runs, r)
	}
	slices.SortStableFunc(runs, func(a, b run) int { return cmp.Compare(a.earliest, b.earliest) })
	return runs, nil
}

// maxRuns is how many runs are put in order of time at once: some 100 MiB. An export of more is in order within
// each part of so many.
const maxRuns = 1 << 20

// Export implements [Packets].
func (f *Fetcher) Export(ctx context.Context, w io.Writer, format Format, sessions iter.Seq2[*spi.Document, error]) (ExportStats, error) {
	e := &export{fetcher: f, w: w, format: format, gone: map[int]bool{}, damaged: map[int]bool{}}
	err := e.all(ctx, sessions)
	e.stats.Gone, e.stats.Damaged = int64(len(e.gone)), int64(len(e.damaged))
	f.metrics.gone.Add(float64(len(e.gone)))
	f.metrics.damaged.Add(float64(len(e.damaged)))
	return e.stats, err
}

// export is one export while it runs.
type export struct {
	fetcher *Fetcher
	w       io.Writer
	format  Format
	stats   ExportStats
	pcap    *pcapfile.Writer
	ng      *pcapfile.NgWriter
	link    uint32         // of a pcap
	ifaces  map[uint32]int // of a pcapng, by link type
	gone    map[int]bool   // sessions without a chunk
	damaged map[int]bool   // sessions that lost packets to damage
}

func (e *export) all(ctx context.Context, sessions iter.Seq2[*spi.Document, error]) error {
	var runs []run
	number := 0
	for d, err := range sessions {
		if err != nil {
			return err
		}
		more, err := runsOf(d, number)
		if err != nil {
			return err
		}
		number++
		if len(more) > 0 && !e.accept(more[0].linkType) {
			e.stats.OtherLinkType++
			continue
		}
		e.stats.Sessions++
		if len(more) == 0 {
			e.gone[number-1] = true
		}
		if runs = append(runs, more...); len(runs) >= maxRuns {
			if err := e.part(ctx, runs); err != nil {
				return err
			}
			runs = runs[:0]
		}
	}
	if err := e.part(ctx, runs); err != nil {
		return err
	}
	if err := e.open(1); err != nil { // nothing was written: an empty capture of Ethernet
		return err
	}
	return e.flush()
}

// accept begins the capture with the first link type, and reports whether the capture can hold another.
func (e *export) accept(linkType uint32) bool {
	if e.format == PCAPNG {
		return true
	}
	if e.ifaces == nil {
		e.ifaces, e.link = map[uint32]int{}, linkType
	}
	return e.link == linkType
}

// open writes the header of the capture, once.
func (e *export) open(linkType uint32) (err error) {
	switch {
	case e.pcap != nil || e.ng != nil:
	case e.format == PCAPNG:
		e.ifaces = map[uint32]int{}
		e.ng, err = pcapfile.NewNgWriter(e.w, "wirelake")
	default:
		e.pcap, err = pcapfile.NewWriter(e.w, linkType, 0)
	}
	return err
}

func (e *export) write(p *Packet) error {
	if err := e.open(p.LinkType); err != nil {
		return err
	}
	e.stats.Packets++
	e.stats.Bytes += int64(len(p.Data))
	if e.pcap != nil {
		return e.pcap.Write(p.TimeNanos, p.WireLen, p.Data)
	}
	i, ok := e.ifaces[p.LinkType]
	if !ok {
		var err error
		if i, err = e.ng.AddInterface(pcapfile.Interface{LinkType: p.LinkType}); err != nil {
			return err
		}
		e.ifaces[p.LinkType] = i
	}
	return e.ng.Write(&pcapfile.Record{TimeNanos: p.TimeNanos, WireLen: p.WireLen, Interface: i, Data: p.Data})
}

// flush sends what is written on its way.
func (e *export) flush() (err error) {
	switch {
	case e.pcap != nil:
		err = e.pcap.Flush()
	case e.ng != nil:
		err = e.ng.Flush()
	}
	if err != nil {
		return err
	}
	switch w := e.w.(type) {
	case interface{ Flush() error }:
		return w.Flush()
	case interface{ Flush() }:
		w.Flush()
	}
	return nil
}

// part writes the packets of the runs in order of time.
func (e *export) part(ctx context.Context, runs []run) error {
	if len(runs) == 0 {
		return nil
	}
	slices.SortStableFunc(runs, func(a, b run) int { return cmp.Compare(a.earliest, b.earliest) })
	m := e.fetcher.merge(ctx, runs, &e.stats)
	defer m.close()
	m.onLost = func(session int, err error) error {
		lost := e.gone
		if errors.Is(err, chunk.ErrCorrupt) {
			lost = e.damaged
			e.stats.Damage = cmp.Or(e.stats.Damage, err)
		}
		if !lost[session] {
			e.fetcher.log.WarnContext(ctx, "packets of a session are lost", "error", err)
		}
		lost[session] = true
		return nil
	}
	m.onWait = e.flush
	before := e.stats.Packets
	for {
		p, err := m.next()
		if errors.Is(err, io.EOF) {
			e.fetcher.metrics.packets.Add(float64(e.stats.Packets - before))
			return nil
		}
		if err != nil {
			return err
		}
		if err := e.write(p); err != nil {
			return err
		}
	}
}

// viewPieceBytes is how much of a long range is fetched at once for packets that are looked at.
const viewPieceBytes = 4 * config.MiB

// Session implements [Packets].
func (f *Fetcher) Session(ctx context.Context, doc *spi.Document) iter.Seq2[Packet, error] {
	return func(yield func(Packet, error) bool) {
		runs, err := runsOf(doc, 0)
		if err == nil && len(runs) == 0 {
			err = fmt.Errorf("session %s: %w: it names no chunk", doc.String(spi.ID), ErrGone)
		}
		if err != nil {
			yield(Packet{}, err)
			return
		}
		var stats ExportStats
		// Who looks at a session seldom looks at all of it.
		viewer := *f
		viewer.cfg.PieceBytes = min(f.cfg.PieceBytes, viewPieceBytes)
		m := viewer.merge(ctx, runs, &stats)
		defer m.close()
		m.onLost = func(_ int, err error) error {
			if errors.Is(err, chunk.ErrCorrupt) {
				f.metrics.damaged.Inc()
				return fmt.Errorf("session %s: %w", doc.String(spi.ID), err)
			}
			f.metrics.gone.Inc()
			return fmt.Errorf("session %s: %w: %w", doc.String(spi.ID), ErrGone, err)
		}
		for {
			p, err := m.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Packet{}, err)
				return
			}
			f.metrics.packets.Inc()
			if !yield(*p, nil) {
				return
			}
		}
	}
}
