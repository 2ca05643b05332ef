package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"wirelake/internal/dissect"
	"wirelake/internal/elastic"
	"wirelake/internal/objstore"
	"wirelake/testenv"
)

// bench is one run: what its benchmarks share. Servers, captures and archives are made when they are first needed.
type bench struct {
	options
	root   string
	dir    string // .cache/bench: what may be kept
	tmp    string // removed at the end
	report report

	binary string
	minio  *testenv.MinIOServer
	bucket *testenv.S3
	node   *testenv.ElasticsearchServer
	client *elastic.Client
	set    *dissect.Set
	mixed  *archive
	inputs []string
}

func newBench(o options) (*bench, error) {
	root, err := testenv.Root()
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, root: root, dir: filepath.Join(root, ".cache", "bench"), set: dissect.New()}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return nil, err
	}
	if b.tmp, err = os.MkdirTemp("", "wirelake-bench-"); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *bench) close() {
	if b.minio != nil {
		b.minio.Close()
	}
	if b.node != nil {
		b.node.Close()
	}
	if !b.keep {
		for _, f := range b.inputs {
			if err := os.Remove(f); err != nil {
				log.Print(err)
			}
		}
	}
	if err := os.RemoveAll(b.tmp); err != nil {
		log.Print(err)
	}
}

// build makes the binary that is measured, as make build does.
func (b *bench) build() (string, error) {
	if b.binary != "" {
		return b.binary, nil
	}
	path := filepath.Join(b.tmp, "wirelake")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/wirelake")
	cmd.Dir = b.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/wirelake: %w\n%s", err, out)
	}
	b.binary = path
	return path, nil
}

// capture returns the path of a capture of the generator's profile. One of an earlier run with the same generator is used again.
func (b *bench) capture(profile, size string) (path string, bytes int64, err error) {
	version, err := b.generatorVersion()
	if err != nil {
		return "", 0, err
	}
	path = filepath.Join(b.dir, fmt.Sprintf("%s-%s-%s.pcap", profile, size, version))
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		log.Printf("generate %s", path)
		cmd := exec.Command("go", "run", "./testenv/gen", "-profile", profile, "-size", size, "-o", path+".new")
		cmd.Dir = b.root
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", 0, fmt.Errorf("go run ./testenv/gen: %w\n%s", err, out)
		}
		if err := os.Rename(path+".new", path); err != nil {
			return "", 0, err
		}
	}
	b.inputs = append(b.inputs, path)
	info, err := os.Stat(path)
	if err != nil {
		return "", 0, err
	}
	return path, info.Size(), nil
}

// generatorVersion names what the generator's code is now, so that what an older one made is not used.
func (b *bench) generatorVersion() (string, error) {
	files, err := filepath.Glob(filepath.Join(b.root, "testenv", "gen", "*.go"))
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil))[:8], nil
}

// s3 starts MinIO at the first call.
func (b *bench) s3(ctx context.Context) (*testenv.S3, error) {
	if b.bucket != nil {
		return b.bucket, nil
	}
	var err error
	if b.minio, err = testenv.StartMinIO(); err != nil {
		return nil, err
	}
	if b.bucket, err = b.minio.NewBucket(ctx); err != nil {
		return nil, err
	}
	for _, v := range b.bucket.Env() {
		name, value, _ := strings.Cut(v, "=")
		if err := os.Setenv(name, value); err != nil { // for objstore here and for the processes
			return nil, err
		}
	}
	return b.bucket, nil
}

// store opens the folder of the bucket that a process gets as --store.
func (b *bench) store(ctx context.Context, prefix string) (objstore.Store, string, error) {
	s3, err := b.s3(ctx)
	if err != nil {
		return nil, "", err
	}
	url := s3.URL(prefix)
	s, err := objstore.Open(ctx, url, objstore.Options{})
	if err != nil {
		return nil, "", err
	}
	return objstore.Instrument(s, nil, "bench"), url, nil
}

// clearStore removes what lies below the prefixes.
func clearStore(ctx context.Context, s objstore.Store, prefixes ...string) error {
	for _, prefix := range prefixes {
		for obj, err := range s.List(ctx, prefix, "") {
			if err != nil {
				return err
			}
			if err := s.Delete(ctx, obj.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// usage is what a process took.
type usage struct {
	spent       // with the servers
	rss   int64 // bytes at most
}

// wirelake runs the binary and returns what it took.
func (b *bench) wirelake(ctx context.Context, env []string, args ...string) (usage, error) {
	binary, err := b.build()
	if err != nil {
		return usage{}, err
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	var u usage
	if u.spent, err = timed(cmd.Run); err != nil {
		return u, fmt.Errorf("wirelake %s: %w\n%s", strings.Join(args, " "), err, out.Bytes())
	}
	s := cmd.ProcessState
	if r, ok := s.SysUsage().(*syscall.Rusage); ok {
		u.rss = r.Maxrss << 10 // Linux counts KiB
		if runtime.GOOS == "darwin" {
			u.rss = r.Maxrss
		}
	}
	log.Printf("wirelake %s: %.2f s, %.2f s of CPU and %.2f s of servers', %d MiB", args[0], u.took.Seconds(),
		(s.UserTime() + s.SystemTime()).Seconds(), (u.cpu - s.UserTime() - s.SystemTime()).Seconds(), u.rss>>20)
	return u, nil
}
