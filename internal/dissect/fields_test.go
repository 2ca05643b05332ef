package dissect

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"wirelake/internal/spi"
)

// testedDocuments are the documents of all sessions of a whole run of the tests; nil in others.
var testedDocuments *[]*spi.Document

// neverFilled are the fields of protocols that no payload fills, with who fills them. There are none today.
func neverFilled() map[string]string { return map[string]string{} }

// TestMain holds, of a whole run of the tests, that each field that a protocol declares is filled in one of them. The
// fields that every session has are held in package session.
func TestMain(m *testing.M) {
	flag.Parse()
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if flag.Lookup(name).Value.String() != "" {
			os.Exit(m.Run())
		}
	}
	testedDocuments = new([]*spi.Document)
	code := m.Run()
	if code == 0 {
		for _, path := range unfilled(*testedDocuments) {
			fmt.Fprintf(os.Stderr, "no test fills the field %s\n", path)
			code = 1
		}
	}
	os.Exit(code)
}

// unfilled returns the fields of protocols that no document holds and that are not neverFilled.
func unfilled(docs []*spi.Document) (paths []string) {
	filled := neverFilled()
	for _, doc := range docs {
		fields := doc.Registry().Fields()
		for _, v := range doc.Values() {
			filled[fields[v.Field].Path] = "a test"
		}
	}
	core := spi.NewRegistry()
	for _, f := range New().Registry().Fields() {
		if _, ofAll := core.ByPath(f.Path); !ofAll && filled[f.Path] == "" {
			paths = append(paths, f.Path)
		}
	}
	return paths
}
