package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
	"wirelake/testenv"
)

// counting sends numbered packets out of an interface, and does not stop for anything.
type counting struct {
	t     *testing.T
	name  string
	lost  uint64 // by the interface before the first
	sent  atomic.Uint64
	stop  chan struct{}
	ended chan error
}

// number of a packet stands in its UDP payload.
const numberAt = 14 + 20 + 8

// count begins to send so many packets a second.
func count(t *testing.T, name string, rate int) *counting {
	t.Helper()
	lost, err := testenv.TxDropped(name)
	if err != nil {
		t.Fatal(err)
	}
	c := &counting{t: t, name: name, lost: lost, stop: make(chan struct{}), ended: make(chan error, 1)}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	index, err := interfaceIndex(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index}); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer unix.Close(fd) //nolint:errcheck // nothing is read from it
		c.ended <- c.send(fd, rate)
	}()
	return c
}

func interfaceIndex(name string) (int, error) {
	out, err := exec.Command("ip", "-o", "link", "show", name).Output()
	if err != nil {
		return 0, err
	}
	var n int
	_, err = fmt.Sscanf(string(out), "%d:", &n)
	return n, err
}

func (c *counting) send(fd, rate int) error {
	const burst = 16
	frame := make([]byte, 1400)
	copy(frame, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45})
	frame[14+8], frame[14+9] = 64, unix.IPPROTO_UDP
	copy(frame[14+12:], []byte{10, 0, 0, 1, 10, 0, 1, 0})
	next := time.Now()
	for n := uint64(0); ; n++ {
		if n%burst == 0 {
			select {
			case <-c.stop:
				return nil
			case <-time.After(time.Until(next)):
			}
			// What a busy machine delays is not made up for: bursts of thousands are no traffic of this rate.
			next = next.Add(burst * time.Second / time.Duration(rate))
			if now := time.Now(); next.Before(now) {
				next = now
			}
		}
		size := 60 + int(n*131%1300)
		binary.BigEndian.PutUint16(frame[14+2:], uint16(size-14))
		frame[14+19] = byte(n % 17) // flows of both workers
		binary.BigEndian.PutUint64(frame[numberAt:], n)
		for {
			_, err := unix.Write(fd, frame[:size])
			if err == nil {
				break
			}
			if !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				return err
			}
			time.Sleep(time.Millisecond)
		}
		c.sent.Store(n + 1)
	}
}

// end stops sending, and returns how many packets came through the interface.
func (c *counting) end() uint64 {
	c.t.Helper()
	close(c.stop)
	if err := <-c.ended; err != nil {
		c.t.Fatal(err)
	}
	lost, err := testenv.TxDropped(c.name)
	if err != nil {
		c.t.Fatal(err)
	}
	if lost > c.lost {
		c.t.Logf("the interface lost %d packets before anybody could capture them", lost-c.lost)
	}
	return c.sent.Load() - (lost - c.lost)
}

// tally is what an archive has of numbered packets.
type tally struct {
	seen                       map[uint64]int
	archived, kernel, bySensor uint64
}

func tallyOf(t *testing.T, url string) tally {
	t.Helper()
	a := tally{seen: map[uint64]int{}}
	store, err := objstore.Open(t.Context(), url, objstore.Options{Config: objstore.DefaultConfig()})
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
		a.kernel += r.Meta().KernelDrops
		a.bySensor += r.Meta().SpoolDrops
		err = r.ReadFlows(t.Context(), func(_ *chunk.FlowEntry, records *chunk.FlowRecords) error {
			var rec chunk.Record
			for {
				err := records.Next(&rec)
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				a.archived++
				a.seen[binary.BigEndian.Uint64(rec.Data[numberAt:])]++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for n, times := range a.seen {
		if times != 1 {
			t.Errorf("packet %d is in the archive %d times", n, times)
		}
	}
	return a
}

// killable is a sensor that is started again and again on the same spool.
type killable struct {
	t     *testing.T
	store *testenv.DescriptorStore // nil: there is none
	args  []string
	env   []string
	log   *os.File
	cmd   *exec.Cmd
	ended chan error
	told  int // how often the processes before the last had said that they capture
}

func newKillable(t *testing.T, store *testenv.DescriptorStore, archive, iface string, args ...string) *killable {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "sensor.log"))
	if err != nil {
		t.Fatal(err)
	}
	s := &killable{t: t, store: store, log: log, env: os.Environ()}
	s.args = append([]string{"sensor", "--name", "probe", "--store", archive, "--spool", filepath.Join(t.TempDir(), "spool"),
		"--interface", iface, "--chunk-span", "2s", "--chunk-bytes", "2MiB"}, args...)
	t.Cleanup(func() {
		if s.cmd != nil {
			_ = s.cmd.Process.Kill()
			t.Logf("the sensor ended: %v", <-s.ended)
		}
		if t.Failed() {
			said := s.said()
			t.Logf("the sensor said:\n%s", said[max(0, len(said)-6000):])
		}
	})
	return s
}

func (s *killable) said() string {
	b, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (s *killable) start(more ...string) {
	s.t.Helper()
	s.cmd = exec.Command(testenv.Wirelake(s.t), append(s.args, more...)...)
	s.cmd.Env = s.env
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.told = s.saysCapturing()
	if err := s.store.Start(s.cmd); err != nil {
		s.t.Fatal(err)
	}
	cmd, ended := s.cmd, make(chan error, 1)
	s.ended = ended
	go func() { ended <- cmd.Wait() }()
}

func (s *killable) saysCapturing() int { return strings.Count(s.said(), "msg=capturing ") }

// capturing waits until the process that was started last captures.
func (s *killable) capturing() {
	s.t.Helper()
	waitFor(s.t, "the sensor to capture", func() bool {
		select {
		case err := <-s.ended:
			s.t.Fatalf("the sensor ended: %v", err)
		default:
		}
		return s.saysCapturing() > s.told
	})
}

func (s *killable) end(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("the sensor ended by itself: %v", <-s.ended)
	}
	select {
	case err := <-s.ended:
		if err != nil && sig != syscall.SIGKILL {
			s.t.Errorf("the sensor: %v", err)
		}
	case <-time.After(patience):
		s.t.Fatal("the sensor does not end")
	}
	s.cmd = nil
}

const killRate = 6000 // packets a second

// TestKilledUnderLoad kills a sensor 50 times at random moments while packets come all the
// time, its sockets in the keeping of the service manager. Each packet is archived once,
// or counted as dropped by the kernel, to the packet: with a ring that holds what comes
// while no process runs, none is.
func TestKilledUnderLoad(t *testing.T) {
	for _, ring := range []struct {
		name      string
		kills     int
		overflows bool
		env       []string
	}{
		{"ring that is large enough", 50, false, []string{"WIRELAKE_SENSOR_BLOCKS=128"}},
		{"ring that overflows", 20, true, []string{"WIRELAKE_SENSOR_BLOCKS=4", "WIRELAKE_SENSOR_BLOCK_BYTES=256KiB", "WIRELAKE_SENSOR_SNAPLEN=64KiB"}},
	} {
		t.Run(ring.name, func(t *testing.T) {
			testenv.Veth(t, "kl0", "kl1")
			store, archive := testenv.NewDescriptorStore(t), "file://"+t.TempDir()
			if !ring.overflows {
				minio := testenv.MinIO(t)
				minio.Setenv(t)
				archive = minio.URL("killed")
			}
			s := newKillable(t, store, archive, "kl0", "--workers", "2")
			s.env = append(s.env, ring.env...)
			rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
			s.start()
			s.capturing()
			c := count(t, "kl1", killRate)
			for i := range ring.kills {
				time.Sleep(time.Duration(rng.IntN(1200)) * time.Millisecond)
				s.end(syscall.SIGKILL)
				if ring.overflows && i%4 == 0 { // a quick start would find it half full
					full := c.sent.Load() + 2*killRate
					waitFor(t, "the ring to overflow", func() bool { return c.sent.Load() >= full })
				}
				s.start()
			}
			s.capturing()
			sent := c.end()
			time.Sleep(200 * time.Millisecond)
			s.end(syscall.SIGTERM)
			a := balanced(t, sent, archive, 0)
			if !ring.overflows && a.archived != sent {
				t.Error("packets are lost although the ring is large enough")
			} else if ring.overflows && a.kernel == 0 {
				t.Error("the ring did not overflow: that is no proof")
			}
			if kept, err := store.Kept(); err != nil || len(kept) != 2 {
				t.Errorf("the service manager keeps %q, %v", kept, err)
			}
		})
	}
}

// balanced checks that what was sent is archived or counted, but for off packets, and returns what the archive has.
func balanced(t *testing.T, sent uint64, archive string, off uint64) tally {
	t.Helper()
	a := tallyOf(t, archive)
	over := int64(a.archived+a.kernel+a.bySensor) - int64(sent) //nolint:gosec // far below 2^63
	t.Logf("sent %d, archived %d, counted as lost before the sensor %d, by the sensor %d: %+d", sent, a.archived, a.kernel, a.bySensor, over)
	if max(over, -over) > int64(off) { //nolint:gosec // a few
		t.Errorf("the balance is %+d, more than %d", over, off)
	}
	return a
}

// TestKilledWithoutStore kills a sensor whose sockets nobody keeps. What was in them and
// what came until the next process captured is lost, and counted by what the interface
// itself has counted: to the packet, but for what is on its way between the interface's
// counter and the ring when both are read.
func TestKilledWithoutStore(t *testing.T) {
	for _, workers := range []string{"1", "2"} {
		t.Run(workers+" workers", func(t *testing.T) {
			const kills = 12
			testenv.Veth(t, "kn0", "kn1")
			archive := "file://" + t.TempDir()
			s := newKillable(t, nil, archive, "kn0", "--workers", workers)
			rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
			s.start()
			s.capturing()
			c := count(t, "kn1", killRate)
			for i := range kills {
				if i%3 > 0 { // the others may be killed before they capture
					s.capturing()
				}
				time.Sleep(time.Duration(rng.IntN(2500)) * time.Millisecond / time.Duration(1+3*rng.IntN(2)))
				s.end(syscall.SIGKILL)
				s.start()
			}
			s.capturing()
			time.Sleep(500 * time.Millisecond)
			sent := c.end()
			time.Sleep(200 * time.Millisecond)
			s.end(syscall.SIGTERM)
			a := balanced(t, sent, archive, 16*kills) // a burst of the sender for each
			if a.kernel == 0 {
				t.Error("nothing was missed: that is no proof")
			}
			missed := strings.Count(s.said(), "while it was not captured from")
			if missed < kills/2 {
				t.Errorf("the log tells of missed packets %d times", missed)
			}
			// A clean end, and what passes after it is nobody's loss.
			c = count(t, "kn1", killRate)
			time.Sleep(300 * time.Millisecond)
			s.start()
			s.capturing()
			c.end()
			s.end(syscall.SIGTERM)
			if again := strings.Count(s.said(), "while it was not captured from"); again != missed {
				t.Error("what passed after a clean end is counted as missed")
			}
		})
	}
}

// TestRestartedUnderLoad ends a sensor in order and starts it again, again and again while
// packets come: none is lost.
func TestRestartedUnderLoad(t *testing.T) {
	testenv.Veth(t, "kr0", "kr1")
	store, archive := testenv.NewDescriptorStore(t), "file://"+t.TempDir()
	s := newKillable(t, store, archive, "kr0", "--workers", "2")
	s.env = append(s.env, "WIRELAKE_SENSOR_BLOCKS=128")
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
	s.start()
	s.capturing()
	c := count(t, "kr1", killRate)
	const times = 8
	for range times {
		time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
		s.end(syscall.SIGTERM)
		s.start()
		s.capturing()
	}
	sent := c.end()
	time.Sleep(200 * time.Millisecond)
	s.end(syscall.SIGTERM)
	if a := balanced(t, sent, archive, 0); a.archived != sent {
		t.Error("packets are lost")
	}
	said, err := store.Said()
	if err != nil || strings.Count(strings.Join(said, ""), "READY=1") != times+1 || strings.Count(strings.Join(said, ""), "STOPPING=1") != times+1 {
		t.Errorf("the service manager was told %q, %v", said, err)
	}
}

// TestOtherRingsAfterKill starts a sensor that was killed with other settings, and in the
// end for another interface: what the rings before hold is archived, and what passes
// while they are exchanged is counted.
func TestOtherRingsAfterKill(t *testing.T) {
	testenv.Veth(t, "kg0", "kg1")
	testenv.Veth(t, "kh0", "kh1")
	store, archive := testenv.NewDescriptorStore(t), "file://"+t.TempDir()
	s := newKillable(t, store, archive, "kg0")
	names := func() []string {
		t.Helper()
		kept, err := store.Kept()
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	s.start("--workers", "2")
	s.capturing()
	c := count(t, "kg1", killRate)
	exchanges := 0
	for _, settings := range [][]string{{"3"}, {"3"}, {"1"}, {"2"}, {"2"}} {
		time.Sleep(700 * time.Millisecond)
		s.end(syscall.SIGKILL)
		before := names()
		s.start("--workers", settings[0])
		s.capturing()
		waitFor(t, "as many rings as workers", func() bool { return fmt.Sprint(len(names())) == settings[0] })
		if fmt.Sprint(len(before)) != settings[0] {
			exchanges++
		}
	}
	time.Sleep(500 * time.Millisecond)
	s.end(syscall.SIGKILL)
	sent := c.end()
	// The interface that is named last is no more captured from.
	for i, arg := range s.args {
		if arg == "kg0" {
			s.args[i] = "kh0"
		}
	}
	s.start("--workers", "2")
	waitFor(t, "only rings of the other interface", func() bool {
		kept := names()
		return len(kept) == 2 && strings.Contains(kept[0], ",kh0,") && strings.Contains(kept[1], ",kh0,")
	})
	s.capturing()
	s.end(syscall.SIGTERM)
	if told := strings.Count(s.said(), "are emptied and made anew"); told != exchanges {
		t.Errorf("rings were exchanged %d times, want %d", told, exchanges)
	}
	balanced(t, sent, archive, uint64(16*exchanges)) //nolint:gosec // few
}

// TestKilledUnprivileged kills a sensor that starts as root and becomes another user: the
// sockets come through the change of user, too.
func TestKilledUnprivileged(t *testing.T) {
	testenv.Veth(t, "ku0", "ku1")
	dir := openTempDir(t)
	archive := filepath.Join(dir, "store")
	if err := os.Mkdir(archive, 0o755); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if err := os.Chown(archive, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	s := newKillable(t, testenv.NewDescriptorStore(t), "file://"+archive, "ku0", "--user", "nobody", "--workers", "2")
	s.start()
	s.capturing()
	c := count(t, "ku1", killRate)
	for range 4 {
		time.Sleep(400 * time.Millisecond)
		s.end(syscall.SIGKILL)
		s.start()
		s.capturing()
	}
	sent := c.end()
	time.Sleep(200 * time.Millisecond)
	s.end(syscall.SIGTERM)
	if a := balanced(t, sent, "file://"+archive, 0); a.archived != sent {
		t.Error("packets are lost")
	}
	if n := strings.Count(s.said(), "goes on with a ring"); n != 4*2 {
		t.Errorf("%d rings were taken over, want 8", n)
	}
}

// TestKilledWhileTheInterfaceGoes deletes the interface, or takes it down, while no process
// is there: what its rings hold is archived, and the interface captured from when it is back.
func TestKilledWhileTheInterfaceGoes(t *testing.T) {
	for _, deleted := range []bool{true, false} {
		t.Run(fmt.Sprintf("deleted %v", deleted), func(t *testing.T) {
			testenv.Veth(t, "kd0", "kd1")
			store, archive := testenv.NewDescriptorStore(t), "file://"+t.TempDir()
			s := newKillable(t, store, archive, "kd0")
			s.env = append(s.env, "WIRELAKE_SENSOR_BLOCKS=128")
			s.start()
			s.capturing()
			c := count(t, "kd1", killRate)
			time.Sleep(300 * time.Millisecond)
			s.end(syscall.SIGKILL)
			time.Sleep(200 * time.Millisecond)
			sent := c.end()
			if deleted {
				testenv.Run(t, "ip", "link", "del", "kd0")
				testenv.Veth(t, "kd0", "kd1")
			} else {
				testenv.Run(t, "ip", "link", "set", "kd0", "down")
			}
			before, err := store.Kept()
			if err != nil || len(before) != 1 {
				t.Fatalf("kept %q, %v", before, err)
			}
			s.start()
			s.capturing()
			if !deleted {
				testenv.LinkUp(t, "kd0")
			}
			waitFor(t, "the interface to be captured from", func() bool {
				now, err := store.Kept()
				if err != nil {
					t.Fatal(err)
				}
				return len(now) == 1 && (now[0] != before[0]) == deleted
			})
			s.end(syscall.SIGTERM)
			if a := balanced(t, sent, archive, 0); a.archived != sent {
				t.Error("packets are lost")
			}
		})
	}
}
