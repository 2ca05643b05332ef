package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"wirelake/internal/objstore"
	"wirelake/internal/telemetry"
)

//nolint:gochecknoglobals // flags of the test program
var update = flag.Bool("update", false, "rewrite the files that tests compare with")

// runCLI runs a command line in this process.
func runCLI(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return runCLIFrom(t, strings.NewReader(""), args...)
}

// runCLIFrom runs a command with a standard input.
func runCLIFrom(t *testing.T, stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := newApp(telemetry.Build{Version: "v0", Commit: "abc", Go: "go1"})
	a.stdin, a.stdout, a.stderr = stdin, &out, &errs
	code = a.execute(t.Context(), args)
	return code, out.String(), errs.String()
}

func TestExitCodes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("store: x\nlog:\n  levle: info\n  format: xml\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string // on stderr; on stdout when it went well
	}{
		{"--help", exitOK, "Available Commands:"},
		{"", exitOK, "Available Commands:"},
		{"version", exitOK, "wirelake v0 (abc, go1)\n"},
		{"version --json", exitOK, `"version": "v0"`},
		{"config", exitOK, "store: file://./.wirelake # default\n"},
		{"config --store s3://b/p --log-level debug", exitOK, "store: s3://b/p # flag --store\n"},
		{"config settings", exitOK, "WIRELAKE_LOG_LEVEL"},
		{"bogus", exitUsage, `unknown command "bogus"`},
		{"version extra", exitUsage, `See 'wirelake version --help'.`},
		{"version --bogus", exitUsage, "unknown flag: --bogus"},
		{"config --log-level loud", exitUsage, `flag --log-level: log.level: "loud" is none of debug, info, warn, error`},
		{"config --store=", exitUsage, "flag --store: store: is empty"},
		{"config --config " + bad, exitUsage, "configuration: 2 problems:\n  bad.yaml:3: log.levle: unknown setting: did you mean level?\n  bad.yaml:4: log.format: \"xml\" is neither text nor json\n"},
		{"config --config /missing.yaml", exitUsage, "/missing.yaml: no such file"},
	} {
		code, stdout, stderr := runCLI(t, strings.Fields(c.args)...)
		text := stderr
		if c.code == exitOK {
			text = stdout
			if stderr != "" {
				t.Errorf("%q tells %q", c.args, stderr)
			}
		} else if stdout != "" {
			t.Errorf("%q fails and prints %q", c.args, stdout)
		}
		if code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%q exits with %d:\n%s\nwant %d and %q", c.args, code, text, c.code, c.want)
		}
	}
}

func TestSettingsFromEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "wirelake.yaml")
	if err := os.WriteFile(file, []byte("store: file:///from/file\nlog: {level: warn}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(configEnv, file)
	t.Setenv("WIRELAKE_STORE", "file:///from/env")
	_, stdout, _ := runCLI(t, "config", "--log-format", "json")
	for _, want := range []string{
		"store: file:///from/env # environment WIRELAKE_STORE\n", "level: warn # wirelake.yaml:2\n", "format: json # flag --log-format\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in:\n%s", want, stdout)
		}
	}
	t.Setenv("WIRELAKE_STOER", "x")
	if code, _, stderr := runCLI(t, "config"); code != exitUsage || !strings.Contains(stderr, "WIRELAKE_STOER: no such setting: did you mean WIRELAKE_STORE?") {
		t.Errorf("exits with %d: %s", code, stderr)
	}
}

// runWith runs a command of the test's own below the root.
func runWith(t *testing.T, a *app, ctx context.Context, run func(*cobra.Command) error, args ...string) int { //nolint:revive // the test comes first
	t.Helper()
	root := a.rootCommand()
	root.AddCommand(&cobra.Command{Use: "probe", RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd) }})
	return a.executeRoot(ctx, root, append([]string{"probe"}, args...))
}

func TestOpenStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	newTestApp := func() (*app, *bytes.Buffer) {
		var errs bytes.Buffer
		a := newApp(telemetry.Build{})
		a.stdout, a.stderr = &errs, &errs
		return a, &errs
	}
	a, errs := newTestApp()
	code := runWith(t, a, t.Context(), func(cmd *cobra.Command) error {
		_, err := a.openExistingStore(cmd.Context(), "query")
		return err
	}, "--store", dir)
	if code != exitError || !strings.Contains(errs.String(), "there is no such folder") {
		t.Errorf("a missing store: code %d, %s", code, errs)
	}
	a, errs = newTestApp()
	code = runWith(t, a, t.Context(), func(cmd *cobra.Command) error {
		s, err := a.openStore(cmd.Context(), "sensor")
		if err != nil {
			return err
		}
		_, err = objstore.PutBytes(cmd.Context(), s, "key", []byte("x"))
		return err
	}, "--store", dir)
	if code != exitOK {
		t.Errorf("a new store: code %d, %s", code, errs)
	}
	metrics, err := a.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, m := range metrics {
		found = found || m.GetName() == "wirelake_objstore_requests_total"
	}
	if !found {
		t.Error("the store's requests are not measured")
	}
	a, errs = newTestApp()
	code = runWith(t, a, t.Context(), func(*cobra.Command) error { return usageErrorf("expression: column 3: %w", errors.New("odd")) })
	if code != exitUsage || !strings.Contains(errs.String(), "wirelake: expression: column 3: odd\nSee 'wirelake probe --help'.\n") {
		t.Errorf("a usage error: code %d, %s", code, errs)
	}
	a, errs = newTestApp()
	ctx, cancel := context.WithCancelCause(t.Context())
	code = runWith(t, a, ctx, func(cmd *cobra.Command) error {
		cancel(telemetry.SignalError{Signal: os.Interrupt})
		return cmd.Context().Err()
	})
	if code != exitError || errs.String() != "wirelake: stopped by signal: interrupt\n" {
		t.Errorf("stopped by a signal: code %d, %s", code, errs)
	}
}

// TestEveryCommandHelps holds that each command says what it does, with an example.
func TestEveryCommandHelps(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" || c.Runnable() && c.Example == "" {
			t.Errorf("%s has no help, or no example", c.CommandPath())
		}
		if c.PersistentPreRunE != nil && c.HasParent() || c.PersistentPreRun != nil {
			t.Errorf("%s hides the root's PersistentPreRunE, which loads the settings", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newApp(telemetry.Build{}).rootCommand())
}

// TestConfigurationPage keeps the table of settings in docs/configuration.md.
func TestConfigurationPage(t *testing.T) {
	const begin, end = "<!-- settings -->\n", "<!-- end of settings -->\n"
	path := filepath.Join("..", "..", "docs", "configuration.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(page), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the marks %q and %q", path, begin, end)
	}
	var table strings.Builder
	if err := writeSettingsMarkdown(&table); err != nil {
		t.Fatal(err)
	}
	want := head + begin + table.String() + end + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) != want {
		t.Errorf("%s is not what the settings are: run go test ./cmd/wirelake -run TestConfigurationPage -update", path)
	}
}
