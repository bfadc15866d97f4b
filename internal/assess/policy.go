package assess

import (
	"slices"
	"time"

	"github.com/pratique/pratique/internal/advisory"
)

// Policy is what a registry makes of findings, by what is decided on them. The
// zero value is that of a new registry: types do what they say of themselves.
type Policy struct {
	// Block names the assessment types that block pulls. Nil stands for those
	// that say so themselves, which is Block alone at first; empty for none.
	Block []string
	// Warn names the types that warn; as Block. A type that blocks does not warn.
	Warn []string
	// BlockUnassessedFrom is the lowest severity at which an unassessed
	// finding blocks; nil for never.
	BlockUnassessedFrom *advisory.Severity
	// WarnUnassessedFrom is the same for a warning.
	WarnUnassessedFrom *advisory.Severity
	// GraceHours is how long after it was first seen an unassessed finding
	// does not block yet; what will block warns meanwhile.
	GraceHours int
	// Sources names the vulnerability sources attached to the registry: what none
	// of them reports is not found there. Nil is the built-in analyser alone. It
	// is no part of the stored policy.
	Sources []string
}

// Blocking names the types that block under the policy, in the order of types.
func (p Policy) Blocking(types []Type) []string {
	names := []string{}
	for _, t := range types {
		if p.blocks(t.Name, t.Blocks) {
			names = append(names, t.Name)
		}
	}
	return names
}

// Warning names the types that warn under the policy, in the order of types.
func (p Policy) Warning(types []Type) []string {
	names := []string{}
	for _, t := range types {
		if !p.blocks(t.Name, t.Blocks) && p.warns(t.Name, t.Effect == EffectWarns) {
			names = append(names, t.Name)
		}
	}
	return names
}

func (p Policy) blocks(name string, byDefault bool) bool {
	if p.Block == nil {
		return byDefault
	}
	return slices.Contains(p.Block, name)
}

// BuiltIn is the name of the built-in analyser among the sources.
const BuiltIn = "built-in"

// counts reports whether a finding of these sources is one in the registry. A
// finding of nobody in particular is.
func (p Policy) counts(sources []string) bool {
	if len(sources) == 0 {
		return true
	}
	if p.Sources == nil {
		return slices.Contains(sources, BuiltIn)
	}
	return slices.ContainsFunc(sources, func(name string) bool { return slices.Contains(p.Sources, name) })
}

func (p Policy) warns(name string, byDefault bool) bool {
	if p.Warn == nil {
		return byDefault
	}
	return slices.Contains(p.Warn, name)
}

// Idle reports that no finding can block or warn, whatever is decided.
func (p Policy) Idle() bool {
	return p.Block != nil && len(p.Block) == 0 && p.Warn != nil && len(p.Warn) == 0 &&
		p.BlockUnassessedFrom == nil && p.WarnUnassessedFrom == nil
}

func (p Policy) grace() time.Duration { return time.Duration(p.GraceHours) * time.Hour }
