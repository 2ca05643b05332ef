package sensor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
)

// wholeBytes is the raw size up to which a chunk is sealed to memory and stored
// with its size known; a larger one is streamed, its first bytes on their way before the last are compressed.
const wholeBytes = 4 << 20

// sealWorkers is the most frames of a chunk compressed at once: four cores seal more
// than any store takes, and each worker has buffers of a megabyte.
const sealWorkers = 4

// errOtherPackets says that a file is not the one that was imported before under its name.
var errOtherPackets = errors.New("is stored already with other packets")

// uploader seals and stores chunks, several at once, those of a lane one after the other.
type uploader struct {
	im     *Importer
	ctx    context.Context // lives as long as one run
	cancel context.CancelCauseFunc
	memory *semaphore.Weighted // bytes of chunks handed over and not stored
	limit  int64
	jobs   chan *sealJob
	wg     sync.WaitGroup

	builders builders

	mu    sync.Mutex
	first error
}

// sealJob is a chunk to store.
type sealJob struct {
	builder *chunk.Builder
	meta    chunk.Meta
	mem     int64
	file    *FileResult
	before  <-chan struct{} // closed when the chunk before it in its lane is stored
	stored  chan struct{}
	keys    []byte // its key log, nil for none
	exists  bool   // the store had this key when the lane was begun
	behind  string // the last chunk that it had, when this is the first new one; "" for none
}

func newUploader(ctx context.Context, im *Importer) *uploader {
	u := &uploader{im: im, limit: int64(im.cfg.MemoryBytes) - im.cfg.openBytes(), jobs: make(chan *sealJob)}
	cfg := chunk.DefaultConfig()
	cfg.MaxBytes, cfg.Pool, cfg.Workers = int(im.cfg.ChunkBytes), im.pool, min(cfg.Workers, sealWorkers)
	u.builders.cfg = cfg
	u.ctx, u.cancel = context.WithCancelCause(ctx)
	u.memory = semaphore.NewWeighted(u.limit)
	for range im.cfg.Uploads {
		u.wg.Go(func() {
			for j := range u.jobs {
				u.run(j)
			}
		})
	}
	return u
}

// store hands a chunk over. It waits while too much is on its way, and returns
// an error only when the run has ended; the builder is the uploader's in any case.
func (u *uploader) store(ctx context.Context, j *sealJob) error {
	j.mem = min(j.mem, u.limit)
	if err := u.memory.Acquire(ctx, j.mem); err != nil {
		return context.Cause(ctx)
	}
	select {
	case u.jobs <- j:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wait returns when all is stored, or has failed.
func (u *uploader) wait() error {
	close(u.jobs)
	u.wg.Wait()
	err := u.first
	if err == nil && u.ctx.Err() != nil {
		err = context.Cause(u.ctx)
	}
	u.cancel(nil)
	return err
}

// fail ends the run.
func (u *uploader) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.first == nil {
		u.first = err
		u.cancel(err)
	}
}

func (u *uploader) run(j *sealJob) {
	defer u.memory.Release(j.mem)
	defer u.builders.put(j.builder)
	sum, existed, err := u.put(j)
	if err != nil {
		u.fail(err)
		return
	}
	close(j.stored)
	u.count(j.file, sum, existed)
	u.im.metrics.chunk(sum, existed)
	u.im.log.DebugContext(u.ctx, "chunk stored", "key", sum.Key, "packets", sum.Meta.Packets, "bytes", sum.SizeBytes, "flows", sum.Flows, "existed", existed)
}

// count adds a chunk to the result of its file.
func (u *uploader) count(file *FileResult, sum chunk.Summary, existed bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if existed {
		file.Existed++
		return
	}
	file.Chunks++
	file.StoredBytes += sum.SizeBytes
}

// inTurn waits until the chunk before this one in its lane is stored: whoever sees
// a chunk must find those before it.
func (u *uploader) inTurn(j *sealJob) error {
	select {
	case <-j.before:
		return nil
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	}
}

// put stores a chunk unless the store has it already.
func (u *uploader) put(j *sealJob) (sum chunk.Summary, existed bool, err error) {
	if err := u.putKeys(u.ctx, j); err != nil {
		return sum, false, err
	}
	if !j.exists {
		if err := u.resume(j); err != nil {
			return sum, false, err
		}
		sum, err = u.write(j)
		if !errors.Is(err, objstore.ErrExists) {
			return sum, false, err
		}
	}
	if sum, err = j.builder.Seal(j.meta, io.Discard); err != nil {
		return sum, false, err
	}
	old, err := chunk.Open(u.ctx, u.im.store, sum.Key)
	if err != nil {
		return sum, false, fmt.Errorf("compare with what is stored: %w", err)
	}
	if old.ContentSum() != sum.ContentSum || old.Meta().File != j.meta.File {
		return sum, false, fmt.Errorf("chunk %q %w: %d of %s, and now %d of %s: was the file changed, or imported with other chunk settings? Under another name it is a file of its own",
			sum.Key, errOtherPackets, old.Meta().Packets, old.Meta().File, sum.Meta.Packets, j.meta.File)
	}
	sum.SizeBytes = old.SizeBytes()
	return sum, true, u.inTurn(j)
}

// resume says that a lane which had ended goes on with the chunk: the compactor may have it take a long rest.
func (u *uploader) resume(j *sealJob) error {
	if j.behind == "" {
		return nil
	}
	last, err := chunk.Open(u.ctx, u.im.store, j.behind)
	if err != nil {
		return fmt.Errorf("go on behind what is stored: %w", err)
	}
	if !last.Meta().Final {
		return nil // an import that was interrupted
	}
	_, err = objstore.PutBytes(u.ctx, u.im.store, chunk.ResumedKey(j.meta.Sensor, j.meta.Lane), nil)
	return err
}

func (u *uploader) write(j *sealJob) (chunk.Summary, error) {
	if j.builder.RawBytes() <= wholeBytes {
		var out bytes.Buffer
		sum, err := j.builder.Seal(j.meta, &out)
		if err != nil {
			return sum, err
		}
		if err := u.inTurn(j); err != nil {
			return sum, err
		}
		_, err = objstore.PutBytes(u.ctx, u.im.store, sum.Key, out.Bytes(), objstore.IfAbsent())
		return sum, err
	}
	r, w := io.Pipe()
	var sum chunk.Summary
	var sealErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		sum, sealErr = j.builder.Seal(j.meta, w)
		// The object is not there before its reader ends. So its bytes may be on their way
		// while the chunk before it is still being stored.
		if sealErr == nil {
			sealErr = u.inTurn(j)
		}
		w.CloseWithError(sealErr) // nil is io.EOF
	}()
	_, err := u.im.store.Put(u.ctx, chunk.Key(j.meta), r, -1, objstore.IfAbsent())
	r.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // ends Seal when Put did not read all
	<-done
	if err != nil {
		return sum, err // says also what Seal said, which Put has read
	}
	return sum, sealErr
}
