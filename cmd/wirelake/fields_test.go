package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wirelake/internal/dissect"
)

// TestFieldsPage keeps docs/fields.md.
func TestFieldsPage(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "fields.md")
	var want bytes.Buffer
	if err := writeFieldsMarkdown(&want, dissect.New().Registry()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the registry says: run go test ./cmd/wirelake -run TestFieldsPage -update", path)
	}
}

func TestFieldsAreFoundByText(t *testing.T) {
	var b bytes.Buffer
	if err := writeFields(&b, dissect.New().Registry(), "JA3S"); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "tls.ja3s") || strings.Contains(got, "source.ip") {
		t.Errorf("fields JA3S: got\n%s", got)
	}
}
