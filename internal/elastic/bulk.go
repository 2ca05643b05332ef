package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esapi"

	"wirelake/internal/spi"
)

// Body collects documents of one day for one bulk request.
type Body struct {
	buf   []byte
	items []int // offset in buf of each item
	ids   []string
}

// Len returns the bytes of the body.
func (b *Body) Len() int { return len(b.buf) }

// Docs returns the number of documents.
func (b *Body) Docs() int { return len(b.items) }

// Reset empties the body and keeps its memory.
func (b *Body) Reset() { b.buf, b.items, b.ids = b.buf[:0], b.items[:0], b.ids[:0] }

// Add appends the hot document of d under its session id.
func (b *Body) Add(d *spi.Document) {
	id := d.String(spi.ID)
	b.items = append(b.items, len(b.buf))
	b.ids = append(b.ids, id)
	b.buf = append(b.buf, `{"index":{"_id":"`...)
	b.buf = append(b.buf, id...) // ids are digits, letters and "-"
	b.buf = append(b.buf, "\"}}\n"...)
	b.buf = append(AppendHot(b.buf, d), '\n')
}

// item returns the two lines of one document.
func (b *Body) item(i int) []byte {
	end := len(b.buf)
	if i+1 < len(b.items) {
		end = b.items[i+1]
	}
	return b.buf[b.items[i]:end]
}

// Bulk indexes the body's documents into the day's index. Items that
// Elasticsearch has no room for (429) and requests that fail are repeated, with
// growing pauses, for Config.RetryFor; then Bulk returns an error, and indexing
// the same documents again later does no harm. Documents that Elasticsearch
// rejects are logged with their ids, counted in rejected, and not repeated.
func (c *Client) Bulk(ctx context.Context, day string, b *Body) (rejected int, err error) {
	if b.Docs() == 0 {
		return 0, nil
	}
	began := time.Now()
	pause := 100 * time.Millisecond
	pending, ids := b.buf, b.ids
	body := b
	for {
		left, bad, err := c.bulkOnce(ctx, day, pending, ids, body)
		rejected += bad
		if err == nil && left.Docs() == 0 {
			c.metrics.documents.Add(float64(b.Docs() - rejected))
			return rejected, nil
		}
		if err == nil {
			err = &StatusError{Status: http.StatusTooManyRequests, Type: "es_rejected_execution_exception", Reason: fmt.Sprintf("%d of %d documents refused for now", left.Docs(), body.Docs())}
			body, pending, ids = left, left.buf, left.ids
			c.metrics.retries.Add(float64(left.Docs()))
		} else {
			if !repeatable(err) {
				return rejected, fmt.Errorf("bulk into %q: %w", c.Index(day), err)
			}
			c.metrics.failures.Inc()
		}
		if time.Since(began)+pause > c.cfg.RetryFor {
			return rejected, fmt.Errorf("bulk into %q: given up after %v: %w", c.Index(day), time.Since(began).Round(time.Millisecond), err)
		}
		select {
		case <-ctx.Done():
			return rejected, fmt.Errorf("bulk into %q: %w", c.Index(day), context.Cause(ctx))
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // jitter
		}
		pause = min(pause*2, 5*time.Second)
	}
}

// repeatable reports whether a request may succeed when it is sent again.
func repeatable(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Status == http.StatusTooManyRequests || status.Status >= 500 || status.Status == http.StatusRequestTimeout
	}
	return true // a connection's failure
}

// bulkOnce sends one request. It returns the items to send again, and how many
// were rejected for good.
func (c *Client) bulkOnce(ctx context.Context, day string, pending []byte, ids []string, body *Body) (*Body, int, error) {
	began := time.Now()
	answer, err := c.do(ctx, esapi.BulkRequest{
		Index:      c.Index(day),
		Body:       bytes.NewReader(pending),
		FilterPath: []string{"errors", "items.index.status", "items.index.error"},
	})
	c.metrics.seconds.Observe(time.Since(began).Seconds())
	if err != nil {
		return nil, 0, err
	}
	c.metrics.bytes.Add(float64(len(pending)))
	again := &Body{}
	// The usual answer says so in its first bytes; the rest need not be parsed.
	if bytes.HasPrefix(answer, []byte(`{"errors":false`)) {
		return again, 0, nil
	}
	var parsed struct {
		Items []struct {
			Index struct {
				Status int `json:"status"`
				Error  *struct {
					Type   string `json:"type"`
					Reason string `json:"reason"`
					Cause  *struct {
						Type   string `json:"type"`
						Reason string `json:"reason"`
					} `json:"caused_by"`
				} `json:"error"`
			} `json:"index"`
		} `json:"items"`
	}
	if err := json.Unmarshal(answer, &parsed); err != nil {
		return nil, 0, fmt.Errorf("elasticsearch: answer to bulk: %w", err)
	}
	if len(parsed.Items) != len(ids) {
		return nil, 0, fmt.Errorf("elasticsearch: answer to bulk has %d items for %d documents", len(parsed.Items), len(ids))
	}
	rejected := 0
	for i, item := range parsed.Items {
		switch status := item.Index.Status; {
		case item.Index.Error == nil:
		case status == http.StatusTooManyRequests || status >= 500:
			again.items = append(again.items, len(again.buf))
			again.ids = append(again.ids, ids[i])
			again.buf = append(again.buf, body.item(i)...)
		default:
			rejected++
			reason := item.Index.Error.Reason
			if cause := item.Index.Error.Cause; cause != nil {
				reason += ": " + cause.Reason
			}
			c.log.ErrorContext(ctx, "document rejected by Elasticsearch", "id", ids[i], "index", c.Index(day), "status", status, "type", item.Index.Error.Type, "reason", reason)
			c.metrics.rejected.Inc()
		}
	}
	return again, rejected, nil
}
