package live

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"wirelake/testenv"
)

// server starts a program in the neighbour's namespace, and waits until it answers on the TCP port given, if any.
func server(t *testing.T, far *testenv.Neighbour, port int, args ...string) {
	t.Helper()
	args[0] = testenv.Program(t, args[0])
	cmd := far.Command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // nginx ends its workers
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
		}
	})
	if port == 0 {
		return
	}
	waitFor(t, args[0], func() bool {
		select {
		case <-done:
			t.Fatalf("%s ended: %s", strings.Join(args, " "), &out)
		default:
		}
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("10.80.0.2:%d", port), time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startServers starts nginx with and without TLS, dnsmasq, sshd and iperf3 in the neighbour's namespace.
func startServers(t *testing.T, far *testenv.Neighbour) (sshKey, body string) {
	t.Helper()
	dir := t.TempDir()
	testenv.Run(t, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=server.example",
		"-keyout", dir+"/tls.key", "-out", dir+"/tls.crt")
	random := make([]byte, 3<<20)
	_, _ = rand.Read(random)
	if err := os.Mkdir(dir+"/www", 0o755); err != nil {
		t.Fatal(err)
	}
	body = dir + "/www/body"
	write(t, body, string(random))
	write(t, dir+"/www/index.html", strings.Repeat("<p>wirelake</p>\n", 1000))
	conf := write(t, dir+"/nginx.conf", fmt.Sprintf(`
user root;
daemon off; pid %[1]s/nginx.pid; error_log stderr;
events {}
http {
	access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server { listen 80; root %[1]s/www; }
	server { listen 443 ssl http2; root %[1]s/www; ssl_certificate %[1]s/tls.crt; ssl_certificate_key %[1]s/tls.key; }
}`, dir))
	server(t, far, 443, "nginx", "-e", "stderr", "-c", conf)
	server(t, far, 53, "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--listen-address=10.80.0.2",
		"--bind-interfaces", "--address=/example/192.0.2.7", "--txt-record=long.example,"+strings.Repeat("x", 200))
	server(t, far, 5201, "iperf3", "-s")

	sshKey = dir + "/key"
	testenv.Run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", sshKey)
	testenv.Run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", dir+"/host")
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	server(t, far, 22, "sshd", "-D", "-e", "-f", write(t, dir+"/sshd_config", fmt.Sprintf(
		"HostKey %[1]s/host\nAuthorizedKeysFile %[1]s/key.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\n", dir)))
	return sshKey, body
}

// TestRealTraffic lets programs talk over an interface that the sensor captures from, tagged and untagged, and holds that
// every packet that tcpdump got on it is in the archive: the same bytes, the same length, within a moment the same time.
func TestRealTraffic(t *testing.T) {
	far := testenv.NewNeighbour(t)
	far.Link("lv0", "10.80.0.1/24", "lv1", "10.80.0.2/24")
	testenv.Run(t, "ip", "link", "set", "lv0", "mtu", "9000")
	far.Run("ip", "link", "set", "lv1", "mtu", "9000")
	sshKey, body := startServers(t, far)

	archive := t.TempDir()
	sensor := startSensor(t, "file://"+archive, []string{"lv0"}, "--workers", "2", "--chunk-span", "5s", "--chunk-bytes", "8MiB")
	witness := testenv.NewWitness(t, "lv0")
	began := time.Now()
	talk(t, far, sshKey, body)

	// tcpdump has all when its file no longer grows: the kernel gives it a block a second at least.
	for size, since := int64(-1), time.Now(); time.Since(since) < 3*time.Second; time.Sleep(50 * time.Millisecond) {
		info, err := os.Stat(witness.Path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != size {
			size, since = info.Size(), time.Now()
		}
	}
	witness.Stop()
	until := time.Now()
	sensor.stop()

	want := seen{}
	readCapture(t, witness.Path, want)
	got, lost := archived(t, archive)
	t.Logf("tcpdump has %d packets, the archive %d, lost %d", want.count(), got.count(), lost)
	if lost != 0 {
		t.Errorf("the chunks say that %d packets were lost", lost)
	}
	if want.count() < 5000 {
		t.Errorf("%d packets are too little of a proof", want.count())
	}
	compare(t, got, want, began.Add(time.Second).UnixNano(), until.Add(-3*time.Second).UnixNano())
}

// compare holds that the archive has all that the witness has, and nothing else of the time in which both captured.
func compare(t *testing.T, got, want seen, from, to int64) {
	t.Helper()
	bad := 0
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf(format, args...)
		if bad++; bad > 10 {
			t.FailNow()
		}
	}
	short := func(k string) string {
		wire, data, _ := strings.Cut(k, " ")
		return fmt.Sprintf("%s bytes on the wire, %d captured: %.80x", wire, len(data), data)
	}
	for k, w := range want {
		g := got[k]
		if len(g) < len(w) {
			fail("tcpdump has it %d times, the archive %d times: %s", len(w), len(g), short(k))
			continue
		}
		slices.Sort(g)
		slices.Sort(w)
		for _, nanos := range w { // equal packets may be more in the archive: before and after tcpdump
			if !slices.ContainsFunc(g, func(n int64) bool { return max(n-nanos, nanos-n) < 100e6 }) {
				fail("time %d ns of tcpdump's is not in the archive, which has %v: %s", nanos, g, short(k))
			}
		}
	}
	within := func(times []int64) (n int) {
		for _, v := range times {
			if v >= from && v <= to {
				n++
			}
		}
		return n
	}
	for k, g := range got {
		if n, m := within(g), len(want[k]); n > m {
			fail("the archive has it %d times, tcpdump %d times: %s", n, m, short(k))
		}
	}
}

// talk makes the traffic.
func talk(t *testing.T, far *testenv.Neighbour, sshKey, body string) {
	t.Helper()
	testenv.Run(t, "ping", "-c", "3", "-i", "0.05", "10.80.0.2")
	testenv.Run(t, "curl", "-sS", "-o", "/dev/null", "http://10.80.0.2/", "http://10.80.0.2/body", "http://10.80.0.2/none")
	testenv.Run(t, "ping", "-c", "2", "-i", "0.05", "-s", "20000", "10.80.0.2") // in fragments
	for _, version := range []string{"--http1.1", "--http2"} {
		testenv.Run(t, "curl", "-sS", "-k", version, "-o", "/dev/null", "https://10.80.0.2/", "https://10.80.0.2/body")
	}
	testenv.Run(t, "curl", "-sS", "-o", "/dev/null", "-T", body, "http://10.80.0.2/upload")
	for range 20 {
		testenv.Run(t, "dig", "@10.80.0.2", "+tries=3", "www.example", "A")
		testenv.Run(t, "dig", "@10.80.0.2", "+tcp", "long.example", "TXT")
	}
	for _, args := range [][]string{{"-n", "40M"}, {"-n", "10M", "-R"}, {"-u", "-b", "50M", "-n", "4M", "-l", "1200"}, {"-u", "-b", "20M", "-n", "2M", "-l", "20000"}} {
		waitFor(t, "iperf3", func() bool { // a server that still ends the test before is busy
			out, err := exec.Command(testenv.Program(t, "iperf3"), append([]string{"-c", "10.80.0.2"}, args...)...).CombinedOutput()
			if err != nil && !bytes.Contains(out, []byte("the server is busy")) {
				t.Fatalf("iperf3 %v: %v\n%s", args, err, out)
			}
			return err == nil
		})
	}
	ssh := []string{"-q", "-i", sshKey, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "root@10.80.0.2"}
	if out := testenv.Run(t, "ssh", append(ssh, "seq 100000")...); !strings.HasSuffix(out, "100000\n") {
		t.Fatalf("ssh: %.100s", out)
	}
	in, err := os.Open(body)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	upload := exec.Command(testenv.Program(t, "ssh"), append(ssh, "wc -c")...)
	upload.Stdin = in
	if out, err := upload.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != strconv.Itoa(3<<20) {
		t.Fatalf("ssh: %v %s", err, out)
	}
	// What other hosts said once, as fast as it goes: as it was, with a tag, and with two.
	path := sample(t)
	dir := t.TempDir()
	testenv.Run(t, "cp", path, dir+"/0.pcap")
	for i, tag := range [][]string{{"--enet-vlan-tag=42", "--enet-vlan-pri=5"}, {"--enet-vlan-tag=100", "--enet-vlan-pri=0", "--enet-vlan-proto=802.1ad"}} {
		testenv.Run(t, "tcprewrite", append(tag, "--enet-vlan=add", "--enet-vlan-cfi=0",
			fmt.Sprintf("--infile=%s/%d.pcap", dir, i), fmt.Sprintf("--outfile=%s/%d.pcap", dir, i+1))...)
	}
	for i := range 3 {
		far.Run(testenv.Program(t, "tcpreplay"), "--quiet", "--topspeed", "--intf1", "lv1", fmt.Sprintf("%s/%d.pcap", dir, i))
	}
}
