package job

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxText = 8 << 10
	maxLine = 2 << 10
	maxName = 512
)

// clean makes text storable: PostgreSQL refuses NUL and broken UTF-8, and a
// refused error text would keep its job from ever being finished.
func clean(text string) string { return cleanTo(text, maxText) }

func cleanTo(text string, most int) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
	if len(text) <= most {
		return text
	}
	cut := most
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// checkName refuses a kind or key that an engine would refuse or change.
func checkName(what, name string) error {
	switch {
	case len(name) > maxName:
		return fmt.Errorf("%s of %d bytes: more than %d: %w", what, len(name), maxName, ErrInvalid)
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return fmt.Errorf("%s %q: not text: %w", what, name, ErrInvalid)
	}
	return nil
}
