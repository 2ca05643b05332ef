package testenv_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"wirelake/internal/pcapfile"
	"wirelake/internal/pcapfile/pcaptest"
	"wirelake/testenv"
)

// storedSession is what the test needs of a session's document.
type storedSession struct {
	ID          string
	FirstPacket int64
	LastPacket  int64
	IPProtocol  int
	Source      struct {
		IP   string
		Port int
	}
	Destination struct {
		IP   string
		Port int
	}
	Network struct{ Packets int }
	Chunk   []struct{ Length, Packets int64 }
}

// filter is the display filter of the session's 5-tuple and time.
func (s *storedSession) filter() string {
	ip, transport := "ip", "udp"
	if bytes.ContainsRune([]byte(s.Source.IP), ':') {
		ip = "ipv6"
	}
	if s.IPProtocol == 6 {
		transport = "tcp"
	}
	seconds := func(ms int64) string { return fmt.Sprintf("%d.%03d", ms/1000, ms%1000) }
	// Errors of ICMP quote the packets that they are about: they are no packets of the flow.
	return fmt.Sprintf("%[1]s.addr == %[2]s && %[1]s.addr == %[3]s && %[4]s.port == %[5]d && %[4]s.port == %[6]d && frame.time_epoch >= %[7]s && frame.time_epoch < %[8]s && !icmp && !icmpv6",
		ip, s.Source.IP, s.Destination.IP, transport, s.Source.Port, s.Destination.Port, seconds(s.FirstPacket), seconds(s.LastPacket+1))
}

// records reads a capture.
func records(t *testing.T, path string) []pcapfile.Record {
	t.Helper()
	out := pcaptest.Read(t, path).Records
	for i := range out {
		out[i].Offset = 0
	}
	return out
}

var explained = regexp.MustCompile(`packets: (\d+) range GETs of chunks, (\d+) bytes`)

// TestPacketsEqualTshark exports sessions of the sample from MinIO, one by one, and holds that each capture is, record
// for record, what tshark filters from the original for the 5-tuple and time, and that no more than the
// session's frames was fetched, with one request a chunk.
func TestPacketsEqualTshark(t *testing.T) {
	root, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	sample := filepath.Join(root, "testenv", "sample", "sample.pcap.gz")
	bucket := testenv.MinIO(t)
	bucket.Setenv(t)
	store := bucket.URL("packets")
	run(t, "import", "--quiet", "--store", store, sample)
	run(t, "compactor", "--once", "--store", store)

	seen := map[string]int{}
	tested := 0
	for _, text := range []string{"protocols == tls", "protocols == http", "protocols == dns", "protocols == ssh", "protocols == smtp", "ip == ipv6 && port == 443", "vlan == EXISTS! && port == 443"} {
		var sessions []storedSession
		if err := json.Unmarshal(run(t, "sessions", "--store", store, text, "--format", "json", "--length", "2", "--order", "packets:desc"), &sessions); err != nil {
			t.Fatal(err)
		}
		if len(sessions) == 0 {
			t.Errorf("the sample has no session for %s", text)
		}
		for _, s := range sessions {
			if seen[s.ID]++; seen[s.ID] > 1 {
				continue
			}
			tested++
			out, want := filepath.Join(t.TempDir(), "out.pcap"), filepath.Join(t.TempDir(), "want.pcap")
			cmd := exec.Command(testenv.Wirelake(t), "packets", "--store", store, "id == "+s.ID, "-w", out, "--explain") //nolint:gosec // G204: of the test
			told, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", s.ID, err, told)
			}
			if b, err := exec.Command(testenv.Tshark(t), "-r", sample, "-Y", s.filter(), "-w", want, "-F", "nsecpcap").CombinedOutput(); err != nil { //nolint:gosec // G204: of the test
				t.Fatalf("tshark %s: %v\n%s", s.filter(), err, b)
			}
			got, wanted := records(t, out), records(t, want)
			if len(got) != len(wanted) || len(got) != s.Network.Packets {
				t.Errorf("%s: %d packets, tshark has %d, the session %d", s.filter(), len(got), len(wanted), s.Network.Packets)
				continue
			}
			for i := range got {
				if got[i].TimeNanos != wanted[i].TimeNanos || got[i].WireLen != wanted[i].WireLen || !bytes.Equal(got[i].Data, wanted[i].Data) {
					t.Errorf("%s: packet %d differs", s.filter(), i)
					break
				}
			}
			m := explained.FindSubmatch(told)
			if m == nil {
				t.Fatalf("--explain says nothing of ranges:\n%s", told)
			}
			gets, _ := strconv.ParseInt(string(m[1]), 10, 64)
			fetched, _ := strconv.ParseInt(string(m[2]), 10, 64)
			var frames int64
			for _, c := range s.Chunk {
				frames += c.Length
			}
			if gets > int64(len(s.Chunk)) || fetched > frames {
				t.Errorf("%s: %d GETs of %d bytes, its frames are %d bytes in %d chunks", s.ID, gets, fetched, frames, len(s.Chunk))
			}
		}
	}
	if tested < 10 {
		t.Errorf("only %d sessions were tested", tested)
	}
}
