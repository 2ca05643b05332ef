package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"wirelake/internal/elastic"
	"wirelake/testenv"
)

// elasticsearch starts a node at the first call.
func (b *bench) elasticsearch() (*elastic.Client, error) {
	if b.client != nil {
		return b.client, nil
	}
	var err error
	if b.node, err = testenv.StartElasticsearch(); err != nil {
		return nil, err
	}
	cfg := elastic.DefaultConfig()
	cfg.URLs = []string{b.node.URL()}
	b.client, err = elastic.New(cfg, b.set.Registry(), nil, nil)
	return b.client, err
}

// clearElastic deletes the indices of all days, and waits until the node has nothing to do.
func (b *bench) clearElastic(ctx context.Context, es *elastic.Client) error {
	days, err := es.Indices(ctx)
	if err != nil {
		return err
	}
	for _, d := range days {
		if err := es.DeleteIndex(ctx, d.Day); err != nil {
			return err
		}
	}
	return b.settled(ctx)
}

// settled waits until no merge runs: what one measurement left behind must not slow the next.
func (b *bench) settled(ctx context.Context) error {
	for quiet := 0; quiet < 3; {
		var stats struct {
			All struct {
				Total struct {
					Merges struct {
						Current int `json:"current"`
					} `json:"merges"`
				} `json:"total"`
			} `json:"_all"`
		}
		if err := b.ask(ctx, http.MethodGet, "/_stats/merge", &stats); err != nil {
			return err
		}
		quiet++
		if stats.All.Total.Merges.Current > 0 {
			quiet = 0
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

// indexed returns what all indices hold and take, once everything is in segments on disk and no merge runs.
func (b *bench) indexed(ctx context.Context, es *elastic.Client) (docs, bytes int64, err error) {
	for _, path := range []string{"/_flush?force=true&wait_if_ongoing=true", "/_refresh"} {
		if err := b.ask(ctx, http.MethodPost, path, nil); err != nil {
			return 0, 0, err
		}
	}
	if err := b.settled(ctx); err != nil {
		return 0, 0, err
	}
	days, err := es.Indices(ctx)
	for _, d := range days {
		docs, bytes = docs+d.Documents, bytes+d.SizeBytes
	}
	return docs, bytes, err
}

// ask sends a request without a body to the node.
func (b *bench) ask(ctx context.Context, method, path string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, b.node.URL()+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}
