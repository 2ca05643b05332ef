package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"wirelake/internal/pcapfile"
)

// maxStreamLanes bounds the lanes of one stream: a pcapng stream may declare
// interfaces by the thousand, and each lane has a chunk open.
const maxStreamLanes = 64

// linkEthernet is the link type whose lanes need not say it.
const linkEthernet = 1

// errCompressed refuses compressed streams of peers: a few bytes of a compressed
// stream may ask for 128 MiB of memory.
var errCompressed = errors.New("the stream is compressed; pcap and pcapng are taken as they are")

// errLanes ends a stream that asks for too many lanes.
var errLanes = fmt.Errorf("more than %d interfaces and link types in one stream", maxStreamLanes)

// sinkError wraps an error of a sink: the source cannot go on, whoever its peer is.
type sinkError struct{ error }

func (e sinkError) Unwrap() error { return e.error }

// stream puts the packets of one pcap or pcapng stream into lanes, one for each
// of its interfaces.
type stream struct {
	name     string // of the peer, for messages and interfaces without a name
	lane     string // prefix of the lanes' names
	compress bool   // the stream may be compressed
	open     Opener
	counters *counters
	log      *slog.Logger
	started  func()             // called once the stream turned out to be a capture; may be nil
	keep     func(lines []byte) // of a SecretKeeper

	byInterface []Sink // nil where there is none yet
	sinks       map[string]Sink
	out         Record // the packet at hand, here so that none is allocated
}

// read takes packets until the stream or ctx ends, and closes the lanes. A
// sinkError says that no stream can go on. Damage in the stream is counted and skipped.
func (s *stream) read(ctx context.Context, r io.Reader) (err error) {
	s.sinks = map[string]Sink{}
	defer func() {
		for _, sink := range s.sinks {
			if e := sink.Close(); e != nil {
				err = errors.Join(err, sinkError{e})
			}
		}
		if ctx.Err() != nil && !isSinkError(err) {
			err = nil // it ended because it was told to
		}
	}()
	p := newPump(ctx, r, s.flush)
	head := make([]byte, 4)
	n, err := io.ReadFull(p, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read %s: %w", s.name, err)
	}
	head = head[:n]
	if !s.compress && isCompressed(head) {
		return fmt.Errorf("%s: %w", s.name, errCompressed)
	}
	src, err := pcapfile.NewReader(io.MultiReader(bytes.NewReader(head), p), s.name)
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // releases the decompressor
	if s.started != nil {
		s.started()
	}
	src.OnTLSKeys(func(lines []byte) { s.secrets(ctx, lines) })
	var rec pcapfile.Record
	for {
		switch err := src.Next(&rec); {
		case err == nil:
			if err := s.packet(src, &rec); err != nil {
				return err
			}
		case errors.Is(err, io.EOF):
			return nil
		case !s.damage(ctx, err):
			return err
		}
	}
}

// SecretKeeper is the part of sources whose streams may hold secrets of TLS (pcapng): they are kept only where somebody asked for it.
type SecretKeeper struct{ keep func(lines []byte) }

// KeepSecrets has f called with the key logs in the streams, in the format of package keylog. The bytes are valid during the call,
// which may come from several goroutines. It is called before Run.
func (k *SecretKeeper) KeepSecrets(f func(lines []byte)) { k.keep = f }

// secrets hands on a key log that came in the stream, or counts it.
func (s *stream) secrets(ctx context.Context, lines []byte) {
	if s.keep != nil {
		s.keep(lines)
		return
	}
	if s.counters.secrets.Add(1) == 1 {
		s.log.WarnContext(ctx, "secrets of TLS came in a capture stream and are not kept: nobody asked for it (sensor.store_keylog)", "source", s.name)
	}
}

// damage counts what of a stream is lost, and says whether it goes on.
func (s *stream) damage(ctx context.Context, err error) bool {
	var truncated *pcapfile.TruncatedError
	var corrupt *pcapfile.CorruptError
	switch {
	case errors.As(err, &truncated):
		if ctx.Err() != nil {
			return true // the rest of the record was not waited for
		}
	case !errors.As(err, &corrupt):
		return false
	}
	s.counters.malformed.Add(1)
	s.counters.note(err)
	s.log.WarnContext(ctx, "capture stream is damaged", "source", s.name, "error", err)
	return true
}

// packet delivers a record to its lane.
func (s *stream) packet(src *pcapfile.Reader, rec *pcapfile.Record) error {
	for rec.Interface >= len(s.byInterface) {
		s.byInterface = append(s.byInterface, nil)
	}
	sink := s.byInterface[rec.Interface]
	if sink == nil {
		var err error
		if sink, err = s.openLane(rec.Interface, src.Interfaces()[rec.Interface]); err != nil {
			return err
		}
		s.byInterface[rec.Interface] = sink
	}
	s.out = Record{TimeNanos: rec.TimeNanos, WireLen: rec.WireLen, Data: rec.Data, Comment: rec.Comment}
	if err := sink.Packet(&s.out); err != nil {
		return sinkError{err}
	}
	s.counters.packet(rec.WireLen)
	return nil
}

// openLane opens the lane of an interface. Its name depends on nothing but the
// interface's number and link type, so that the next connection continues it.
func (s *stream) openLane(number int, i pcapfile.Interface) (Sink, error) {
	lane := fmt.Sprintf("%s-%d", s.lane, number)
	if i.LinkType != linkEthernet {
		lane = fmt.Sprintf("%s-link%d", lane, i.LinkType)
	}
	if len(s.sinks) == maxStreamLanes {
		return nil, fmt.Errorf("%s: %w", s.name, errLanes)
	}
	name := s.name
	if i.Name != "" {
		name += " " + i.Name
	}
	sink, err := s.open(lane, Interface{Name: name, LinkType: i.LinkType, Snaplen: i.Snaplen})
	if err != nil {
		return nil, sinkError{err}
	}
	s.sinks[lane] = sink
	return sink, nil
}

// flush tells all lanes that the stream is quiet.
func (s *stream) flush() error {
	for _, sink := range s.sinks {
		if err := sink.Flush(); err != nil {
			return sinkError{err}
		}
	}
	return nil
}

func isSinkError(err error) bool {
	var e sinkError
	return errors.As(err, &e)
}

// isCompressed tells the compressions that pcapfile knows by their first bytes.
func isCompressed(head []byte) bool {
	return bytes.HasPrefix(head, []byte{0x1f, 0x8b}) || bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18}) ||
		bytes.Equal(head, []byte{0xfd, '7', 'z', 'X'})
}

// peerLane makes a part of a lane's name of any text: what it may not hold becomes "-".
func peerLane(text string) string {
	const most = 100
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '-'
	}, strings.ToLower(text))
	return strings.Trim(clean[:min(len(clean), most)], "-.")
}
