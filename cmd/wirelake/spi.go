package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"wirelake/internal/dissect"
	"wirelake/internal/keylog"
	"wirelake/internal/packet"
	"wirelake/internal/pcapfile"
	"wirelake/internal/session"
)

// spiAdvance is the lane time between looks for sessions that have ended.
const spiAdvance = 10e9

func newSPICommand(a *app) *cobra.Command {
	var o spiOptions
	cmd := &cobra.Command{
		Use:   "spi FILE...",
		Short: "Print the session documents of capture files; nothing is stored",
		Long: `spi dissects capture files (pcap or pcapng; gz, zst and xz are opened) and prints
their sessions as JSON: an object with the array "sessions3", whose elements have
the document as "body". A file name of - reads standard input.

Documents are those that the compactor stores, with the quirks of Arkime 6.7.1
unless --reference=false; they lack the positions of packets.

With --keylog, what programs wrote where SSLKEYLOGFILE told them to, TLS is
decrypted and its plaintext dissected like a session in clear.`,
		Example: `  wirelake spi capture.pcap | jq '.sessions3[].body["source.ip"]'
  wirelake spi --jsonl big.pcapng.zst | grep example.org
  wirelake spi --keylog keys.log capture.pcap`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.spi(cmd.Context(), args, o)
		},
	}
	addKeyLogFlag(cmd)
	addRulesFlag(cmd)
	addSigmaFlag(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.discard, "discard", false, "build all documents and print nothing, to measure")
	f.BoolVar(&o.lines, "jsonl", false, "print one document a line")
	f.BoolVar(&o.reference, "reference", true, "write documents as Arkime 6.7.1 does where wirelake differs on purpose")
	return cmd
}

type spiOptions struct{ discard, lines, reference bool }

// spi prints the sessions of the files. A damaged file is told of on standard
// error, and what can be read of it is still printed.
func (a *app) spi(ctx context.Context, files []string, o spiOptions) error {
	set := dissect.New()
	geo, err := a.openGeo()
	if err != nil {
		return err
	}
	keys, err := a.openKeyLog()
	if err != nil {
		return err
	}
	tagger, err := a.tagger(set)
	if err != nil {
		return err
	}
	if err := tagger.Load(ctx); err != nil {
		return err
	}
	tagger.LogRefused(ctx)
	w := bufio.NewWriterSize(a.stdout, 1<<16)
	p := &spiPrinter{w: w, o: o}
	p.begin()
	parts := spiParts{set: set, geo: geo, out: func(s *session.Session) {
		tagger.Apply(s.Doc)
		p.session(s)
	}}
	var errs []error
	for _, name := range files {
		cfg := a.cfg.Session
		cfg.Reference = o.reference
		cfg.Keys = keys
		cfg.File = name
		if err := a.spiFile(ctx, cfg, name, parts); err != nil {
			if ctx.Err() != nil {
				return err
			}
			errs = append(errs, err)
		}
	}
	p.end()
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print sessions: %w", err)
	}
	return errors.Join(errs...)
}

// spiParts are what the lanes of all files share.
type spiParts struct {
	set *dissect.Set
	geo session.Lookup
	out func(*session.Session)
}

func (a *app) spiFile(ctx context.Context, cfg session.Config, name string, parts spiParts) (err error) {
	// Secrets within the file are as good as those that were given.
	if cfg.Keys == nil {
		cfg.Keys = keylog.New()
	}
	in := a.stdin
	if name != "-" {
		f, err := os.Open(filepath.Clean(name))
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // it was only read
		in = f
	} else {
		cfg.File = ""
	}
	twice, err := fileKeys(ctx, in, name, cfg.Keys)
	if err != nil {
		return err
	}
	r, err := pcapfile.NewReader(in, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()

	packets, late := 0, false
	r.OnTLSKeys(func(lines []byte) {
		cfg.Keys.Add(lines)
		late = late || packets > 0
	})
	// As in an import, packets of different interfaces never share a session.
	var lanes []*spiLane
	var rec pcapfile.Record
	var damage error
	for n := 0; ; n++ {
		if n&0xfff == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			var cut *pcapfile.TruncatedError
			var corrupt *pcapfile.CorruptError
			if !errors.As(err, &cut) && !errors.As(err, &corrupt) {
				damage = errors.Join(damage, err)
				break
			}
			damage = err // the last one stands for all
			continue
		}
		for rec.Interface >= len(lanes) {
			lanes = append(lanes, nil)
		}
		if lanes[rec.Interface] == nil {
			lanes[rec.Interface] = newSPILane(cfg, r.Interfaces()[rec.Interface].LinkType, parts)
		}
		packets++
		lanes[rec.Interface].take(&rec)
	}
	if late && !twice {
		a.log.WarnContext(ctx, "the stream has secrets behind packets: they decrypt what begins behind them, as a file that can be read twice they decrypt all of it", "file", name)
	}
	for _, l := range lanes {
		if l != nil {
			l.builder.Flush()
		}
	}
	return damage
}

// fileKeys reads the secrets that a capture holds, for they may stand behind what they decrypt, and goes back to where it was. It
// reports whether it could: a pipe can be read but once, and who reads packets from it has to do with those that come in time.
func fileKeys(ctx context.Context, in io.Reader, name string, keys *keylog.Log) (bool, error) {
	f, ok := in.(*os.File)
	if !ok {
		return false, nil
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return false, err
	}
	start, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return false, err
	}
	if err := pcapfile.TLSKeys(ctx, f, name, keys.Add); err != nil {
		return false, err
	}
	_, err = f.Seek(start, io.SeekStart)
	return err == nil, err
}

// spiLane makes the sessions of one interface.
type spiLane struct {
	decoder *packet.Decoder
	builder *session.Builder
	p       packet.Packet
	next    int64 // time of the next Advance
}

func newSPILane(cfg session.Config, linkType uint32, parts spiParts) *spiLane {
	return &spiLane{
		decoder: packet.NewDecoder(linkType, packet.Options{Reference: cfg.Reference}),
		builder: session.New(parts.set, cfg, parts.geo, parts.out),
	}
}

func (l *spiLane) take(rec *pcapfile.Record) {
	l.decoder.Decode(rec.Data, rec.TimeNanos, rec.WireLen, &l.p)
	l.p.Comment = strings.ToValidUTF8(rec.Comment, "\uFFFD")
	l.builder.Packet(&l.p, session.Position{})
	if rec.TimeNanos > l.next {
		if l.next != 0 {
			l.builder.Advance(rec.TimeNanos)
		}
		l.next = rec.TimeNanos + spiAdvance
	}
}

// spiPrinter prints documents. Errors of its writer show at the flush.
type spiPrinter struct {
	w   *bufio.Writer
	o   spiOptions
	n   int
	buf []byte
}

func (p *spiPrinter) begin() {
	if !p.o.discard && !p.o.lines {
		p.w.WriteString(`{"sessions3":[`) //nolint:errcheck // see spiPrinter
	}
}

func (p *spiPrinter) session(s *session.Session) {
	p.n++
	if p.o.discard {
		return
	}
	p.buf = p.buf[:0]
	if p.o.lines {
		p.buf = append(s.Doc.AppendJSON(p.buf, nil), '\n')
	} else {
		if p.n > 1 {
			p.buf = append(p.buf, ',')
		}
		p.buf = append(p.buf, "\n{\"body\":"...)
		p.buf = append(s.Doc.AppendJSON(p.buf, nil), '}')
	}
	p.w.Write(p.buf) //nolint:errcheck // see spiPrinter
}

func (p *spiPrinter) end() {
	if !p.o.discard && !p.o.lines {
		p.w.WriteString("\n]}\n") //nolint:errcheck // see spiPrinter
	}
}
