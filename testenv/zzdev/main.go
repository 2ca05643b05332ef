package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"time"

	"wirelake/compactor"
	"wirelake/internal/dissect"
	"wirelake/internal/objstore"
	"wirelake/internal/session"
	"wirelake/sensor"
)

func main() {
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store, err := objstore.Open(ctx, "file://"+os.Args[1], objstore.Options{})
	if err != nil { panic(err) }
	if len(os.Args) > 2 {
		im, err := sensor.NewImporter(store, sensor.DefaultImportConfig(), sensor.ImportOptions{Logger: log})
		if err != nil { panic(err) }
		t := time.Now()
		_, err = im.Import(ctx, os.Args[2:])
		fmt.Println("import", time.Since(t), err)
	}
	f, _ := os.Create("/tmp/compact.prof")
	pprof.StartCPUProfile(f)
	c, err := compactor.New(compactor.DefaultConfig(), compactor.Parts{Store: store, Set: dissect.New(), Session: session.DefaultConfig(), Log: log})
	if err != nil { panic(err) }
	t := time.Now()
	err = c.Run(ctx, true)
	pprof.StopCPUProfile()
	fmt.Println("compact", time.Since(t), err)
}
