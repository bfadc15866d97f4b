package policy

import "slices"

// Names reports whether the settings name an assessment type.
func (s Settings) Names(typ string) bool {
	return s.Block != nil && slices.Contains(*s.Block, typ) || s.Warn != nil && slices.Contains(*s.Warn, typ)
}

// Renamed are the settings where a type has another name, which may be that of
// a type that they name already.
func (s Settings) Renamed(from, to string) Settings {
	s.Block, s.Warn = renamed(s.Block, from, to), renamed(s.Warn, from, to)
	return s
}

func renamed(names *[]string, from, to string) *[]string {
	if names == nil || !slices.Contains(*names, from) {
		return names
	}
	out := make([]string, 0, len(*names))
	for _, name := range *names {
		if name == from {
			name = to
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return &out
}
