package oci

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/pratique/pratique/internal/policy"
)

// blocked words a refused pull, so that the person at the other end knows what
// blocks and where to decide about it. A HEAD has no body: its header says so.
func (h *Handler) blocked(ctx context.Context, w http.ResponseWriter, b *policy.BlockedError) *failure {
	message := b.Error()
	if base := strings.TrimSuffix(h.opts.BaseURL(ctx), "/"); base != "" {
		message += "; see " + base + "/images/" + b.Digest
	}
	f := fault(http.StatusForbidden, codeDenied, message)
	if b.Refusal == policy.Unknown {
		f = fault(http.StatusNotFound, codeManifestUnknown, message)
	}
	type reason struct {
		Kind          string `json:"kind"`
		Message       string `json:"message"`
		Vulnerability string `json:"vulnerability,omitempty"`
		Severity      string `json:"severity,omitempty"`
		Package       string `json:"package,omitempty"`
		Version       string `json:"version,omitempty"`
		State         string `json:"state,omitempty"`
	}
	reasons := make([]reason, 0, len(b.Reasons))
	for _, r := range b.Reasons {
		shown := reason{Kind: string(r.Kind), Message: r.Message}
		if f := r.Finding; f != nil {
			shown.Vulnerability, shown.Severity, shown.Package, shown.Version, shown.State = f.Vulnerability, f.Severity.String(), f.Package, f.Version, f.State
		}
		reasons = append(reasons, shown)
	}
	f.detail = map[string]any{"digest": b.Digest, "reasons": reasons}
	warn(w.Header(), []string{message})
	return f
}

// messages are those of reasons.
func messages(reasons []policy.Reason) []string {
	list := make([]string, len(reasons))
	for i, r := range reasons {
		list[i] = r.Message
	}
	return list
}

// Bounds of the warnings of one answer, in texts and bytes: the specification
// allows 4096 bytes in all.
const (
	maxWarnings = 5
	maxWarning  = 700
)

// warn adds warnings that clients show to people (distribution-spec,
// "Warnings").
func warn(header http.Header, texts []string) {
	for i, text := range texts {
		if i == maxWarnings-1 && len(texts) > maxWarnings {
			text = fmt.Sprintf("and %d more warnings", len(texts)-i)
		}
		header.Add("Warning", `299 - "`+quotable(text)+`"`)
		if i == maxWarnings-1 {
			return
		}
	}
}

// quotable is text that can stand between quotes in a header (RFC 9110, section
// 5.6.4): package names and versions come from images.
func quotable(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r > unicode.MaxASCII || r < ' ' || r == 0x7f:
			return '?'
		}
		return r
	}, text)
	if len(text) > maxWarning {
		text = text[:maxWarning-3] + "..."
	}
	return text
}
