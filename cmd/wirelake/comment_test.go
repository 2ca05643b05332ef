package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wirelake/internal/pcapfile"
	"wirelake/internal/pcapfile/pcaptest"
)

// annotated writes the sample as pcapng with a comment on its tenth packet, and returns its name.
func annotated(t *testing.T, comment string) string {
	t.Helper()
	in := pcaptest.Read(t, sampleCapture)
	name := filepath.Join(t.TempDir(), "annotated.pcapng")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w, err := pcapfile.NewNgWriter(out, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddInterface(in.Interfaces[0]); err != nil {
		t.Fatal(err)
	}
	for n, rec := range in.Records {
		rec.Comment = ""
		if n+1 == 10 {
			rec.Comment = comment
		}
		if err := w.Write(&rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestPacketComment follows the comment of a packet from a pcapng file into its chunk and the session, and finds it there.
func TestPacketComment(t *testing.T) {
	const comment = "look at this one: grüße"
	file := annotated(t, comment)
	store := "file://" + t.TempDir()
	for _, args := range [][]string{{"import", "--store", store, "--quiet", file}, {"compactor", "--store", store, "--once"}} {
		if code, _, stderr := runCLI(t, args...); code != exitOK {
			t.Fatalf("%s: exit code %d: %s", args[0], code, stderr)
		}
	}
	code, found, stderr := runCLI(t, "sessions", "--store", store, `packet.comment == "*this one*"`, "--format", "json")
	if code != exitOK {
		t.Fatalf("sessions: exit code %d: %s", code, stderr)
	}
	if n := strings.Count(found, comment); n != 1 {
		t.Errorf("the comment is in the answer %d times: %s", n, found)
	}
	_, documents, _ := runCLI(t, "spi", file)
	if n := strings.Count(documents, comment); n != 1 {
		t.Errorf("spi prints the comment %d times", n)
	}
}
