package telemetry_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"wirelake/internal/telemetry"
)

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, telemetry.LogConfig{Level: "warn", Format: "json"})
	log.Info("not told")
	log.Warn("chunk uploaded", "took", 1500*time.Millisecond, "key", "a/b", "at", time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)))
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %q", err, &out)
	}
	if line["msg"] != "chunk uploaded" || line["took"] != "1.5s" || line["key"] != "a/b" || line["at"] != "2026-01-02T02:04:05Z" {
		t.Errorf("logged %v", line)
	}
	if at, ok := line["time"].(string); !ok || !strings.HasSuffix(at, "Z") {
		t.Errorf("the time is %v, not UTC", line["time"])
	}
	out.Reset()
	telemetry.NewLogger(&out, telemetry.DefaultLogConfig()).Debug("not told")
	if out.Len() > 0 {
		t.Errorf("logged %q at level info", &out)
	}
	if err := telemetry.DefaultLogConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := telemetry.LogConfig{Level: "loud", Format: "xml"}.Validate()
	if err == nil || !strings.Contains(err.Error(), `level: "loud"`) || !strings.Contains(err.Error(), `format: "xml"`) {
		t.Errorf("bad settings: %v", err)
	}
}

func get(t *testing.T, mux http.Handler, path string) (int, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return answer.Code, answer.Body.String()
}

func TestHandlers(t *testing.T) {
	mux := http.NewServeMux()
	var health telemetry.Health
	build := telemetry.ReadBuild("v1.2.3")
	telemetry.Handle(mux, telemetry.NewRegistry(build), &health, slog.New(slog.DiscardHandler))

	code, body := get(t, mux, "/metrics")
	for _, want := range []string{`wirelake_build_info{commit="`, `version="v1.2.3"`, "go_goroutines ", "process_open_fds "} {
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("/metrics answers %d without %q", code, want)
		}
	}
	if code, body := get(t, mux, "/readyz"); code != http.StatusOK || body != `{"checks":{},"status":"ok"}`+"\n" {
		t.Errorf("/readyz answers %d, %s", code, body)
	}
	down := errors.New("connection refused")
	var state error
	health.AddCheck("object store", func(context.Context) error { return state })
	health.AddCheck("elasticsearch", func(context.Context) error { return nil })
	if code, body := get(t, mux, "/readyz"); code != http.StatusOK || body != `{"checks":{"elasticsearch":"ok","object store":"ok"},"status":"ok"}`+"\n" {
		t.Errorf("/readyz answers %d, %s", code, body)
	}
	state = down
	if code, body := get(t, mux, "/readyz"); code != http.StatusServiceUnavailable || body != `{"checks":{"elasticsearch":"ok","object store":"connection refused"},"status":"unavailable"}`+"\n" {
		t.Errorf("/readyz answers %d, %s", code, body)
	}
	if code, body := get(t, mux, "/healthz"); code != http.StatusOK || body != `{"status":"ok"}`+"\n" {
		t.Errorf("/healthz answers %d, %s", code, body)
	}
}

func TestReadBuild(t *testing.T) {
	if b := telemetry.ReadBuild("v1.2.3"); b.Version != "v1.2.3" || !strings.HasPrefix(b.Go, "go1.") {
		t.Errorf("got %+v", b)
	}
	if b := telemetry.ReadBuild(""); b.Version == "" {
		t.Errorf("got %+v", b)
	}
}

// TestMain is, when asked, a program that waits for signals.
func TestMain(m *testing.M) {
	if os.Getenv("TELEMETRY_TEST_WAIT") == "" {
		os.Exit(m.Run())
	}
	ctx, stop := telemetry.SignalContext(context.Background(), os.Stdout)
	defer stop()
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println(context.Cause(ctx))
	time.Sleep(time.Minute)
}

func TestSignals(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), "TELEMETRY_TEST_WAIT=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for _, step := range []struct {
		signal syscall.Signal
		want   []string
	}{
		{0, []string{"ready"}},
		{syscall.SIGTERM, []string{"terminated: finishing; once more to exit at once", "stopped by signal: terminated"}},
	} {
		if err := cmd.Process.Signal(step.signal); err != nil {
			t.Fatal(err)
		}
		for _, want := range step.want {
			if !lines.Scan() || lines.Text() != want {
				t.Fatalf("after signal %d: got %q, want %q", step.signal, lines.Text(), want)
			}
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("after the second signal: %v, want code 130", err)
	}
}

func TestSignalContextStops(t *testing.T) {
	ctx, stop := telemetry.SignalContext(t.Context(), &bytes.Buffer{})
	if ctx.Err() != nil {
		t.Error("ended without a signal")
	}
	stop()
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("after stop: %v", ctx.Err())
	}
}
