package sensor

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"wirelake/internal/objstore"
	"wirelake/testenv"
)

// BenchmarkImport imports a gigabyte of mixed traffic into MinIO, and for the
// yardstick puts the file there as it is with the same client, in turns.
// The ratio is import over PUT in MB/s of the file. WIRELAKE_BENCH_SIZE and
// WIRELAKE_BENCH_PCAP give another size or file.
func BenchmarkImport(b *testing.B) {
	file := os.Getenv("WIRELAKE_BENCH_PCAP")
	if file == "" {
		size := os.Getenv("WIRELAKE_BENCH_SIZE")
		if size == "" {
			size = "1GiB"
		}
		file = filepath.Join(b.TempDir(), "mixed.pcap")
		if out, err := exec.Command("go", "run", "wirelake/testenv/gen", "-size", size, "-o", file).CombinedOutput(); err != nil {
			b.Fatalf("generate traffic: %v\n%s", err, out)
		}
	}
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	minio := testenv.MinIO(b)
	b.Setenv("AWS_ACCESS_KEY_ID", testenv.AccessKey)
	b.Setenv("AWS_SECRET_ACCESS_KEY", testenv.SecretKey)
	open := func(prefix string) objstore.Store {
		s, err := objstore.Open(b.Context(), minio.URL(prefix), objstore.Options{})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	put := func(s objstore.Store) time.Duration {
		f, err := os.Open(file)
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if _, err := s.Put(b.Context(), "whole.pcap", f, info.Size()); err != nil {
			b.Fatal(err)
		}
		took := time.Since(start)
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
		return took
	}
	empty := func(s objstore.Store) {
		for obj, err := range s.List(b.Context(), "", "") {
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Delete(b.Context(), obj.Key); err != nil {
				b.Fatal(err)
			}
		}
	}
	s := open("bench")
	put(s) // the file is in the page cache now
	var bare, imported time.Duration
	b.SetBytes(info.Size())
	for b.Loop() {
		bare += put(s)
		empty(s)
		start := time.Now()
		im := newImporter(b, s, DefaultImportConfig(), ImportOptions{})
		if _, err := im.Import(b.Context(), []string{file}); err != nil {
			b.Fatal(err)
		}
		imported += time.Since(start)
		empty(s)
	}
	mb := float64(info.Size()) / 1e6 * float64(b.N)
	b.ReportMetric(mb/bare.Seconds(), "put-MB/s")
	b.ReportMetric(mb/imported.Seconds(), "import-MB/s")
	b.ReportMetric(bare.Seconds()/imported.Seconds(), "import/put")
}
