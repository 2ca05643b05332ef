package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"wirelake/compactor"
	"wirelake/internal/dissect"
	"wirelake/internal/expr"
)

type redissectOptions struct {
	from, to, expression string
	restart, quiet       bool
}

func newRedissectCommand(a *app) *cobra.Command {
	var o redissectOptions
	cmd := &cobra.Command{
		Use:   "redissect",
		Short: "Dissect the packets of stored sessions again",
		Long: `redissect runs today's dissectors over the packets of sessions that are in the store,
and replaces their documents in Parquet, and in Elasticsearch where that holds the
day: a parser, a rule or a key log of today finds what last year's traffic held.

Sessions keep their ids, their bounds and their packets. A file of sessions is replaced
as a whole, so that no search sees a session twice or not at all. Where the packets of
a session are gone or damaged its document stays as it is, and is counted. What one
session tells of another (FTP of its data connections) is known only when --expression
selects both.

It may be interrupted: run again with the same options it goes on where it was. A
compactor may run at the same time.`,
		Example: `  wirelake redissect --store s3://archive --from 2026-03-01 --to 2026-03-31
  wirelake redissect --store s3://archive --from 2026-03-01 --expression 'port == 102 && protocols != s7comm'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for name, day := range map[string]string{"from": o.from, "to": o.to} {
				if err := checkDay(day); err != nil {
					return usageErrorf("--%s: %w", name, err)
				}
			}
			return a.redissect(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "first day of the sessions, YYYY-MM-DD (default: the oldest)")
	f.StringVar(&o.to, "to", "", "last day of the sessions, YYYY-MM-DD (default: the newest)")
	f.StringVar(&o.expression, "expression", "", "only sessions that match it (default: all)")
	addRulesFlag(cmd)
	addSigmaFlag(cmd)
	f.BoolVar(&o.restart, "restart", false, "begin anew where an earlier run with these options was interrupted")
	f.BoolVar(&o.quiet, "quiet", false, "show no progress")
	addElasticFlag(cmd)
	addKeyLogFlag(cmd)
	return cmd
}

func (a *app) redissect(ctx context.Context, o redissectOptions) error {
	set := dissect.New()
	e, err := expr.Parse(o.expression, set.Registry(), time.Now())
	if err != nil {
		return usageErrorf("--expression: %w", err)
	}
	store, err := a.openExistingStore(ctx, "redissect")
	if err != nil {
		return err
	}
	parts, err := a.compactorParts(store, set)
	if err != nil {
		return err
	}
	if err := a.rules.Load(ctx); err != nil {
		return err
	}
	a.rules.LogRefused(ctx)
	told := time.Now()
	res, err := compactor.Redissect(ctx, parts, compactor.RedissectOptions{
		From: o.from, To: o.to, Expr: e, Restart: o.restart,
		Progress: func(p compactor.RedissectProgress) {
			if !o.quiet && time.Since(told) >= progressLine {
				told = time.Now()
				fmt.Fprintf(a.stderr, "file %d of %d: %d sessions dissected\n", p.Files, p.Of, p.Sessions)
			}
		},
	})
	writeRedissectResult(a.stderr, res)
	return err
}

// writeRedissectResult tells what was done, also by a run that ended early.
func writeRedissectResult(w io.Writer, res compactor.RedissectResult) {
	fmt.Fprintf(w, "%d sessions dissected, %d files replaced\n", res.Sessions, res.Rewritten)
	if res.Gone > 0 {
		fmt.Fprintf(w, "wirelake: warning: %d sessions stay as they are: their chunks are not in the store any more\n", res.Gone)
	}
	if res.Kept > 0 {
		fmt.Fprintf(w, "wirelake: warning: %d sessions stay as they are: not all of their packets can be read as before\n", res.Kept)
	}
}
