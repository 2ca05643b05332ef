package live

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
	"wirelake/internal/pcapfile/pcaptest"
	"wirelake/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.InNamespace(m)) }

// patience bounds what the test waits for; two cores shared by many tests are slow.
const patience = 2 * time.Minute

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// sensorProcess is a running `wirelake sensor`.
type sensorProcess struct {
	t       testing.TB
	cmd     *exec.Cmd
	metrics string
	log     *os.File
	ended   chan error
}

// startSensor captures from interfaces into a store, and waits until they are up.
func startSensor(t testing.TB, store string, interfaces []string, args ...string) *sensorProcess {
	t.Helper()
	// Room for all that a test sends, however busy the machine is.
	return startSensorWith(t, []string{"WIRELAKE_SENSOR_BLOCKS=192"}, store, interfaces, args...)
}

// startSensorWith has settings in the environment.
func startSensorWith(t testing.TB, env []string, store string, interfaces []string, args ...string) *sensorProcess {
	t.Helper()
	addr := testenv.FreeAddr(t)
	s := &sensorProcess{t: t, metrics: "http://" + addr + "/metrics", ended: make(chan error, 1)}
	args = append([]string{"sensor", "--name", "probe", "--store", store, "--spool", filepath.Join(openTempDir(t), "spool"), "--http-listen", addr}, args...)
	for _, i := range interfaces {
		args = append(args, "--interface", i)
	}
	s.cmd = exec.Command(testenv.Wirelake(t), args...)
	s.cmd.Env = append(os.Environ(), env...)
	var err error
	if s.log, err = os.Create(filepath.Join(t.TempDir(), "sensor.log")); err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	for _, i := range interfaces {
		waitFor(t, "the sensor to capture from "+i, func() bool {
			select {
			case err := <-s.ended:
				t.Fatalf("the sensor ended: %v\n%s", err, s.said())
			default:
			}
			return s.metric(`wirelake_sensor_interface_up{interface="`+i+`"}`) == 1
		})
	}
	return s
}

func (s *sensorProcess) said() string {
	b, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// metric returns the value of a metric, -1 when there is none yet.
func (s *sensorProcess) metric(name string) float64 {
	resp, err := http.Get(s.metrics)
	if err != nil {
		return -1 // it does not listen yet
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return -1
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(b)
	if m == nil {
		return -1
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// stop ends the sensor by SIGTERM: it stores all it has.
func (s *sensorProcess) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case err := <-s.ended:
		if err != nil {
			s.t.Fatalf("the sensor: %v\n%s", err, s.said())
		}
	case <-time.After(patience):
		s.t.Fatalf("the sensor does not end\n%s", s.said())
	}
}

// seen are the times of packets that are equal, by length on the wire and content.
type seen map[string][]int64

func (s seen) add(wire int, nanos int64, data []byte) {
	k := strconv.Itoa(wire) + " " + string(data)
	s[k] = append(s[k], nanos)
}

func (s seen) count() (n int) {
	for _, times := range s {
		n += len(times)
	}
	return n
}

// readCapture adds the packets of a capture file.
func readCapture(t testing.TB, path string, into seen) {
	t.Helper()
	for _, rec := range pcaptest.Read(t, path).Records {
		into.add(rec.WireLen, rec.TimeNanos, rec.Data)
	}
}

// archived returns the packets of all chunks in a store, and what their indexes say was lost.
func archived(t testing.TB, dir string) (packets seen, lost uint64) {
	t.Helper()
	packets = seen{}
	store, err := objstore.Open(t.Context(), "file://"+dir, objstore.Options{Config: objstore.DefaultConfig()})
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(dir, "chunks"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".pcap.zst") {
			return err
		}
		key, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		r, err := chunk.Open(context.Background(), store, key)
		if err != nil {
			return err
		}
		lost += r.Meta().KernelDrops + r.Meta().SpoolDrops
		readCapture(t, path, packets)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packets, lost
}

// openTempDir is a temporary folder that other users can look into.
func openTempDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for at := dir; at != filepath.Clean(os.TempDir()) && at != "/"; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
