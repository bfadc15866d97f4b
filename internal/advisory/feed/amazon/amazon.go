// Package amazon reads the security advisories of Amazon Linux
// (https://alas.aws.amazon.com): the updateinfo.xml of each package repository,
// which is found from its list of mirrors (mirror.list) and its index (repomd.xml).
//
// Repositories are read for x86_64; their advisories name the packages of other
// architectures, too.
//
// It must not know how documents are stored.
package amazon

import (
	"strings"

	"github.com/pratique/pratique/internal/advisory/feed"
)

// Feed is the advisories of all releases.
type Feed struct{}

// New returns the feed.
func New() Feed { return Feed{} }

// Name is "amazon".
func (Feed) Name() string { return "amazon" }

// Revision is that of this parser.
func (Feed) Revision() int { return 1 }

// Parts has none that are known before they are looked for: see Discover.
func (Feed) Parts() []feed.Part { return nil }

// More has none.
func (Feed) More(map[string]bool) []feed.Part { return nil }

// repository is where packages and their advisories are.
type repository struct {
	// name is the part's: the release, and the rest of the repository's name
	// where it is not the release's main one.
	name    string
	mirrors string
	// bare is set where there may be no advisories.
	bare bool
}

const (
	cdn = "https://cdn.amazonlinux.com/"
	// catalog lists the extras, repositories that Amazon Linux 2 has for one topic each.
	catalog = cdn + "2/extras-catalog.json"
)

// repositories are all but the extras. Amazon Linux 1 is one rolling release, of
// which 2018.03 is the last name.
var repositories = []repository{
	{name: "2018.03", mirrors: "http://repo.us-west-2.amazonaws.com/2018.03/updates/x86_64/mirror.list"},
	{name: "2", mirrors: cdn + "2/core/latest/x86_64/mirror.list"},
	{name: "2022", mirrors: cdn + "al2022/core/mirrors/latest/x86_64/mirror.list"},
	{name: "2023", mirrors: cdn + "al2023/core/mirrors/latest/x86_64/mirror.list"},
	{name: "2023/kernel-livepatch", mirrors: cdn + "al2023/kernel-livepatch/mirrors/latest/x86_64/mirror.list", bare: true},
}

// extras is the repository of a topic.
func extras(topic string) repository {
	return repository{name: "2/" + topics + topic, mirrors: cdn + "2/extras/" + topic + "/latest/x86_64/mirror.list", bare: true}
}

const topics = "extras/"

// ecosystem is the distribution that a part speaks of.
func ecosystem(part string) string {
	release, _, _ := strings.Cut(part, "/")
	return "amzn:" + release
}

// topicOf is the topic of a part that is one of the extras, else "".
func topicOf(part string) string {
	_, topic, _ := strings.Cut(part, "/"+topics)
	return topic
}

func (r repository) part(url string) feed.Part {
	return feed.Part{Name: r.name, URL: url, Ecosystems: []string{ecosystem(r.name)}}
}
