package inventory

import (
	"regexp"
	"slices"
	"strings"
)

// setRepositories says from which repositories the packages of RHEL came: what an
// advisory of Red Hat's means depends on the product, and that on the repository.
//
// A build ends with the layer that lists its content sets, so that these are of
// the packages of that layer and of those below it, down to the build before; what
// was added on top, by others, is taken for the last build's. Where DNF remembers
// where it had a package from, this is believed more, but not of a build that does
// not say that it may be (from_dnf_hint): OSBS installed from repositories of its
// own making.
//
// The id of a repository of extended support is the same for all minor releases
// that have it; the minor release that the image is of is added as Red Hat does it
// where it names one.
func (img *Image) setRepositories(layers []*Layer, d *Distribution) {
	sets, from := contentSetsOf(layers), make(map[string]string)
	for _, l := range layers {
		for _, f := range l.Files {
			for _, o := range f.Origins {
				for _, p := range o.Packages {
					from[p] = o.Repository
				}
			}
		}
	}
	if len(from) == 0 && !slices.ContainsFunc(sets, func(s *ContentSets) bool { return s != nil }) {
		return
	}
	present := make(map[string]bool) // architectures
	for _, p := range img.Packages {
		present[p.Architecture] = p.Type == "rpm" || present[p.Architecture]
	}
	joined := make(map[*ContentSets]string)
	for i := range img.Packages {
		p := &img.Packages[i]
		if p.Type != "rpm" {
			continue
		}
		built, own := nearest(sets, p.LayerIndex)
		repository := from[nevra(p.Package)]
		switch {
		case repository != "" && (built == nil || built.Hint || !own):
			p.Repositories = telling([]string{ofMinor(repository, d)}, present)
		case built != nil:
			list, known := joined[built]
			if !known {
				ids := make([]string, len(built.Repositories))
				for i, id := range built.Repositories {
					ids[i] = ofMinor(id, d)
				}
				list = telling(ids, present)
				joined[built] = list
			}
			p.Repositories = list
		}
	}
}

var (
	extendedRepository = regexp.MustCompile(`^rhel-\d+-for-.+-(?:eus|aus|tus|e4s)(?:-debug)?-rpms$`)
	minorRelease       = regexp.MustCompile(`\b\d+\.\d+\b`)
)

// ofMinor makes "rhel-8-for-x86_64-baseos-eus-rpms__8_DOT_4" of the id without the
// end in an image of "Red Hat Enterprise Linux 8.4 (Ootpa)".
func ofMinor(id string, d *Distribution) string {
	if d == nil || !extendedRepository.MatchString(id) {
		return id
	}
	if minor := minorRelease.FindString(d.PrettyName); strings.HasPrefix(minor, d.Version+".") {
		return id + "__" + strings.ReplaceAll(minor, ".", "_DOT_")
	}
	return id
}

// contentSetsOf gathers what each layer says; nil of one that says nothing.
func contentSetsOf(layers []*Layer) []*ContentSets {
	list := make([]*ContentSets, len(layers))
	for i, l := range layers {
		for _, f := range l.Files {
			if f.ContentSets == nil {
				continue
			}
			if list[i] == nil {
				list[i] = new(ContentSets)
			}
			list[i].Hint = list[i].Hint || f.ContentSets.Hint
			list[i].Repositories = append(list[i].Repositories, f.ContentSets.Repositories...)
		}
	}
	return list
}

// nearest are the content sets of the build that made the layer; own is false
// where the layer came on top of all builds that list theirs.
func nearest(sets []*ContentSets, layer int) (found *ContentSets, own bool) {
	for _, s := range sets[layer:] {
		if s != nil {
			return s, true
		}
	}
	for _, s := range slices.Backward(sets[:layer]) {
		if s != nil {
			return s, false
		}
	}
	return nil, false
}

// everywhere are the repositories that every installation of RHEL has, or may
// have, with its subscription or as a universal base image: BaseOS, AppStream and
// CodeReady Builder, RHEL 7's Server and Optional, in all spellings (of the content
// delivery network, of clouds, of ubi.repo). Extended support (eus, aus, e4s, tus)
// is none of them: it has fixes of its own.
var everywhere = regexp.MustCompile(`^(?:rhui-)?(?:` +
	`(?:rhel|ubi)-\d+(?:-for-[a-z0-9_]+)?-(?:baseos|appstream|codeready-builder)|` +
	`codeready-builder-for-(?:rhel|ubi)-\d+(?:-[a-z0-9_]+)?|` +
	`rhel-7-(?:server|for-[a-z0-9_]+)(?:-optional)?|ubi-7(?:-server)?(?:-optional)?` +
	`)(?:-rhui)?(?:-(?:debug|source))?(?:-rpms)?$`)

// architectures are those that ids of repositories name.
var architectures = []string{"x86_64", "aarch64", "ppc64le", "s390x"}

// telling joins the repositories that a package may be from, but for those of
// sources, and of other architectures than are present; "" where these are only
// what every installation has, for that tells nothing. Beside others they tell that
// the package may be one of theirs.
func telling(repositories []string, present map[string]bool) string {
	var list []string
	tells := false
	for _, id := range repositories {
		other := slices.ContainsFunc(architectures, func(a string) bool { return !present[a] && strings.Contains(id, "-"+a+"-") })
		if other || strings.HasSuffix(id, "-source-rpms") || strings.HasSuffix(id, "-source") {
			continue
		}
		tells = tells || !everywhere.MatchString(id)
		list = append(list, id)
	}
	if !tells {
		return ""
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}
