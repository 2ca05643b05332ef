package live

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"wirelake/testenv"
)

// sample returns the path of the sample capture, decompressed.
func sample(t *testing.T) string {
	t.Helper()
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sample.pcap")
	testenv.Run(t, "sh", "-c", fmt.Sprintf("gzip -dc %s/testenv/sample/sample.pcap.gz >%s", root, path))
	return path
}

// replay sends a capture out of an interface as fast as it goes, and returns how many packets came through to its peer.
func replay(t *testing.T, name, path string, loops int) int {
	t.Helper()
	before, err := testenv.TxDropped(name)
	if err != nil {
		t.Fatal(err)
	}
	out := testenv.Run(t, "tcpreplay", "--quiet", "--topspeed", "--preload-pcap", "--loop", strconv.Itoa(loops), "--intf1", name, path)
	m := regexp.MustCompile(`Successful packets:\s+(\d+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("tcpreplay: %s", out)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	after, err := testenv.TxDropped(name)
	if err != nil {
		t.Fatal(err)
	}
	return n - int(after-before)
}

// TestOverflow holds a sensor up until its ring overflows, again and again. Each packet sent is in the archive, or in the
// drops that the chunks of its time tell.
func TestOverflow(t *testing.T) {
	testenv.Veth(t, "ov0", "ov1")
	path := sample(t)
	archive := t.TempDir()
	s := startSensorWith(t, []string{"WIRELAKE_SENSOR_BLOCKS=4", "WIRELAKE_SENSOR_BLOCK_BYTES=512KiB"}, "file://"+archive, []string{"ov0"},
		"--chunk-span", "2s", "--workers", "2")
	sent := 0
	for range 3 {
		if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		sent += replay(t, "ov1", path, 3)
		if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		sent += replay(t, "ov1", path, 1)
	}
	drops := 0.0
	waitFor(t, "the drops in the metrics", func() bool {
		drops = s.metric(`wirelake_sensor_dropped_packets_total{cause="kernel"}`)
		return int(drops+s.metric(`wirelake_sensor_packets_total{interface="ov0"}`)) == sent
	})
	s.stop()
	packets, lost := archived(t, archive)
	t.Logf("sent %d, archived %d, lost %d", sent, packets.count(), lost)
	if lost == 0 || packets.count()+int(lost) != sent || uint64(drops) != lost {
		t.Errorf("sent %d, archived %d, the chunks say that %d were lost, the metrics %v: the balance is %d", sent, packets.count(), lost, drops,
			sent-packets.count()-int(lost))
	}
}

// TestInterfaceRecreated deletes the interface of a sensor under traffic and makes it anew.
func TestInterfaceRecreated(t *testing.T) {
	testenv.NeedNamespace(t)
	path := sample(t)
	testenv.Veth(t, "rc0", "rc1")
	archive := t.TempDir()
	s := startSensor(t, "file://"+archive, []string{"rc0"}, "--chunk-span", "2s", "--workers", "2")
	up := `wirelake_sensor_interface_up{interface="rc0"}`
	sent := 0
	for range 3 {
		sent += replay(t, "rc1", path, 1)
		testenv.Run(t, "ip", "link", "del", "rc0") // what came last is in the ring
		waitFor(t, "the sensor to miss it", func() bool { return s.metric(up) == 0 })
		testenv.Veth(t, "rc0", "rc1")
		waitFor(t, "the sensor to capture again", func() bool { return s.metric(up) == 1 })
	}
	sent += replay(t, "rc1", path, 1)
	s.stop()
	packets, lost := archived(t, archive)
	if lost != 0 || packets.count() != sent {
		t.Errorf("sent %d, archived %d, lost %d", sent, packets.count(), lost)
	}
}

// TestUnprivileged lets the sensor become another user, who captures, reads a new filter at SIGHUP and stores.
func TestUnprivileged(t *testing.T) {
	testenv.Veth(t, "up0", "up1")
	path := sample(t)
	dir := openTempDir(t)
	archive := filepath.Join(dir, "store")
	if err := os.Mkdir(archive, 0o755); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if err := os.Chown(archive, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "wirelake.yaml")
	filter := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte("sensor:\n  filter: "+text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	filter("udp port 53")
	s := startSensor(t, "file://"+archive, []string{"up0"}, "--user", "nobody", "--config", config)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534\n", "CapPrm:\t0000000000002000\n", "CapEff:\t0000000000002000\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q in the status of the process\n%s", want, status)
		}
	}
	replay(t, "up1", path, 1)
	filter("tcp port 443")
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the new filter", func() bool { return strings.Contains(s.said(), "filter") && strings.Contains(s.said(), "tcp port 443") })
	replay(t, "up1", path, 1)
	s.stop()
	packets, _ := archived(t, archive)
	counted := func(filter string) int {
		t.Helper()
		out := testenv.Run(t, "tcpdump", "-n", "-r", path, "--count", filter)
		m := regexp.MustCompile(`(\d+) packets?`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("tcpdump --count: %s", out)
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// A file has its tags in the frames, an interface not.
	want := counted("udp port 53 or (vlan and udp port 53)") + counted("tcp port 443 or (vlan and tcp port 443)")
	// Which packets a busy machine loses before anyone can capture them is not told.
	lost, err := testenv.TxDropped("up1")
	if err != nil {
		t.Fatal(err)
	}
	if n := packets.count(); n > want || n < want-int(lost) { //nolint:gosec // few
		t.Errorf("archived %d packets, want %d, of which the interface lost %d at most", n, want, lost)
	}
}
