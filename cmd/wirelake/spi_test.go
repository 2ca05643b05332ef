package main

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wirelake/internal/pcapfile/pcaptest"
)

// spiBody is what the test looks at of a session document.
type spiBody struct {
	Protocol []string
	Network  struct{ Packets, Bytes int64 }
}

// countRecords reads a capture and returns its packets and their bytes on the wire.
func countRecords(t *testing.T, name string) (packets, size int64) {
	t.Helper()
	for _, rec := range pcaptest.Read(t, name).Records {
		packets++
		size += int64(rec.WireLen)
	}
	return packets, size
}

// TestSPI holds that the documents of the sample count each of its packets once,
// and name what is in it.
func TestSPI(t *testing.T) {
	// The reference counts fragments as the datagram that they make, and joins DHCP exchanges.
	code, stdout, stderr := runCLI(t, "spi", "--reference=false", sampleCapture)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var out struct {
		Sessions3 []struct{ Body spiBody }
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil {
		t.Fatal(err)
	}
	var packets, size int64
	protocols := make(map[string]int)
	for _, s := range out.Sessions3 {
		packets += s.Body.Network.Packets
		size += s.Body.Network.Bytes
		for _, p := range s.Body.Protocol {
			protocols[p]++
		}
	}
	wantPackets, wantSize := countRecords(t, sampleCapture)
	if packets != wantPackets || size != wantSize {
		t.Errorf("documents hold %d packets of %d bytes, want %d of %d", packets, size, wantPackets, wantSize)
	}
	for _, p := range []string{"http", "tls", "dns", "ssh", "smtp", "icmp", "tcp", "udp"} {
		if protocols[p] == 0 {
			t.Errorf("no session of %s among %d", p, len(out.Sessions3))
		}
	}

	_, lines, _ := runCLI(t, "spi", "--jsonl", "--reference=false", sampleCapture)
	if got := strings.Count(lines, "\n"); got != len(out.Sessions3) {
		t.Errorf("--jsonl: got %d lines, want %d", got, len(out.Sessions3))
	}
	if code, stdout, _ := runCLI(t, "spi", "--discard", sampleCapture); code != exitOK || stdout != "" {
		t.Errorf("--discard: exit code %d and %d bytes, want 0 and none", code, len(stdout))
	}
}

// TestSPIDamaged holds that what can be read of a damaged file is printed, and
// that the error names the file and the place.
func TestSPIDamaged(t *testing.T) {
	f, err := os.Open(sampleCapture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 10_000)
	if _, err := io.ReadFull(z, head); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cut, garbage := filepath.Join(dir, "cut.pcap"), filepath.Join(dir, "garbage")
	for name, b := range map[string][]byte{cut: head, garbage: []byte("no capture at all")} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args, want string
		sessions   bool
	}{
		{cut, "cut.pcap: offset ", true},
		{garbage, "garbage: neither pcap nor pcapng", false},
		{filepath.Join(dir, "missing"), "missing: no such file", false},
		{garbage + " " + cut, "garbage: neither", true},
	} {
		code, stdout, stderr := runCLI(t, append([]string{"spi"}, strings.Fields(c.args)...)...)
		if code != exitError || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d, %q; want %d and %q", c.args, code, stderr, exitError, c.want)
		}
		if !json.Valid([]byte(stdout)) {
			t.Errorf("%s: standard output is no JSON: %s", c.args, stdout)
		}
		if got := strings.Contains(stdout, `"body"`); got != c.sessions {
			t.Errorf("%s: sessions printed: %v, want %v", c.args, got, c.sessions)
		}
	}
}
