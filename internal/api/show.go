package api

import (
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/policy"
)

// ShowFinding shows the finding at an index, with its state at each place, as
// the list of an image's findings does: `pratique scan` prints the same.
func ShowFinding(f match.Finding, i int, judgements []policy.Judgement) Finding {
	return showFinding(f, i, judgements)
}

// ShowInstalled shows a package as the list of an image's packages does.
func ShowInstalled(p inventory.Installed) InstalledPackage {
	return InstalledPackage{Package: showPackage(p.Package), LayerIndex: p.LayerIndex, LayerDigest: p.LayerDigest,
		Path: p.Path, Line: p.Line, Evidence: p.Evidence, Detector: p.Detector, Owner: p.Owner}
}
