package assess

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/advisory"
)

// Policy is what a registry refuses to serve. The zero value is the policy of
// a new registry: every type that says that it blocks does.
type Policy struct {
	// Block names the assessment types that block pulls. Nil stands for those
	// whose Blocks is set, which is Block alone at first; empty for none.
	Block []string `json:"block"`
	// BlockUnassessedFrom is the lowest severity at which an unassessed
	// finding blocks; nil for never.
	BlockUnassessedFrom *advisory.Severity `json:"block_unassessed_from"`
	// GraceHours is how long after it was first seen an unassessed finding
	// does not block yet.
	GraceHours int `json:"grace_hours"`
	// Sources names the vulnerability sources attached to the registry: what none
	// of them reports is not found there. Nil is the built-in analyser alone. It
	// is no part of the stored policy.
	Sources []string `json:"-"`
}

// MaxGraceHours bounds Policy.GraceHours: ten years.
const MaxGraceHours = 10 * 365 * 24

// ParsePolicy reads a policy as String writes it; "" and "{}" are the zero value.
func ParsePolicy(text string) (Policy, error) {
	var p Policy
	if text == "" {
		return p, nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Policy{}, fmt.Errorf("policy %q: %w", text, err)
	}
	return p, nil
}

// String is the JSON that is stored.
func (p Policy) String() string {
	text, err := json.Marshal(p)
	if err != nil { // strings, an enumeration and a number always marshal
		panic(err)
	}
	return string(text)
}

// Check returns a *FieldError where the policy names an unknown type or its
// numbers are out of bounds.
func (p Policy) Check(types []Type) error {
	for i, name := range p.Block {
		if _, err := named(types, fmt.Sprintf("policy.block[%d]", i), name); err != nil {
			return err
		}
	}
	if p.GraceHours < 0 || p.GraceHours > MaxGraceHours {
		return invalid("policy.grace_hours", "%d is not between 0 and %d", p.GraceHours, MaxGraceHours)
	}
	return nil
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

func (p Policy) blocks(name string, byDefault bool) bool {
	if p.Block == nil {
		return byDefault
	}
	return slices.Contains(p.Block, name)
}

// builtIn is the name of the built-in analyser among the sources.
const builtIn = "built-in"

// counts reports whether a finding of these sources is one in the registry. A
// finding of nobody in particular is.
func (p Policy) counts(sources []string) bool {
	if len(sources) == 0 {
		return true
	}
	if p.Sources == nil {
		return slices.Contains(sources, builtIn)
	}
	return slices.ContainsFunc(sources, func(name string) bool { return slices.Contains(p.Sources, name) })
}

// idle reports that nothing can be blocked, whatever is found.
func (p Policy) idle() bool {
	return p.Block != nil && len(p.Block) == 0 && p.BlockUnassessedFrom == nil
}

func (p Policy) grace() time.Duration { return time.Duration(p.GraceHours) * time.Hour }
