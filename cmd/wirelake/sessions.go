package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"wirelake/internal/dissect"
	"wirelake/internal/expr"
	"wirelake/internal/spi"
	"wirelake/query"
)

// searchOptions are the flags of commands that search.
type searchOptions struct {
	from, to, bounding string
	explain            bool
}

func (o *searchOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "start of the time searched: 2024-12-31T23:59:59Z, \"2024/12/31 23:59\", seconds since 1970, or -1d (default: the oldest)")
	f.StringVar(&o.to, "to", "", "end of the time searched, in the same forms (default: the newest)")
	f.StringVar(&o.bounding, "bounding", "either", "which of a session's times must lie between: first, last, both or either (it overlaps)")
	f.BoolVar(&o.explain, "explain", false, "tell on standard error what was read and what was skipped")
	addElasticFlag(cmd)
}

// search makes the search of an expression and the flags.
func (o *searchOptions) search(reg *spi.Registry, text string, now time.Time) (*query.Search, error) {
	e, err := expr.Parse(text, reg, now)
	if err != nil {
		return nil, usageErrorf("%s", describeExprError(text, err))
	}
	w, err := query.ParseWindow(o.from, o.to, o.bounding, now)
	if err != nil {
		return nil, usageErrorf("%w", err)
	}
	return &query.Search{Expr: e, Window: w, Explain: o.explain}, nil
}

// describeExprError points at the place of an expression's error.
func describeExprError(text string, err error) string {
	var e *expr.Error
	if !errors.As(err, &e) || strings.ContainsAny(text, "\n\t") {
		return err.Error()
	}
	return fmt.Sprintf("%v\n  %s\n  %s%s", err, text, strings.Repeat(" ", e.Column-1), strings.Repeat("^", max(1, e.Length)))
}

// tableFields are the columns of a table, csvFields those of CSV, for who names none.
const (
	tableFields = "firstPacket,lastPacket,source.ip,source.port,destination.ip,destination.port,network.packets,network.bytes,protocol,node,id"
	csvColumns  = "firstPacket,lastPacket,ipProtocol,source.ip,source.port,destination.ip,destination.port,network.packets,network.bytes,totDataBytes,protocol,node,id"
)

func newSessionsCommand(a *app) *cobra.Command {
	var o sessionsOptions
	cmd := &cobra.Command{
		Use:   "sessions [EXPRESSION]",
		Short: "Find sessions and print them",
		Long: `sessions prints the sessions that match an expression, all of them without one. With
--format json it prints one array of whole documents, each with its id.

Without --from and --to all of the archive is searched.`,
		Example: `  wirelake sessions --store s3://archive 'ip.dst == 10.0.0.0/8 && port.dst == 443' --format json
  wirelake sessions 'host == *.example.org' --from -1d --format csv --fields firstPacket,source.ip,http.uri
  wirelake sessions 'bytes > 1000000' --order bytes:desc --length 10 --explain`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := ""
			if len(args) > 0 {
				text = args[0]
			}
			return a.sessions(cmd.Context(), text, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "table", "json, csv or table")
	f.StringVar(&o.fields, "fields", "", "fields to print, comma separated (default: all for json, the usual columns else)")
	f.StringVar(&o.order, "order", "firstPacket:asc", "fields to sort by, as bytes:desc,firstPacket:asc")
	f.IntVar(&o.start, "start", 0, "sessions to leave out at the start")
	f.IntVar(&o.length, "length", 0, "sessions to print (default: all)")
	o.addFlags(cmd)
	return cmd
}

type sessionsOptions struct {
	searchOptions
	format, fields, order string
	start, length         int
}

// sortedSessions is how many sessions are gathered to be sorted when no length is given. More are printed in the order of
// their days, as they are found.
const sortedSessions = 20_000

func (a *app) sessions(ctx context.Context, text string, o sessionsOptions) error {
	set := dissect.New()
	reg := set.Registry()
	s, err := o.search(reg, text, time.Now())
	if err != nil {
		return err
	}
	fields := o.fields
	switch {
	case o.format != "json" && o.format != "csv" && o.format != "table":
		return usageErrorf("--format: %q is not one of json, csv and table", o.format)
	case o.start < 0 || o.length < 0:
		return usageErrorf("--start and --length must not be negative")
	case fields == "" && o.format == "table":
		fields = tableFields
	case fields == "" && o.format == "csv":
		fields = csvColumns
	}
	if fields != "" {
		if s.Fields, err = query.ParseFields(reg, fields); err != nil {
			return usageErrorf("--fields: %w", err)
		}
	}
	if s.Sort, err = query.ParseOrder(reg, o.order); err != nil {
		return usageErrorf("%w", err)
	}
	store, err := a.openExistingStore(ctx, "query")
	if err != nil {
		return err
	}
	engine, err := a.newEngine(store, set)
	if err != nil {
		return err
	}
	s.Start, s.Length = o.start, o.length
	if s.Length == 0 {
		s.Length = sortedSessions
	}
	result, err := engine.Search(ctx, s)
	if err != nil {
		return err
	}
	a.tellResult(result)
	docs := rows(result.Rows)
	if o.length == 0 && int64(s.Start)+int64(len(result.Rows)) < result.Total {
		a.log.InfoContext(ctx, "too many sessions to sort, printing them in order of days", "sessions", result.Total)
		docs = a.skip(engine.Each(ctx, s), s.Start)
	}
	w := bufio.NewWriterSize(a.stdout, 1<<16)
	if err := printSessions(w, reg, o.format, s.Fields, docs); err != nil {
		return err
	}
	return w.Flush()
}

// tellResult prints warnings and the explanation of a search.
func (a *app) tellResult(r *query.Result) {
	for _, text := range r.Warnings {
		fmt.Fprintf(a.stderr, "wirelake: warning: %s\n", text)
	}
	if r.Explain != nil {
		r.Explain.WriteText(a.stderr)
	}
}

func rows(docs []*spi.Document) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		for _, d := range docs {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// skip leaves out the first sessions, and prints warnings, which the search before has not told of.
func (a *app) skip(docs iter.Seq2[*spi.Document, error], n int) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		for d, err := range docs {
			var warning *query.Warning
			switch {
			case errors.As(err, &warning):
			case err == nil && n > 0:
				n--
			case !yield(d, err):
				return
			}
		}
	}
}

func printSessions(w io.Writer, reg *spi.Registry, format string, fields []spi.FieldID, docs iter.Seq2[*spi.Document, error]) error {
	switch format {
	case "csv":
		return query.WriteCSV(w, reg, fields, docs)
	case "table":
		return printTable(w, reg, fields, docs)
	}
	return printJSON(w, fields, docs)
}

// printJSON writes one array, a document a line.
func printJSON(w io.Writer, fields []spi.FieldID, docs iter.Seq2[*spi.Document, error]) error {
	separator := "[\n"
	var line []byte
	for d, err := range docs {
		if err != nil {
			return err
		}
		line = append(append(line[:0], separator...), query.EncodeRow(d, fields)...)
		if _, err := w.Write(line); err != nil {
			return err
		}
		separator = ",\n"
	}
	end := "\n]\n"
	if separator == "[\n" {
		end = "[]\n"
	}
	_, err := io.WriteString(w, end)
	return err
}

// tableRows is after how many rows the widths of columns are settled anew, so that a long table streams.
const tableRows = 1000

func printTable(w io.Writer, reg *spi.Registry, fields []spi.FieldID, docs iter.Seq2[*spi.Document, error]) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	cells := make([]string, len(fields))
	for i, id := range fields {
		cells[i] = strings.ToUpper(reg.Field(id).Name)
	}
	if _, err := fmt.Fprintln(tw, strings.Join(cells, "\t")); err != nil {
		return err
	}
	n := 0
	for d, err := range docs {
		if err != nil {
			return err
		}
		for i, id := range fields {
			cells[i] = query.Cell(reg.Field(id), d)
		}
		if _, err := fmt.Fprintln(tw, strings.Join(cells, "\t")); err != nil {
			return err
		}
		if n++; n%tableRows == 0 {
			if err := tw.Flush(); err != nil {
				return err
			}
		}
	}
	return tw.Flush()
}
