package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"wirelake/compactor"
	"wirelake/internal/dissect"
	"wirelake/internal/elastic"
	"wirelake/internal/objstore"
)

func newCompactorCommand(a *app) *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "compactor",
		Short: "Turn chunks into sessions",
		Long: `compactor follows the chunks of a store, dissects them, writes their sessions as
Parquet, and indexes the hot fields in Elasticsearch where one is configured.

It may be killed at any time and started elsewhere: it goes on at its checkpoints,
with no session twice and none missing. One compactor works on a store at a time;
a second one waits until the first is gone.

With --keylog, what programs wrote where SSLKEYLOGFILE told them to, TLS is
decrypted and its plaintext dissected like a session in clear. The files are
followed as they grow.

With --rules it tags sessions by expressions and lists of indicators; the file is
read again when it changes and at SIGHUP (docs/rules.md).

With --once it works off what is there, waits until Elasticsearch has it, and exits.`,
		Example: `  wirelake compactor --store file:///var/lib/wirelake --once
  wirelake compactor --store s3://archive --elasticsearch http://127.0.0.1:9200`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			store, err := a.openExistingStore(ctx, "compactor")
			if err != nil {
				return err
			}
			set := dissect.New()
			c, err := a.newCompactor(store, set)
			if err != nil {
				return err
			}
			return a.withRules(ctx, a.rules, func(ctx context.Context, loaded func() error) error {
				if err := loaded(); err != nil {
					return err
				}
				return c.Run(ctx, once)
			})
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "work off what is there and exit")
	addElasticFlag(cmd)
	addRulesFlag(cmd)
	addSigmaFlag(cmd)
	addKeyLogFlag(cmd)
	return cmd
}

// addElasticFlag adds the flag that names Elasticsearch.
func addElasticFlag(cmd *cobra.Command) {
	cmd.Flags().StringSlice("elasticsearch", nil, "address of Elasticsearch, such as http://127.0.0.1:9200 (default: none)")
	bindFlag(cmd.Flags(), "elasticsearch", "elasticsearch.urls")
}

// newCompactor makes the compactor of the settings.
func (a *app) newCompactor(store objstore.Store, set *dissect.Set) (*compactor.Compactor, error) {
	parts, err := a.compactorParts(store, set)
	if err != nil {
		return nil, err
	}
	return compactor.New(a.cfg.Compactor, parts)
}

// compactorParts returns what makes documents of sessions, as the settings say.
func (a *app) compactorParts(store objstore.Store, set *dissect.Set) (compactor.Parts, error) {
	geo, err := a.openGeo()
	if err != nil {
		return compactor.Parts{}, err
	}
	es, err := a.elastic(set)
	if err != nil {
		return compactor.Parts{}, err
	}
	cfg := a.cfg.Session
	if cfg.Keys, err = a.openKeyLog(); err != nil {
		return compactor.Parts{}, err
	}
	parts := compactor.Parts{Store: store, Set: set, Session: cfg, Geo: geo, Elastic: es, Log: a.log, Metrics: a.reg}
	t, err := a.tagger(set)
	if t != nil {
		parts.Rules = t
	}
	return parts, err
}

// elastic returns the one client of the settings, nil when no Elasticsearch is configured.
func (a *app) elastic(set *dissect.Set) (*elastic.Client, error) {
	if !a.cfg.Elasticsearch.Enabled() || a.es != nil {
		return a.es, nil
	}
	var err error
	a.es, err = elastic.New(a.cfg.Elasticsearch, set.Registry(), a.log, a.reg)
	return a.es, err
}

func newReindexCommand(a *app) *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "reindex",
		Short: "Rebuild Elasticsearch from Parquet",
		Long: `reindex deletes the Elasticsearch indices of the days given and builds them again
from the sessions in Parquet. Searches read those days from Parquet meanwhile. A
compactor may run at the same time.`,
		Example: `  wirelake reindex --store s3://archive --elasticsearch http://127.0.0.1:9200 --from 2026-03-01 --to 2026-03-07`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for name, day := range map[string]string{"from": from, "to": to} {
				if err := checkDay(day); err != nil {
					return usageErrorf("--%s: %w", name, err)
				}
			}
			if !a.cfg.Elasticsearch.Enabled() {
				return usageErrorf("no Elasticsearch is configured: give --elasticsearch or set elasticsearch.urls")
			}
			return a.reindex(cmd.Context(), from, to)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "first day, YYYY-MM-DD (default: the oldest)")
	cmd.Flags().StringVar(&to, "to", "", "last day, YYYY-MM-DD (default: the newest)")
	addElasticFlag(cmd)
	return cmd
}

// checkDay reports what is wrong with a day's name; "" is none given.
func checkDay(day string) error {
	if day == "" {
		return nil
	}
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return fmt.Errorf("%q is not a day such as 2026-03-01", day)
	}
	return nil
}

func (a *app) reindex(ctx context.Context, from, to string) error {
	store, err := a.openExistingStore(ctx, "reindex")
	if err != nil {
		return err
	}
	set := dissect.New()
	es, err := a.elastic(set)
	if err != nil {
		return err
	}
	return compactor.Reindex(ctx, store, es, set.Registry(), from, to, a.log, func(day string, n, of int) {
		fmt.Fprintf(a.stderr, "indexing %s (day %d of %d)\n", day, n+1, of)
	})
}
