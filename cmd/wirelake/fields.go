package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"wirelake/internal/dissect"
	"wirelake/internal/spi"
)

func newFieldsCommand(a *app) *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:   "fields [TEXT]",
		Short: "List the fields of sessions and their names in searches",
		Long: `fields lists every field that a session may have: its name in searches, its path in
documents and Parquet, its type, and what it means. With TEXT only those are listed
that have it in one of these.`,
		Example: `  wirelake fields
  wirelake fields ja3`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			reg := dissect.New().Registry()
			if markdown {
				return writeFieldsMarkdown(a.stdout, reg)
			}
			return writeFields(a.stdout, reg, strings.Join(args, ""))
		},
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the tables of docs/fields.md")
	return cmd
}

// typeText names a field's type, with [] when it is a list.
func typeText(f *spi.Field) string {
	if f.List || f.In != spi.RootList {
		return f.Type.String() + "[]"
	}
	return f.Type.String()
}

func writeFields(w io.Writer, reg *spi.Registry, text string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SEARCH\tPATH\tTYPE\tWHAT")
	text = strings.ToLower(text)
	for _, f := range sortedFields(reg) {
		row := fmt.Sprintf("%s\t%s\t%s\t%s", cmp.Or(f.Expr(), "-"), f.Path, typeText(f), f.Help)
		if strings.Contains(strings.ToLower(row), text) {
			fmt.Fprintln(tw, row)
		}
	}
	return tw.Flush()
}

// sortedFields returns all fields by group, the general one first, then by path.
func sortedFields(reg *spi.Registry) []*spi.Field {
	var out []*spi.Field
	for i := range reg.Fields() {
		out = append(out, &reg.Fields()[i])
	}
	slices.SortStableFunc(out, func(a, b *spi.Field) int {
		if a.Group != b.Group {
			if a.Group == "general" || b.Group == "general" {
				return cmp.Compare(bool2int(a.Group != "general"), bool2int(b.Group != "general"))
			}
			return cmp.Compare(a.Group, b.Group)
		}
		return cmp.Compare(a.Path, b.Path)
	})
	return out
}

func bool2int(b bool) int {
	if b {
		return 1
	}
	return 0
}

func writeFieldsMarkdown(w io.Writer, reg *spi.Registry) error {
	var b strings.Builder
	b.WriteString(`# Fields

What a session document may hold. *Search* is the name in expressions, with its
other names; *path* the place in the document and in Parquet. Types are Arkime's:
lotermfield is stored in lower case, uptermfield in upper case, date in milliseconds
since 1970. [] marks what may have several values. Fields in **bold** are hot: they
are in Elasticsearch too.

Some names stand for several fields:

| search | what |
| --- | --- |
`)
	names := spi.FanOutNames()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(&b, "| %s | %s |\n", name, names[name])
	}
	group := ""
	escape := strings.NewReplacer("|", "\\|").Replace
	for _, f := range sortedFields(reg) {
		if f.Group != group {
			group = f.Group
			fmt.Fprintf(&b, "\n## %s\n\n| search | path | type | what |\n| --- | --- | --- | --- |\n", group)
		}
		path := "`" + f.Path + "`"
		if f.Hot {
			path = "**" + path + "**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cmp.Or(strings.Join(f.Exprs, ", "), "–"), path, typeText(f), escape(f.Help))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
