package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
	"wirelake/internal/packet"
	"wirelake/internal/pcapfile"
)

func newChunkCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "chunk",
		Short: "Look into chunks, the objects that packets are kept in",
		Long: `chunk looks into single chunks: KEY is the object key in the store, or the path of
a local file that is a chunk. A chunk is also a plain .pcap.zst, which zstd and
Wireshark open; its format is in docs/chunk-format.md.`,
	}
	cmd.AddCommand(newChunkInspectCommand(a), newChunkVerifyCommand(a), newChunkCatCommand(a))
	return cmd
}

// localObject reads a file as a store reads an object.
type localObject struct{ f *os.File }

// GetRange returns n bytes from off, or the last -off bytes.
func (o localObject) GetRange(_ context.Context, key string, off, n int64) ([]byte, objstore.Object, error) {
	info, err := o.f.Stat()
	if err != nil {
		return nil, objstore.Object{}, err
	}
	size := info.Size()
	if off < 0 {
		off, n = max(0, size+off), -off
	}
	if off > size {
		return nil, objstore.Object{}, objstore.ErrRange
	}
	b := make([]byte, min(n, size-off))
	if _, err := o.f.ReadAt(b, off); err != nil && !errors.Is(err, io.EOF) {
		return nil, objstore.Object{}, err
	}
	return b, objstore.Object{Key: key, Size: size, ModTime: info.ModTime()}, nil
}

// withChunk opens the chunk that arg names, a file or an object, and calls fn.
func (a *app) withChunk(ctx context.Context, arg string, fn func(*chunk.Reader) error) error {
	info, err := os.Stat(arg)
	if err != nil || !info.Mode().IsRegular() {
		store, err := a.openExistingStore(ctx, "chunk")
		if err != nil {
			return err
		}
		r, err := chunk.Open(ctx, store, arg)
		if err != nil {
			return err
		}
		return fn(r)
	}
	f, err := os.Open(arg)
	if err != nil {
		return err
	}
	r, err := chunk.Open(ctx, localObject{f}, arg)
	if err == nil {
		err = fn(r)
	}
	return errors.Join(err, f.Close())
}

func newChunkInspectCommand(a *app) *cobra.Command {
	var flows, asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect KEY",
		Short: "Print what a chunk holds",
		Example: `  wirelake chunk inspect --store s3://archive chunks/sensor=import/lane=…/….pcap.zst
  wirelake chunk inspect --flows --json chunk.pcap.zst`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withChunk(cmd.Context(), args[0], func(r *chunk.Reader) error {
				info := describeChunk(r, flows)
				if asJSON {
					enc := json.NewEncoder(a.stdout)
					enc.SetIndent("", "  ")
					return enc.Encode(info)
				}
				return info.write(a.stdout, flows)
			})
		},
	}
	cmd.Flags().BoolVar(&flows, "flows", false, "list the flows as well")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// chunkInfo is what inspect prints.
type chunkInfo struct {
	Key         string     `json:"key"`
	Sensor      string     `json:"sensor"`
	Lane        string     `json:"lane"`
	Interface   string     `json:"interface"`
	File        string     `json:"file"`
	LinkType    uint32     `json:"linkType"`
	Snaplen     uint32     `json:"snaplen"`
	Sequence    uint64     `json:"sequence"`
	Final       bool       `json:"final"`
	Generator   string     `json:"generator"`
	First       time.Time  `json:"firstPacket"`
	Last        time.Time  `json:"lastPacket"`
	Packets     uint64     `json:"packets"`
	Bytes       uint64     `json:"bytes"`
	KernelDrops uint64     `json:"kernelDrops"`
	SpoolDrops  uint64     `json:"spoolDrops"`
	SizeBytes   int64      `json:"sizeBytes"`
	RawBytes    uint64     `json:"rawBytes"`
	IndexBytes  int64      `json:"indexBytes"`
	Frames      int        `json:"frames"`
	FlowCount   int        `json:"flowCount"`
	ContentSum  string     `json:"contentSum"`
	Comments    []string   `json:"comments,omitempty"`
	Flows       []flowInfo `json:"flows,omitempty"`
}

type flowInfo struct {
	Number  int       `json:"number"`
	Flow    string    `json:"flow"`
	First   time.Time `json:"firstPacket"`
	Last    time.Time `json:"lastPacket"`
	Packets [2]uint32 `json:"packets"` // from the first end named, from the second
	Bytes   [2]uint64 `json:"bytes"`
	Offset  int64     `json:"offset"` // of its frames in the object
	Length  int64     `json:"length"` // of these
	Skip    uint64    `json:"skip"`   // decompressed bytes before its first record
	Raw     uint64    `json:"size"`   // decompressed bytes of its records
}

func describeChunk(r *chunk.Reader, flows bool) chunkInfo {
	m := r.Meta()
	info := chunkInfo{
		Key: r.Key(), Sensor: m.Sensor, Lane: m.Lane, Interface: m.Interface, File: m.File, LinkType: m.LinkType, Snaplen: m.Snaplen,
		Sequence: m.Sequence, Final: m.Final, Generator: m.Generator,
		First: time.Unix(0, m.FirstNanos).UTC(), Last: time.Unix(0, m.LastNanos).UTC(), Packets: m.Packets, Bytes: m.Bytes,
		KernelDrops: m.KernelDrops, SpoolDrops: m.SpoolDrops, SizeBytes: r.SizeBytes(), RawBytes: r.RawBytes(), IndexBytes: r.IndexBytes(),
		Frames: len(r.Frames()), FlowCount: len(r.Flows()), ContentSum: fmt.Sprintf("%016x", r.ContentSum()),
	}
	for _, c := range r.Comments() {
		info.Comments = append(info.Comments, c.Text)
	}
	if !flows {
		return info
	}
	for i, e := range r.Flows() {
		f := flowInfo{Number: i, Flow: e.Key.String(), First: time.Unix(0, e.FirstNanos).UTC(), Last: time.Unix(0, e.LastNanos).UTC(),
			Packets: e.Packets, Bytes: e.Bytes, Raw: e.Length}
		f.Offset, f.Length, f.Skip = r.CompressedRange(e.Offset, e.Length)
		info.Flows = append(info.Flows, f)
	}
	return info
}

func (c *chunkInfo) write(w io.Writer, flows bool) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range []struct{ name, value string }{
		{"key", c.Key}, {"sensor", c.Sensor}, {"lane", c.Lane}, {"interface", c.Interface}, {"file", c.File},
		{"link type", strconv.FormatUint(uint64(c.LinkType), 10)}, {"snaplen", strconv.FormatUint(uint64(c.Snaplen), 10)},
		{"sequence", fmt.Sprintf("%d%s", c.Sequence, map[bool]string{true: " (last of its lane)"}[c.Final])}, {"written by", c.Generator},
		{"first packet", c.First.Format(time.RFC3339Nano)}, {"last packet", c.Last.Format(time.RFC3339Nano)},
		{"packets", strconv.FormatUint(c.Packets, 10)}, {"bytes on the wire", strconv.FormatUint(c.Bytes, 10)},
		{"dropped", fmt.Sprintf("%d by the kernel, %d by the sensor", c.KernelDrops, c.SpoolDrops)},
		{"size", fmt.Sprintf("%d bytes, %d decompressed, in %d frames", c.SizeBytes, c.RawBytes, c.Frames)},
		{"flows", fmt.Sprintf("%d, in an index of %d bytes", c.FlowCount, c.IndexBytes)},
	} {
		if row.value != "" {
			fmt.Fprintf(tw, "%s\t%s\n", row.name, row.value)
		}
	}
	for _, text := range c.Comments {
		fmt.Fprintf(tw, "comment\t%q\n", text)
	}
	if flows {
		fmt.Fprintln(tw)
		if err := tw.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(tw, "number\tfirst packet\tpackets\tbytes\toffset\tlength\tflow")
		for _, f := range c.Flows {
			fmt.Fprintf(tw, "%d\t%s\t%d+%d\t%d+%d\t%d\t%d\t%s\n", f.Number, f.First.Format(time.RFC3339Nano), f.Packets[0], f.Packets[1], f.Bytes[0], f.Bytes[1], f.Offset, f.Length, f.Flow)
		}
	}
	return tw.Flush()
}

func newChunkVerifyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [KEY|PREFIX/]...",
		Short: "Read chunks whole and check everything in them",
		Long: `verify reads chunks whole and checks every checksum, and that their records are
those that the index tells of. A name that ends in / stands for all chunks whose
key begins with it; without names all chunks of the store are verified.`,
		Example: `  wirelake chunk verify --store s3://archive
  wirelake chunk verify chunk.pcap.zst`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"chunks/"}
			}
			return a.verifyChunks(cmd.Context(), args)
		},
	}
	return cmd
}

// verifyChunks prints a line a chunk and goes on after a bad one.
func (a *app) verifyChunks(ctx context.Context, names []string) error {
	good, bad := 0, 0
	verify := func(name string) error {
		err := a.withChunk(ctx, name, func(r *chunk.Reader) error {
			if err := r.Verify(ctx); err != nil {
				return err
			}
			good++
			fmt.Fprintf(a.stdout, "ok  %s  %d packets, %d flows\n", name, r.Meta().Packets, len(r.Flows()))
			return nil
		})
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		default:
			bad++
			fmt.Fprintf(a.stdout, "BAD %v\n", err)
			return nil
		}
	}
	for _, name := range names {
		if !strings.HasSuffix(name, "/") {
			if err := verify(name); err != nil {
				return err
			}
			continue
		}
		store, err := a.openExistingStore(ctx, "chunk")
		if err != nil {
			return err
		}
		for obj, err := range store.List(ctx, name, "") {
			if err != nil {
				return err
			}
			if err := verify(obj.Key); err != nil {
				return err
			}
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d chunks are bad", bad, good+bad)
	}
	return nil
}

func newChunkCatCommand(a *app) *cobra.Command {
	var flows []string
	var out string
	cmd := &cobra.Command{
		Use:   "cat KEY",
		Short: "Write the packets of a chunk as pcap",
		Long: `cat writes the packets of a chunk as a nanosecond pcap, flow by flow. With --flow
only those flows are fetched: by their number, or by what inspect --flows prints of them.`,
		Example: `  wirelake chunk cat chunk.pcap.zst | tcpdump -nr -
  wirelake chunk cat --flow 'tcp 10.0.0.1:443 <-> 10.0.0.2:1025' -w flow.pcap KEY`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.withChunk(ctx, args[0], func(r *chunk.Reader) error {
				numbers, err := findFlows(r, flows)
				if err != nil {
					return err
				}
				if out == "" || out == "-" {
					return catChunk(ctx, r, numbers, a.stdout)
				}
				f, err := os.Create(out)
				if err != nil {
					return err
				}
				return errors.Join(catChunk(ctx, r, numbers, f), f.Close())
			})
		},
	}
	cmd.Flags().StringArrayVar(&flows, "flow", nil, "write this flow only; may be repeated")
	cmd.Flags().StringVarP(&out, "write", "w", "", "file to write (default: standard output)")
	return cmd
}

// findFlows returns the numbers of the flows that the names name.
func findFlows(r *chunk.Reader, names []string) ([]int, error) {
	var numbers []int
	for _, name := range names {
		n, err := strconv.Atoi(name)
		if err != nil {
			n = -1
			for i := range r.Flows() {
				if isFlow(&r.Flows()[i].Key, name) {
					n = i
					break
				}
			}
			if n < 0 {
				return nil, fmt.Errorf("chunk %q has no flow %q: 'wirelake chunk inspect --flows' lists them", r.Key(), name)
			}
		}
		if n < 0 || n >= len(r.Flows()) {
			return nil, fmt.Errorf("chunk %q has no flow %d, only 0 to %d", r.Key(), n, len(r.Flows())-1)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// isFlow says whether name is the key's text, its ends in either order.
func isFlow(k *packet.Key, name string) bool {
	const between = " <-> "
	text := k.String()
	if text == name {
		return true
	}
	head, b, ok := strings.Cut(name, between)
	proto, a, ok2 := strings.Cut(head, " ")
	return ok && ok2 && proto+" "+b+between+a == text
}

// catChunk writes flows of the chunk, or all of it when there are no numbers.
func catChunk(ctx context.Context, r *chunk.Reader, numbers []int, w io.Writer) error {
	m := r.Meta()
	out, err := pcapfile.NewWriter(w, m.LinkType, m.Snaplen)
	if err != nil {
		return err
	}
	write := func(next func(*chunk.Record) error) error {
		var rec chunk.Record
		for {
			err := next(&rec)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err == nil {
				err = out.Write(rec.TimeNanos, rec.WireLen, rec.Data)
			}
			if err != nil {
				return err
			}
		}
	}
	if len(numbers) == 0 {
		err = r.ReadFlows(ctx, func(_ *chunk.FlowEntry, records *chunk.FlowRecords) error { return write(records.Next) })
	}
	for _, n := range numbers {
		records, err := r.ReadFlow(ctx, n)
		if err != nil {
			return err
		}
		if err := write(records.Next); err != nil {
			return err
		}
	}
	return errors.Join(err, out.Flush())
}
