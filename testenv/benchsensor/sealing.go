//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"

	"wirelake/internal/objstore"
	"wirelake/sensor"
	"wirelake/sensor/capture"
	"wirelake/testenv"
)

// sealed is what the process that seals tells at its end.
type sealed struct {
	Packets, RawBytes, Bytes uint64
	SealCPU                  float64 // seconds, of the threads that seal
	Chunks                   uint64
}

// sealing seals and uploads what the spool of the last capture holds, in a process of its own, beside a compressor on the
// same packets.
func (b *bench) sealing(ctx context.Context, spooled measurement) error {
	log.Print("seal and upload …")
	minio, err := testenv.StartMinIO()
	if err != nil {
		return err
	}
	defer minio.Close()
	bucket, err := minio.NewBucket(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", b.spoolDir(), bucket.URL(""), b.level)
	cmd.Env = append(append(os.Environ(), bucket.Env()...), roleEnv+"=seal")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	var got sealed
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("seal: %w: %s", err, out)
	}
	if got.Packets != spooled.packets {
		return fmt.Errorf("sealed %d packets of %d in the spool", got.Packets, spooled.packets)
	}
	yard, err := b.compress(ctx)
	if err != nil {
		return err
	}
	total := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	gigabytes := float64(got.RawBytes) / 1e9
	seal := got.SealCPU / gigabytes
	fmt.Printf("%-34s %14.3f\n", "zstd fastest, one core", yard)
	fmt.Printf("%-34s %14.3f %10.2f\n", "seal ("+b.level+")", seal, yard/seal)
	fmt.Printf("%-34s %14.3f\n", "upload, and all else of the sensor", (total.Seconds()-got.SealCPU)/gigabytes)
	fmt.Printf("\n%d packets, %.2f GB in %d chunks of %.2f GB\n", got.Packets, gigabytes, got.Chunks, float64(got.Bytes)/1e9)
	return nil
}

// nothing is a source that has ended.
type nothing struct{}

func (nothing) Run(context.Context, capture.Opener) error { return nil }
func (nothing) State() capture.State                      { return capture.State{Name: "none", Kind: "none"} }

// sealRole is the process that seals and uploads what the spool holds, as a sensor does that finds it there.
func sealRole() error {
	ctx := context.Background()
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := objstore.Open(ctx, os.Args[2], objstore.Options{Config: objstore.DefaultConfig(), Logger: logger})
	if err != nil {
		return err
	}
	cfg := sensor.DefaultConfig()
	cfg.Name, cfg.Spool, cfg.Compression, cfg.ChunkBytes = benchSensor, os.Args[1], os.Args[3], segmentBytes
	s, err := sensor.New(store, cfg, []capture.Source{nothing{}}, sensor.Options{Logger: logger})
	if err != nil {
		return err
	}
	if err := s.Run(ctx); err != nil {
		return err
	}
	st := s.Status()
	return json.NewEncoder(os.Stdout).Encode(sealed{
		Packets: st.Sealed.Packets, RawBytes: st.Sealed.RawBytes, Bytes: st.Sealed.Bytes, SealCPU: st.Sealed.CPUSeconds, Chunks: st.Uploads.Chunks,
	})
}

// compress returns the CPU seconds a gigabyte of klauspost/compress at its fastest level, in frames of 256 KiB with
// checksums, on the capture.
func (b *bench) compress(ctx context.Context) (float64, error) {
	f, err := os.Open(b.capture)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		return 0, err
	}
	in, out := make([]byte, 256<<10), make([]byte, 0, 512<<10)
	var cpu time.Duration
	var bytes float64
	for ctx.Err() == nil {
		n, err := io.ReadFull(f, in)
		if n == 0 && errors.Is(err, io.EOF) {
			return cpu.Seconds() / (bytes / 1e9), nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, err
		}
		before, err := cpuTime()
		if err != nil {
			return 0, err
		}
		out = enc.EncodeAll(in[:n], out[:0])
		after, err := cpuTime()
		if err != nil {
			return 0, err
		}
		cpu += after - before
		bytes += float64(n)
	}
	return 0, ctx.Err()
}

// cpuTime is that of this process.
func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
