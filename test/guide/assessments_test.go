package guide_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/test/program"
	"github.com/pratique/pratique/test/sample"
)

// flaws writes a feed of four vulnerabilities of a Debian image; the fix of one may
// be there already.
func flaws(t *testing.T, folder, fixOfBash string) {
	t.Helper()
	open := func(urgency, fixed string) map[string]sample.DebianFix {
		return map[string]sample.DebianFix{"bookworm": {Urgency: urgency, Fixed: fixed}}
	}
	if err := sample.WriteDebianFeed(folder, map[string]map[string]map[string]sample.DebianFix{
		"openssl": {"CVE-2024-0001": open("high", "")},
		"zlib":    {"CVE-2024-0002": open("medium", ""), "CVE-2024-0003": open("low", "")},
		"bash":    {"CVE-2024-0004": open("medium", fixOfBash)},
	}); err != nil {
		t.Fatal(err)
	}
}

// debian runs a server with an image main/app:1 whose packages have these flaws, and
// returns it with its data folder and that of its feed.
func debian(t *testing.T, clock *program.Clock, args ...string) (served *program.Program, data, feed string) {
	t.Helper()
	data, feed = t.TempDir(), t.TempDir()
	flaws(t, feed, "")
	served = serveIn(t, clock, data, append([]string{"--feeds", "debian", "--feeds-mirror", feed}, args...)...)
	layer, err := sample.DebianBase("12", "bookworm", sample.DebianPackage{Name: "libssl3", Version: "3.0.11-1", Source: "openssl"},
		sample.DebianPackage{Name: "zlib1g", Version: "1.2.13", Source: "zlib"}, sample.DebianPackage{Name: "bash", Version: "5.2.15-2"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (sample.Registry{URL: served.URL, User: "admin", Password: password}).Push(t.Context(), "main/app", "1", layer); err != nil {
		t.Fatal(err)
	}
	return served, data, feed
}

// updateFeeds has a shell wait until the feeds were read anew, whose api and server
// a page has set.
const updateFeeds = `job=$(api -X POST $server/feeds/update | jq .id)
until api $server/jobs/$job | jq -e '.state == "done"' >/dev/null; do sleep 0.1; done`

// TestAssessmentsPage runs the commands of docs/assessments.md.
func TestAssessmentsPage(t *testing.T) {
	needs(t, "bash", "curl", "jq", "sed", "tee")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	clock := new(program.Clock)
	served, data, feed := debian(t, clock)
	sh := bash(t, ctx, t.TempDir())
	sh.pratique(t)
	here := strings.NewReplacer("http://localhost:8624", served.URL, "PASSWORD", password, "--data ./data", "--data "+data)
	waitFor := func(command string) {
		t.Helper()
		if out, status := sh.run(t, "for i in $(seq 200); do "+command+" && break; sleep 0.1; done; [ $i -lt 200 ]"); status != 0 {
			t.Fatalf("%s: %s", command, out)
		}
	}
	blocks := map[string]int{}
	before := func(s step) bool {
		n := blocks[s.heading]
		blocks[s.heading]++
		switch {
		case s.heading == "Types" && n == 0:
			sh.run(t, updateFeeds)
		case s.heading == "When it ends" && n == 1:
			clock.Advance(25 * time.Hour)
			flaws(t, feed, "5.2.15-3")
			sh.run(t, updateFeeds)
			waitFor(`api "$server/assessments?vulnerability=CVE-2024-0004" | grep -q 'fix available'`)
			waitFor(`api "$server/assessments?vulnerability=CVE-2024-0001" | grep -q '"expired"'`)
		}
		return true
	}
	guided{file: "assessments.md", here: here, before: before, want: map[string][]string{
		"Decide on vulnerabilities": {""},
		"Types": {
			`"effect":"none","blocks":false,"expiry_days":180,"position":2,"enabled":true,"reopen_on":["exploited"],"for_vex":false,"etag":"\"3\""`,
			"",
		},
		"Rules": {`"rule":{"severity_to":"low","exploited":false}`},
		"Assess": {
			`["CVE-2024-0001","high","libssl3"]`, // and what is assessed of it
			"not reachable: the parser is not built in",
		},
		"Many at once": {`{"assessments":3,"findings":3,"become_blocked":1,"become_pullable":0,"complete":true}` + "\n3"},
		"When it ends": {
			`"comment":"look again tomorrow"`,
			`["CVE-2024-0004",false,"fix available"]` + "\n" + `["CVE-2024-0001",false,"expired"]` + "\n" + `["CVE-2024-0001","Block"]`,
		},
		"History": {"The history is intact."},
		"Import":  {`[2,"new","CVE-2024-0001","Ignore"]` + "\n" + `[3,"new","CVE-2024-0002","Ignore"]` + "\n" + `["trivyignore",true,2]`},
		"From ProGet": {`["csv",true]` + "\n" + `["CVE-2024-0002","Block","package","zlib1g@1.2.13"]` + "\n" +
			`["CVE-2024-0003","Caution","registry","main"]`},
		"From Trivy's YAML, Grype and clair-scanner": {`["trivyignore-yaml",true]` + "\n" + `["CVE-2024-0001","package","openssl"]` + "\n" + `["grype",true]` + "\n" +
			`["CVE-2024-0002","package","zlib1g@1.2.13"]` + "\n" + `["clair",true]` + "\n" + `["CVE-2024-0003","everywhere",null]` + "\n" + `["CVE-2024-0004","repository","main/app"]`},
		"From VEX documents": {`["CVE-2024-0001","Ignore","openssl@3.0.11-1","vulnerable_code_not_in_execute_path"]` + "\n" + `["vex",true]` + "\n" +
			`["CVE-2024-0002","Ignore","zlib1g@1.2.13","vulnerable_code_not_in_execute_path"]`},
		"A bad line": {`"status":422,"detail":"validation failed","errors":[{"message":"line 2: \"soon\" is not a time`, "1 decisions imported"},
		"Export":     {`["CVE-2024-0001","not_affected"]` + "\n" + `["1.6",true]`, `["CVE-2024-0001","affected"]`},
		"VEX":        {`"status":"not_affected"`, `"honour_vex":false`},
	}}.run(t, sh)
	// What rules decided, and what the file of ProGet says, holds.
	if out, _ := sh.run(t, `api "$server/assessments?automatic=true" | jq -c '.items[] | [.vulnerability, .type]'; api $server/images/$image/findings | jq -c '.items[] | [.vulnerability, .state]'`); !strings.Contains(out, `["CVE-2024-0003","Ignore"]`) {
		t.Errorf("what holds in the end: %s", out)
	}
}
