package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sys/unix"
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
	// held is the named pipe of the stream before. While nobody had it open, what the next writer has left in it would
	// be gone with that writer.
	held *os.File
	counters
	SecretKeeper
}

// errNoWriter says why a named pipe is not up between two streams.
var errNoWriter = errors.New("nobody writes into the pipe")

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
	defer p.hold(nil)
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
			p.setDown(errNoWriter)
		}
	}
}

// read reads one stream; more says that another may follow.
func (p *Pipe) read(ctx context.Context, open Opener) (more bool, err error) {
	s := &stream{name: p.path, lane: "pipe", compress: true, open: open, counters: &p.counters, log: p.log, started: p.setUp, keep: p.keep}
	if p.path == "-" {
		if p.stdin == nil {
			return false, errors.New("no standard input")
		}
		s.name = "standard input"
		return false, s.read(ctx, p.stdin)
	}
	s.lane = "pipe-" + peerLane(strings.TrimLeft(p.path, "/"))
	f, more, err := openPipe(p.path)
	if err != nil {
		return false, fmt.Errorf("open %s: %w", p.path, err)
	}
	p.hold(f)
	defer context.AfterFunc(ctx, func() { _ = f.Close() })()
	if more {
		if err := awaitWriter(f); err != nil && ctx.Err() == nil {
			return false, fmt.Errorf("wait for a writer of %s: %w", p.path, err)
		}
	}
	return more, s.read(ctx, f)
}

// hold keeps f open until the next call, and closes the file before.
func (p *Pipe) hold(f *os.File) {
	if p.held != nil {
		_ = p.held.Close() // read only, and closed already when the run ended
	}
	p.held = f
}

// openPipe opens a file, or a named pipe, and does not wait for a writer.
func openPipe(path string) (f *os.File, fifo bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, err
	}
	if info.Mode()&os.ModeNamedPipe == 0 {
		f, err = os.Open(path)
		return f, false, err
	}
	f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	return f, true, err
}

// awaitWriter waits until a writer has written into a named pipe or left it, or f is closed. Reading does not wait: it
// gives the end of the stream also before the first writer.
func awaitWriter(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var pollErr error
	err = conn.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // G115: a descriptor
		n, err := unix.Poll(fds, 0)
		if errors.Is(err, unix.EINTR) {
			return false
		}
		pollErr = err
		return n > 0 || err != nil
	})
	return errors.Join(err, pollErr)
}
