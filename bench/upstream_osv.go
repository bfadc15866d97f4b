package main

import (
	"archive/zip"
	"fmt"
	"math/rand/v2"
	"strings"
)

// put writes a record into an archive.
func put(z *zip.Writer, id string, text []byte) error {
	w, err := z.Create(id + ".json")
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// head writes a record up to its list of what is affected.
func head(b []byte, r *rand.Rand, id, names string, size int) []byte {
	return fmt.Appendf(b, `{"schema_version":"1.7.0","id":%q,"summary":%q,"details":%q,%s,"published":"20%02d-%02d-%02dT10:11:12Z","modified":"2026-08-%02dT04:49:52Z",`+
		`"references":[{"type":"ADVISORY","url":"https://example.com/security/%s"},{"type":"WEB","url":"https://example.com/commit/%016x%016x"},{"type":"REPORT","url":"https://example.com/issues/%d"}],"affected":[`,
		id, prose(r, 40), prose(r, size), names, 10+r.IntN(16), 1+r.IntN(12), 1+r.IntN(28), 1+r.IntN(28), id, r.Uint64(), r.Uint64(), r.IntN(1e6))
}

// ubuntuReleases are those that records speak of.
var ubuntuReleases = []string{"14.04", "16.04", "18.04", "20.04", "22.04", "24.04", "26.04"}

func (u *upstream) ubuntuSources() int { return u.of(5_000) }

// kernels are Ubuntu's packages of the kernel, in each of which every flaw of it is.
const kernels = 40

func ubuntuSource(i int) string {
	switch {
	case i == 0:
		return "linux"
	case i < kernels:
		return "linux-" + packageName("ubuntu", i)
	}
	return packageName("ubuntu", i)
}

// ubuntu writes a record for each vulnerability; those of the kernel have most
// of the entries.
func (u *upstream) ubuntu(z *zip.Writer) error {
	records := u.of(45_000)
	var b []byte
	for i := range records {
		r := chance("ubuntu", i)
		id := "UBUNTU-" + u.cve(i)
		b = head(b[:0], r, id, fmt.Sprintf(`"upstream":[%q],"severity":[{"type":"Ubuntu","score":%q}]`, u.cve(i), []string{"low", "medium", "high"}[r.IntN(3)]), 300)
		step := fixStep(r, u.says(i, records, 600))
		first := kernels + skewed(r, max(1, u.ubuntuSources()-kernels))
		last, oldest := first+1+r.IntN(2), r.IntN(4)
		if i%5 == 0 { // of the kernel
			first, last, oldest = 0, kernels, r.IntN(5)
		}
		comma := ""
		for s := first; s < last; s++ {
			for _, release := range ubuntuReleases[oldest:] {
				if last == kernels && r.IntN(5) == 0 {
					continue
				}
				b = append(b, comma...)
				b = ubuntuEntry(b, ubuntuSource(s), release, step)
				comma = ","
			}
		}
		if err := put(z, id, append(b, "]}"...)); err != nil {
			return err
		}
	}
	return nil
}

func ubuntuEntry(b []byte, name, release string, step int) []byte {
	fixed := ubuntuVersion(release, step)
	b = fmt.Appendf(b, `{"package":{"ecosystem":"Ubuntu:%s:LTS","name":%q,"purl":"pkg:deb/ubuntu/%s@%s?arch=source&distro=r%s"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":%q}]}],"versions":[`,
		release, name, name, fixed, release, fixed)
	for i := range min(12, step) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), ubuntuVersion(release, i)...), '"')
	}
	b = append(b, `],"ecosystem_specific":{"binaries":[`...)
	for i := range 4 {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"binary_name":"%s-%s","binary_version":%q}`, name, syllables[i], fixed)
	}
	return append(b, `],"availability":"No subscription required"}}`...)
}

func ubuntuVersion(release string, step int) string {
	return fmt.Sprintf("1.%d.0-0ubuntu1.%s", step, release)
}

func (u *upstream) almaSources() int { return u.of(2_000) }

// almaBinaries are the packages that are built of one source.
const almaBinaries = 12

func almaBinary(source, i int) string {
	name := packageName("almalinux", source)
	if i == 0 {
		return name
	}
	return name + "-" + syllables[i]
}

// almalinux writes errata: each fixes some vulnerabilities in all packages of a source.
func (u *upstream) almalinux(z *zip.Writer) error {
	records := u.of(6_000)
	var b []byte
	for i := range records {
		r := chance("almalinux", i)
		id := fmt.Sprintf("ALSA-20%02d:%04d", 19+i*8/records, i)
		var ids []string
		for range 1 + skewed(r, 24) {
			ids = append(ids, fmt.Sprintf("%q", u.cve(r.IntN(u.cves()))))
		}
		b = head(b[:0], r, id, `"related":[`+strings.Join(ids, ",")+`]`, 600)
		step, source, release := fixStep(r, u.says(i, records, 100)), skewed(r, u.almaSources()), 8+r.IntN(3)
		for k := range almaBinaries {
			if k > 0 {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, `{"package":{"ecosystem":"AlmaLinux:%d","name":%q},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":%q}]}]}`,
				release, almaBinary(source, k), almaVersion(release, step))
		}
		if err := put(z, id, append(b, "]}"...)); err != nil {
			return err
		}
	}
	return nil
}

func almaVersion(release, step int) string { return fmt.Sprintf("1.%d.0-1.el%d", step, release) }

// languages are the types of packages (purl) by what OSV calls them, with how
// many names there are that advisories speak of.
var languages = []struct {
	folder, kind string
	names        int
}{
	{"npm", "npm", 4_000}, {"PyPI", "pypi", 3_000}, {"Maven", "maven", 2_500}, {"Go", "golang", 1_500},
	{"Packagist", "composer", 1_500}, {"RubyGems", "gem", 600}, {"crates.io", "cargo", 1_000}, {"NuGet", "nuget", 600},
}

func (u *upstream) languageNames(folder string) int {
	for _, l := range languages {
		if l.folder == folder {
			return u.of(l.names)
		}
	}
	return 0
}

// language writes records with a CVE each, on one package or a few.
func (u *upstream) language(z *zip.Writer, folder string, n int) error {
	records := u.of(n)
	var b []byte
	for i := range records {
		r := chance(folder, i)
		id := fmt.Sprintf("GHSA-%s-%06x", strings.ToLower(folder[:2]), i)
		names := fmt.Sprintf(`"aliases":["CVE-20%02d-%d%07d"],"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:%s/UI:N/S:U/C:H/I:%s/A:H"}],"database_specific":{"severity":"HIGH","cwe_ids":["CWE-%d"]}`,
			12+i*14/records, len(folder), i*8+len(folder[1:])%8, []string{"N", "L", "H"}[r.IntN(3)], []string{"N", "L", "H"}[r.IntN(3)], r.IntN(900)+1)
		b = head(b[:0], r, id, names, 500)
		step := fixStep(r, u.says(i, records, 30))
		first := skewed(r, u.languageNames(folder))
		for k := range 1 + r.IntN(2) {
			if k > 0 {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, `{"package":{"ecosystem":%q,"name":%q},"ranges":[{"type":"%s","events":[{"introduced":"%s"},{"fixed":"1.%d.0"}]}],"versions":["1.1.0","1.2.0","1.3.0"]}`,
				folder, packageName(folder, first+k), rangeKind(folder), []string{"0", "1.0.0"}[r.IntN(2)], step)
		}
		if err := put(z, id, append(b, "]}"...)); err != nil {
			return err
		}
	}
	return nil
}

func rangeKind(folder string) string {
	if folder == "npm" || folder == "Go" || folder == "crates.io" {
		return "SEMVER"
	}
	return "ECOSYSTEM"
}

// malicious writes records on packages that nobody has.
func (u *upstream) malicious(z *zip.Writer, n int) error {
	records := u.of(n)
	var b []byte
	for i := range records {
		r := chance("malicious", i)
		id := fmt.Sprintf("MAL-20%02d-%d", 22+i*5/records, i)
		size := 150
		if u.says(i, records, 500) {
			size = 170
		}
		b = head(b[:0], r, id, `"database_specific":{"malicious-packages-origins":[{"source":"made-up"}]}`, size)
		b = fmt.Appendf(b, `{"package":{"ecosystem":"npm","name":"%s-%x"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]}]}`, packageName("npm", i%997), i)
		if err := put(z, id, b); err != nil {
			return err
		}
	}
	return nil
}
