package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func newVersionCommand(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print which program this is",
		Example: "  wirelake version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				enc := json.NewEncoder(a.stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(a.build)
			}
			commit := a.build.Commit
			if commit == "" {
				commit = "unknown commit"
			}
			_, err := fmt.Fprintf(a.stdout, "wirelake %s (%s, %s)\n", a.build.Version, commit, a.build.Go)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as JSON")
	return cmd
}
