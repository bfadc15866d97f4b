package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
)

// The parts of SARIF 2.1.0 that are written
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html). The
// libraries that know the whole of it bring JSON schema validators along.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool              sarifTool         `json:"tool"`
		AutomationDetails sarifID           `json:"automationDetails"`
		Invocations       []sarifInvocation `json:"invocations"`
		Artifacts         []sarifArtifact   `json:"artifacts"`
		Results           []sarifResult     `json:"results"`
		ColumnKind        string            `json:"columnKind"`
		BaseIDs           map[string]any    `json:"originalUriBaseIds"`
		Properties        map[string]any    `json:"properties"`
	}
	sarifID struct {
		ID string `json:"id"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		FullName       string      `json:"fullName"`
		Version        string      `json:"version"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string         `json:"id"`
		Name             string         `json:"name"`
		ShortDescription sarifText      `json:"shortDescription"`
		FullDescription  sarifText      `json:"fullDescription"`
		Default          sarifLevel     `json:"defaultConfiguration"`
		HelpURI          string         `json:"helpUri,omitempty"`
		Help             sarifText      `json:"help"`
		Properties       map[string]any `json:"properties"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLevel struct {
		Level string `json:"level"`
	}
	sarifInvocation struct {
		ExecutionSuccessful bool                `json:"executionSuccessful"`
		EndTimeUTC          string              `json:"endTimeUtc"`
		Notifications       []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifArtifact struct {
		Location sarifArtifactLocation `json:"location"`
	}
	sarifArtifactLocation struct {
		URI       string `json:"uri"`
		URIBaseID string `json:"uriBaseId"`
		Index     *int   `json:"index,omitempty"`
	}
	sarifResult struct {
		RuleID              string             `json:"ruleId"`
		RuleIndex           int                `json:"ruleIndex"`
		Level               string             `json:"level"`
		Message             sarifText          `json:"message"`
		Locations           []sarifLocation    `json:"locations"`
		PartialFingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions        []sarifSuppression `json:"suppressions,omitempty"`
		Properties          map[string]any     `json:"properties"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations"`
		Message  sarifText      `json:"message"`
	}
	sarifPhysical struct {
		Artifact sarifArtifactLocation `json:"artifactLocation"`
		Region   sarifRegion           `json:"region"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name               string `json:"name"`
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
)

// rootID is the base of the paths of files in the image.
const rootID = "ROOTFS"

// SARIF writes the report as SARIF 2.1.0: a run for each image, a rule for each
// vulnerability, a result for each finding at the file that proves the package.
// What keeps the findings from being all there are is told as notifications.
func SARIF(w io.Writer, r Report) error {
	log := sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{}}
	for _, img := range r.Images {
		log.Runs = append(log.Runs, runOf(r, img))
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(log); err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	return nil
}

func runOf(r Report, img Image) sarifRun {
	run := sarifRun{
		Tool: sarifTool{sarifDriver{Name: r.Tool.Name, FullName: "Pratique " + r.Tool.Version, Version: r.Tool.Version,
			InformationURI: "https://github.com/pratique/pratique", Rules: []sarifRule{}}},
		// A run of the same image and platform takes the place of the one before.
		AutomationDetails: sarifID{"pratique/" + strings.Trim(img.Name+"/"+img.Platform, "/") + "/"},
		Invocations: []sarifInvocation{{
			ExecutionSuccessful: img.Analysis != string(image.Failed), EndTimeUTC: r.ScannedAt.Format("2006-01-02T15:04:05Z"),
			Notifications: notifications(img),
		}},
		Artifacts: []sarifArtifact{}, Results: []sarifResult{}, ColumnKind: "utf16CodeUnits",
		BaseIDs: map[string]any{rootID: map[string]any{"description": sarifText{"The root of the image's file system."}}},
		Properties: map[string]any{
			"image": img.Name, "digest": img.Digest, "config_digest": img.ConfigDigest, "platform": img.Platform,
			"distribution": img.Distribution, "coverage": img.Coverage.Verdict,
		},
	}
	rules, artifacts, highest := make(map[string]int), make(map[string]int), make(map[string]advisory.Severity)
	for _, f := range img.Findings {
		highest[f.Vulnerability] = max(highest[f.Vulnerability], severityOf(f))
	}
	for _, f := range img.Findings {
		rule, known := rules[f.Vulnerability]
		if !known {
			rule = len(run.Tool.Driver.Rules)
			rules[f.Vulnerability] = rule
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, ruleOf(f, highest[f.Vulnerability]))
		}
		artifact, known := artifacts[f.Evidence.Path]
		if !known {
			artifact = len(run.Artifacts)
			artifacts[f.Evidence.Path] = artifact
			run.Artifacts = append(run.Artifacts, sarifArtifact{sarifArtifactLocation{URI: uriOf(f.Evidence.Path), URIBaseID: rootID}})
		}
		run.Results = append(run.Results, resultOf(img, f, rule, artifact))
	}
	return run
}

// notifications tell why there may be more than was found.
func notifications(img Image) []sarifNotification {
	level := "warning"
	if img.Coverage.Verdict == string(image.Unjudged) {
		level = "error"
	}
	all := []sarifNotification{}
	for _, reason := range img.Coverage.Reasons {
		all = append(all, sarifNotification{level, sarifText{"Coverage is " + img.Coverage.Verdict + ": " + reason}})
	}
	return all
}

// severityOf is a finding's severity; it was written by ShowFinding.
func severityOf(f api.Finding) advisory.Severity {
	severity, err := advisory.ParseSeverity(f.Severity)
	if err != nil {
		return advisory.Unknown
	}
	return severity
}

// ruleOf describes a vulnerability; its severity is the highest in the image.
func ruleOf(f api.Finding, highest advisory.Severity) sarifRule {
	full := cmp.Or(f.Description, f.Vulnerability)
	rule := sarifRule{
		ID: f.Vulnerability, Name: "VulnerablePackage", ShortDescription: sarifText{fmt.Sprintf("%s in %s", f.Vulnerability, f.Evidence.Subject)},
		FullDescription: sarifText{full}, Default: sarifLevel{levelOf(highest)}, Help: sarifText{full},
		Properties: map[string]any{
			"security-severity": scoreOf(highest), "severity": highest.String(), "precision": "very-high",
			"tags": []string{"security", "vulnerability", highest.String()},
		},
	}
	if strings.HasPrefix(f.Vulnerability, "CVE-") {
		rule.HelpURI = "https://www.cve.org/CVERecord?id=" + url.QueryEscape(f.Vulnerability)
	}
	return rule
}

// levelOf is the level of a severity. Of what nobody has rated, nobody has said
// that it is harmless.
func levelOf(s advisory.Severity) string {
	switch s {
	case advisory.Critical, advisory.High:
		return "error"
	case advisory.Medium, advisory.Unknown:
		return "warning"
	}
	return "note"
}

// scoreOf is a number in the band that code scanning has for a severity: it
// wants one, where feeds have a word.
func scoreOf(s advisory.Severity) string {
	switch s {
	case advisory.Critical:
		return "9.5"
	case advisory.High:
		return "8.0"
	case advisory.Medium, advisory.Unknown:
		return "5.0"
	case advisory.Low:
		return "2.0"
	}
	return "0.1"
}

func resultOf(img Image, f api.Finding, rule, artifact int) sarifResult {
	fixed := "There is no fix."
	if f.FixedVersion != "" {
		fixed = "Fixed in " + f.FixedVersion + "."
	}
	layer, instruction := f.LayerDigest, ""
	if f.LayerIndex < len(img.Layers) {
		instruction = img.Layers[f.LayerIndex].CreatedBy
	}
	where := fmt.Sprintf("%s %s, found by %s", f.Package.Name, f.Package.Version, f.Evidence.Detector)
	if layer != "" {
		where += fmt.Sprintf(" in layer %d (%s)", f.LayerIndex+1, layer)
	}
	result := sarifResult{
		RuleID: f.Vulnerability, RuleIndex: rule, Level: levelOf(severityOf(f)),
		Message: sarifText{fmt.Sprintf("%s %s is affected by %s (%s): %s. %s", f.Package.Name, f.Package.Version, f.Vulnerability,
			f.Severity, f.Evidence.Comparison, fixed)},
		Locations: []sarifLocation{{
			// Code scanning wants a line, even of what has none.
			Physical: sarifPhysical{Artifact: sarifArtifactLocation{URI: uriOf(f.Evidence.Path), URIBaseID: rootID, Index: &artifact},
				Region: sarifRegion{max(f.Evidence.Line, 1)}},
			Logical: []sarifLogical{{Name: f.Package.Name, FullyQualifiedName: f.Package.Type + ":" + f.Package.Name + "@" + f.Package.Version, Kind: "module"}},
			Message: sarifText{where},
		}},
		PartialFingerprints: map[string]string{"pratique/v1": fingerprint(f)},
		Properties: map[string]any{
			"state": f.State, "severity": f.Severity, "package": f.Package.Name, "installed_version": f.Package.Version,
			"fixed_version": f.FixedVersion, "layer_digest": layer, "layer_index": f.LayerIndex, "instruction": instruction,
			"feed": f.Evidence.Feed, "document": f.Evidence.Part,
		},
	}
	if f.State != assess.Unassessed && !f.Blocks {
		result.Suppressions = []sarifSuppression{{Kind: "external", Status: "accepted", Justification: "Assessed as " + f.State + "."}}
	}
	return result
}

// fingerprint tells a finding from others of the image, however versions change.
func fingerprint(f api.Finding) string {
	h := sha256.Sum256([]byte(strings.Join([]string{f.Vulnerability, f.Package.Type, f.Package.Name, f.Package.Architecture, f.Evidence.Path}, "\x00")))
	return hex.EncodeToString(h[:])
}

// uriOf is a path as a relative reference (RFC 3986, section 4.2). The path
// through nested archives stays readable.
func uriOf(path string) string {
	parts := strings.Split(strings.TrimLeft(path, "/"), "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	// A colon in the first part would begin a scheme.
	parts[0] = strings.ReplaceAll(parts[0], ":", "%3A")
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "/")
}
