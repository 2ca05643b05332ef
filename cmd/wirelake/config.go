package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"wirelake/internal/config"
)

func newConfigCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the settings in force and where each was set",
		Long: `config prints the settings as a YAML file that would give them, each with where
it was set: by default, on a line of the file, by an environment variable or by a
flag. Secrets are hidden. A configuration that is wrong is refused with every
problem and its line, so this also checks a file.`,
		Example: `  wirelake config --config /etc/wirelake.yaml
  ` + config.EnvPrefix + `LOG_LEVEL=debug wirelake config`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return config.Dump(a.stdout, a.cfg, a.origins) },
	}
	var markdown bool
	list := &cobra.Command{
		Use:     "settings",
		Short:   "List every setting with its default and its environment variable",
		Example: "  wirelake config settings",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if markdown {
				return writeSettingsMarkdown(a.stdout)
			}
			return writeSettings(a.stdout)
		},
	}
	list.Flags().BoolVar(&markdown, "markdown", false, "print the table of docs/configuration.md")
	cmd.AddCommand(list)
	return cmd
}

func writeSettings(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SETTING\tDEFAULT\tTYPE\tENVIRONMENT\tWHAT")
	for _, s := range config.Settings(defaultSettings()) {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", s.Path, s.Default, s.Type, s.Env, s.Help)
	}
	return tw.Flush()
}

func writeSettingsMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| setting | default | type | environment variable | what |\n| --- | --- | --- | --- | --- |\n")
	for _, s := range config.Settings(defaultSettings()) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Path, code(s.Default), s.Type, code(s.Env),
			strings.ReplaceAll(s.Help, "|", "\\|"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
