package sensor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"wirelake/internal/objstore"
	"wirelake/internal/sensorstatus"
	"wirelake/sensor/capture"
	"wirelake/testenv"
)

// process is a running wirelake sensor, and what it says.
type process struct {
	cmd *exec.Cmd
	log logBuffer
}

func startSensor(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), testenv.Wirelake(t), append([]string{"sensor"}, args...)...)}
	p.cmd.Stderr = &p.log // Wait waits for all of it
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *process) logged() string { return p.log.String() }

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestSensorProcess runs the program on a named pipe: health and metrics, a second
// sensor that is refused, SIGHUP with good and bad rules, SIGTERM.
func TestSensorProcess(t *testing.T) {
	dir := t.TempDir()
	fifo, settings, url := filepath.Join(dir, "packets"), filepath.Join(dir, "wirelake.yaml"), "file://"+filepath.Join(dir, "store")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	configure := func(cut string) {
		t.Helper()
		text := fmt.Sprintf("store: %s\nsensor:\n  name: p1\n  spool: %s\n  read: [%s]\n  http_listen: 127.0.0.1:0\n  chunk_span: 1s\n  lease_ttl: 12s\n%s", url, filepath.Join(dir, "spool"), fifo, cut)
		if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("")
	p := startSensor(t, "--config", settings)
	out, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits for the sensor
	if err != nil {
		t.Fatal(err)
	}
	send := func(b []byte) {
		t.Helper()
		if _, err := out.Write(b); err != nil {
			t.Fatalf("%v\n%s", err, p.logged())
		}
	}
	packets := makePackets(500, 400, time.Millisecond)
	send(pcap(packets))
	var address []string
	waitFor(t, "the address", func() bool {
		address = regexp.MustCompile(`serving metrics and health.* address=(\S+)`).FindStringSubmatch(p.logged())
		return address != nil
	})
	base := "http://" + address[1]
	if code, body := get(t, base+"/healthz"); code != 200 {
		t.Errorf("/healthz: %d, %s", code, body)
	}
	waitFor(t, "the metrics", func() bool {
		_, body := get(t, base+"/metrics")
		return strings.Contains(body, fmt.Sprintf("wirelake_sensor_packets_total{interface=%q} 500", fifo)) && regexp.MustCompile(`wirelake_sensor_uploaded_chunks_total [1-9]`).MatchString(body) &&
			strings.Contains(body, `wirelake_sensor_dropped_packets_total{cause="kernel"} 0`) && strings.Contains(body, "wirelake_objstore_requests_total")
	})
	if code, body := get(t, base+"/readyz"); code != 200 {
		t.Errorf("/readyz: %d, %s", code, body)
	}

	second := exec.CommandContext(t.Context(), testenv.Wirelake(t), "sensor", "--config", settings, "--spool", filepath.Join(dir, "spool2"))
	if text, err := second.CombinedOutput(); err == nil || !strings.Contains(string(text), "sensor p1 runs already, on host "+host()) {
		t.Errorf("a second sensor: %v, %s", err, text)
	}
	same := exec.CommandContext(t.Context(), testenv.Wirelake(t), "sensor", "--config", settings, "--name", "p1")
	if text, err := same.CombinedOutput(); err == nil || !strings.Contains(string(text), "the spool is in use by another process") {
		t.Errorf("a second sensor with the same spool: %v, %s", err, text)
	}

	hup := func(cut, want string) {
		t.Helper()
		configure(cut)
		before := strings.Count(p.logged(), want)
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		waitFor(t, want, func() bool { return strings.Count(p.logged(), want) > before })
	}
	hup("  cut: [{match: udp, bytes: 0}]\n", "filter and rules reloaded")
	hup("  cut: [{match: nonsense, bytes: 0}]\n", "cut[0].match")
	hup("  kut: 5\n", "unknown setting")
	all := pcap(makePackets(600, 400, time.Millisecond))
	send(all[24:])
	waitFor(t, "the packets after the reload", func() bool {
		_, body := get(t, base+"/metrics")
		return strings.Contains(body, "wirelake_sensor_cut_packets_total 5")
	})
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, p.logged())
	}
	store, err := objstore.Open(context.Background(), url, objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st, err := sensorstatus.Get(t.Context(), store, "p1")
	if err != nil || !st.Stopped || st.Sealed.Packets != 1100 || st.Spool.BacklogBytes != 0 {
		t.Errorf("status %+v, %v", st, err)
	}
}

// TestStopTimeout stops a sensor whose store is away: it ends in time, and the next
// start uploads what waits.
func TestStopTimeout(t *testing.T) {
	store := fileStore(t)
	cfg := liveConfig(t)
	cfg.StopTimeout = 500 * time.Millisecond
	away := &gate{Store: store, put: func(_ context.Context, key string) error {
		if strings.HasPrefix(key, "chunks/") {
			return objstore.ErrDenied
		}
		return nil
	}}
	ctx, stop := context.WithCancel(t.Context())
	g := &generator{lane: "gen0-0", to: 1 << 30, rate: 5000, sent: make(chan int, 1)}
	s := newSensor(t, away, cfg, g)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	waitFor(t, "a chunk", func() bool { return s.running.Load() && s.Status().Spool.Chunks > 0 })
	stop()
	if err := <-done; err != nil { // at all: the store stays away
		t.Fatal(err)
	}
	n := <-g.sent
	if err := newSensor(t, store, cfg, &generator{lane: "gen0-0", from: n, to: n + 1}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	readArchive(t, store).wantPackets(t, n+1, 0)
}

// failing is a source that cannot go on after its packets.
type failing struct{ generator }

func (f *failing) Run(ctx context.Context, open capture.Opener) error {
	if err := f.generator.Run(ctx, open); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// TestSourceThatFails ends the sensor, soon also when the store is away, and keeps what was captured.
func TestSourceThatFails(t *testing.T) {
	store := fileStore(t)
	cfg := liveConfig(t)
	cfg.StopTimeout = 200 * time.Millisecond
	away := &gate{Store: store, put: func(_ context.Context, key string) error {
		if strings.HasPrefix(key, "chunks/") {
			return objstore.ErrDenied
		}
		return nil
	}}
	other := &generator{lane: "gen0-1", from: 1000, to: 1 << 30, rate: 1000, sent: make(chan int, 1)}
	err := newSensor(t, away, cfg, &failing{generator{lane: "gen0-0", to: 1000}}, other).Run(t.Context())
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "gen0-0") {
		t.Errorf("the sensor ended with %v", err)
	}
	n := 1000 + <-other.sent
	if err := newSensor(t, store, cfg, &generator{lane: "gen0-0", from: n, to: n + 1}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	readArchive(t, store).wantPackets(t, n+1, 0)
}

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(1 << 20)
		begun := time.Now()
		var wg sync.WaitGroup
		for range 4 { // together 512 KiB
			wg.Go(func() {
				for range 8 {
					if err := th.wait(t.Context(), 16<<10); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if took, want := time.Since(begun), 500*time.Millisecond-throttleBurst; took != want {
			t.Errorf("512 KiB at 1 MiB/s took %v, want %v", took, want)
		}
		if newThrottle(0) != nil {
			t.Error("no limit is one")
		}
	})
}

// TestUploadsAreThrottled holds that an upload waits for each of its bytes.
func TestUploadsAreThrottled(t *testing.T) {
	var bytes int
	pace := func(_ context.Context, n int) error { bytes += n; return nil }
	if _, err := objstore.PutBytes(t.Context(), fileStore(t), "x", make([]byte, 128<<10), objstore.Pace(pace)); err != nil {
		t.Fatal(err)
	}
	if bytes != 128<<10 {
		t.Errorf("it waited for %d bytes", bytes)
	}
}
