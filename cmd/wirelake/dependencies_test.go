package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestDependenciesPage holds that docs/dependencies.md gives a reason for each
// module that the code imports.
func TestDependenciesPage(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for line := range strings.Lines(string(mod)) {
		if fields := strings.Fields(line); len(fields) >= 2 && strings.HasPrefix(line, "\t") {
			modules = append(modules, fields[0])
		}
	}
	found := map[string]string{} // module -> a file that imports it
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := e.Name(); e.IsDir() && (name == "node_modules" || name == "testdata" || strings.HasPrefix(name, ".") && path != root) {
			return filepath.SkipDir
		}
		if e.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imported := range file.Imports {
			name, err := strconv.Unquote(imported.Path.Value)
			if err != nil {
				return err
			}
			for _, m := range modules {
				if name == m || strings.HasPrefix(name, m+"/") {
					found[m] = path
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("the code imports nothing")
	}
	for m, path := range found {
		// One line may name several modules of a family: "aws-sdk-go-v2 (aws, config, …)".
		if !strings.Contains(string(page), m) && !listedAsFamily(string(page), m) {
			t.Errorf("%s, imported by %s, is not in docs/dependencies.md", m, path)
		}
	}
}

func listedAsFamily(page, module string) bool {
	const family = "github.com/aws/aws-sdk-go-v2/"
	return strings.HasPrefix(module, family) && strings.Contains(page, strings.TrimSuffix(family, "/"))
}
