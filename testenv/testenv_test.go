package testenv_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"wirelake/testenv"
)

func put(t *testing.T, b *testenv.S3, key, body string) error {
	t.Helper()
	_, err := b.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.Bucket, Key: &key, Body: strings.NewReader(body)})
	return err
}

func get(t *testing.T, b *testenv.S3, key string) (string, error) {
	t.Helper()
	out, err := b.Client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b.Bucket, Key: &key},
		func(o *s3.Options) { o.RetryMaxAttempts = 1 })
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	return string(body), err
}

func TestMinIOBucketsAreApart(t *testing.T) {
	a, b := testenv.MinIO(t), testenv.MinIO(t)
	if a.Endpoint != b.Endpoint {
		t.Errorf("servers %s and %s, want one for the process", a.Endpoint, b.Endpoint)
	}
	if err := put(t, a, "key", "value"); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, a, "key"); err != nil || got != "value" {
		t.Errorf("get of what was put: %q, %v", got, err)
	}
	if got, err := get(t, b, "key"); err == nil {
		t.Errorf("the other test's bucket holds %q", got)
	}
	if want := "s3://" + a.Bucket + "/p?endpoint="; !strings.HasPrefix(a.URL("p"), want) {
		t.Errorf("URL %s, want it to begin with %s", a.URL("p"), want)
	}
}

func TestProxyFaults(t *testing.T) {
	direct := testenv.MinIO(t)
	proxy := testenv.Proxy(t, direct.Addr())
	through := direct.Via(proxy.Addr())
	body := strings.Repeat("wirelake ", 100_000)
	if err := put(t, through, "key", body); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []struct {
		name string
		set  func()
	}{
		{"truncated answers", func() { proxy.Truncate(10_000) }},
		{"resets", func() { proxy.Reset(0) }},
		{"down", proxy.Down},
	} {
		fault.set()
		if got, err := get(t, through, "key"); err == nil {
			t.Errorf("%s: got %d bytes and no error", fault.name, len(got))
		}
		if fault.name == "down" {
			proxy.Up()
		}
		proxy.Clear()
		if got, err := get(t, through, "key"); err != nil || got != body {
			t.Errorf("after %s: %d bytes, %v; want %d", fault.name, len(got), err, len(body))
		}
	}
	proxy.Latency(300*time.Millisecond, 0)
	begin := time.Now()
	if _, err := get(t, through, "key"); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Errorf("300 ms of latency: the answer took %v", took)
	}
}

// do sends a request to Elasticsearch and returns status and body.
func do(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func bulk(t *testing.T, e *testenv.Elastic, index, id string) (int, string) {
	t.Helper()
	return do(t, "POST", e.URL+"/"+index+"/_bulk?refresh=true",
		fmt.Sprintf(`{"index":{"_id":%q}}`+"\n"+`{"at":"2026-01-02T03:04:05Z","ip":"10.1.2.3"}`+"\n", id))
}

func TestElasticsearchOwnNode(t *testing.T) {
	e := testenv.NewElasticsearch(t)
	index := e.Prefix + "sessions"
	if status, body := bulk(t, e, index, "a"); status != http.StatusOK || !strings.Contains(body, `"errors":false`) {
		t.Fatalf("bulk: %d %s", status, body)
	}
	e.Stop()
	if resp, err := http.Get(e.URL); err == nil {
		_ = resp.Body.Close()
		t.Error("a stopped node answers")
	}
	e.Start(t)
	if status, body := do(t, "GET", e.URL+"/"+index+"/_count", ""); status != http.StatusOK || !strings.Contains(body, `"count":1`) {
		t.Errorf("count after kill and start: %d %s", status, body)
	}
}

func TestElasticsearchSharedNodeIsClearedByPrefix(t *testing.T) {
	var index string
	var e *testenv.Elastic
	t.Run("use", func(t *testing.T) {
		e = testenv.Elasticsearch(t)
		index = e.Prefix + "sessions"
		if status, body := bulk(t, e, index, "a"); status != http.StatusOK {
			t.Fatalf("bulk: %d %s", status, body)
		}
	})
	if status, body := do(t, "GET", e.URL+"/"+index, ""); status != http.StatusNotFound {
		t.Errorf("index of a test that ended: %d %s", status, body)
	}
}

func TestElasticsearchRefusesWith429(t *testing.T) {
	e := testenv.NewElasticsearch(t, "indexing_pressure.memory.limit=1b")
	if status, body := bulk(t, e, e.Prefix+"sessions", "a"); status != http.StatusTooManyRequests && !strings.Contains(body, `"status":429`) {
		t.Errorf("bulk under a limit of one byte: %d %s", status, body)
	}
}

func TestDuckDB(t *testing.T) {
	rows := testenv.DuckDB(t, "select 41 + 1 as n, 'x' as s, timestamp '2026-01-02 03:04:05' as t")
	if got, want := fmt.Sprint(rows), "[map[n:42 s:x t:2026-01-02 03:04:05]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestProgramsAnswer(t *testing.T) {
	for _, c := range []struct{ path, arg, want string }{
		{testenv.Tshark(t), "--version", "TShark"},
		{testenv.Chromium(t), "--version", "Chromium"},
		{testenv.Program(t, "tcpdump"), "--version", "libpcap"},
		{testenv.Program(t, "zstd"), "--version", "Zstandard"},
		{testenv.Python(t), "--version", "Python"},
	} {
		out, err := exec.Command(c.path, c.arg).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte(c.want)) {
			t.Errorf("%s %s: %v, want %q in %s", c.path, c.arg, err, c.want, out)
		}
	}
}

func TestWirelakeIsBuiltFromTheTree(t *testing.T) {
	out, err := exec.Command(testenv.Wirelake(t), "version").CombinedOutput()
	if err != nil || !bytes.HasPrefix(out, []byte("wirelake ")) {
		t.Errorf("wirelake version: %v\n%s", err, out)
	}
}

// TestServerDiesWithItsProcess kills a process that started a server and looks whether the server is gone.
func TestServerDiesWithItsProcess(t *testing.T) {
	if os.Getenv("TESTENV_HOLD") != "" {
		b := testenv.MinIO(t)
		fmt.Printf("ready %s\n", b.Endpoint)
		time.Sleep(time.Hour) // until it is killed
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestServerDiesWithItsProcess$", "-test.v")
	cmd.Env = append(os.Environ(), "TESTENV_HOLD=1", "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var endpoint string
	for endpoint == "" {
		if _, err := fmt.Fscanf(out, "ready %s\n", &endpoint); errors.Is(err, io.EOF) {
			t.Fatal("the child ended before its server was ready")
		}
	}
	if resp, err := http.Get(endpoint + "/minio/health/live"); err != nil {
		t.Fatal(err)
	} else {
		_ = resp.Body.Close()
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says it was killed
	var left []os.DirEntry
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(endpoint + "/minio/health/live")
		if err == nil {
			_ = resp.Body.Close()
			continue
		}
		tmp := cmd.Env[len(cmd.Env)-1][len("TMPDIR="):]
		if left, err = os.ReadDir(tmp); err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("two minutes after the kill the server answers or its folder stands: %v", left)
}

// TestFreeAddrIsKept holds that nobody is given the port of a test, whether its server listens or not.
func TestFreeAddrIsKept(t *testing.T) {
	addr := testenv.FreeAddr(t)
	for range 3 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			_ = conn.Close()
			t.Error("nothing listens, and the connection is taken")
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(conn.Close(), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for range 20_000 { // most of the ports that there are
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if l.Addr().String() == addr {
			t.Error("another was given the port")
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
