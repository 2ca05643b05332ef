package sensor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/chunk"
	"wirelake/internal/keylog"
	"wirelake/internal/objstore"
	"wirelake/internal/packet"
	"wirelake/internal/pcapfile"
)

// Importer reads capture files into chunks. An Importer may be used again, but
// not by several goroutines at once.
type Importer struct {
	cfg     ImportConfig
	store   objstore.Store
	opts    ImportOptions
	log     *slog.Logger
	metrics *importMetrics
	pool    *chunk.Pool
}

// ImportOptions are what an Importer is handed in besides its configuration. All may be left out.
type ImportOptions struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Generator  string    // program and version, kept in each chunk
	Stdin      io.Reader // what the path "-" reads

	// Keys is stored beside the chunks, of each the secrets of the TLS connections that begin in it. Nil stores none.
	Keys *keylog.Log

	// Progress is told every few hundred milliseconds, and at the end of a file.
	Progress func(ImportProgress)
}

// ImportProgress says how far an import has read.
type ImportProgress struct {
	Path       string // file being read
	File       int    // its number, from 1
	Files      int
	ReadBytes  int64 // of all files, as they are on disk
	TotalBytes int64 // of all files; -1 when one of them is a pipe
}

// NewImporter returns an importer into store.
func NewImporter(store objstore.Store, cfg ImportConfig, opts ImportOptions) (*Importer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	metrics, err := newImportMetrics(opts.Registerer)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	im := &Importer{cfg: cfg, store: store, opts: opts, log: opts.Logger, metrics: metrics, pool: &chunk.Pool{}}
	if im.log == nil {
		im.log = slog.New(slog.DiscardHandler)
	}
	return im, nil
}

// Import imports files, folders with all that is in them, and "-", each file as
// lanes of its own. It goes on after a file that cannot be read, and stops when
// the store fails or ctx ends. What came in from "-" by then is still stored.
//
// The result tells of every file that was begun, also with an error. The error is
// that of the store, or says how many files have damage in the middle or could not be read; a file
// that is merely cut short is no error.
func (im *Importer) Import(ctx context.Context, paths []string) (ImportResult, error) {
	return im.run(ctx, paths, false)
}

// ImportSeries imports files that are one capture, rotated: in the order of
// their first packets they are one stream, so that sessions go on from one file into the next.
func (im *Importer) ImportSeries(ctx context.Context, paths []string) (ImportResult, error) {
	return im.run(ctx, paths, true)
}

func (im *Importer) run(ctx context.Context, paths []string, series bool) (res ImportResult, err error) {
	start := time.Now()
	inputs, err := findInputs(paths)
	if err == nil && series {
		inputs, err = inTimeOrder(ctx, inputs)
	}
	if err != nil {
		return ImportResult{}, fmt.Errorf("import: %w", err)
	}
	upCtx := ctx
	if slices.ContainsFunc(inputs, func(in input) bool { return in.path == Stdin }) {
		upCtx = context.WithoutCancel(ctx) // what came from a pipe is stored in any case
	}
	up := newUploader(upCtx, im)
	r := importRun{im: im, up: up, memory: im.cfg.openBytes(), progress: ImportProgress{Files: len(inputs)}}
	for _, in := range inputs {
		if r.progress.TotalBytes += in.size; in.size < 0 {
			r.progress.TotalBytes = -1
			break
		}
	}
	for i, in := range inputs {
		r.progress.Path, r.progress.File = in.path, i+1
		file := &FileResult{Path: in.path}
		r.results = append(r.results, file)
		r.importFile(ctx, in, file, !series || i == len(inputs)-1)
		if ctx.Err() != nil || up.ctx.Err() != nil || series && file.Err != nil { // what follows a gap is another series
			break
		}
	}
	err = up.wait()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	for _, f := range r.results {
		res.Files = append(res.Files, *f)
	}
	res.Took = time.Since(start)
	if err != nil {
		return res, fmt.Errorf("import: %w", err)
	}
	return res, res.err()
}

// importOne imports one input. What goes wrong with the input is in the result; the
// error is that of the store, or of ctx, or errOtherPackets.
func (im *Importer) importOne(ctx context.Context, in input) (FileResult, error) {
	up := newUploader(ctx, im)
	r := importRun{im: im, up: up, memory: im.cfg.openBytes(), progress: ImportProgress{Path: in.path, File: 1, Files: 1, TotalBytes: in.size}}
	file := &FileResult{Path: in.path}
	r.importFile(ctx, in, file, true)
	err := up.wait()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return *file, err
}

// importRun reads the inputs of one call.
type importRun struct {
	im      *Importer
	up      *uploader
	results []*FileResult

	progress ImportProgress // up to the file at hand

	identity string  // of the lanes
	lanes    []*lane // in the order in which their first packets came
	numbers  map[laneKey]*lane
	memory   int64 // budget for packets in open chunks
	open     int64 // what of it is in use
}

// laneKey tells the lanes of a file, or of a series, apart.
type laneKey struct {
	iface    int
	linkType uint32
}

// importFile reads one file; last says that its lanes end with it. What goes
// wrong with the file is in the result, what goes wrong with the store in the uploader.
func (r *importRun) importFile(ctx context.Context, in input, file *FileResult, last bool) {
	stdin := r.im.opts.Stdin
	if in.path == Stdin && stdin != nil {
		reading, end := context.WithCancel(ctx)
		defer end()
		stdin = newInterruptible(reading, stdin)
		ctx = r.up.ctx
	} else {
		var cancel context.CancelCauseFunc
		ctx, cancel = context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(r.up.ctx, func() { cancel(context.Cause(r.up.ctx)) })()
	}
	src, err := in.open(ctx, stdin)
	switch {
	case err == nil:
		if r.numbers == nil {
			r.identity, r.numbers = src.identity, map[laneKey]*lane{}
		}
		if r.im.opts.Keys != nil {
			if err := in.tlsKeys(ctx, r.im.opts.Keys.Add); err != nil {
				r.im.log.WarnContext(ctx, "file not looked through for secrets", "file", in.path, "error", err)
			}
			src.reader.OnTLSKeys(r.im.opts.Keys.Add)
		}
		r.readFile(ctx, src, file)
		if err := src.Close(); err != nil {
			file.fail(err)
		}
	case in.walked && errors.Is(err, pcapfile.ErrFormat):
		file.NotCapture = true
	default:
		file.fail(err)
	}
	// Lanes end when all of the file could be read, and also when it is damaged. After an
	// error of reading (a disk, a pipe, the context) there may be more to come.
	if file.Err != nil && len(r.lanes) > 0 {
		r.abandon()
	} else if last {
		r.finish(ctx)
	} else {
		r.cut(ctx)
	}
	r.im.metrics.file(file)
	if file.Err == nil {
		r.im.log.InfoContext(ctx, "capture file read", "file", in.path, "packets", file.Packets, "bytes", file.Bytes)
	}
}

const progressEvery = 200 * time.Millisecond

// readFile reads the records of a file into the lanes.
func (r *importRun) readFile(ctx context.Context, src *openInput, file *FileResult) {
	var rec pcapfile.Record
	var p packet.Packet
	progress := func() {
		if r.im.opts.Progress != nil {
			p := r.progress
			p.ReadBytes += src.counter.n
			r.im.opts.Progress(p)
		}
	}
	defer func() {
		progress()
		r.progress.ReadBytes += src.counter.n
	}()
	shown := time.Now()
	var l *lane // of the record before
	iface := -1
	for n := 0; ; n++ {
		if n&0xfff == 0 {
			if ctx.Err() != nil {
				file.fail(context.Cause(ctx))
				return
			}
			if now := time.Now(); now.Sub(shown) > progressEvery {
				shown = now
				progress()
			}
		}
		err := src.reader.Next(&rec)
		if err != nil {
			if file.damage(err) {
				continue
			}
			return
		}
		if rec.Interface != iface {
			if l, err = r.lane(ctx, src, rec.Interface); err != nil {
				file.fail(err)
				return
			}
			iface = rec.Interface
		}
		err = r.add(ctx, l, &rec, &p, file)
		switch {
		case errors.Is(err, chunk.ErrPacket):
			file.skip(rec.Offset, err)
		case err != nil:
			file.fail(err)
			return
		default:
			file.Packets++
			file.Bytes += uint64(rec.WireLen) //nolint:gosec // not negative
		}
	}
}

// lane returns the lane of an interface of the file at hand.
func (r *importRun) lane(ctx context.Context, src *openInput, number int) (*lane, error) {
	iface := src.reader.Interfaces()[number]
	k := laneKey{number, iface.LinkType}
	l, ok := r.numbers[k]
	if !ok {
		name := fmt.Sprintf("import-%s-%d", r.identity, number)
		for _, other := range r.lanes {
			if other.meta.Lane == name { // in a later file of a series the interface has another link type
				name = fmt.Sprintf("%s-%d", name, iface.LinkType)
				break
			}
		}
		var err error
		if l, err = r.newLane(ctx, name, iface); err != nil {
			return nil, err
		}
		r.numbers[k] = l
		r.lanes = append(r.lanes, l)
	}
	l.keys.piped = l.keys.piped || src.piped()
	l.meta.File, l.meta.Interface = src.path, clip(iface.Name, chunk.MaxNameBytes)
	return l, nil
}

func clip(s string, n int) string { return s[:min(len(s), n)] }

// add puts one record into the open chunk of its lane, ending chunks as the rules say.
func (r *importRun) add(ctx context.Context, l *lane, rec *pcapfile.Record, p *packet.Packet, file *FileResult) error {
	l.decoder.Decode(rec.Data, rec.TimeNanos, rec.WireLen, p)
	if l.builder == nil {
		if err := r.begin(l); err != nil {
			return err
		}
	}
	if l.builder.Len() > 0 && rec.TimeNanos-l.builder.FirstNanos() >= int64(r.im.cfg.ChunkSpan) {
		if err := r.seal(ctx, l, false); err != nil {
			return err
		}
		if err := r.begin(l); err != nil {
			return err
		}
	}
	err := l.builder.Add(p, rec.Data)
	if errors.Is(err, chunk.ErrFull) {
		if err := r.seal(ctx, l, false); err != nil {
			return err
		}
		if err := r.begin(l); err != nil {
			return err
		}
		err = l.builder.Add(p, rec.Data)
	}
	if err != nil {
		return err
	}
	l.file = file
	l.keys.note(p)
	if rec.Comment != "" {
		l.builder.Comment(strings.ToValidUTF8(rec.Comment, "\uFFFD"))
		file.Comments++
	}
	mem := int64(l.builder.MemBytes())
	r.open += mem - l.mem
	l.mem = mem
	if r.open > r.memory {
		return r.seal(ctx, r.largest(), false)
	}
	return nil
}

// largest returns the lane with the most in memory, of equal ones the first. It
// depends on the input alone, so that the same input gives the same chunks.
func (r *importRun) largest() *lane {
	most := r.lanes[0]
	for _, l := range r.lanes {
		if l.mem > most.mem {
			most = l
		}
	}
	return most
}

// cut ends the open chunks, so that the packets of the next file of a series are in chunks of their own.
func (r *importRun) cut(ctx context.Context) {
	for _, l := range r.lanes {
		if l.builder != nil && l.builder.Len() > 0 {
			if err := r.seal(ctx, l, false); err != nil {
				return // the context has ended
			}
		}
	}
}

// finish ends all lanes: their open chunk is the last. A lane whose last packets
// are in a chunk that was sealed early gets an empty one.
func (r *importRun) finish(ctx context.Context) {
	for _, l := range r.lanes {
		if l.builder == nil {
			if err := r.begin(l); err != nil {
				r.up.fail(err)
				return
			}
		}
		if l.meta.Sequence == 0 && l.builder.Len() == 0 { // no packet of it could be recorded
			r.up.builders.put(l.builder)
			continue
		}
		if err := r.seal(ctx, l, true); err != nil {
			return // the context has ended
		}
	}
	for _, l := range r.lanes {
		if err := r.up.putLateKeys(l); err != nil {
			r.up.fail(err)
			return
		}
	}
	r.lanes, r.numbers, r.open = nil, nil, 0
}

// abandon forgets the open chunks: only whole ones are stored.
func (r *importRun) abandon() {
	for _, l := range r.lanes {
		if l.builder != nil {
			r.up.builders.put(l.builder)
		}
	}
	r.lanes, r.numbers, r.open = nil, nil, 0
}
