package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esapi"
)

// Answer is what a search returns, as far as it is asked for.
type Answer struct {
	TookMillis int64 `json:"took"`
	Hits       struct {
		Total struct {
			Value int64 `json:"value"`
		} `json:"total"`
		Hits []Hit `json:"hits"`
	} `json:"hits"`
	Aggregations json.RawMessage `json:"aggregations"`
	PITID        string          `json:"pit_id"`
}

// Hit is one document found.
type Hit struct {
	ID     string            `json:"_id"` // the session id
	Source json.RawMessage   `json:"_source"`
	Sort   []json.RawMessage `json:"sort"`
}

// Search runs a search body over the indices of all days. No index is no error: nothing is found.
func (c *Client) Search(ctx context.Context, body map[string]any) (*Answer, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req := esapi.SearchRequest{Body: bytes.NewReader(b)}
	if _, ok := body["pit"]; !ok { // a point in time names the indices itself
		req.Index = []string{c.cfg.IndexPrefix + "*"}
	}
	// A shard that fails makes the search fail: a part of the answer is not the answer.
	no := false
	req.AllowPartialSearchResults = &no
	raw, err := c.do(ctx, req)
	if err != nil {
		return nil, err
	}
	var a Answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, fmt.Errorf("elasticsearch: answer to search: %w", err)
	}
	return &a, nil
}

// OpenPIT opens a point in time over the indices of all days, which lives for keep after each use,
// and returns its id. Indices made later are not in it.
func (c *Client) OpenPIT(ctx context.Context, keep time.Duration) (string, error) {
	raw, err := c.do(ctx, esapi.OpenPointInTimeRequest{Index: []string{c.cfg.IndexPrefix + "*"}, KeepAlive: Seconds(keep)})
	if err != nil {
		return "", err
	}
	var a struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return "", fmt.Errorf("elasticsearch: answer to open point in time: %w", err)
	}
	return a.ID, nil
}

// ClosePIT gives back what a point in time holds.
func (c *Client) ClosePIT(ctx context.Context, id string) error {
	b, err := json.Marshal(map[string]string{"id": id})
	if err != nil {
		return err
	}
	_, err = c.do(ctx, esapi.ClosePointInTimeRequest{Body: bytes.NewReader(b)})
	return err
}

// Seconds returns d as Elasticsearch writes it.
func Seconds(d time.Duration) string { return fmt.Sprintf("%ds", int64(d/time.Second)) }

// Count returns the number of documents of all days.
func (c *Client) Count(ctx context.Context) (int64, error) {
	raw, err := c.do(ctx, esapi.CountRequest{Index: []string{c.cfg.IndexPrefix + "*"}})
	if err != nil {
		return 0, err
	}
	var a struct {
		Count int64 `json:"count"`
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return 0, fmt.Errorf("elasticsearch: answer to count: %w", err)
	}
	return a.Count, nil
}
