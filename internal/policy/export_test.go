package policy

import "github.com/google/go-cmp/cmp/cmpopts"

// Answers counts the answers that a gate remembers.
func (g *Gate) Answers() int {
	n := 0
	g.answers.Range(func(any, any) bool { n++; return true })
	return n
}

// IgnoreSince leaves out when settings changed.
var IgnoreSince = cmpopts.IgnoreUnexported(Policy{})

// Matches reports whether text is of a pattern.
var Matches = matches
