package config

import (
	"fmt"
	"strconv"
	"strings"
)

// sampleWidth is where the comments of the sample file are wrapped, in letters.
const sampleWidth = 96

// Sample is a configuration file with every setting, explained, each as a
// comment that shows its default.
func Sample() string {
	var b strings.Builder
	b.WriteString("# Settings of Pratique. Use it with `pratique serve --config FILE`.\n" +
		"# Every setting shows its default; remove the # before one to change it.\n" +
		"# A flag wins over an environment variable, which wins over this file.\n")
	section := ""
	for _, s := range Settings() {
		if s.Section != section {
			section = s.Section
			fmt.Fprintf(&b, "\n# ---- %s ----\n", section)
		}
		b.WriteByte('\n')
		for _, line := range wrap(s.Help, sampleWidth) {
			b.WriteString("# " + line + "\n")
		}
		fmt.Fprintf(&b, "# Flag --%s, environment %s.\n#%s: %s\n", s.Name, s.Env, s.Name, s.yamlDefault())
	}
	return b.String()
}

// yamlDefault is the default as it is written in the file.
func (s Setting) yamlDefault() string {
	switch s.Kind() {
	case "text":
		return strconv.Quote(s.Default)
	case "list":
		return "[" + strings.ReplaceAll(s.Default, ",", ", ") + "]"
	}
	return s.Default
}

// Table is the reference of all settings, in Markdown.
func Table() string {
	var b strings.Builder
	section := ""
	for _, s := range Settings() {
		if s.Section != section {
			section = s.Section
			fmt.Fprintf(&b, "\n### %s\n\n| Flag, key | Environment | Kind | Default | Meaning |\n|---|---|---|---|---|\n", section)
		}
		shown := "empty"
		if s.Default != "" {
			shown = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", s.Name, s.Env, s.Kind(), shown, strings.ReplaceAll(s.Help, "|", `\|`))
	}
	return b.String()
}

// wrap breaks text at spaces into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
