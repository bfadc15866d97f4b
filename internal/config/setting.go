package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// prefix starts the name of every environment variable of Pratique.
const prefix = "PRATIQUE_"

// Setting describes one setting.
type Setting struct {
	// Name is the flag without its dashes and the key in the file.
	Name string
	// Env is the environment variable.
	Env string
	// Section is the heading under which it is documented.
	Section string
	// Default is its default as one would write it in the environment.
	Default string
	// Help is a sentence or a few.
	Help string
	// Secret marks a setting whose value is not to be shown.
	Secret bool

	kind   reflect.Type
	check  string
	choice []string
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	bytesType    = reflect.TypeFor[Bytes]()
	listType     = reflect.TypeFor[[]string]()
)

// Settings lists all settings, section by section. The file itself is not
// among them: it cannot be named in the file.
func Settings() []Setting {
	var list []Setting
	serve := reflect.TypeFor[Serve]()
	for i := range serve.NumField() {
		section := serve.Field(i)
		if section.Type == reflect.TypeFor[File]() {
			continue
		}
		for j := range section.Type.NumField() {
			field := section.Type.Field(j)
			tag := field.Tag
			s := Setting{
				Name: tag.Get("name"), Env: tag.Get("env"), Section: section.Tag.Get("group"),
				Default: tag.Get("default"), Help: tag.Get("help"),
				kind: field.Type, check: tag.Get("check"),
			}
			_, s.Secret = tag.Lookup("secret")
			if choice := tag.Get("oneof"); choice != "" {
				s.choice = strings.Split(choice, ",")
			}
			list = append(list, s)
		}
	}
	return list
}

// Given is a setting with the value that it was given.
type Given struct {
	Setting
	// Value is written as in the environment; "" for a secret.
	Value string
}

// Values lists the settings with their values.
func (s Serve) Values() []Given {
	values := make(map[string]string)
	serve := reflect.ValueOf(s)
	for i := range serve.NumField() {
		section := serve.Field(i)
		if section.Type() == reflect.TypeFor[File]() {
			continue
		}
		for j := range section.NumField() {
			value := section.Field(j)
			text := fmt.Sprint(value.Interface())
			if list, ok := value.Interface().([]string); ok {
				text = strings.Join(list, ",")
			}
			values[section.Type().Field(j).Tag.Get("name")] = text
		}
	}
	var all []Given
	for _, known := range Settings() {
		g := Given{Setting: known}
		if !known.Secret {
			g.Value = values[known.Name]
		}
		all = append(all, g)
	}
	return all
}

// Kind is the kind of value in a word or two.
func (s Setting) Kind() string {
	switch {
	case s.kind == durationType:
		return "duration"
	case s.kind == bytesType:
		return "size"
	case s.kind == listType:
		return "list"
	case s.kind.Kind() == reflect.Bool:
		return "true or false"
	case s.kind.Kind() == reflect.Int:
		return "integer"
	}
	return "text"
}

// UnknownEnvironment says, for each variable of environ that starts as ours do
// and is none of ours, what may have been meant. These are for a warning, not
// an error: Kubernetes gives every container variables named after the services
// of its namespace, so that a service "pratique-web" sets PRATIQUE_WEB_PORT.
// Variables of a service that is called just "pratique" are left out, and so
// are those of the tests.
func UnknownEnvironment(environ []string) []string {
	known := []string{"PRATIQUE_CONFIG"}
	for _, s := range Settings() {
		known = append(known, s.Env)
	}
	var unknown []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) || ofOthers(name) {
			continue
		}
		if near, exact := nearest(name, known); !exact {
			unknown = append(unknown, name+": there is no such setting"+didYouMean(near))
		}
	}
	return unknown
}

// ofOthers reports variables of tests and benchmarks, of the flags of `pratique
// scan` and `pratique gate`, and of Kubernetes' service links.
func ofOthers(name string) bool {
	if name == prefix+"PORT" || name == prefix+"REAL_DATA" || name == prefix+"CONFORMANCE" {
		return true
	}
	for _, start := range []string{"TEST_", "BENCH_", "SCAN_", "GATE_", "SERVICE_", "PORT_"} {
		if strings.HasPrefix(name, prefix+start) {
			return true
		}
	}
	return false
}

func didYouMean(near string) string {
	if near == "" {
		return ""
	}
	return "; did you mean " + near + "?"
}

// nearest finds word among known; where it is not there, it finds the one that
// a slip of the keyboard makes of it, "" where none is near.
func nearest(word string, known []string) (near string, exact bool) {
	least := max(2, len(word)/4) + 1
	for _, k := range known {
		if k == word {
			return k, true
		}
		if d := distance(fold(word), fold(k)); d < least {
			near, least = k, d
		}
	}
	return near, false
}

func fold(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// distance is the number of letters to insert, delete or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
