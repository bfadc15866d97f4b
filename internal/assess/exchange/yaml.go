package exchange

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// parseYAML returns the mapping that a document is. Aliases are not followed, so
// that a document is no larger than its text.
func parseYAML(content []byte) (root *yaml.Node, err error) {
	// The parser has panicked on hostile documents before.
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, fmt.Errorf("YAML: %v", p)
		}
	}()
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, err
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is not a YAML mapping")
	}
	return document.Content[0], nil
}

// member is a key of a mapping with its value.
type member struct {
	key   string
	line  int
	value *yaml.Node
}

func members(mapping *yaml.Node) []member {
	var list []member
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key := mapping.Content[i]
		list = append(list, member{key.Value, key.Line, mapping.Content[i+1]})
	}
	return list
}

// fieldsOf are the members of an entry, which must be a mapping.
func fieldsOf(item *yaml.Node) ([]member, error) {
	if item.Kind != yaml.MappingNode {
		return nil, errors.New("it is not a mapping of names to values")
	}
	return members(item), nil
}

// text is a scalar as it is written; null is "".
func (m member) text() (string, error) {
	if m.value.Kind != yaml.ScalarNode {
		return "", errors.New("is not a text")
	}
	if m.value.Tag == "!!null" {
		return "", nil
	}
	return m.value.Value, nil
}

// texts is a list of scalars.
func (m member) texts() ([]string, error) {
	if m.value.Kind != yaml.SequenceNode {
		if text, err := m.text(); err == nil && text == "" {
			return nil, nil
		}
		return nil, errors.New("is not a list")
	}
	const most = 1000
	if len(m.value.Content) > most {
		return nil, fmt.Errorf("has more than %d entries", most)
	}
	var list []string
	for _, item := range m.value.Content {
		text, err := member{value: item}.text()
		if err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, nil
}
