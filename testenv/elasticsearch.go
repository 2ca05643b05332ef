package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// ElasticsearchServer is one Elasticsearch node on 127.0.0.1, without security. The jars of Maven Central
// lack GET /, painless, ILM, data streams, the wildcard field type.
type ElasticsearchServer struct {
	addr     string
	release  func() // of the port, which it gets again when it is started again
	home     string // of the jars, shared and only read
	dir      string // config and data of this node
	settings []string
	process  *process
	prefixes atomic.Int64
}

// StartElasticsearch starts an empty node in 5 to 15 seconds. Settings are key=value pairs of elasticsearch.yml, such
// as indexing_pressure.memory.limit=1kb, which answers bulks with 429. Close ends it; so does the end of this process.
func StartElasticsearch(settings ...string) (*ElasticsearchServer, error) {
	// The stamp is written last: with it, all is there.
	stamp, err := cached("elasticsearch", "elasticsearch/stamp")
	if err != nil {
		return nil, err
	}
	s := &ElasticsearchServer{home: filepath.Dir(stamp), settings: settings}
	if s.dir, err = os.MkdirTemp("", "wirelake-elasticsearch-"); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(s.dir, "config"), 0o700); err != nil {
		return nil, err
	}
	if s.addr, s.release, err = reserve(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	if err := s.start(); err != nil {
		s.release()
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// start runs the node on s.addr with the data of s.dir, and waits until its cluster state is there.
func (s *ElasticsearchServer) start() error {
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return err
	}
	args := []string{
		"java", "-Xms512m", "-Xmx1g", "-XX:+UseSerialGC", "-XX:-UsePerfData",
		"-Djava.io.tmpdir=" + s.dir, "-Dlog4j2.disable.jmx=true", "-Dio.netty.noUnsafe=true",
		"-cp", filepath.Join(s.home, "classes") + ":" + filepath.Join(s.home, "lib") + "/*",
		"EsNode", s.home, s.dir, port,
	}
	p, err := startProcess("elasticsearch", s.dir, nil, append(args, s.settings...)...)
	if err != nil {
		return err
	}
	s.process = p
	err = p.waitReady(s.URL()+"/_cluster/health?wait_for_status=yellow&timeout=1s", func(status int) bool { return status == http.StatusOK })
	if err != nil {
		p.kill()
	}
	return err
}

// URL returns http://127.0.0.1:PORT.
func (s *ElasticsearchServer) URL() string { return "http://" + s.addr }

// Close kills the node and removes its data.
func (s *ElasticsearchServer) Close() {
	s.process.kill()
	s.release()
	_ = os.RemoveAll(s.dir) // after Stop the supervisor left it
}

// Elastic is one test's use of an Elasticsearch node.
type Elastic struct {
	URL    string // http://127.0.0.1:PORT
	Prefix string // begins the names of this test's indices and templates; lower case, ends with a dash
	server *ElasticsearchServer
}

// sharedElasticsearch is the node that all tests of this process use: it takes 5 to 15 seconds and 1 GB.
var sharedElasticsearch shared[*ElasticsearchServer] //nolint:gochecknoglobals // a process has no other owner

// Elasticsearch returns a node that the tests of this process share, and an index prefix of the test's own. The
// indices and index templates whose names begin with it are removed when the test ends.
func Elasticsearch(t testing.TB) *Elastic {
	t.Helper()
	s, err := sharedElasticsearch.get(func() (*ElasticsearchServer, error) { return StartElasticsearch() })
	if err != nil {
		t.Fatal(err)
	}
	e := s.use()
	t.Cleanup(func() {
		if err := e.clear(context.Background()); err != nil {
			t.Errorf("clear %s*: %v", e.Prefix, err)
		}
	})
	return e
}

// NewElasticsearch returns a node of the test's own, for tests that Stop it or want other settings (see
// StartElasticsearch). It ends with the test.
func NewElasticsearch(t testing.TB, settings ...string) *Elastic {
	t.Helper()
	s, err := StartElasticsearch(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.use()
}

func (s *ElasticsearchServer) use() *Elastic {
	return &Elastic{URL: s.URL(), Prefix: fmt.Sprintf("test%d-", s.prefixes.Add(1)), server: s}
}

// Addr returns host:port of the node, as Proxy wants it.
func (e *Elastic) Addr() string { return e.server.addr }

// Stop kills the node as a crash would; its data stay. Only for a node of NewElasticsearch.
func (e *Elastic) Stop() { e.server.process.stop() }

// Start starts a stopped node again, on the same port with the same data.
func (e *Elastic) Start(t testing.TB) {
	t.Helper()
	if err := e.server.start(); err != nil {
		t.Fatal(err)
	}
}

// clear removes this test's indices and index templates.
func (e *Elastic) clear(ctx context.Context) error {
	var errs []error
	for _, path := range []string{"/" + e.Prefix + "*", "/_index_template/" + e.Prefix + "*"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodDelete, e.URL+path, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		_ = resp.Body.Close()
		// 404: the test made no template.
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound {
			errs = append(errs, fmt.Errorf("DELETE %s: %s", path, resp.Status))
		}
	}
	return errors.Join(errs...)
}
