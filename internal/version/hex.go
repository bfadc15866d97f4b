package version

// parseHex follows Elixir's Version: semver.org to the letter, numbers of any
// length, no matter what the build metadata are.
func parseHex(text string) (semver, string) {
	v, reason := parseSemver(text, semverRules{})
	return v, leadingV(text, &v, reason)
}
