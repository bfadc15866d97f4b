package app

import (
	"testing"

	"github.com/alecthomas/kong"

	"github.com/pratique/pratique/internal/config"
)

func TestUsualLimitsHaveNoVariant(t *testing.T) {
	parse := func(args ...string) config.Layers {
		var c config.Serve
		parser, err := kong.New(&c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(args); err != nil {
			t.Fatal(err)
		}
		return c.Layers
	}
	if o := analyserOptions(parse()); o.Variant != "" || o.Limits.FileSize != 200_000_000 || o.Limits.Ratio != 200 {
		t.Errorf("by default: %q, %+v", o.Variant, o.Limits)
	}
	deeper := analyserOptions(parse("--archive-max-depth", "9"))
	if other := analyserOptions(parse("--layer-max-file", "1GB")); deeper.Variant == "" || deeper.Variant == other.Variant {
		t.Errorf("with other limits: %q and %q", deeper.Variant, other.Variant)
	}
}
