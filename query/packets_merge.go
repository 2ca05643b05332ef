package query

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"io"
)

// merger yields the packets of runs in order of time. A batch is fetched while the one before it is
// written and the one before that may still have packets to come.
type merger struct {
	ctx    context.Context //nolint:containedctx // lives for one call of its caller's
	cancel context.CancelFunc
	f      *Fetcher
	stats  *ExportStats
	count  rangeCount
	ready  chan loaded
	done   chan struct{}

	pending []*batch // not received yet
	open    runHeap
	held    int64
	current *openRun // whose head was given out last
	orders  int

	onLost func(session int, err error) error // a run of the session has no more packets; may end the merge with an error
	onWait func() error                       // called before waiting for a batch
}

type loaded struct {
	batch *batch
	err   error
}

// merge begins to fetch the runs, which are in order of time.
func (f *Fetcher) merge(ctx context.Context, runs []run, stats *ExportStats) *merger {
	m := &merger{f: f, stats: stats, ready: make(chan loaded), done: make(chan struct{})}
	m.ctx, m.cancel = context.WithCancel(ctx)
	m.pending = batches(runs, int64(f.cfg.BatchBytes), int64(f.cfg.PieceBytes))
	all := m.pending
	go func() {
		defer close(m.done)
		defer close(m.ready)
		for _, b := range all {
			err := guarded(func() error { return f.load(m.ctx, b, &m.count) })
			select {
			case m.ready <- loaded{b, err}:
			case <-m.ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return m
}

// close stops fetching and waits for it to end.
func (m *merger) close() {
	m.cancel()
	<-m.done
	m.stats.Ranges += m.count.ranges.Load()
	m.stats.RangeBytes += m.count.bytes.Load()
}

// next returns the next packet, valid until the one after it, or io.EOF.
func (m *merger) next() (*Packet, error) {
	if o := m.current; o != nil {
		m.current = nil
		more, err := m.advance(o)
		switch {
		case err != nil:
			return nil, err
		case more:
			heap.Fix(&m.open, 0)
		default:
			m.held -= o.held
			heap.Pop(&m.open)
		}
	}
	for len(m.pending) > 0 && m.wantsMore() {
		if err := m.receive(); err != nil {
			return nil, err
		}
	}
	if err := m.ctx.Err(); err != nil {
		return nil, err
	}
	if len(m.open) == 0 {
		return nil, io.EOF
	}
	m.current = m.open[0]
	return &m.current.head, nil
}

// wantsMore reports whether a packet of the next batch may come before those that are open. When much
// is open already, order gives way to memory.
func (m *merger) wantsMore() bool {
	if len(m.open) == 0 {
		return true
	}
	return m.pending[0].runs[0].earliest <= m.open[0].head.TimeNanos && m.held < int64(m.f.cfg.MemoryBytes)
}

// receive opens the runs of the next batch.
func (m *merger) receive() error {
	if m.onWait != nil && m.orders > 0 { // something may have been written
		if err := m.onWait(); err != nil {
			return err
		}
	}
	var l loaded
	var ok bool
	select {
	case l, ok = <-m.ready:
	case <-m.ctx.Done():
	}
	switch {
	case l.err != nil:
		return l.err
	case !ok:
		return cmp.Or(m.ctx.Err(), io.ErrUnexpectedEOF)
	}
	m.pending = m.pending[1:]
	for _, o := range l.batch.opened {
		o.order = m.orders
		m.orders++
		more, err := m.advance(o)
		if err != nil {
			return err
		}
		if more {
			m.held += o.held
			heap.Push(&m.open, o)
		}
	}
	l.batch.opened = nil
	return nil
}

// advance moves a run to its next packet, and reports whether there is one.
func (m *merger) advance(o *openRun) (more bool, err error) {
	switch err := o.next(m.ctx); {
	case err == nil:
		return true, nil
	case errors.Is(err, io.EOF):
		return false, nil
	case isLost(err):
		return false, m.onLost(o.session, err)
	default:
		return false, err
	}
}

// runHeap has the run with the earliest head on top.
type runHeap []*openRun

func (h runHeap) Len() int { return len(h) }
func (h runHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(cmp.Compare(a.head.TimeNanos, b.head.TimeNanos), cmp.Compare(a.order, b.order)) < 0
}
func (h runHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)   { *h = append(*h, x.(*openRun)) }
func (h *runHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
