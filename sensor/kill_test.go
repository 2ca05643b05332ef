package sensor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"wirelake/internal/objstore"
	"wirelake/testenv"
)

// buildProgram returns the path of the program, built from the sources at hand.
func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "wirelake")
	if out, err := exec.Command("go", "build", "-o", program, "wirelake/cmd/wirelake").CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return program
}

// kills is how often the program must have died in the middle of an import.
const kills = 20

// TestKilledImport kills the program with SIGKILL at random points of imports into
// a folder and into MinIO, and runs it again on the same store: what is then
// stored must be what one clean import stores, object for object.
func TestKilledImport(t *testing.T) {
	program := buildProgram(t)
	packets := makePackets(30_000, 1400, time.Millisecond)
	for i := range packets {
		packets[i].iface = i % 7 / 4 // two lanes at once
	}
	file := write(t, t.TempDir(), "a.pcapng", pcapng(packets, 3))

	t.Run("file", func(t *testing.T) {
		killImports(t, program, file, nil, func() string { return "file://" + t.TempDir() })
	})
	t.Run("s3", func(t *testing.T) {
		minio := testenv.MinIO(t)
		minio.Setenv(t)
		n := 0
		killImports(t, program, file, minio.Env(), func() string {
			n++
			return minio.URL("store" + string(rune('a'+n)))
		})
	})
}

func killImports(t *testing.T, program, file string, env []string, newURL func() string) {
	run := func(ctx context.Context, url string) (killed bool) {
		t.Helper()
		cmd := exec.CommandContext(ctx, program, "import", "--quiet", "--store", url, "--chunk-bytes", "512KiB", file) // ctx ends it by SIGKILL
		cmd.Env = append(os.Environ(), env...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		if err != nil && ctx.Err() == nil {
			t.Fatalf("import into %s: %v\n%s", url, err, out.String())
		}
		return err != nil
	}
	clean := newURL()
	start := time.Now()
	run(t.Context(), clean)
	took := time.Since(start)
	want := objects(t, clean)
	if len(want) < 20 {
		t.Fatalf("a clean import has %d objects", len(want))
	}
	rng := rand.New(rand.NewPCG(1, uint64(took)))
	died := 0
	for try := 0; died < kills; try++ {
		if try == 5*kills {
			t.Fatalf("only %d of %d imports were killed before their end", died, try)
		}
		url := newURL()
		for range 1 + rng.IntN(3) { // the second run may die as well
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.Int64N(int64(took))))
			killed := run(ctx, url)
			cancel()
			if !killed {
				break
			}
			died++
			for key, b := range objects(t, url) {
				if !bytes.Equal(want[key], b) {
					t.Fatalf("after a kill %q is not what a clean import stores", key)
				}
			}
		}
		run(t.Context(), url)
		sameObjects(t, objects(t, url), want)
		if t.Failed() {
			return
		}
	}
}

// objects returns all that a store holds.
func objects(t *testing.T, url string) map[string][]byte {
	t.Helper()
	s, err := objstore.Open(t.Context(), url, objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for obj, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := s.Get(t.Context(), obj.Key)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		all[obj.Key] = b
	}
	return all
}
