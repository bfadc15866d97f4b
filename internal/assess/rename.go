package assess

import "slices"

// Names reports whether the policy names an assessment type.
func (p Policy) Names(typ string) bool { return slices.Contains(p.Block, typ) }

// Renamed is the policy where a type has another name, which may be that of a
// type that it names already.
func (p Policy) Renamed(from, to string) Policy {
	p.Block = renamed(p.Block, from, to)
	return p
}

func renamed(names []string, from, to string) []string {
	if !slices.Contains(names, from) {
		return names
	}
	out := make([]string, 0, len(names))
	for _, name := range names {
		if name == from {
			name = to
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
