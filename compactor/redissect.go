package compactor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"wirelake/internal/elastic"
	"wirelake/internal/expr"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// RedissectOptions say which sessions are dissected again.
type RedissectOptions struct {
	From, To string     // days of first packets, YYYY-MM-DD, both included; "" for no bound
	Expr     *expr.Expr // nil for all sessions
	Restart  bool       // begin anew where an earlier run with the same options was interrupted

	Progress func(RedissectProgress) // told after every file; may be nil
}

// RedissectProgress says how far a Redissect is.
type RedissectProgress struct {
	Files, Of int // session files looked at, and in all; those of an interrupted run count as looked at
	RedissectResult
}

// RedissectResult counts what was done to sessions, or to the segments that they were saved in.
type RedissectResult struct {
	Rewritten int   // files replaced
	Sessions  int64 // dissected anew
	Gone      int64 // kept as they were: their chunks are not in the store any more
	Kept      int64 // kept as they were: not all of their packets could be read
}

func (r *RedissectResult) add(o RedissectResult) {
	r.Rewritten += o.Rewritten
	r.Sessions += o.Sessions
	r.Gone += o.Gone
	r.Kept += o.Kept
}

// Redissect runs the dissectors of p.Set over the packets of sessions that are stored, and replaces their documents: in
// Parquet file by file, each at once for every reader, and in Elasticsearch where that holds the day. Sessions keep
// their ids, their bounds and their places; a document is replaced only when all of its packets were read again.
//
// Where it got to is kept in the store: the same call after an interruption goes on there, with the
// same end. A compactor may run at the same time.
func Redissect(ctx context.Context, p Parts, o RedissectOptions) (RedissectResult, error) {
	schema, err := sessionfile.NewSchema(p.Set.Registry())
	if err != nil {
		return RedissectResult{}, err
	}
	files, err := sessionfile.NewReader(p.Store, schema)
	if err != nil {
		return RedissectResult{}, err
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	r := &redissector{parts: p, opts: o, files: files}
	if r.opts.Expr == nil {
		r.opts.Expr = &expr.Expr{Root: expr.All{}}
	}
	keys, err := r.list(ctx)
	if err != nil {
		return RedissectResult{}, err
	}
	j, found, err := loadJournal(ctx, p.Store, o)
	if err == nil && !found {
		err = j.save(ctx, p.Store)
	}
	if err != nil {
		return RedissectResult{}, err
	}
	var sum RedissectResult
	interrupted := found // within a file, the next one that is not done
	for i, key := range keys {
		if key > j.Done {
			res, err := r.file(ctx, key, interrupted)
			interrupted = false
			sum.add(res)
			if err != nil {
				return sum, fmt.Errorf("%q: %w", key, err)
			}
			j.Done = key
			if err := j.save(ctx, p.Store); err != nil {
				return sum, err
			}
		}
		if o.Progress != nil {
			o.Progress(RedissectProgress{Files: i + 1, Of: len(keys), RedissectResult: sum})
		}
	}
	return sum, p.Store.Delete(ctx, j.key)
}

// redissector replaces files one after the other.
type redissector struct {
	parts Parts
	opts  RedissectOptions
	files *sessionfile.Reader
}

// list returns the keys of the session files of the days, in order.
func (r *redissector) list(ctx context.Context) ([]string, error) {
	var keys []string
	after := ""
	if r.opts.From != "" {
		after = "sessions/day=" + r.opts.From
	}
	for obj, err := range r.parts.Store.List(ctx, "sessions/", after) {
		if err != nil {
			return nil, err
		}
		if r.opts.To != "" && dayOf(obj.Key) > r.opts.To {
			break
		}
		if strings.HasSuffix(obj.Key, ".parquet") {
			keys = append(keys, obj.Key)
		}
	}
	return keys, nil
}

// file replaces one file, again when it was replaced meanwhile by someone else. That may have been this program, before
// an interruption (then begun is true) or in an attempt whose answer was lost: the sessions may not match the expression
// any more, while Elasticsearch has their old documents still.
func (r *redissector) file(ctx context.Context, key string, begun bool) (RedissectResult, error) {
	for attempt := 1; ; attempt++ {
		res, err := r.attempt(ctx, key)
		if attempt < 5 && (errors.Is(err, objstore.ErrMismatch) || errors.Is(err, sessionfile.ErrChanged)) {
			begun = true
			continue
		}
		if err == nil && res.Rewritten == 0 && begun {
			err = r.index(ctx, key)
		}
		return res, err
	}
}

func (r *redissector) attempt(ctx context.Context, key string) (res RedissectResult, err error) {
	began := time.Now()
	f, err := r.files.Open(ctx, key)
	if errors.Is(err, sessionfile.ErrCorrupt) {
		r.parts.Log.ErrorContext(ctx, "session file left as it is", "error", err)
		return res, nil
	}
	if errors.Is(err, objstore.ErrNotFound) {
		return res, nil // deleted since it was listed
	}
	if err != nil {
		return res, err
	}
	targets, err := r.targets(ctx, f)
	if err != nil || len(targets) == 0 {
		return res, err
	}
	out, err := newRewrite(f, r.files.Schema())
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, out.tmp.Close()) }()
	again := newReplay(r.parts, out)
	if err := again.all(ctx, targets); err != nil {
		return res, err
	}
	wanted := 0
	for _, t := range targets {
		if !t.context {
			wanted++
		}
	}
	res = RedissectResult{Sessions: int64(len(out.written)), Gone: again.gone, Kept: int64(wanted-len(out.written)) - again.gone}
	if len(out.written) == 0 {
		return res, nil
	}
	if err := out.rest(ctx); err != nil {
		return res, err
	}
	// Searches of Elasticsearch see old documents until theirs are replaced; what an interruption leaves of them the
	// run that goes on replaces.
	if err := out.put(ctx, r.parts.Store); err != nil {
		return res, err
	}
	res.Rewritten = 1
	r.parts.Log.InfoContext(ctx, "session file replaced", "key", key, "sessions", res.Sessions, "gone", res.Gone, "kept", res.Kept, "took", time.Since(began))
	return res, r.index(ctx, key)
}

// index replaces the documents of a file in Elasticsearch, where that has the day.
func (r *redissector) index(ctx context.Context, key string) error {
	if r.parts.Elastic == nil {
		return nil
	}
	day := dayOf(key)
	days, err := elastic.LoadDays(ctx, r.parts.Store)
	if err != nil {
		return err
	}
	if _, held := days[day]; !held {
		return nil
	}
	// The index may be older than a field.
	if _, err := r.parts.Elastic.EnsureIndex(ctx, day); err != nil {
		return err
	}
	if err := indexFile(ctx, r.parts.Store, r.files, r.parts.Elastic, key, day); err != nil {
		return err
	}
	return r.parts.Elastic.Refresh(ctx, day)
}

// target is a document that is to be replaced.
type target struct {
	id, root string
	lane     string
	segment  int64 // number of documents saved of the session up to it; 0 when only one was
	files    []string
	loss     int64
	runs     []chunkRun
	context  bool // is not to be replaced itself: a segment before one that is
}

// chunkRun is where packets of a session are in one chunk.
type chunkRun struct {
	key            string
	linkType       uint32
	offset, length int64
	skip, size     uint64
	packets        int64
}

// add adds the run to a document.
func (c *chunkRun) add(d *spi.Document) {
	o, ok := d.NewObject(spi.ChunkList, spi.Root)
	if !ok {
		return // the document is full, and says so
	}
	d.Append(spi.Value{Field: spi.ChunkKey, Object: o, Str: c.key})
	for _, v := range [...]struct {
		field spi.FieldID
		n     int64
	}{
		{spi.ChunkLinkType, int64(c.linkType)},
		{spi.ChunkOffset, c.offset},
		{spi.ChunkLength, c.length},
		{spi.ChunkSkip, int64(c.skip)}, //nolint:gosec // within a frame
		{spi.ChunkSize, int64(c.size)}, //nolint:gosec // within a chunk
		{spi.ChunkPackets, c.packets},
	} {
		d.Append(spi.Value{Field: v.field, Object: o, Int: v.n})
	}
}

// placeFields say where a session is, and what of it does not come from its packets.
func placeFields() []spi.FieldID {
	return []spi.FieldID{spi.ID, spi.RootID, spi.Lane, spi.FilePath, spi.SegmentCount, spi.CaptureLoss, spi.ChunkKey, spi.ChunkLinkType,
		spi.ChunkOffset, spi.ChunkLength, spi.ChunkSkip, spi.ChunkSize, spi.ChunkPackets}
}

func newTarget(d *spi.Document, keys map[string]string) *target {
	t := &target{id: d.String(spi.ID), root: d.String(spi.RootID), lane: d.String(spi.Lane)}
	t.segment, _ = d.Int(spi.SegmentCount)
	t.loss, _ = d.Int(spi.CaptureLoss)
	for v := range d.Each(spi.FilePath) {
		t.files = append(t.files, v.Str)
	}
	for o := range d.Objects(spi.ChunkList, spi.Root) {
		n := func(f spi.FieldID) int64 { n, _ := d.IntIn(o, f); return n }
		key := d.StringIn(o, spi.ChunkKey)
		if keys[key] == "" { // thousands of sessions share a few
			keys[key] = strings.Clone(key)
		}
		t.runs = append(t.runs, chunkRun{
			key: keys[key], linkType: uint32(n(spi.ChunkLinkType)), offset: n(spi.ChunkOffset), length: n(spi.ChunkLength), //nolint:gosec // was written from 32 bits
			skip: uint64(n(spi.ChunkSkip)), size: uint64(n(spi.ChunkSize)), packets: n(spi.ChunkPackets), //nolint:gosec // a negative one is refused by what reads it
		})
	}
	return t
}

// targets returns the documents of the file to replace, and the segments before those that are no first segments.
func (r *redissector) targets(ctx context.Context, f *sessionfile.File) ([]*target, error) {
	fields := placeFields()
	for _, x := range r.opts.Expr.Fields() {
		fields = append(fields, x.ID)
	}
	slices.Sort(fields)
	fields = slices.Compact(fields)
	keys := map[string]string{}
	var out []*target
	missing := map[string]bool{} // roots of segments
	here := map[string]bool{}
	for d, err := range f.Documents(ctx, fields) {
		if err != nil {
			return nil, err
		}
		if !r.opts.Expr.Match(d) {
			continue
		}
		t := newTarget(d, keys)
		out = append(out, t)
		here[t.id] = true
		if t.root != "" && t.root != t.id {
			missing[t.root] = true
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	before, err := r.segments(ctx, f.Object.Key, missing, keys)
	for _, t := range before {
		if !here[t.id] {
			t.context = true
			out = append(out, t)
		}
	}
	return out, err
}

// segments returns all documents of the roots in the lane's files from the roots' days to the file at key.
func (r *redissector) segments(ctx context.Context, key string, roots map[string]bool, keys map[string]string) ([]*target, error) {
	first := dayOf(key)
	for root := range roots {
		if t, err := time.Parse("060102", root[:min(6, len(root))]); err == nil {
			first = min(first, t.Format(time.DateOnly))
		}
	}
	lane, _, ok := cutSequence(path.Base(key))
	if !ok {
		return nil, nil
	}
	var out []*target
	sensor := path.Base(path.Dir(key))
	for day := first; day <= dayOf(key); day = nextDay(day) {
		prefix := "sessions/day=" + day + "/" + sensor + "/" + lane + "-"
		for obj, err := range r.parts.Store.List(ctx, prefix, "") {
			if err != nil {
				return nil, err
			}
			if !strings.HasSuffix(obj.Key, ".parquet") {
				continue
			}
			f, err := r.files.Open(ctx, obj.Key)
			if errors.Is(err, objstore.ErrNotFound) {
				continue // deleted since it was listed
			}
			if err != nil {
				return nil, err
			}
			for d, err := range f.Documents(ctx, placeFields()) {
				if err != nil {
					return nil, err
				}
				if roots[d.String(spi.RootID)] {
					out = append(out, newTarget(d, keys))
				}
			}
		}
	}
	return out, nil
}

// cutSequence divides the name of a batch's file into the lane and the rest.
func cutSequence(name string) (lane, rest string, ok bool) {
	name = strings.TrimSuffix(strings.TrimSuffix(name, ".parquet"), quietSuffix)
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}

func nextDay(day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return "\xff" // ends every loop over days
	}
	return t.AddDate(0, 0, 1).Format(time.DateOnly)
}

// rewrite is a session file that takes the place of another.
type rewrite struct {
	*spooledFile
	old     *sessionfile.File
	written map[string]bool // ids of the documents replaced
}

func newRewrite(old *sessionfile.File, schema *sessionfile.Schema) (*rewrite, error) {
	f, err := newSpooledFile(schema, old.Sensor())
	if err != nil {
		return nil, err
	}
	return &rewrite{spooledFile: f, old: old, written: map[string]bool{}}, nil
}

// add writes the new document of an id.
func (w *rewrite) add(id string, d *spi.Document) error {
	w.written[id] = true
	return w.w.Write(d)
}

// rest writes the documents that were not replaced.
func (w *rewrite) rest(ctx context.Context) error {
	for d, err := range w.old.Documents(ctx, nil) {
		if err != nil {
			return err
		}
		if w.written[d.String(spi.ID)] {
			continue
		}
		if err := w.w.Write(d); err != nil {
			return err
		}
	}
	return nil
}

// put replaces the old file, unless that is another one by now.
func (w *rewrite) put(ctx context.Context, store objstore.Store) error {
	info, err := w.finish()
	if err != nil {
		return err
	}
	if info.Rows != w.old.Rows() {
		return fmt.Errorf("%d rows would replace %d: is an id there twice?", info.Rows, w.old.Rows())
	}
	_, err = store.Put(ctx, w.old.Object.Key, w.tmp, info.Bytes, objstore.IfMatch(w.old.Object.ETag))
	return err
}

const journalVersion = 1

// journal is how far a Redissect got.
type journal struct {
	Version    int    `json:"version"`
	From       string `json:"from"`
	To         string `json:"to"`
	Expression string `json:"expression"`
	Done       string `json:"done"` // key of the last file

	key string
}

// loadJournal returns what an interrupted run with the same options left, and whether there was one.
func loadJournal(ctx context.Context, store objstore.Store, o RedissectOptions) (j *journal, found bool, err error) {
	j = &journal{Version: journalVersion, From: o.From, To: o.To}
	if o.Expr != nil {
		j.Expression = o.Expr.String()
	}
	sum := sha256.Sum256([]byte(j.From + "\x00" + j.To + "\x00" + j.Expression))
	j.key = "state/redissect/" + hex.EncodeToString(sum[:8]) + ".json"
	if o.Restart {
		return j, false, nil
	}
	b, _, err := objstore.GetAll(ctx, store, j.key)
	if errors.Is(err, objstore.ErrNotFound) {
		return j, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if err := json.Unmarshal(b, j); err != nil {
		return nil, false, fmt.Errorf("%q: %w", j.key, err)
	}
	if j.Version != journalVersion {
		return nil, false, fmt.Errorf("%q: version %d of the journal, this program knows %d", j.key, j.Version, journalVersion)
	}
	return j, true, nil
}

func (j *journal) save(ctx context.Context, store objstore.Store) error {
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	_, err = objstore.PutBytes(ctx, store, j.key, b)
	return err
}

// never is a time after which nothing ends.
const never = time.Duration(math.MaxInt64)
