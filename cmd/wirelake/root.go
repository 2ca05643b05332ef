package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wirelake/internal/config"
	"wirelake/internal/elastic"
	"wirelake/internal/objstore"
	"wirelake/internal/rules"
	"wirelake/internal/telemetry"
)

// Exit codes of the program.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2 // the command line or the configuration is wrong: trying again will not help
)

// commands lists the subcommands. A new one is a line here and a file with its
// constructor.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		newCompactorCommand(a),
		newReindexCommand(a),
		newRedissectCommand(a),
		newFieldsCommand(a),
		newImportCommand(a),
		newChunkCommand(a),
		newConfigCommand(a),
		newPacketsCommand(a),
		newRulesCommand(a),
		newQueryCommand(a),
		newSensorCommand(a),
		newSensorsCommand(a),
		newSessionsCommand(a),
		newSPICommand(a),
		newUpCommand(a),
		newVersionCommand(a),
	}
}

// app is what the subcommands share. The fields up to reg are set before a
// subcommand's RunE; they belong to one run of one command.
type app struct {
	build  telemetry.Build
	stdin  io.Reader
	stdout io.Writer // results; everything that is told to people goes to stderr or the log
	stderr io.Writer

	cfg     settings                 // defaults, file, environment and flags, checked
	origins map[string]config.Origin // where each setting was set
	log     *slog.Logger             // to stderr
	reg     *prometheus.Registry     // for /metrics
	es      *elastic.Client          // made by elastic when first asked for
	rules   *rules.Tagger            // made by tagger when first asked for, nil without rules

	configFile  string // --config
	cpuProfile  string // --cpu-profile
	stopProfile func() error
	running     bool // the command line was understood and the configuration is good
}

func newApp(b telemetry.Build) *app {
	return &app{
		build: b, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		cfg: defaultSettings(), log: slog.New(slog.DiscardHandler), reg: telemetry.NewRegistry(b),
	}
}

// execute runs the command line and returns the exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	return a.executeRoot(ctx, a.rootCommand(), args)
}

func (a *app) executeRoot(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if a.stopProfile != nil {
		err = errors.Join(err, a.stopProfile())
	}
	if err == nil {
		return exitOK
	}
	var signal telemetry.SignalError
	if errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &signal) {
		a.tell("wirelake: %v\n", signal)
		return exitError
	}
	a.tell("wirelake: %v\n", err)
	var usage usageError
	if a.running && !errors.As(err, &usage) {
		return exitError
	}
	var bad *config.Error
	if !errors.As(err, &bad) {
		a.tell("See '%s --help'.\n", cmd.CommandPath())
	}
	return exitUsage
}

// tell prints to people. That nobody reads any more is no error.
func (a *app) tell(format string, args ...any) { _, _ = fmt.Fprintf(a.stderr, format, args...) }

// usageError is an error of the command line that only the command itself could
// find. It ends the program with code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usageErrorf(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "wirelake",
		Short: "A full-packet archive on object storage",
		Long: `wirelake keeps packets on object storage and finds them again.

Captures become chunks in a store, chunks become sessions, and a search over the
sessions leads back to the packets by byte range. The store is a folder
(file:///dir) or a bucket (s3://bucket/prefix); it holds all state.

Settings come from a YAML file (--config), from environment variables with the
prefix ` + config.EnvPrefix + `, and from flags; later ones win. 'wirelake config' prints
what is in force and where it was set. Credentials for S3, its region and its
endpoint are taken from the environment or the machine's role as the AWS SDK
finds them (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION,
AWS_ENDPOINT_URL_S3).

The program exits with 0 when it did what was asked, 1 when that failed, and 2
when the command line or the configuration is wrong.`,
		Example: `  # Import a capture into a folder, dissect it, and look at it
  wirelake import  --store file:///var/lib/wirelake capture.pcapng.gz
  wirelake compactor --store file:///var/lib/wirelake --once
  wirelake sessions --store file:///var/lib/wirelake 'port.dst == 443' --format table

  # The same, with a browser GUI, in one process
  wirelake up --store file:///var/lib/wirelake --import capture.pcapng.gz`,
		SilenceErrors:     true, // printed by execute, once
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.setUp(cmd) },
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.CompletionOptions.HiddenDefaultCmd = true

	d := defaultSettings()
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "", "YAML file with the settings (environment: "+configEnv+")")
	flags.String("store", d.Store, "where the archive is: s3://bucket/prefix or file:///dir")
	flags.String("log-level", d.Log.Level, "least severe lines to log: debug, info, warn or error")
	flags.String("log-format", d.Log.Format, "text for people, json for machines")
	flags.StringVar(&a.cpuProfile, "cpu-profile", "", "write a CPU profile for 'go tool pprof' to this file")
	if err := flags.MarkHidden("cpu-profile"); err != nil { // of use to those who work on the program
		panic(err) // the flag is declared above
	}
	bindFlag(flags, "store", "store")
	bindFlag(flags, "log-level", "log.level")
	bindFlag(flags, "log-format", "log.format")
	root.AddCommand(a.commands()...)
	return root
}

// boundSetting annotates a flag with the setting that it stands for.
const boundSetting = "wirelake_setting"

// bindFlag makes the flag set the setting at path ("compactor.hot_days") when it
// is given. The command then reads a.cfg and never the flag: so file,
// environment and flag are one.
func bindFlag(flags *pflag.FlagSet, flag, path string) {
	if err := flags.SetAnnotation(flag, boundSetting, []string{path}); err != nil {
		panic(fmt.Sprintf("bind --%s: %v", flag, err)) // of the program's own making, at every start
	}
}

// setUp loads the configuration and makes the logger, before any RunE. A
// subcommand must not have a PersistentPreRunE of its own, which would hide it.
func (a *app) setUp(cmd *cobra.Command) error {
	origins, err := config.Load(&a.cfg, a.configSource(cmd))
	if err != nil {
		return err
	}
	a.origins = origins
	a.log = telemetry.NewLogger(a.stderr, a.cfg.Log)
	a.running = true
	a.stopProfile, err = a.profile()
	return err
}

// configSource says where the settings of the command come from.
func (a *app) configSource(cmd *cobra.Command) config.Source {
	file := a.configFile
	if file == "" {
		file = os.Getenv(configEnv)
	}
	src := config.Source{File: file, Environ: os.Environ(), IgnoreEnv: []string{configEnv}}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if path := f.Annotations[boundSetting]; len(path) == 1 {
			src.Flags = append(src.Flags, config.Flag{Path: path[0], Name: f.Name, Value: flagValue(f)})
		}
	})
	return src
}

// flagValue returns the flag's value as the loader reads it.
func flagValue(f *pflag.Flag) string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return strings.Join(list.GetSlice(), ",")
	}
	return f.Value.String()
}

// openStore opens the store of the settings, creating its folder when it is a
// file store that is not there yet. component names the caller in the metrics.
func (a *app) openStore(ctx context.Context, component string) (objstore.Store, error) {
	return a.open(ctx, component, objstore.Options{})
}

// openExistingStore is openStore for commands that only read: a folder that is
// not there is an error, for the path is likely mistyped.
func (a *app) openExistingStore(ctx context.Context, component string) (objstore.Store, error) {
	return a.open(ctx, component, objstore.Options{MustExist: true})
}

func (a *app) open(ctx context.Context, component string, opts objstore.Options) (objstore.Store, error) {
	opts.Config, opts.Logger = a.cfg.ObjectStore, a.log
	s, err := objstore.Open(ctx, a.cfg.Store, opts)
	if err != nil {
		return nil, err
	}
	return objstore.Instrument(s, a.reg, component), nil
}
