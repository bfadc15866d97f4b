package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// document is a configuration file that was read and whose keys and types are right.
type document struct {
	path   string
	values map[string]entry
}

type entry struct {
	// value is a string, or []any of strings for a list: what kong takes.
	value any
	line  int
}

func readDocument(path string) (*document, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration file %s: %w", path, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("configuration file %s: it has more than %d bytes", path, maxFile)
	}
	return parseDocument(path, text)
}

// parseDocument reads a mapping from the names of settings to their values. It
// reports everything that is wrong, not only the first mistake.
func parseDocument(path string, text []byte) (*document, error) {
	d := &document{path: path, values: map[string]entry{}}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var root yaml.Node
	switch err := decoder.Decode(&root); {
	case errors.Is(err, io.EOF):
		return d, nil
	case err != nil:
		return nil, d.syntax(err)
	}
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		return nil, d.at(second.Line, "a second document starts; there can be only one")
	} else if !errors.Is(err, io.EOF) {
		return nil, d.syntax(err)
	}
	top := root.Content[0]
	if top.Kind == yaml.ScalarNode && top.ShortTag() == "!!null" {
		return d, nil
	}
	if top.Kind != yaml.MappingNode {
		return nil, d.at(top.Line, "want lines of the form KEY: VALUE, got %s", describe(top))
	}
	known := map[string]Setting{}
	var names []string
	for _, s := range Settings() {
		known[s.Name] = s
		names = append(names, s.Name)
	}
	var wrong []error
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, node := top.Content[i], top.Content[i+1]
		name := key.Value
		setting, ok := known[name]
		if !ok {
			near, _ := nearest(name, names)
			wrong = append(wrong, d.at(key.Line, "unknown key %q%s", name, didYouMean(near)))
			continue
		}
		if first, ok := d.values[name]; ok {
			wrong = append(wrong, d.at(key.Line, "%s: it is set already in line %d", name, first.line))
			continue
		}
		value, err := setting.read(node)
		if err != nil {
			wrong = append(wrong, d.at(node.Line, "%s: %w", name, err))
		}
		d.values[name] = entry{value: value, line: key.Line}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return d, nil
}

// at is an error at a line of the file.
func (d *document) at(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: "+format, append([]any{d.path, line}, args...)...)
}

// syntax puts the file before the line that the YAML parser reports.
func (d *document) syntax(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		return fmt.Errorf("%s:%s", d.path, rest)
	}
	return fmt.Errorf("%s: %s", d.path, text)
}

// read takes the value of the setting from the file, of the right type.
func (s Setting) read(node *yaml.Node) (any, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" {
		return nil, errors.New(`it has no value; write "" for an empty one, or remove the line`)
	}
	if s.kind == listType {
		return readList(node)
	}
	if node.Kind != yaml.ScalarNode {
		return nil, fmt.Errorf("want %s, got %s", s.wanted(), describe(node))
	}
	tag := node.ShortTag()
	switch {
	case s.kind == durationType:
		if _, err := time.ParseDuration(node.Value); err != nil {
			return nil, fmt.Errorf("want a duration with its unit, such as 90s or 24h, got %q", node.Value)
		}
	case s.kind == bytesType:
		if err := new(Bytes).UnmarshalText([]byte(node.Value)); err != nil {
			return nil, err
		}
	case s.kind.Kind() == reflect.Bool && tag != "!!bool",
		s.kind.Kind() == reflect.Int && tag != "!!int":
		return nil, fmt.Errorf("want %s, got %s", s.wanted(), describe(node))
	case s.kind.Kind() == reflect.Int:
		var n int
		if err := node.Decode(&n); err != nil {
			return nil, fmt.Errorf("want an integer, got %q", node.Value)
		}
		return fmt.Sprint(n), nil
	case s.kind.Kind() == reflect.String && tag != "!!str":
		return nil, fmt.Errorf("want text, got %s; put it in quotes", describe(node))
	}
	return node.Value, nil
}

func readList(node *yaml.Node) (any, error) {
	if node.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("want a list, as in [one, two], got %s", describe(node))
	}
	list := []any{}
	for _, item := range node.Content {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		if item.Kind != yaml.ScalarNode || item.ShortTag() != "!!str" {
			return nil, fmt.Errorf("want text in the list, got %s in line %d", describe(item), item.Line)
		}
		list = append(list, item.Value)
	}
	return list, nil
}

func (s Setting) wanted() string {
	switch s.Kind() {
	case "text":
		return "text"
	case "true or false":
		return "true or false"
	case "integer":
		return "an integer"
	}
	return "a " + s.Kind()
}

// describe names a kind of YAML value; it does not show it, for it may be a secret.
func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch node.ShortTag() {
	case "!!str":
		return "text"
	case "!!int":
		return "an integer"
	case "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "a date"
	}
	return "a value of type " + node.ShortTag()
}
