// Command wirelake is the whole of the packet archive in one program: a
// subcommand a file, wiring only. See wirelake --help.
package main

import (
	"context"
	"os"

	"wirelake/internal/telemetry"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version string

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := telemetry.SignalContext(context.Background(), os.Stderr)
	defer stop()
	a := newApp(telemetry.ReadBuild(version))
	return a.execute(ctx, os.Args[1:])
}
