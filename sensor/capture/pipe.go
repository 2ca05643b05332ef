package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Pipe takes one capture stream, pcap or pcapng, as it is or compressed, from
// standard input, a named pipe or a file:
//
//	ssh host tcpdump -U -w - | wirelake sensor --read -
//
// It is exhausted at the end of the stream. A named pipe has an end for each
// writer; the next one begins a new stream, so Pipe opens it again.
type Pipe struct {
	path  string
	stdin io.Reader
	log   *slog.Logger
	counters
}

// NewPipe returns the source that reads path; "-" is stdin. log may be nil.
func NewPipe(path string, stdin io.Reader, log *slog.Logger) *Pipe {
	return &Pipe{path: path, stdin: stdin, log: orDiscard(log)}
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

// State tells how the source fares.
func (p *Pipe) State() State { return p.state(p.path, "pipe") }

// Run reads the stream to its end. An error names what cannot be read; what came before it was delivered.
func (p *Pipe) Run(ctx context.Context, open Opener) error {
	var again backoff
	for {
		more, err := p.read(ctx, open)
		switch {
		case isSinkError(err) || err != nil && !more:
			p.setDown(err)
			return err
		case ctx.Err() != nil || !more:
			p.setDown(nil)
			return nil
		case err != nil: // a writer that wrote no capture: the next may
			p.setDown(err)
			p.malformed.Add(1)
			p.log.WarnContext(ctx, "named pipe gave no capture", "source", p.path, "error", err)
			if !again.wait(ctx) {
				return nil
			}
		default:
			again.reset()
		}
	}
}

// read reads one stream; more says that another may follow.
func (p *Pipe) read(ctx context.Context, open Opener) (more bool, err error) {
	s := &stream{name: p.path, lane: "pipe", compress: true, open: open, counters: &p.counters, log: p.log, started: p.setUp}
	if p.path == "-" {
		if p.stdin == nil {
			return false, errors.New("no standard input")
		}
		s.name = "standard input"
		return false, s.read(ctx, p.stdin)
	}
	s.lane = "pipe-" + peerLane(strings.TrimLeft(p.path, "/"))
	f, more, err := openPipe(ctx, p.path)
	if err != nil {
		return false, fmt.Errorf("open %s: %w", p.path, err)
	}
	defer f.Close() //nolint:errcheck // read only
	defer context.AfterFunc(ctx, func() { _ = f.Close() })()
	return more, s.read(ctx, f)
}

// openPipe opens a file, or a named pipe, which may be waited for until somebody writes.
func openPipe(ctx context.Context, path string) (f *os.File, fifo bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, err
	}
	if info.Mode()&os.ModeNamedPipe == 0 {
		f, err = os.Open(path)
		return f, false, err
	}
	// Opened for writing too, opening does not wait; but then the end of a writer is not seen. So
	// the wait is for a writer, and it is ended by becoming one.
	opened := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-opened:
		default:
			if w, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
				<-opened
				_ = w.Close()
			}
		}
	})
	defer stop()
	f, err = os.Open(path)
	close(opened)
	return f, true, err
}
