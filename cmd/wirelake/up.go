package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"wirelake/internal/dissect"
	"wirelake/internal/telemetry"
	"wirelake/query"
)

// upInterval is how often the compactor of a single process looks for chunks:
// listing a folder costs little.
const upInterval = time.Second

func newUpCommand(a *app) *cobra.Command {
	var imports []string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run compactor, query service and GUI in one process",
		Long: `up runs everything on one store in one process: the compactor, the query service
with its API, and the GUI. With --import it imports captures before it compacts, and
says where to look as soon as they can be searched.

Without Elasticsearch, the default, searches are answered from Parquet.`,
		Example: `  wirelake up
  wirelake up --store file:///var/lib/wirelake --listen 127.0.0.1:8005 --import capture.pcapng.gz`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), imports) },
	}
	cmd.Flags().StringSliceVar(&imports, "import", nil, "capture files or folders to import first")
	addListenFlag(cmd)
	addElasticFlag(cmd)
	addRulesFlag(cmd)
	addSigmaFlag(cmd)
	addKeyLogFlag(cmd)
	return cmd
}

func (a *app) up(ctx context.Context, imports []string) error {
	store, err := a.openStore(ctx, "up")
	if err != nil {
		return err
	}
	l, err := query.Listen(ctx, a.cfg.Query)
	if err != nil {
		return err // before an import takes its time
	}
	set := dissect.New()
	a.cfg.Compactor.Interval = min(a.cfg.Compactor.Interval, upInterval)
	c, err := a.newCompactor(store, set)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	var health telemetry.Health
	health.AddCheck("compactor", func(context.Context) error {
		if !c.CaughtUp() {
			return errors.New("chunks that were there at the start are being compacted")
		}
		return nil
	})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.serve(ctx, l, store, set, &health) })
	work := func(ctx context.Context, loaded func() error) error {
		if len(imports) > 0 {
			if err := a.importFiles(ctx, store, imports, false, false); err != nil {
				return err
			}
		}
		if err := loaded(); err != nil {
			return err
		}
		group.Go(func() error {
			if c.WaitCaughtUp(ctx) == nil {
				fmt.Fprintf(a.stdout, "\n  Open http://%s/sessions?date=-1 in a browser. Ctrl-C stops.\n\n", l.Addr())
			}
			return nil
		})
		return c.Run(ctx, false)
	}
	group.Go(func() error { return a.withRules(ctx, a.rules, work) })
	return group.Wait()
}
