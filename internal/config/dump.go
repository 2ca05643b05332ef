package config

import (
	"encoding"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Dump writes cfg as the YAML file that would give it, each setting with where
// it was set as a comment. Secrets are hidden. Sections that are not set are left out.
func Dump(w io.Writer, cfg any, origins map[string]Origin) error {
	root := sectionNode("", reflect.Indirect(reflect.ValueOf(cfg)), origins)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return enc.Close()
}

func sectionNode(path string, v reflect.Value, origins map[string]Origin) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for i := range v.NumField() {
		name, inline, ok := settingName(v.Type().Field(i))
		field := v.Field(i)
		if !ok || field.Kind() == reflect.Pointer && field.IsNil() {
			continue
		}
		if inline {
			node.Content = append(node.Content, sectionNode(path, reflect.Indirect(field), origins).Content...)
			continue
		}
		at := join(path, name)
		value := valueNode(at, field, origins)
		if !section(field.Type()) {
			origin := origins[at]
			if origin == "" {
				origin = FromDefault
			}
			value.LineComment = string(origin)
		}
		node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, value)
	}
	return node
}

func valueNode(path string, v reflect.Value, origins map[string]Origin) *yaml.Node {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
		}
		v = v.Elem()
	}
	if section(v.Type()) {
		return sectionNode(path, v, origins)
	}
	if !isText(v.Type()) {
		switch v.Kind() {
		case reflect.Slice:
			node := &yaml.Node{Kind: yaml.SequenceNode}
			if !section(v.Type().Elem()) {
				node.Style = yaml.FlowStyle
			}
			for i := range v.Len() {
				at := path + "[" + strconv.Itoa(i) + "]"
				node.Content = append(node.Content, valueNode(at, v.Index(i), origins))
			}
			return node
		case reflect.Map:
			node := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
			for _, key := range sortedKeys(v) {
				node.Content = append(node.Content, textNode(key.String()), valueNode(join(path, key.String()), v.MapIndex(key), origins))
			}
			return node
		}
	}
	return textNode(format(v))
}

func textNode(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	switch text {
	case "", "~", "null", "Null", "NULL", "<<":
		n.Style = yaml.DoubleQuotedStyle // bare, it would be no value, or a merge
	}
	return n
}

func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// format writes a value as it is written in the file.
func format(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	if d, ok := v.Interface().(time.Duration); ok {
		return FormatDuration(d)
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	}
	if v.Kind() == reflect.Slice || v.Kind() == reflect.Map {
		node := valueNode("", v, nil)
		if len(node.Content) == 0 {
			return ""
		}
		if text, err := yaml.Marshal(node); err == nil {
			return string(text[:len(text)-1])
		}
	}
	return fmt.Sprint(v.Interface())
}
