package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSameSeedSameBytes generates each profile twice and checks one of them against its manifest: checksums of all
// packets, digests of the sampled flows.
func TestSameSeedSameBytes(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "gen")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	gen := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			t.Fatalf("gen %v: %v\n%s", args, err, out)
		}
	}
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, args := range [][]string{
		{"-profile", "mixed"}, {"-profile", "dns"}, {"-profile", "elephant", "-pcapng"}, {"-profile", "web", "-snaplen", "96"},
	} {
		a, b, manifest := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "manifest")
		gen(append(args, "-size", "2MiB", "-o", a, "-manifest", manifest)...)
		gen(append(args, "-size", "2MiB", "-o", b)...)
		first := read(a)
		if !bytes.Equal(first, read(b)) {
			t.Errorf("%v: two runs with one seed differ", args)
		}
		// It stops behind the packet that reaches the size, or when the flows planned for it end.
		if len(first) < 256<<10 || len(first) > 2<<20+64<<10 {
			t.Errorf("%v: %d bytes, want about 2 MiB", args, len(first))
		}
		if args[len(args)-1] != "96" { // cut packets have no checksums to check
			gen("-check", a, "-manifest", manifest)
		}
		gen(append(args, "-size", "2MiB", "-seed", "2", "-o", b)...)
		if bytes.Equal(first, read(b)) {
			t.Errorf("%v: two seeds give the same bytes", args)
		}
	}
}
