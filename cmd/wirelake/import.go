package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"wirelake/internal/objstore"
	"wirelake/internal/telemetry"
	"wirelake/sensor"
)

// importMemory is what an import needs beside its configured budget: the parts of
// an upload, index and encoders of a chunk, decompression of the input.
const importMemory = 160 << 20

func newImportCommand(a *app) *cobra.Command {
	var series, quiet bool
	cmd := &cobra.Command{
		Use:   "import FILE|DIR|URL|-...",
		Short: "Store the packets of capture files as chunks",
		Long: `import reads pcap and pcapng files, as they are or compressed with gzip, zstd or
xz, and stores their packets as chunks, clustered by flow. A folder stands for all
captures in it, - for standard input. s3://bucket/prefix or file:///dir stands for the
captures under a prefix of another object store; they are streamed, and those that were
imported before are passed over ('wirelake sensor --watch' goes on and on).

Each interface of each file is a lane of its own, so that sessions of two files
never mix. With --series the files are one capture that was rotated: they are
joined into one stream, in the order of their first packets.

An import may be killed at any time and run again; it then stores what is missing.
A file that was imported before is compared and left. A file that ends within a
record is imported up to there, with a warning. Corrupt places are skipped and
told with their offsets, and the command then exits with 1.

Sessions are made by the compactor, which decrypts TLS with the key logs it is given.
With --keylog and --store-keylog the secrets of the TLS connections that begin in a
chunk are stored beside it, and any compactor of the store decrypts them; without
--store-keylog no key leaves the file.`,
		Example: `  wirelake import --store file:///var/lib/wirelake capture.pcapng.gz
  wirelake import --store s3://archive --series --sensor edge1 /captures/edge1/
  ssh edge1 tcpdump -w - | wirelake import --store s3://archive -
  wirelake import --store s3://archive s3://captures/edge1/2026
  wirelake import --store s3://archive --keylog keys.log --store-keylog capture.pcapng`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if os.Getenv("GOMEMLIMIT") == "" {
				debug.SetMemoryLimit(int64(a.cfg.Import.MemoryBytes) + importMemory)
			}
			store, err := a.openStore(ctx, "import")
			if err != nil {
				return err
			}
			if slices.ContainsFunc(args, func(p string) bool { return strings.Contains(p, "://") }) {
				if series || len(args) > 1 {
					return usageErrorf("objects of a prefix are imported alone, and not as a series")
				}
				return a.importObjects(ctx, store, args[0])
			}
			return a.importFiles(ctx, store, args, series, quiet)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&series, "series", false, "join the files into one stream: they are one capture, rotated")
	f.BoolVarP(&quiet, "quiet", "q", false, "print warnings and errors only")
	d := a.cfg.Import
	f.String("sensor", d.Sensor, "name of the sensor that the packets belong to")
	f.Var(&d.ChunkBytes, "chunk-bytes", "end a chunk at this size before compression")
	f.Duration("chunk-span", d.ChunkSpan, "end a chunk when a packet is this much later than its first")
	bindFlag(f, "sensor", "import.sensor")
	bindFlag(f, "chunk-bytes", "import.chunk_bytes")
	f.Bool("store-keylog", d.StoreKeyLog, "store the secrets of --keylog, and those that pcapng files hold, beside the chunks, for compactors without the file")
	bindFlag(f, "chunk-span", "import.chunk_span")
	bindFlag(f, "store-keylog", "import.store_keylog")
	addKeyLogFlag(cmd)
	return cmd
}

// importObjects imports the captures under a prefix of an object store that were not imported before.
func (a *app) importObjects(ctx context.Context, store objstore.Store, source string) error {
	keys, err := a.importKeys()
	if err != nil {
		return err
	}
	im, err := sensor.NewImporter(store, a.cfg.Import, sensor.ImportOptions{Logger: a.log, Registerer: a.reg, Generator: "wirelake " + a.build.Version, Keys: keys})
	if err != nil {
		return err
	}
	cfg := sensor.DefaultWatchConfig()
	cfg.Sources = []string{source}
	w, err := sensor.NewWatcher(ctx, im, cfg, objstore.Options{Config: a.cfg.ObjectStore, Logger: a.log})
	if err != nil {
		return err
	}
	if err := w.Once(ctx); err != nil {
		return err
	}
	s := w.States()[0]
	_, err = fmt.Fprintf(a.stdout, "%d packets, %s, imported from %s\n", s.Packets, sizeText(s.Bytes), s.Name)
	return err
}

// importFiles imports captures, showing progress, and prints what was imported.
func (a *app) importFiles(ctx context.Context, store objstore.Store, paths []string, series, quiet bool) error {
	show := newProgress(a.stderr, quiet)
	logs := a.cfg.Log
	if quiet {
		logs.Level = "warn"
	}
	log := telemetry.NewLogger(show.log(), logs)
	keys, err := a.importKeys()
	if err != nil {
		return err
	}
	im, err := sensor.NewImporter(store, a.cfg.Import, sensor.ImportOptions{
		Logger: log, Registerer: a.reg, Generator: "wirelake " + a.build.Version, Stdin: a.stdin, Progress: show.update, Keys: keys,
	})
	if err != nil {
		return err
	}
	run := im.Import
	if series {
		run = im.ImportSeries
	}
	res, err := run(ctx, paths)
	show.end()
	writeProblems(a.stderr, res)
	if quiet || len(res.Files) == 0 {
		return err
	}
	return errors.Join(err, writeImportTable(a.stdout, res))
}

// writeProblems tells what of the files was lost, and where.
func writeProblems(w io.Writer, res sensor.ImportResult) {
	for _, f := range res.Files {
		for _, p := range f.Problems {
			fmt.Fprintf(w, "warning: %s\n", p.Text)
		}
		if n := int(f.Skipped) + f.Corrupt - len(f.Problems); n > 0 { //nolint:gosec // far below 2^63
			fmt.Fprintf(w, "warning: %s: %d more places like these\n", f.Path, n)
		}
		if f.Err != nil {
			fmt.Fprintf(w, "warning: %v\n", f.Err)
		}
		if f.NotCapture {
			fmt.Fprintf(w, "note: %s: no capture file, passed over\n", f.Path)
		}
	}
}

// writeImportTable prints what was imported, a line a file.
func writeImportTable(w io.Writer, res sensor.ImportResult) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "packets\tbytes\tchunks\tstored\tlost\t  file")
	var sum sensor.FileResult
	existed := 0
	row := func(f *sensor.FileResult, name string) {
		fmt.Fprintf(tw, "%d\t%s\t%d\t%s\t%d\t  %s\n", f.Packets, sizeText(f.Bytes), f.Chunks+f.Existed, sizeText(uint64(f.StoredBytes)), //nolint:gosec // not negative
			int(f.Skipped)+f.Corrupt, name) //nolint:gosec // far below 2^63
	}
	for i := range res.Files {
		f := &res.Files[i]
		if f.NotCapture {
			continue
		}
		name := f.Path
		switch {
		case f.Err != nil:
			name += " (not imported whole)"
		case f.Chunks == 0 && f.Existed > 0:
			name += " (was imported before)"
			existed++
		case f.Truncated:
			name += " (ends within a record)"
		case f.Packets == 0:
			name += " (no packets)"
		}
		row(f, name)
		sum.Packets += f.Packets
		sum.Bytes += f.Bytes
		sum.Chunks += f.Chunks
		sum.Existed += f.Existed
		sum.StoredBytes += f.StoredBytes
		sum.Skipped += f.Skipped
		sum.Corrupt += f.Corrupt
	}
	if len(res.Files) > 1 {
		row(&sum, "sum")
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d chunks stored, %d existed already, in %v (%s/s)\n", sum.Chunks, sum.Existed, res.Took.Round(time.Millisecond),
		sizeText(uint64(float64(sum.Bytes)/max(res.Took.Seconds(), 1e-3))))
	return err
}

// sizeText writes a number of bytes for people: "12.3MiB".
func sizeText(n uint64) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d%s", n, unit)
	}
	return fmt.Sprintf("%.1f%s", v, unit)
}
