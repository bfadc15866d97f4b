package inventory

// NewDistribution names a distribution by what os-release(5) says of it, as
// others repeat it: codename and pretty may be "". ok is false for what cannot
// be one.
func NewDistribution(id, version, codename, pretty string) (d Distribution, ok bool) {
	found := parseOSRelease(newFindings("", "release"), []string{
		"ID=" + id, "VERSION_ID=" + version, "VERSION_CODENAME=" + codename, "PRETTY_NAME=" + pretty,
	})
	if found == nil {
		return Distribution{}, false
	}
	return *found, true
}

// Makes reports whether the packages of a type may be the distribution's own;
// of one that is not known, including none, those of any operating system may.
func (d Distribution) Makes(packageType string) bool {
	makes := packageTypes[d.ID]
	return OfSystem(packageType) && (makes == "" || makes == packageType)
}
