package config

import (
	"encoding"
	"reflect"
	"strings"
	"time"
)

// EnvPrefix begins the name of every environment variable that is a setting.
const EnvPrefix = "WIRELAKE_"

// EnvName returns the environment variable of the setting at path.
func EnvName(path string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// Setting describes one setting of a configuration struct.
type Setting struct {
	Path    string // "compactor.hot_days"
	Env     string // "WIRELAKE_COMPACTOR_HOT_DAYS"
	Type    string // "duration", "size", "list of text", …
	Default string // as it is written in the file; secrets are hidden
	Help    string // the field's help tag
}

// Settings lists the settings of cfg, a struct that holds its defaults or a
// pointer to one, in the order of its fields.
func Settings(cfg any) []Setting {
	v := reflect.Indirect(reflect.ValueOf(cfg))
	var list []Setting
	for _, l := range leaves(v.Type()) {
		s := Setting{Path: l.path, Type: typeName(l.typ), Help: l.help}
		if envSettable(l.typ) {
			s.Env = EnvName(l.path)
		}
		if f, ok := fieldAt(v, l.index); ok {
			s.Default = format(f)
		}
		list = append(list, s)
	}
	return list
}

// leaf is a field that takes a value, as against a struct of more of them.
type leaf struct {
	path  string
	typ   reflect.Type
	index []int
	help  string
}

// leaves returns the settings of a struct type, depth first.
func leaves(t reflect.Type) []leaf { return appendLeaves(nil, t, "", nil, 0) }

func appendLeaves(list []leaf, t reflect.Type, path string, index []int, depth int) []leaf {
	if depth > maxDepth {
		return list // a struct that holds itself
	}
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(index[:len(index):len(index)], i)
		name, inline, ok := settingName(f)
		if !ok {
			continue
		}
		sub := path
		if !inline {
			sub = join(path, name)
		}
		if section(f.Type) {
			list = appendLeaves(list, indirect(f.Type), sub, at, depth+1)
			continue
		}
		list = append(list, leaf{sub, f.Type, at, f.Tag.Get("help")})
	}
	return list
}

// settingName returns the name of a field in the file. Embedded structs without
// a tag are inline: their fields count as the outer struct's own.
func settingName(f reflect.StructField) (name string, inline, ok bool) {
	tag, tagged := f.Tag.Lookup("koanf")
	name, _, _ = strings.Cut(tag, ",")
	switch {
	case f.Anonymous && name == "" && section(f.Type):
		return "", true, true
	case !f.IsExported() || !tagged || name == "" || name == "-":
		return "", false, false
	}
	return name, false, true
}

// section reports whether t is a struct of settings, or a pointer to one, and
// not a single value.
func section(t reflect.Type) bool {
	t = indirect(t)
	return t.Kind() == reflect.Struct && !isText(t)
}

func indirect(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// envSettable reports whether a value of the type fits in a variable.
func envSettable(t reflect.Type) bool {
	t = indirect(t)
	switch t.Kind() {
	case reflect.Slice, reflect.Map:
		return isText(t) || !section(t.Elem()) && envSettable(t.Elem()) &&
			(isText(t.Elem()) || t.Elem().Kind() != reflect.Slice && t.Elem().Kind() != reflect.Map)
	}
	return true
}

// typeName says in the reader's words what a value looks like.
func typeName(t reflect.Type) string {
	t = indirect(t)
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[Size]():
		return "size"
	case t == reflect.TypeFor[Secret]():
		return "secret"
	case isText(t):
		return strings.ToLower(t.Name())
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	case reflect.Map:
		return "map to " + typeName(t.Elem())
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Struct:
		return "settings"
	}
	return "integer"
}

// fieldAt is reflect.Value.FieldByIndex that reports a nil pointer on the way.
func fieldAt(v reflect.Value, index []int) (reflect.Value, bool) {
	for i, x := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}, false
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v, true
}
