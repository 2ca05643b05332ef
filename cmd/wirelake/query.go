package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/spf13/cobra"

	"wirelake/internal/dissect"
	"wirelake/internal/objstore"
	"wirelake/internal/telemetry"
	"wirelake/query"
	"wirelake/web"
)

func newQueryCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "query",
		Short: "Serve searches, packets and the browser GUI",
		Long: `query serves the sessions and packets of a store: Arkime's HTTP API, the link that
NetFlow reports point to (/link?src=&dst=&sport=&dport=&proto=&start=&end=), and the
browser GUI. It only reads the store.

It listens on loopback and refuses any other address, for it asks nobody who he is.`,
		Example: `  wirelake query --store s3://archive
  wirelake query --store file:///var/lib/wirelake --listen 127.0.0.1:9000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			store, err := a.openExistingStore(ctx, "query")
			if err != nil {
				return err
			}
			l, err := query.Listen(ctx, a.cfg.Query)
			if err != nil {
				return err
			}
			return a.serve(ctx, l, store, dissect.New(), &telemetry.Health{})
		},
	}
	addListenFlag(cmd)
	addElasticFlag(cmd)
	return cmd
}

// addListenFlag adds the flag for the address of the query service.
func addListenFlag(cmd *cobra.Command) {
	cmd.Flags().String("listen", query.DefaultConfig().Listen, "address to serve on, loopback only")
	bindFlag(cmd.Flags(), "listen", "query.listen")
}

// serve runs the query service on l until ctx ends. The store is added to what health checks.
func (a *app) serve(ctx context.Context, l net.Listener, store objstore.Store, set *dissect.Set, health *telemetry.Health) error {
	handler, err := a.queryHandler(store, set, health)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	fmt.Fprintf(a.stderr, "serving http://%s\n", l.Addr())
	return query.Serve(ctx, l, handler, a.log)
}

func (a *app) queryHandler(store objstore.Store, set *dissect.Set, health *telemetry.Health) (http.Handler, error) {
	engine, err := a.newEngine(store, set)
	if err != nil {
		return nil, err
	}
	packets, err := query.NewFetcher(store, a.cfg.Query.Packets, a.reg, a.log)
	if err != nil {
		return nil, err
	}
	health.AddCheck("object store", func(ctx context.Context) error { return reachable(ctx, store) })
	api := &query.API{
		Config: a.cfg.Query, Registry: set.Registry(), Engine: engine, Packets: packets, Store: store, GUI: web.Handler(),
		Health: health, Metrics: a.reg, Log: a.log,
	}
	return api.Handler()
}

// reachable asks the store for its first object.
func reachable(ctx context.Context, store objstore.Store) error {
	for _, err := range store.List(ctx, "", "") {
		return err
	}
	return nil
}

// newEngine returns what answers searches: Parquet, and Elasticsearch where one is configured.
func (a *app) newEngine(store objstore.Store, set *dissect.Set) (query.Engine, error) {
	parquet, err := query.NewParquet(store, set.Registry(), a.cfg.Query.Parquet, a.log)
	if err != nil {
		return nil, err
	}
	client, err := a.elastic(set)
	if err != nil {
		return nil, err
	}
	var es *query.Elastic
	if client != nil {
		es = query.NewElastic(client, set.Registry(), a.log)
	}
	return query.NewPlanner(parquet, es, store, set.Registry(), a.log), nil
}
