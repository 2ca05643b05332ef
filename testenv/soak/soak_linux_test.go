package soak

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
	"wirelake/internal/pcapfile/pcaptest"
	"wirelake/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.InNamespace(m)) }

// Flags of the long run.
var (
	soakTime = flag.Duration("soak.time", 40*time.Second, "how long traffic is replayed")
	soakRate = flag.Int("soak.rate", 2000, "packets a second")
	soakSeed = flag.Uint64("soak.seed", 1, "of the faults: the same seed gives the same order of them")
)

const (
	inside, outside = "soak0", "soak1" // the sensor captures from the first what comes out of the second

	// settle is longer than the kernel holds back a block of the ring that is not full.
	settle   = 600 * time.Millisecond
	patience = 2 * time.Minute
)

// service is a program that is killed and started again.
type service struct {
	t     *testing.T
	name  string
	keeps *testenv.DescriptorStore // its open files meanwhile; nil: nobody
	args  []string
	env   []string
	log   *os.File
	cmd   *exec.Cmd
	ended chan error
	kills int
}

func newService(t *testing.T, env []string, keeps *testenv.DescriptorStore, name string, args ...string) *service {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, name: name, keeps: keeps, args: append([]string{name}, args...), env: env, log: log}
	t.Cleanup(func() {
		if s.cmd != nil {
			_ = s.cmd.Process.Kill() // it may have ended
			t.Logf("%s: %v", name, <-s.ended)
		}
		if t.Failed() {
			b, err := os.ReadFile(log.Name())
			t.Logf("%s said (%v):\n%s", name, err, b[max(0, len(b)-8000):])
		}
	})
	s.start()
	return s
}

func (s *service) start() {
	s.t.Helper()
	s.cmd = exec.Command(testenv.Wirelake(s.t), s.args...)
	s.cmd.Env = s.env
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.keeps.Start(s.cmd); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	s.ended = ended
	cmd := s.cmd
	go func() {
		ended <- cmd.Wait()
		close(ended) // who asks again is not kept waiting
	}()
}

// end ends the program by a signal, and waits for it.
func (s *service) end(sig syscall.Signal) error {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("%s had ended before it was told to: %v", s.name, <-s.ended)
	}
	select {
	case err := <-s.ended:
		s.cmd = nil
		return err
	case <-time.After(patience):
		s.t.Fatalf("%s does not end", s.name)
		return nil
	}
}

func (s *service) kill() {
	s.t.Helper()
	s.kills++
	_ = s.end(syscall.SIGKILL) // its error is the signal
	s.start()
}

// answers waits until a service answers on the URL.
func (s *service) answers(url string) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(url)
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case err := <-s.ended:
			s.t.Fatalf("%s ended: %v", s.name, err)
		default:
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s does not answer: %v", s.name, err)
		}
	}
}

// sender replays frames out of an interface again and again.
type sender struct {
	fd     int
	frames [][]byte
	next   int
	sent   atomic.Uint64
	done   chan error
}

// traffic returns the frames of a generated capture.
func traffic(t *testing.T) [][]byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "traffic.pcap")
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", "./testenv/gen", "-size", "16MiB", "-o", path)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("generate traffic: %v\n%s", err, out)
	}
	var frames [][]byte
	for _, rec := range pcaptest.Read(t, path).Records {
		frames = append(frames, rec.Data)
	}
	return frames
}

func newSender(t *testing.T, frames [][]byte, name string) *sender {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	ifi, err := interfaceIndex(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifi}); err != nil {
		t.Fatal(err)
	}
	return &sender{fd: fd, frames: frames, done: make(chan error, 1)}
}

func interfaceIndex(name string) (int, error) {
	b, err := os.ReadFile("/sys/class/net/" + name + "/ifindex")
	if err != nil { // sysfs shows the interfaces of the namespace that mounted it
		out, err := exec.Command("ip", "-json", "link", "show", name).Output()
		if err != nil {
			return 0, err
		}
		var links []struct {
			Index int `json:"ifindex"`
		}
		if err := json.Unmarshal(out, &links); err != nil || len(links) != 1 {
			return 0, fmt.Errorf("ip link show %s: %s: %w", name, out, err)
		}
		return links[0].Index, nil
	}
	var n int
	_, err = fmt.Sscan(string(b), &n)
	return n, err
}

// run sends so many packets a second until ctx ends, whatever becomes of who captures them.
func (s *sender) run(ctx context.Context, rate int) {
	const tick = 10 * time.Millisecond
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			s.done <- nil
			return
		case <-ticks.C:
			for range rate / int(time.Second/tick) {
				err := unix.Send(s.fd, s.frames[s.next], 0)
				if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EINTR) {
					break // not sent: again at the next tick
				}
				if err != nil {
					s.done <- err
					return
				}
				s.next = (s.next + 1) % len(s.frames)
				s.sent.Add(1)
			}
		}
	}
}

// searcher asks the query service all the time.
type searcher struct{ asked, answered, unavailable, refused, bad atomic.Int64 }

func (q *searcher) run(ctx context.Context, base string) {
	for n := 0; ctx.Err() == nil; n++ {
		path := []string{"/api/sessions?date=1&length=50", "/api/sessions?date=1&length=5&expression=protocols%3D%3Dtls", "/api/spigraph?date=1", "/api/sessions.pcap?date=1&length=3"}[n%4]
		q.asked.Add(1)
		resp, err := http.Get(base + path)
		switch {
		case err != nil:
			q.refused.Add(1) // killed just now
		default:
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			switch {
			case resp.StatusCode == http.StatusOK && err == nil:
				q.answered.Add(1)
			case resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusGatewayTimeout || err != nil:
				q.unavailable.Add(1)
			default:
				q.bad.Add(1)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// balance is what became of the packets.
type balance struct{ sent, archived, dropped, inSessions uint64 }

// TestSoak replays traffic while processes are killed and the store is away, slow or cuts connections, and holds that
// in the end each packet sent is in one chunk and in one session, or counted as dropped. Traffic stops for nothing: what
// comes while the sensor is dead waits in its rings, which the service manager keeps.
func TestSoak(t *testing.T) {
	testenv.NeedNamespace(t)
	testenv.Veth(t, inside, outside)
	bucket := testenv.NewMinIO(t)
	proxy := testenv.Proxy(t, bucket.Addr())
	faulty := bucket.Via(proxy.Addr())
	env := append(os.Environ(), faulty.Env()...)
	env = append(env, "WIRELAKE_LOG_LEVEL=warn", "WIRELAKE_SENSOR_BLOCKS=192", "WIRELAKE_SENSOR_CHUNK_BYTES=4MiB", "WIRELAKE_SENSOR_CHUNK_SPAN=5s",
		"WIRELAKE_COMPACTOR_BATCH_DELAY=2s", "WIRELAKE_COMPACTOR_INTERVAL=1s", "WIRELAKE_COMPACTOR_LEASE_TTL=5s")
	store := faulty.URL("soak")
	frames := traffic(t)

	health, listen := testenv.FreeAddr(t), testenv.FreeAddr(t)
	sensor := newService(t, env, testenv.NewDescriptorStore(t), "sensor", "--name", "soak", "--interface", inside, "--store", store, "--spool", t.TempDir(), "--http-listen", health)
	sensor.answers("http://" + health + "/healthz")
	capturing(t, health)
	compactor := newService(t, env, nil, "compactor", "--store", store)
	query := newService(t, env, nil, "query", "--store", store, "--listen", listen)
	query.answers("http://" + listen + "/healthz")

	ctx, stop := context.WithTimeout(t.Context(), *soakTime)
	defer stop()
	send := newSender(t, frames, outside)
	go send.run(ctx, *soakRate)
	var searches searcher
	searching, stopSearching := context.WithCancel(t.Context())
	defer stopSearching()
	searched := make(chan struct{})
	go func() {
		defer close(searched)
		searches.run(searching, "http://"+listen)
	}()

	random := rand.New(rand.NewPCG(*soakSeed, 7))
	pause := func(longest time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(random.Int64N(int64(longest)))):
		}
	}
	faults := map[string]int{}
	var meanwhile uint64 // packets sent from a kill, or a request to end, until the sensor captured again
	for ctx.Err() == nil {
		pause(4 * time.Second)
		if ctx.Err() != nil {
			break
		}
		fault := random.IntN(9)
		switch fault {
		case 0:
			before := send.sent.Load()
			faults["sensor killed"]++
			sensor.kill()
			if random.IntN(3) == 0 { // again, at any point of its start
				pause(time.Second)
				faults["sensor killed"]++
				sensor.kill()
			}
			capturing(t, health)
			meanwhile += send.sent.Load() - before
		case 1:
			before := send.sent.Load()
			faults["sensor restarted"]++
			if err := sensor.end(syscall.SIGTERM); err != nil {
				t.Errorf("the sensor ended by SIGTERM: %v", err)
			}
			pause(time.Second)
			sensor.start()
			capturing(t, health)
			meanwhile += send.sent.Load() - before
		case 2, 3:
			faults["compactor killed"]++
			compactor.kill()
		case 4:
			faults["query killed"]++
			query.kill()
		case 5:
			faults["store away"]++
			proxy.Down()
			pause(8 * time.Second)
			proxy.Up()
		case 6:
			faults["store slow"]++
			proxy.Latency(300*time.Millisecond, 200*time.Millisecond)
			pause(6 * time.Second)
			proxy.Clear()
		case 7:
			faults["uploads cut"]++
			proxy.TruncateRequests(600 << 10)
			pause(6 * time.Second)
			proxy.Clear()
		case 8:
			faults["answers cut"]++
			proxy.Truncate(40 << 10)
			pause(6 * time.Second)
			proxy.Clear()
		}
		select {
		case err := <-sensor.ended:
			t.Fatalf("the sensor ended: %v", err)
		default:
		}
	}
	if err := <-send.done; err != nil {
		t.Fatalf("send: %v", err)
	}
	sensor.answers("http://" + health + "/healthz")
	capturing(t, health)
	time.Sleep(settle)
	stopSearching()
	<-searched
	if err := sensor.end(syscall.SIGTERM); err != nil {
		t.Errorf("the sensor ended by SIGTERM: %v", err)
	}
	// A compactor that was killed a moment ago has left its lease.
	_ = compactor.end(syscall.SIGTERM)
	// What is open is saved as if the sensor were gone for good.
	wirelake(t, append(env, "WIRELAKE_COMPACTOR_LANE_QUIET=1ms"), "compactor", "--once", "--store", store)

	lost, err := testenv.TxDropped(outside)
	if err != nil {
		t.Fatal(err)
	}
	b := count(t, bucket.URL("soak"), bucket)
	b.sent = send.sent.Load() - lost
	b.inSessions = packetsInSessions(t, env, store)
	t.Logf("faults: %v; %d packets were sent while the sensor was dead, ending or starting", faults, meanwhile)
	t.Logf("searches: %d asked, %d answered, %d told that the store is away, %d while query was down", searches.asked.Load(), searches.answered.Load(), searches.unavailable.Load(), searches.refused.Load())
	t.Logf("packets sent %d, archived %d, dropped and counted %d, in sessions %d; balance %d", b.sent, b.archived, b.dropped, b.inSessions,
		int64(b.sent)-int64(b.archived)-int64(b.dropped)) //nolint:gosec // far below 2^63
	if b.sent != b.archived+b.dropped {
		t.Error("the balance of packets sent, archived and dropped is not zero")
	}
	if b.inSessions != b.archived {
		t.Errorf("%d packets are in sessions, %d in chunks", b.inSessions, b.archived)
	}
	if b.sent == 0 || searches.answered.Load() == 0 || searches.bad.Load() > 0 {
		t.Errorf("%d packets sent, %d searches answered, %d with other errors than that the store is away", b.sent, searches.answered.Load(), searches.bad.Load())
	}
}

// capturing waits until the sensor captures.
func capturing(t *testing.T, health string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + health + "/metrics")
		if err != nil {
			continue
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err == nil && strings.Contains(string(b), `wirelake_sensor_interface_up{interface="`+inside+`"} 1`) {
			return
		}
	}
	t.Fatal("the sensor does not capture")
}

func wirelake(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(testenv.Wirelake(t), args...)
	cmd.Env = env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("wirelake %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// count sums up the chunks.
func count(t *testing.T, url string, bucket *testenv.S3) (b balance) {
	t.Helper()
	bucket.Setenv(t)
	store, err := objstore.Open(t.Context(), url, objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for obj, err := range store.List(t.Context(), "chunks/", "") {
		if err != nil {
			t.Fatal(err)
		}
		r, err := chunk.Open(t.Context(), store, obj.Key)
		if err != nil {
			t.Fatal(err)
		}
		m := r.Meta()
		b.archived += m.Packets
		b.dropped += m.KernelDrops + m.SpoolDrops
	}
	return b
}

// packetsInSessions sums up what the sessions count.
func packetsInSessions(t *testing.T, env []string, store string) (n uint64) {
	t.Helper()
	var docs []struct {
		Network struct {
			Packets uint64 `json:"packets"`
		} `json:"network"`
	}
	if err := json.Unmarshal(wirelake(t, env, "sessions", "--store", store, "--format", "json"), &docs); err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		n += d.Network.Packets
	}
	return n
}
