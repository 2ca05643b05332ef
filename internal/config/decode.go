package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// defaulter is implemented by structs that are held by pointer, whose defaults
// cannot stand in the outer struct.
type defaulter interface{ SetDefaults() }

// decoder writes layered values into the fields of a struct.
type decoder struct{ *problems }

// decode sets out, the setting at path, from in: nil, a string, a []any or a
// map[string]any of these. What is wrong is added to the problems, and leaves
// the default.
func (d decoder) decode(path string, in any, out reflect.Value) {
	if in == nil {
		return // "key:" without a value sets nothing
	}
	t := out.Type()
	if t.Kind() == reflect.Pointer {
		if out.IsNil() {
			fresh := reflect.New(t.Elem())
			if s, ok := fresh.Interface().(defaulter); ok {
				s.SetDefaults()
			}
			out.Set(fresh)
		}
		d.decode(path, in, out.Elem())
		return
	}
	if section(t) {
		m, ok := in.(map[string]any)
		if !ok {
			d.add(path, "must hold settings (\"name: value\", indented below it)")
			return
		}
		d.section(path, m, out)
		return
	}
	if !isText(t) {
		switch t.Kind() {
		case reflect.Slice:
			d.list(path, in, out)
			return
		case reflect.Map:
			d.mapping(path, in, out)
			return
		}
	}
	text, ok := in.(string)
	if !ok {
		d.add(path, "must be a single value ("+typeName(t)+")")
		return
	}
	if t == reflect.TypeFor[Secret]() && !strings.HasPrefix(string(d.origins[path]), envOrigin) {
		d.add(path, "a secret is taken from the environment only: set "+EnvName(path))
		return
	}
	if err := setText(out, text); err != nil {
		d.add(path, err.Error())
	}
}

func (d decoder) section(path string, m map[string]any, out reflect.Value) {
	fields := sectionFields(out)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at := join(path, name)
		field, ok := fields[name]
		if !ok {
			d.add(at, "unknown setting"+suggest(name, slices.Sorted(maps.Keys(fields))))
			continue
		}
		d.decode(at, m[name], field)
	}
}

// sectionFields returns the fields of a struct by their names in the file.
func sectionFields(v reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		name, inline, ok := settingName(v.Type().Field(i))
		switch {
		case inline && v.Field(i).Kind() == reflect.Struct:
			maps.Copy(fields, sectionFields(v.Field(i)))
		case ok:
			fields[name] = v.Field(i)
		}
	}
	return fields
}

func (d decoder) list(path string, in any, out reflect.Value) {
	var items []any
	switch in := in.(type) {
	case []any:
		items = in
	case string: // from a variable or a flag, or a single item in the file
		for item := range strings.SplitSeq(in, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
	default:
		d.add(path, "must be a "+typeName(out.Type()))
		return
	}
	list := reflect.MakeSlice(out.Type(), len(items), len(items))
	for i, item := range items {
		at := path + "[" + strconv.Itoa(i) + "]"
		if s, ok := list.Index(i).Addr().Interface().(defaulter); ok {
			s.SetDefaults()
		}
		if item == nil {
			d.add(at, "is empty")
			continue
		}
		d.decode(at, item, list.Index(i))
	}
	out.Set(list)
}

func (d decoder) mapping(path string, in any, out reflect.Value) {
	m := map[string]any{}
	switch in := in.(type) {
	case map[string]any:
		m = in
	case string: // "a=1,b=2" from a variable or a flag
		for item := range strings.SplitSeq(in, ",") {
			k, v, ok := strings.Cut(item, "=")
			if !ok {
				d.add(path, fmt.Sprintf("%q is not name=value", item))
				continue
			}
			m[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	default:
		d.add(path, "must be a "+typeName(out.Type()))
		return
	}
	// Not into the default's own map: it may be shared.
	merged := reflect.MakeMap(out.Type())
	for k, v := range out.Seq2() {
		merged.SetMapIndex(k, v)
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		v := reflect.New(out.Type().Elem()).Elem()
		d.decode(join(path, k), m[k], v)
		merged.SetMapIndex(reflect.ValueOf(k).Convert(out.Type().Key()), v)
	}
	out.Set(merged)
}

// setText sets a single value from its text.
func setText(out reflect.Value, text string) error {
	if out.Type() == reflect.TypeFor[time.Duration]() {
		d, err := ParseDuration(text)
		if err != nil {
			return err
		}
		out.SetInt(int64(d))
		return nil
	}
	if u, ok := out.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch out.Kind() {
	case reflect.String:
		out.SetString(text)
	case reflect.Bool:
		switch strings.ToLower(text) {
		case "true":
			out.SetBool(true)
		case "false":
			out.SetBool(false)
		default:
			return fmt.Errorf("%q is neither true nor false", text)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, out.Type().Bits())
		if err != nil {
			return integerError(text, err)
		}
		out.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, out.Type().Bits())
		if err != nil {
			if strings.HasPrefix(text, "-") {
				return fmt.Errorf("%q is negative", text)
			}
			return integerError(text, err)
		}
		out.SetUint(n)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, out.Type().Bits())
		if err != nil || f != f {
			return fmt.Errorf("%q is not a number", text)
		}
		out.SetFloat(f)
	default:
		return fmt.Errorf("a setting of type %s cannot be set", out.Type())
	}
	return nil
}

func integerError(text string, err error) error {
	if strings.Contains(err.Error(), "out of range") {
		return fmt.Errorf("%q is out of range", text)
	}
	return fmt.Errorf("%q is not a whole number", text)
}

// suggest names the known name that was probably meant, if one is close.
func suggest(name string, known []string) string {
	best, distance := "", 1+len(name)/3
	for _, k := range known {
		if d := editDistance(name, k); d <= distance {
			best, distance = k, d-1
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf(": did you mean %s?", best)
	case len(known) > 0 && len(known) <= 12:
		return " (known: " + strings.Join(known, ", ") + ")"
	}
	return ""
}

// editDistance is the Levenshtein distance of two short names.
func editDistance(a, b string) int {
	const longest = 64 // what is longer was not a slip of the finger
	if len(a) > longest || len(b) > longest {
		return longest
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
