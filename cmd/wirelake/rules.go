package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"wirelake/internal/config"
	"wirelake/internal/dissect"
	"wirelake/internal/rules"
	"wirelake/internal/session"
	"wirelake/internal/spi"
	"wirelake/sensor"
)

// addRulesFlag adds the flag that names the rules file.
func addRulesFlag(cmd *cobra.Command) {
	cmd.Flags().String("rules", "", "YAML file with the rules and indicator lists that tag sessions (default: none)")
	bindFlag(cmd.Flags(), "rules", "rules.file")
}

// addSigmaFlag adds the flag that names Sigma rules.
func addSigmaFlag(cmd *cobra.Command) {
	cmd.Flags().StringSlice("sigma", nil, "file of Sigma rules, or folder with them, that tag sessions; may be given several times (default: none)")
	bindFlag(cmd.Flags(), "sigma", "rules.sigma")
}

// tagger returns the one Tagger of the settings, with its rules and without its lists; nil without rules.
func (a *app) tagger(set *dissect.Set) (*rules.Tagger, error) {
	if a.rules != nil {
		return a.rules, nil
	}
	t, err := rules.Open(a.cfg.Rules, rules.Parts{Registry: set.Registry(), Log: a.log, Metrics: a.reg, UserAgent: "wirelake/" + a.build.Version})
	if err != nil {
		return nil, usageErrorf("rules: %w", err)
	}
	a.rules = t
	return t, nil
}

// withRules does work while the rules are followed: they are read again at SIGHUP and when the file
// changes. Before it tags documents, work waits with loaded until each list was loaded, or could not be.
func (a *app) withRules(ctx context.Context, t *rules.Tagger, work func(ctx context.Context, loaded func() error) error) error {
	if t == nil {
		return work(ctx, func() error { return nil }) // SIGHUP keeps its meaning, which is to end the process
	}
	hups := make(chan os.Signal, 1)
	signal.Notify(hups, syscall.SIGHUP)
	defer signal.Stop(hups)
	following, stop := context.WithCancel(ctx)
	reload, ready, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { done <- t.Run(following, reload, func() { close(ready) }) }()
	go func() {
		for {
			select {
			case <-hups:
			case <-following.Done():
				return
			}
			select {
			case reload <- struct{}{}:
			case <-following.Done():
				return
			}
		}
	}()
	err := work(ctx, func() error {
		select {
		case <-ready:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	stop()
	return errors.Join(err, <-done)
}

// withKeepRules adds the rules with keep of a rules file to those that the sensor has of its own.
func withKeepRules(cfg sensor.Config, file string) (sensor.Config, error) {
	if file == "" {
		return cfg, nil
	}
	f, err := rules.Read(file, dissect.New().Registry())
	if err != nil {
		return cfg, usageErrorf("rules: %w", err)
	}
	cfg.Cut = slices.Clone(cfg.Cut)
	for _, r := range f.Rules {
		if r.Keep >= 0 {
			cfg.Cut = append(cfg.Cut, sensor.CutRule{Match: r.Text, Bytes: config.Size(r.Keep)})
		}
	}
	if err := cfg.Validate(); err != nil {
		return cfg, usageErrorf("sensor, with the rules of %s: %w", file, err)
	}
	return cfg, nil
}

func newRulesCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Check and try files of rules and indicator lists",
		Long: `rules checks the files with which compactor, up, spi and redissect tag sessions, and
tries them on captures. docs/rules.md describes the files.`,
		Example: `  wirelake rules check rules.yaml
  wirelake rules test rules.yaml capture.pcap`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newRulesCheckCommand(a), newRulesTestCommand(a))
	return cmd
}

func newRulesCheckCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Print what would be loaded of rules, or what is wrong with them",
		Long: `check reads a rules file and loads its lists, from files and URLs, as compactor and up
do. It prints the rules and the lists with their entries and bad lines. What is wrong
is told with its line, and the exit code is then 2.

With --sigma it prints what Sigma rules become as expressions, and which rules for
networks cannot be converted, with the reason. These are left out; the others count.

A rule is *pruned* when it is evaluated only for sessions that have a value it asks
for; the others are evaluated for each session.`,
		Example: `  wirelake rules check rules.yaml
  wirelake rules check --sigma sigma/rules`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				a.cfg.Rules.File = args[0]
			}
			t, err := a.tagger(dissect.New())
			if err != nil {
				return err
			}
			if t == nil {
				return usageErrorf("name a rules file, or Sigma rules with --sigma")
			}
			err = t.Load(cmd.Context())
			if printed := writeRules(a.stdout, t); printed != nil {
				return printed
			}
			if err != nil && cmd.Context().Err() == nil {
				return usageErrorf("%w", err)
			}
			return err
		},
	}
	addSigmaFlag(cmd)
	return cmd
}

// writeRules prints the rules and lists of a Tagger.
func writeRules(w io.Writer, t *rules.Tagger) error {
	all, tagging, pruned := t.Rules()
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	converted := len(t.Sigma().Rules)
	if converted > 0 {
		fmt.Fprintln(tw, "SIGMA RULE\tAT\tTAGS\tEXPRESSION")
		for _, r := range all[:converted] {
			fmt.Fprintf(tw, "%s\t%s:%d\t%s\t%s\n", r.Name, r.Sigma, r.Line, strings.Join(r.Tags, ","), r.Expr)
		}
		fmt.Fprintln(tw)
	}
	if refused := t.Sigma().Refused; len(refused) > 0 {
		fmt.Fprintln(tw, "LEFT OUT\tAT\tREASON")
		for _, r := range refused {
			fmt.Fprintf(tw, "%s\t%s:%d\t%s\n", cmp.Or(r.Title, "-"), r.File, r.Line, r.Reason)
		}
		fmt.Fprintln(tw)
	}
	if len(all) > converted {
		fmt.Fprintln(tw, "LINE\tRULE\tTAGS\tKEEP\tEXPRESSION")
		for _, r := range all[converted:] {
			keep := "-"
			if r.Keep >= 0 {
				keep = config.Size(r.Keep).String()
			}
			fmt.Fprintf(tw, "%d\t%s\t%s\t%s\t%s\n", r.Line, r.Name, cmp.Or(strings.Join(r.Tags, ","), "-"), keep, r.Expr)
		}
		fmt.Fprintln(tw)
	}
	lists := t.Lists()
	if len(lists) > 0 {
		fmt.Fprintln(tw, "LINE\tLIST\tTAGS\tENTRIES\tMEMORY\tBAD LINES\tFROM")
		for _, l := range lists {
			entries, size, bad := "-", "-", "-"
			if l.List != nil {
				entries, size, bad = fmt.Sprint(l.List.Entries), sizeText(uint64(l.List.MemoryBytes())), fmt.Sprint(l.List.Bad) //nolint:gosec // not negative
				if l.List.Bad > 0 {
					bad += fmt.Sprintf(" (line %d: %s)", l.List.First.Line, l.List.First.Reason)
				}
			}
			fmt.Fprintf(tw, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Source.Line, l.Source.Name, strings.Join(l.Source.Tags, ","), entries, size, bad, l.Source.Where())
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%d rules, %d with tags, %d of these pruned; %d lists\n", len(all), tagging, pruned, len(lists)); err != nil {
		return err
	}
	s := t.Sigma()
	if converted+len(s.Refused)+s.Other+s.Retired+s.Foreign == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "Sigma: %d rules converted, %d left out, %d deprecated or unsupported; %d not for networks, %d documents are no rules\n", converted, len(s.Refused), s.Retired, s.Other, s.Foreign)
	return err
}

func newRulesTestCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test FILE CAPTURE... | test --sigma PATH [--rules FILE] CAPTURE...",
		Short: "Print how many sessions of captures each rule and list tags",
		Long: `test dissects captures as spi does, tags their sessions by the rules, and prints how many
each rule and each list tagged. Nothing is stored.`,
		Example: `  wirelake rules test rules.yaml capture.pcapng.gz
  wirelake rules test --sigma sigma/rules capture.pcapng.gz`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("sigma") && !cmd.Flags().Changed("rules") {
				a.cfg.Rules.File = args[0]
				args = args[1:]
			}
			if len(args) == 0 {
				return usageErrorf("name a capture behind the rules file")
			}
			return a.testRules(cmd.Context(), args)
		},
	}
	addRulesFlag(cmd)
	addSigmaFlag(cmd)
	return cmd
}

func (a *app) testRules(ctx context.Context, captures []string) error {
	set := dissect.New()
	t, err := a.tagger(set)
	if err != nil {
		return err
	}
	if err := t.Load(ctx); err != nil {
		return err
	}
	t.LogRefused(ctx)
	geo, err := a.openGeo()
	if err != nil {
		return err
	}
	count := matchCounter{by: map[[2]string]int{}}
	parts := spiParts{set: set, geo: geo, out: func(s *session.Session) {
		t.Apply(s.Doc)
		count.session(s.Doc)
	}}
	var errs []error
	for _, name := range captures {
		cfg := a.cfg.Session
		cfg.File = name
		if err := a.spiFile(ctx, cfg, name, parts); err != nil {
			if ctx.Err() != nil {
				return err
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, count.write(a.stdout, t))...)
}

// matchCounter counts sessions by rule and by list.
type matchCounter struct {
	sessions int
	by       map[[2]string]int // "rule" or "list", and its name
}

func (c *matchCounter) session(d *spi.Document) {
	c.sessions++
	for v := range d.Each(spi.RuleName) {
		c.by[[2]string{"rule", v.Str}]++
	}
	for v := range d.Each(spi.IndicatorList) {
		c.by[[2]string{"list", v.Str}]++
	}
}

func (c *matchCounter) write(w io.Writer, t *rules.Tagger) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SESSIONS\t\tNAME\tTAGS")
	for _, l := range t.Lists() {
		fmt.Fprintf(tw, "%d\tlist\t%s\t%s\n", c.by[[2]string{"list", l.Source.Name}], l.Source.Name, strings.Join(l.Source.Tags, ","))
	}
	all, _, _ := t.Rules()
	for _, r := range all {
		if len(r.Tags) == 0 {
			continue
		}
		fmt.Fprintf(tw, "%d\trule\t%s\t%s\n", c.by[[2]string{"rule", r.Name}], r.Name, strings.Join(r.Tags, ","))
	}
	fmt.Fprintf(tw, "%d\tof all\t\t\n", c.sessions)
	return tw.Flush()
}
