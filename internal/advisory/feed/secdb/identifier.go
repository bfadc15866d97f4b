package secdb

import (
	"regexp"
	"strings"

	"github.com/pratique/pratique/internal/version"
)

var (
	comment = regexp.MustCompile(`\([^)]*\)`)
	// cve also takes "CVE_2019-2426", "CVE 2025-48379", "CVE-2017-17434-2" and "CVE-2017-8073.patch".
	cve  = regexp.MustCompile(`(?i)\bCVE[-_ ]([0-9]{4})[-_]([0-9]{4,19})`)
	ghsa = regexp.MustCompile(`(?i)\bGHSA((?:-[0-9a-z]{4}){3})\b`)
	// cga is what Chainguard calls a vulnerability of one package.
	cga = regexp.MustCompile(`(?i)\bCGA((?:-[0-9a-z]{4}){3})\b`)
	// other is XSA-207, TS-2024-001, VSV00019, GNUTLS-SA-2020-03-31.
	other = regexp.MustCompile(`^[A-Za-z]+(?:-[A-Za-z]+)*-?[0-9][A-Za-z0-9-]*$`)
	// blank is a number that was not known when it was written down.
	blank = regexp.MustCompile(`(?i)^CVE.*[^0-9-]$`)
)

// identifiers are the vulnerabilities that a text of the database names: every
// CVE; where there is none, the GHSA, or the CGA; else whatever else identifies it.
// "CVE-2017-17044 XSA-246" names one, "CVE-2017-5753 CVE-2017-5715" two.
func identifiers(text string) []string {
	text = comment.ReplaceAllString(text, " ")
	var names []string
	for _, m := range cve.FindAllStringSubmatch(text, -1) {
		names = append(names, "CVE-"+m[1]+"-"+m[2])
	}
	if names != nil {
		return names
	}
	if m := ghsa.FindStringSubmatch(text); m != nil {
		return []string{"GHSA" + strings.ToLower(m[1])}
	}
	if m := cga.FindStringSubmatch(text); m != nil {
		return []string{"CGA" + strings.ToLower(m[1])}
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t,;/", r) }) {
		if len(word) <= 64 && other.MatchString(word) && !blank.MatchString(word) {
			return []string{word}
		}
	}
	return nil
}

// slips are ways in which maintainers misspell the revision: "10.0.11-0",
// "1.34.0_r0", "10.2.26.r0", "1.7.5.-r1".
var slips = regexp.MustCompile(`^([0-9][0-9A-Za-z._]*?)(?:-|_r|\.r|\.-r)([0-9]+)$`)

// mend returns the version that was meant by one that is not valid, where that
// is beyond doubt; else what it was given.
func mend(fixed string) string {
	if _, err := version.Compare(version.APK, fixed, fixed); err == nil {
		return fixed
	}
	m := slips.FindStringSubmatch(strings.TrimSpace(fixed))
	if m == nil {
		return fixed
	}
	mended := m[1] + "-r" + m[2]
	if _, err := version.Compare(version.APK, mended, mended); err != nil {
		return fixed
	}
	return mended
}
