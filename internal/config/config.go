// Package config loads the settings of a program from a YAML file, the
// environment and flags into a struct that holds the defaults.
//
// It knows nothing of what is set: each component declares its own struct, with
// its defaults and checks in the same file, and the program joins them into one.
// A setting is a field with a koanf tag, and its path in the file is the tags
// joined by dots:
//
//	type Config struct {
//		HotDays int           `koanf:"hot_days" help:"days kept in Elasticsearch"`
//		Idle    time.Duration `koanf:"idle" help:"close a UDP session after"`
//	}
//
// A field may be a string, a bool, a number, a time.Duration ("90s", "8m", "7d"),
// a [Size] ("64MiB"), a [Secret], anything with UnmarshalText (netip.Prefix,
// slog.Level), a list or a map of these, a struct of more settings, or a pointer
// to one, which stays nil until something in it is set. The setting compactor.idle
// is the environment variable WIRELAKE_COMPACTOR_IDLE; lists are written there
// with commas.
//
// Later layers win: defaults, file, environment, flags. A struct, or a pointer
// to it, with a method Validate() error is asked once all is set. Its errors,
// joined by errors.Join when there are several, begin with the path of the field
// inside the struct ("idle: is negative"), so that the loader can name the line.
package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Origin says where a value was set: "default", "wirelake.yaml:12",
// "environment WIRELAKE_STORE" or "flag --store".
type Origin string

// FromDefault is the origin of what nothing has set.
const FromDefault Origin = "default"

// Problem is one thing wrong with the configuration.
type Problem struct {
	Origin Origin // where it was set; empty when nothing in particular is to blame
	Path   string // the setting, as in "compactor.idle"; empty when the file is not YAML
	Reason string
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Origin != "" && p.Origin != FromDefault {
		b.WriteString(string(p.Origin) + ": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	return b.String() + p.Reason
}

// Error holds every problem found, in the order of the file.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	if len(lines) == 1 {
		return "configuration: " + lines[0]
	}
	return fmt.Sprintf("configuration: %d problems:\n  %s", len(lines), strings.Join(lines, "\n  "))
}

// problems collects what is wrong, with the line that it stands on.
type problems struct {
	list    []located
	origins map[string]Origin // by path
	lines   map[string]int    // by path, of those in the file
}

type located struct {
	Problem
	line int // for the order; 0 sorts last
}

// add reports reason about the setting at path, blaming where it was set, or the
// closest setting around it.
func (p *problems) add(path, reason string) {
	at := path
	for {
		if o, ok := p.origins[at]; ok {
			p.list = append(p.list, located{Problem{o, path, reason}, p.lines[at]})
			return
		}
		cut := strings.LastIndexAny(at, ".[")
		if cut < 0 {
			p.list = append(p.list, located{Problem{"", path, reason}, 0})
			return
		}
		at = at[:cut]
	}
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b located) int {
		if (a.line == 0) != (b.line == 0) {
			return cmp.Compare(b.line, a.line)
		}
		return cmp.Compare(a.line, b.line)
	})
	e := &Error{Problems: make([]Problem, len(p.list))}
	for i, l := range p.list {
		e.Problems[i] = l.Problem
	}
	return e
}

// join appends a name to a path.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
