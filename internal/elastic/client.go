package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v8/esapi"
	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/config"
	"wirelake/internal/spi"
)

// Config says which Elasticsearch to use, and how. Start from DefaultConfig.
// With no URL nothing is indexed, and everything works on Parquet.
type Config struct {
	URLs        []string      `koanf:"urls" help:"http(s)://host:port of the nodes; none: no Elasticsearch"`
	Username    string        `koanf:"username" help:"user for basic authentication"`
	Password    config.Secret `koanf:"password" help:"password for basic authentication"`
	APIKey      config.Secret `koanf:"api_key" help:"API key, instead of user and password"`
	IndexPrefix string        `koanf:"index_prefix" help:"what the names of the day indices begin with"`
	Replicas    int           `koanf:"replicas" help:"copies of each day index beside the first"`
	Timeout     time.Duration `koanf:"timeout" help:"of one request"`
	BulkBytes   config.Size   `koanf:"bulk_bytes" help:"size of one bulk request"`
	RetryFor    time.Duration `koanf:"retry_for" help:"how long a bulk request is repeated before it is set aside"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{
		IndexPrefix: "wirelake-sessions-",
		Timeout:     30 * time.Second,
		BulkBytes:   2 << 20,
		RetryFor:    30 * time.Second,
	}
}

// Enabled reports whether an Elasticsearch is configured.
func (c Config) Enabled() bool { return len(c.URLs) > 0 }

// Validate reports every bad setting.
func (c Config) Validate() error {
	var errs []error
	for _, u := range c.URLs {
		p, err := url.Parse(u)
		if err != nil || (p.Scheme != "http" && p.Scheme != "https") || p.Host == "" {
			errs = append(errs, fmt.Errorf("urls: %q is not an http:// or https:// address", u))
		}
	}
	if c.IndexPrefix == "" || c.IndexPrefix != strings.ToLower(c.IndexPrefix) || strings.ContainsAny(c.IndexPrefix, `\/*?"<>| ,#:`) || strings.HasPrefix(c.IndexPrefix, "-") || strings.HasPrefix(c.IndexPrefix, "_") {
		errs = append(errs, fmt.Errorf("index_prefix: %q cannot begin an index name", c.IndexPrefix))
	}
	if c.Replicas < 0 {
		errs = append(errs, fmt.Errorf("replicas: %d is negative", c.Replicas))
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout: %v is not positive", c.Timeout))
	}
	if c.RetryFor <= 0 {
		errs = append(errs, fmt.Errorf("retry_for: %v is not positive", c.RetryFor))
	}
	if c.BulkBytes < 64<<10 || c.BulkBytes > 64<<20 {
		errs = append(errs, fmt.Errorf("bulk_bytes: %d is not between 64 KiB and 64 MiB", c.BulkBytes))
	}
	if c.APIKey != "" && c.Username != "" {
		errs = append(errs, errors.New("api_key: set together with username"))
	}
	return errors.Join(errs...)
}

// Client speaks to one Elasticsearch cluster. Its methods may be called by many
// goroutines at once.
type Client struct {
	cfg     Config
	reg     *spi.Registry
	es      *elastictransport.Client
	log     *slog.Logger
	metrics metrics
}

// New returns a client of the cluster that cfg names. It does not connect yet:
// Elasticsearch may be down when a process starts.
func New(cfg Config, reg *spi.Registry, log *slog.Logger, prom prometheus.Registerer) (*Client, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	options := []elastictransport.Option{
		// Bulk requests are repeated here, item by item; reads fail fast instead.
		elastictransport.WithDisableRetry(),
		elastictransport.WithTransport(&http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			MaxIdleConnsPerHost:   16,
			IdleConnTimeout:       90 * time.Second,
			ResponseHeaderTimeout: cfg.Timeout,
		}),
	}
	var urls []*url.URL
	for _, u := range cfg.URLs {
		parsed, err := url.Parse(u)
		if err != nil {
			return nil, fmt.Errorf("elasticsearch client: %w", err)
		}
		urls = append(urls, parsed)
	}
	options = append(options, elastictransport.WithURLs(urls...))
	switch {
	case cfg.APIKey != "":
		options = append(options, elastictransport.WithAPIKey(string(cfg.APIKey)))
	case cfg.Username != "":
		options = append(options, elastictransport.WithBasicAuth(cfg.Username, string(cfg.Password)))
	}
	// The transport and esapi only: the whole client brings 850 packages of typed requests that nobody here uses.
	es, err := elastictransport.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("elasticsearch client: %w", err)
	}
	return &Client{cfg: cfg, reg: reg, es: es, log: log, metrics: newMetrics(prom)}, nil
}

// BulkBytes is the size at which a bulk request should be sent.
func (c *Client) BulkBytes() int { return int(c.cfg.BulkBytes) }

// Index returns the name of a day's index. The day is YYYY-MM-DD, UTC.
func (c *Client) Index(day string) string {
	return c.cfg.IndexPrefix + strings.ReplaceAll(day, "-", ".")
}

// Day returns the day of an index name, and false for the name of another index.
func (c *Client) Day(index string) (string, bool) {
	rest, ok := strings.CutPrefix(index, c.cfg.IndexPrefix)
	if !ok {
		return "", false
	}
	day := strings.ReplaceAll(rest, ".", "-")
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return "", false
	}
	return day, true
}

// StatusError is an answer of Elasticsearch that is not a success.
type StatusError struct {
	Status int
	Type   string // as Elasticsearch names the error
	Reason string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("elasticsearch: HTTP %d %s: %s", e.Status, e.Type, e.Reason)
}

// do runs a request with the configured timeout and returns the body of its answer.
func (c *Client) do(ctx context.Context, req esapi.Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	res, err := req.Do(ctx, c.es)
	if err != nil {
		return nil, fmt.Errorf("elasticsearch: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // read whole below, or given up
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("elasticsearch: %w", err)
	}
	if res.IsError() {
		return nil, newStatusError(res.StatusCode, body)
	}
	return body, nil
}

func newStatusError(status int, body []byte) error {
	var answer struct {
		Error json.RawMessage `json:"error"`
	}
	e := &StatusError{Status: status}
	var cause struct{ Type, Reason string }
	if json.Unmarshal(body, &answer) == nil && json.Unmarshal(answer.Error, &cause) == nil {
		e.Type, e.Reason = cause.Type, cause.Reason
	} else {
		e.Reason = string(bytes.TrimSpace(body[:min(len(body), 300)]))
	}
	return e
}

// EnsureTemplate installs the composable template of the day indices.
func (c *Client) EnsureTemplate(ctx context.Context) error {
	b, err := json.Marshal(c.template())
	if err != nil {
		return err
	}
	_, err = c.do(ctx, esapi.IndicesPutIndexTemplateRequest{Name: strings.TrimRight(c.cfg.IndexPrefix, "-."), Body: bytes.NewReader(b)})
	return err
}

// EnsureIndex makes a day's index, and reports whether it was made now. One that is there learns the fields
// that it does not know: it may have been made when there were fewer.
func (c *Client) EnsureIndex(ctx context.Context, day string) (created bool, err error) {
	_, err = c.do(ctx, esapi.IndicesCreateRequest{Index: c.Index(day)})
	var status *StatusError
	if errors.As(err, &status) && status.Type == "resource_already_exists_exception" {
		return false, c.addFields(ctx, day)
	}
	return err == nil, err
}

// addFields adds to a day's index the hot fields that it lacks.
func (c *Client) addFields(ctx context.Context, day string) error {
	b, err := json.Marshal(Mapping(c.reg))
	if err != nil {
		return err
	}
	_, err = c.do(ctx, esapi.IndicesPutMappingRequest{Index: []string{c.Index(day)}, Body: bytes.NewReader(b)})
	var status *StatusError
	if errors.As(err, &status) && status.Status == http.StatusBadRequest {
		// A field has another type there. Documents that this index refuses are told of one by one.
		c.log.WarnContext(ctx, "index does not take today's fields, reindex makes it anew", "day", day, "error", err)
		return nil
	}
	return err
}

// DeleteIndex deletes a day's index; one that is not there is no error.
func (c *Client) DeleteIndex(ctx context.Context, day string) error {
	yes := true
	_, err := c.do(ctx, esapi.IndicesDeleteRequest{Index: []string{c.Index(day)}, IgnoreUnavailable: &yes})
	return err
}

// Refresh makes what was indexed in a day visible to searches.
func (c *Client) Refresh(ctx context.Context, day string) error {
	_, err := c.do(ctx, esapi.IndicesRefreshRequest{Index: []string{c.Index(day)}})
	return err
}

// Indices returns the days that have an index, in order, with their documents and bytes.
func (c *Client) Indices(ctx context.Context) ([]DayStats, error) {
	body, err := c.do(ctx, esapi.CatIndicesRequest{Index: []string{c.cfg.IndexPrefix + "*"}, Format: "json", Bytes: "b", H: []string{"index", "docs.count", "store.size"}, S: []string{"index"}})
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Index string `json:"index"`
		Docs  int64  `json:"docs.count,string"`
		Bytes int64  `json:"store.size,string"`
	}
	if err := json.Unmarshal(body, &rows); err != nil {
		return nil, fmt.Errorf("elasticsearch: list of indices: %w", err)
	}
	var out []DayStats
	for _, r := range rows {
		if day, ok := c.Day(r.Index); ok {
			out = append(out, DayStats{Day: day, Documents: r.Docs, SizeBytes: r.Bytes})
		}
	}
	return out, nil
}

// DayStats describes a day's index.
type DayStats struct {
	Day       string // YYYY-MM-DD
	Documents int64
	SizeBytes int64
}
