package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"
)

// Source is where the settings come from, beside the defaults.
type Source struct {
	File    string   // path of the YAML file; empty for none
	Environ []string // as os.Environ gives it
	Flags   []Flag   // those that were given

	// IgnoreEnv names variables with the prefix that are no settings.
	IgnoreEnv []string
}

// Flag is a command line flag that was given.
type Flag struct {
	Path  string // the setting, as in "log.level"
	Name  string // of the flag, as in "log-level"
	Value string // lists with commas
}

const envOrigin = "environment "

// Load sets the fields of into, a pointer to a struct that holds the defaults,
// and returns where each setting that is not a default was set, by path.
//
// The error is an *Error with every problem found, or that of reading the file.
func Load(into any, src Source) (map[string]Origin, error) {
	out := reflect.ValueOf(into)
	if out.Kind() != reflect.Pointer || out.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("load configuration into %T: it must be a pointer to a struct", into)
	}
	out = out.Elem()
	p := &problems{origins: map[string]Origin{}, lines: map[string]int{}}

	var file document
	if src.File != "" {
		text, err := os.ReadFile(src.File)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		file = parseYAML(filepath.Base(src.File), text, p)
		for path, line := range file.lines {
			p.origins[path] = Origin(fmt.Sprintf("%s:%d", filepath.Base(src.File), line))
		}
		p.lines = file.lines
	}
	settings := leaves(out.Type())
	k := koanf.New(".")
	for _, l := range []layer{file.root, envLayer(src, settings, p), flagLayer(src, settings, p)} {
		if err := k.Load(l, nil); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
	}
	decoder{p}.section("", k.Raw(), out)
	p.validate("", out)
	return p.origins, p.err()
}

// layer is a tree of values, as koanf merges them.
type layer map[string]any

// Read returns the tree.
func (l layer) Read() (map[string]any, error) { return l, nil }

// ReadBytes is there for koanf's interface; a layer is parsed already.
func (l layer) ReadBytes() ([]byte, error) { return nil, errors.ErrUnsupported }

// set puts a value in the tree and takes over the blame for it.
func (l layer) set(path, value string, o Origin, p *problems) {
	at := l
	parts := strings.Split(path, ".")
	for _, name := range parts[:len(parts)-1] {
		next, ok := at[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[name] = next
		}
		at = next
	}
	at[parts[len(parts)-1]] = value
	for old := range p.origins {
		if strings.HasPrefix(old, path+"[") {
			delete(p.origins, old) // items of the list that is replaced
		}
	}
	p.origins[path] = o
	delete(p.lines, path)
}

// kubernetesEnv are the variables that Kubernetes sets in each container for
// services with such a name; they are no misspelt settings.
const kubernetesEnv = `^WIRELAKE_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`

func envLayer(src Source, settings []leaf, p *problems) layer {
	known := map[string]leaf{}
	for _, s := range settings {
		known[EnvName(s.path)] = s
	}
	kubernetes := regexp.MustCompile(kubernetesEnv)
	l := layer{}
	for _, entry := range slices.Sorted(slices.Values(src.Environ)) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) || value == "" || slices.Contains(src.IgnoreEnv, name) {
			continue // an empty variable counts as none, as compose files set them
		}
		o := Origin(envOrigin + name)
		s, ok := known[name]
		switch {
		case ok && envSettable(s.typ):
			l.set(s.path, value, o, p)
		case ok:
			p.list = append(p.list, located{Problem{o, s.path, "does not fit in a variable: set it in the file"}, 0})
		case !kubernetes.MatchString(name):
			p.list = append(p.list, located{Problem{o, "", "no such setting" + suggest(name, slices.Sorted(maps.Keys(known)))}, 0})
		}
	}
	return l
}

func flagLayer(src Source, settings []leaf, p *problems) layer {
	l := layer{}
	for _, f := range src.Flags {
		o := Origin("flag --" + f.Name)
		if !slices.ContainsFunc(settings, func(s leaf) bool { return s.path == f.Path }) {
			p.list = append(p.list, located{Problem{o, f.Path, "no such setting"}, 0})
			continue
		}
		l.set(f.Path, f.Value, o, p)
	}
	return l
}

// validator is what a struct implements to check its fields.
type validator interface{ Validate() error }

// validate asks every struct in v, inner ones first.
func (p *problems) validate(path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && section(v.Type()) {
			p.validate(path, v.Elem())
		}
		return
	case reflect.Slice:
		if section(v.Type().Elem()) {
			for i := range v.Len() {
				p.validate(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
			}
		}
		return
	case reflect.Struct:
		if !section(v.Type()) {
			return
		}
	default:
		return
	}
	for i := range v.NumField() {
		if name, inline, ok := settingName(v.Type().Field(i)); ok {
			at := path
			if !inline {
				at = join(path, name)
			}
			p.validate(at, v.Field(i))
		}
	}
	if !v.CanAddr() || !v.Addr().CanInterface() { // an embedded struct that is not exported: its Validate is promoted
		return
	}
	if c, ok := v.Addr().Interface().(validator); ok {
		p.blame(path, c.Validate())
	}
}

// blame adds each of the errors that a Validate joined, with its path.
func (p *problems) blame(path string, err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok && isJoin(err, joined.Unwrap()) {
		for _, e := range joined.Unwrap() {
			p.blame(path, e)
		}
		return
	}
	at, reason := path, err.Error()
	if key, rest, ok := strings.Cut(reason, ": "); ok && regexp.MustCompile(`^[a-z0-9_.\[\]]+$`).MatchString(key) {
		at, reason = join(path, key), rest
	}
	// An outer Validate may ask the inner ones itself.
	if !slices.ContainsFunc(p.list, func(l located) bool { return l.Path == at && l.Reason == reason }) {
		p.add(at, reason)
	}
}

// isJoin tells errors.Join, whose text is that of its parts, from an error that
// wraps several and says something of its own.
func isJoin(err error, parts []error) bool {
	return err.Error() == errors.Join(parts...).Error()
}
