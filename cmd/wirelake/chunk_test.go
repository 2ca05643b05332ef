package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const sampleCapture = "../../testenv/sample/sample.pcap.gz"

// importSample imports the sample into a new folder, and returns its store URL,
// the folder, and the keys of the chunks.
func importSample(t *testing.T, args ...string) (url, dir string, keys []string) {
	t.Helper()
	dir = t.TempDir()
	url = "file://" + dir
	code, out, errs := runCLI(t, append([]string{"import", "--store", url, sampleCapture}, args...)...)
	if code != exitOK || !strings.Contains(out, "chunks stored, 0 existed already") {
		t.Fatalf("import exits with %d\n%s%s", code, out, errs)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".pcap.zst") {
			key, err := filepath.Rel(dir, path)
			keys = append(keys, filepath.ToSlash(key))
			return err
		}
		return err
	})
	if err != nil || len(keys) == 0 {
		t.Fatalf("chunks %v: %v", keys, err)
	}
	return url, dir, keys
}

func TestImportTwice(t *testing.T) {
	url, _, keys := importSample(t)
	code, out, _ := runCLI(t, "import", "--store", url, sampleCapture)
	if want := "0 chunks stored, " + strconv.Itoa(len(keys)) + " existed already"; code != exitOK || !strings.Contains(out, want) || !strings.Contains(out, "was imported before") {
		t.Errorf("second import exits with %d:\n%swant %q", code, out, want)
	}
	code, out, errs := runCLI(t, "import", "--store", url, "--quiet", sampleCapture)
	if code != exitOK || out+errs != "" {
		t.Errorf("quiet import exits with %d: %q %q", code, out, errs)
	}
}

func TestImportOfDamagedFiles(t *testing.T) {
	f, err := os.Open(sampleCapture)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := io.ReadAll(z)
	if err = errors.Join(err, z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	url := "file://" + t.TempDir()
	cut := filepath.Join(dir, "cut.pcap")
	if err := os.WriteFile(cut, whole[:len(whole)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := runCLI(t, "import", "--store", url, cut)
	if code != exitOK || !strings.Contains(errs, "warning: "+cut+": offset ") || !strings.Contains(out, "ends within a record") {
		t.Errorf("import of a cut file exits with %d: %s%s", code, out, errs)
	}
	bad := filepath.Join(dir, "bad.pcap")
	corrupt := bytes.Clone(whole)
	copy(corrupt[24:], bytes.Repeat([]byte{0xff}, 16)) // the first record's header
	if err := os.WriteFile(bad, corrupt, 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs = runCLI(t, "import", "--store", url, bad)
	if code != exitError || !strings.Contains(errs, "warning: "+bad+": offset 24: ") {
		t.Errorf("import of a corrupt file exits with %d: %s", code, errs)
	}
	code, _, errs = runCLI(t, "import", "--store", url, filepath.Join(dir, "none.pcap"))
	if code != exitError || !strings.Contains(errs, "none.pcap") {
		t.Errorf("import of a missing file exits with %d: %s", code, errs)
	}
}

func TestChunkCommands(t *testing.T) {
	url, dir, keys := importSample(t)
	key := keys[0]
	code, out, errs := runCLI(t, "chunk", "inspect", "--store", url, "--json", "--flows", key)
	var info chunkInfo
	if err := json.Unmarshal([]byte(out), &info); code != exitOK || err != nil {
		t.Fatalf("inspect exits with %d: %v\n%s%s", code, err, out, errs)
	}
	if info.Key != key || filepath.Base(info.File) != "sample.pcap.gz" || len(info.Flows) != info.FlowCount || info.Packets == 0 {
		t.Errorf("inspect: %+v", info)
	}
	_, text, _ := runCLI(t, "chunk", "inspect", "--flows", filepath.Join(dir, key))
	for _, want := range []string{"sequence", "packets", info.Flows[0].Flow, info.Flows[len(info.Flows)-1].Flow} {
		if !strings.Contains(text, want) {
			t.Errorf("inspect prints no %q:\n%s", want, text)
		}
	}

	stream, err := exec.Command("zstd", "-dcq", filepath.Join(dir, key)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, out, errs := runCLI(t, "chunk", "cat", "--store", url, key); out != string(stream) {
		t.Errorf("cat gives %d bytes, zstd %d: %s", len(out), len(stream), errs)
	}
	flow := info.Flows[len(info.Flows)/2]
	ends := strings.SplitN(flow.Flow, " ", 2)
	a, b, _ := strings.Cut(ends[1], " <-> ")
	file := filepath.Join(t.TempDir(), "flow.pcap")
	for _, name := range []string{strconv.Itoa(flow.Number), flow.Flow, ends[0] + " " + b + " <-> " + a} {
		if code, _, errs := runCLI(t, "chunk", "cat", "--store", url, "--flow", name, "-w", file, key); code != exitOK {
			t.Fatalf("cat --flow %q exits with %d: %s", name, code, errs)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if uint64(len(got)) != 24+flow.Raw || !bytes.Contains(stream, got[24:]) {
			t.Errorf("cat --flow %q gives %d bytes, want %d of the stream", name, len(got), 24+flow.Raw)
		}
	}
	for _, name := range []string{"-1", "999999", "tcp 1.1.1.1:1 <-> 2.2.2.2:2"} {
		if code, _, errs := runCLI(t, "chunk", "cat", "--store", url, "--flow", name, key); code != exitError || !strings.Contains(errs, "has no flow") {
			t.Errorf("cat --flow %q exits with %d: %s", name, code, errs)
		}
	}
	if code, _, errs := runCLI(t, "chunk", "inspect", "--store", url, "chunks/none"); code != exitError || !strings.Contains(errs, "chunks/none") {
		t.Errorf("inspect of nothing exits with %d: %s", code, errs)
	}
}

func TestChunkVerify(t *testing.T) {
	url, dir, keys := importSample(t)
	code, out, errs := runCLI(t, "chunk", "verify", "--store", url)
	if code != exitOK || strings.Count(out, "ok  ") != len(keys) {
		t.Fatalf("verify exits with %d:\n%s%s", code, out, errs)
	}
	path := filepath.Join(dir, keys[0])
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[100] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs = runCLI(t, "chunk", "verify", "--store", url)
	if code != exitError || !strings.Contains(out, `BAD chunk "`+keys[0]+`" offset 37: `) || strings.Count(out, "ok  ") != len(keys)-1 || !strings.Contains(errs, "1 of ") {
		t.Errorf("verify of a damaged chunk exits with %d:\n%s%s", code, out, errs)
	}
}
