package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"wirelake/internal/dissect"
	"wirelake/internal/objstore"
	"wirelake/internal/spi"
	"wirelake/query"
)

type packetsOptions struct {
	searchOptions
	out   string
	quiet bool
}

func newPacketsCommand(a *app) *cobra.Command {
	var o packetsOptions
	cmd := &cobra.Command{
		Use:   "packets [EXPRESSION] -w FILE",
		Short: "Write the packets of sessions to a capture file",
		Long: `packets finds sessions and writes their packets, all of them and in order of time, to a
capture file: pcapng when its name ends so, else nanosecond pcap, which holds one link
type only. FILE - is standard output, as pcap.

It fetches the byte ranges of the chunks that hold the sessions and nothing else;
--explain tells how many and how large. Sessions whose chunks are not in the store any
more are counted and left out, as are packets behind damage in a chunk.`,
		Example: `  wirelake packets 'communityId == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="' -w flow.pcap --explain
  wirelake packets --store s3://archive 'ip == 10.1.2.3 && port == 25' --from -2d -w mail.pcapng
  wirelake packets 'host == *.example.org' -w - | tshark -r -`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := ""
			if len(args) > 0 {
				text = args[0]
			}
			return a.packets(cmd.Context(), text, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "write", "w", "", "file to write: NAME.pcap, NAME.pcapng, or - for standard output")
	f.BoolVar(&o.quiet, "quiet", false, "show no progress")
	if err := cmd.MarkFlagRequired("write"); err != nil {
		panic(err) // the flag is declared above
	}
	o.addFlags(cmd)
	return cmd
}

func (a *app) packets(ctx context.Context, text string, o packetsOptions) (err error) {
	set := dissect.New()
	s, err := o.search(set.Registry(), text, time.Now())
	if err != nil {
		return err
	}
	store, err := a.openExistingStore(ctx, "query")
	if err != nil {
		return err
	}
	engine, err := a.newEngine(store, set)
	if err != nil {
		return err
	}
	fetcher, err := query.NewFetcher(store, a.cfg.Query.Packets, a.reg, a.log)
	if err != nil {
		return err
	}
	bar := a.sessionsBar(o.quiet || o.out == "-")
	if o.explain || bar != nil {
		found, err := engine.Search(ctx, s) // counts
		if err != nil {
			return err
		}
		a.tellResult(&query.Result{Explain: found.Explain})
		bar.setTotal(found.Total)
	}
	s.Fields = query.CaptureFields()
	out, format := io.WriteCloser(keepOpen{a.stdout}), query.PCAP
	if strings.HasSuffix(strings.ToLower(o.out), ".pcapng") {
		format = query.PCAPNG
	}
	if o.out != "-" {
		file, err := os.Create(o.out)
		if err != nil {
			return err
		}
		out = file
	}
	var searched, fetched objstore.Counter
	began := time.Now()
	docs := a.counted(engine.Each(objstore.WithCounter(ctx, &searched), s), bar)
	stats, err := fetcher.Export(objstore.WithCounter(ctx, &fetched), out, format, docs)
	bar.end()
	if err = errors.Join(err, out.Close()); err != nil {
		if o.out != "-" {
			err = fmt.Errorf("%s holds the first %d packets only: %w", o.out, stats.Packets, err)
		}
		return err
	}
	fmt.Fprintf(a.stderr, "%d packets of %d sessions, %s\n", stats.Packets, stats.Sessions, sizeText(uint64(stats.Bytes))) //nolint:gosec // not negative
	if stats.Gone > 0 {
		fmt.Fprintf(a.stderr, "wirelake: warning: %d sessions are left out or cut: their chunks are not in the store any more\n", stats.Gone)
	}
	if stats.Damaged > 0 {
		fmt.Fprintf(a.stderr, "wirelake: warning: %d sessions are left out or cut by damage: %v\n", stats.Damaged, stats.Damage)
	}
	if stats.OtherLinkType > 0 {
		fmt.Fprintf(a.stderr, "wirelake: warning: %d sessions are left out: they have another link type than the first, and pcap holds one; write to a name that ends in .pcapng\n", stats.OtherLinkType)
	}
	if o.explain {
		fmt.Fprintf(a.stderr, "packets: %d range GETs of chunks, %d bytes, in %v; %d GETs of session files, %d bytes\n",
			stats.Ranges, stats.RangeBytes, time.Since(began).Round(time.Millisecond), searched.Gets.Load(), searched.Bytes.Load())
	}
	return nil
}

// counted prints warnings and moves the bar.
func (a *app) counted(docs iter.Seq2[*spi.Document, error], bar *sessionsBar) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		for d, err := range docs {
			var warning *query.Warning
			if errors.As(err, &warning) {
				fmt.Fprintf(a.stderr, "wirelake: warning: %s\n", warning.Text)
				continue
			}
			bar.add()
			if !yield(d, err) {
				return
			}
		}
	}
}

// keepOpen is standard output, which is not ours to close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// sessionsBar shows how many of the sessions found were read. A nil one shows nothing.
type sessionsBar struct {
	bars *mpb.Progress
	bar  *mpb.Bar
}

// sessionsBar returns a bar on standard error, nil where that is no terminal.
func (a *app) sessionsBar(quiet bool) *sessionsBar {
	f, ok := a.stderr.(*os.File)
	if quiet || !ok || !term.IsTerminal(int(f.Fd())) { //nolint:gosec // a file descriptor
		return nil
	}
	b := &sessionsBar{bars: mpb.New(mpb.WithOutput(f), mpb.WithAutoRefresh())}
	b.bar = b.bars.AddBar(0, mpb.PrependDecorators(decor.Name("sessions ")), mpb.AppendDecorators(decor.CountersNoUnit("%d / %d")))
	return b
}

func (b *sessionsBar) setTotal(n int64) {
	if b != nil {
		b.bar.SetTotal(n, false)
	}
}

func (b *sessionsBar) add() {
	if b != nil {
		b.bar.Increment()
	}
}

func (b *sessionsBar) end() {
	if b != nil {
		b.bar.Abort(true)
		b.bars.Wait()
	}
}
