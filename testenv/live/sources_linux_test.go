package live

import (
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"wirelake/internal/objstore"
	"wirelake/internal/pcapfile"
	"wirelake/internal/pcapfile/pcaptest"
	"wirelake/internal/sensorstatus"
	"wirelake/testenv"
)

// sampleCapture unpacks the sample that the repository ships.
func sampleCapture(t *testing.T) (capture []byte, records []pcapfile.Record) {
	t.Helper()
	f, err := os.Open(pcaptest.Sample(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if capture, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return capture, pcaptest.ReadBytes(t, capture, "sample").Records
}

// freeUDP returns an address for UDP that was free a moment ago.
func freeUDP(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}

// lanePackets returns the contents of the packets of each lane in a store, and how often each is there.
func lanePackets(t *testing.T, dir string) map[string]map[string]int {
	t.Helper()
	lanes := map[string]map[string]int{}
	err := filepath.WalkDir(filepath.Join(dir, "chunks"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".pcap.zst") {
			return err
		}
		_, lane, _ := strings.Cut(path, "/lane=")
		lane, _, _ = strings.Cut(lane, "/")
		if strings.HasPrefix(lane, "import-") {
			lane = "import"
		}
		if lanes[lane] == nil {
			lanes[lane] = map[string]int{}
		}
		packets := seen{}
		readCapture(t, path, packets)
		for k, times := range packets {
			_, data, _ := strings.Cut(k, " ")
			lanes[lane][data] += len(times)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lanes
}

// TestSources gives one sensor process the sample over each kind of source that is not an interface, all at once, and
// compares what each lane holds with the sample, packet for packet.
func TestSources(t *testing.T) {
	testenv.NeedNamespace(t) // in which loopback is up
	sample, records := sampleCapture(t)
	store, watched := t.TempDir(), t.TempDir()
	fifo := filepath.Join(t.TempDir(), "in.fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	remote, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	listen, vxlan, geneve := testenv.FreeAddr(t), freeUDP(t), freeUDP(t)
	t.Setenv("WIRELAKE_SENSOR_LISTEN", listen)
	t.Setenv("WIRELAKE_SENSOR_VXLAN", vxlan)
	t.Setenv("WIRELAKE_SENSOR_GENEVE", geneve)
	t.Setenv("WIRELAKE_SENSOR_WATCH_INTERVAL", "200ms")
	t.Setenv("WIRELAKE_SENSOR_WATCH_AFTER", "delete")
	s := startSensor(t, "file://"+store, nil, "--read", fifo, "--connect", "tcp://"+remote.Addr().String(), "--watch", watched)

	// Each source is fed by what feeds it in the field: a program that writes a pipe, a server that sends, tcpdump sending
	// to a listener, tunnels over UDP, and a file renamed into a folder.
	if err := remote.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	conn, err := remote.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	half := 24
	for range len(records) / 2 {
		half += 16 + int(binary.LittleEndian.Uint32(sample[half+8:]))
	}
	if _, err := conn.Write(sample[:half]); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "half of the stream", func() bool { return packetsOf(s, "tcp://"+remote.Addr().String()) == float64(len(records)/2) })
	_ = conn.Close() // and it comes back for the rest
	if conn, err = remote.Accept(); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(append(append([]byte{}, sample[:24]...), sample[half:]...)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fifo, sample, 0); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sample.pcap")
	if err := os.WriteFile(file, sample, 0o600); err != nil {
		t.Fatal(err)
	}
	toListener := exec.Command("bash", "-c", "tcpdump -r "+file+" -w - >/dev/tcp/"+strings.Replace(listen, ":", "/", 1))
	if out, err := toListener.CombinedOutput(); err != nil {
		t.Fatalf("tcpdump to a listener: %v\n%s", err, out)
	}
	for address, head := range map[string][]byte{vxlan: {8, 0, 0, 0, 0, 0, 7, 0}, geneve: {1, 0, 0x65, 0x58, 0, 0, 9, 0, 1, 8, 1, 0}} {
		kind := map[string]string{vxlan: "vxlan", geneve: "geneve"}[address]
		sendTunnel(t, address, head, records, func() float64 { return packetsOf(s, kind+"://"+address) })
	}
	if err := os.Rename(file, filepath.Join(watched, "sample.pcap")); err != nil {
		t.Fatal(err)
	}

	all := float64(len(records))
	for _, name := range []string{fifo, "tcp://" + remote.Addr().String(), "listen://" + listen, "vxlan://" + vxlan, "geneve://" + geneve, watched} {
		waitFor(t, "all packets of "+name+"; the sensor said:\n"+s.said(), func() bool { return packetsOf(s, name) >= all })
	}
	s.stop()

	want := map[string]int{}
	for _, r := range records {
		want[string(r.Data)]++
	}
	lanes := lanePackets(t, store)
	names := []string{"import", "vxlan-7", "geneve-9", "listen-" + portOf(listen) + "-0-0", "tcp-" + strings.Replace(remote.Addr().String(), ":", "-", 1) + "-0"}
	for name := range lanes {
		if strings.HasPrefix(name, "pipe-") {
			names = append(names, name)
		}
	}
	if len(names) != 6 || len(lanes) != 6 {
		t.Errorf("%d lanes: %v", len(lanes), names)
	}
	for _, name := range names {
		missing, more := 0, 0
		for data, n := range want {
			missing += max(0, n-lanes[name][data])
		}
		for data, n := range lanes[name] {
			more += max(0, n-want[data])
		}
		if missing != 0 || more != 0 {
			t.Errorf("lane %s: %d packets of %d are missing, %d are not of the sample", name, missing, len(records), more)
		}
	}
	if _, err := os.Stat(filepath.Join(watched, "sample.pcap")); err == nil {
		t.Error("the imported file was not deleted")
	}
	st, err := objstore.Open(t.Context(), "file://"+store, objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	views, damaged, err := sensorstatus.List(context.Background(), st, time.Now())
	if err != nil || len(damaged) != 0 || len(views) != 1 || views[0].Condition != sensorstatus.Stopped || views[0].Lost != 0 || len(views[0].Interfaces) != 6 {
		t.Errorf("status %+v, %v, %v", views, damaged, err)
	}
}

func portOf(address string) string {
	_, port, _ := strings.Cut(address, ":")
	return port
}

func packetsOf(s *sensorProcess, source string) float64 {
	return s.metric(`wirelake_sensor_packets_total{interface=` + strconv.Quote(source) + `}`)
}

// sendTunnel sends each packet behind a tunnel's header. The queue of the loopback interface drops what is beyond 1000
// packets, and tells nobody: so it does not go on before most of what it sent was taken.
func sendTunnel(t *testing.T, address string, head []byte, records []pcapfile.Record, taken func() float64) {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for i, r := range records {
		if i%250 == 0 && i > 0 {
			waitFor(t, "the tunnel's packets", func() bool { return taken() >= float64(i-250) })
		}
		if _, err := conn.Write(append(append([]byte{}, head...), r.Data...)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPipedCapture is `tcpdump -w - | wirelake sensor --read -`: the sensor ends with its input, and has stored all of it.
func TestPipedCapture(t *testing.T) {
	sample, records := sampleCapture(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "sample.pcap")
	if err := os.WriteFile(file, sample, 0o600); err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(dir, "store")
	cmd := exec.Command("sh", "-c", "tcpdump -r "+file+" -w - | "+testenv.Wirelake(t)+" sensor --name piped --read - --spool "+dir+"/spool --store file://"+store)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	packets, lost := archived(t, store)
	if packets.count() != len(records) || lost != 0 {
		t.Errorf("%d packets archived of %d, %d lost", packets.count(), len(records), lost)
	}
	for _, r := range records {
		k := strconv.Itoa(r.WireLen) + " " + string(r.Data)
		if len(packets[k]) == 0 {
			t.Fatalf("a packet of %d bytes is missing", len(r.Data))
		}
	}
}
