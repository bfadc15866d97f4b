package inventory

import (
	"strings"
	"testing"
)

func TestInferDistribution(t *testing.T) {
	type p struct{ kind, name, version string }
	for _, test := range []struct {
		name     string
		packages []p
		want     string
	}{
		{"nothing", nil, ""},
		{"no ending", []p{{"deb", "zlib1g", "1:1.2.13.dfsg-1"}}, ""},
		{"Debian's", []p{{"deb", "zlib1g", "1:1.2.13.dfsg-1"}, {"deb", "curl", "7.88.1-10+deb12u5"}}, "debian:12"},
		{"Debian's, rebuilt", []p{{"deb", "curl", "7.88.1-10+deb12u5+b1"}}, "debian:12"},
		{"Debian's after an upgrade", []p{{"deb", "a", "1+deb12u5"}, {"deb", "b", "1+deb12u1"}, {"deb", "c", "1~deb12u1"}, {"deb", "d", "1+deb11u1"}}, "debian:12"},
		{"two releases alike", []p{{"deb", "a", "1+deb12u5"}, {"deb", "d", "1+deb11u1"}}, ""},
		{"Ubuntu's", []p{{"deb", "curl", "7.81.0-1ubuntu1.15"}, {"deb", "tzdata", "2024a-0ubuntu0.22.04.1"}, {"deb", "git", "1:2.34-1~22.04.2"}}, "ubuntu:22.04"},
		{"Ubuntu's without a release", []p{{"deb", "curl", "7.81.0-1ubuntu1.15"}}, ""},
		{"Alpine's", []p{{"apk", "musl", "1.2.5-r0"}, {"apk", "alpine-release", "3.20.3-r0"}}, "alpine:v3.20"},
		{"Alpine's without its release", []p{{"apk", "musl", "1.2.5-r0"}}, ""},
		{"Red Hat's", []p{{"rpm", "bash", "5.1.8-6.el9_1"}, {"rpm", "curl", "7.76.1-26.el9"}}, "rhel:9"},
		{"of Red Hat's kin", []p{{"rpm", "bash", "5.1.8-6.el9_1"}, {"rpm", "rocky-release", "9.3-1.2.el9"}}, "rocky:9"},
		{"Oracle's beside Red Hat's", []p{{"rpm", "redhat-release", "3:9.3-1.0.1.el9"}, {"rpm", "oraclelinux-release", "9:9.3-1.0.1.el9"}}, "ol:9"},
		{"Amazon's", []p{{"rpm", "bash", "5.2.15-1.amzn2023.0.2"}}, "amzn:2023"},
		{"Amazon's second", []p{{"rpm", "bash", "4.2.46-34.amzn2"}}, "amzn:2"},
		{"Photon's", []p{{"rpm", "bash", "5.1.8-2.ph4"}}, "photon:4.0"},
		{"of two kinds", []p{{"rpm", "bash", "5.1.8-6.el9"}, {"deb", "zlib1g", "1"}}, ""},
		{"a language's", []p{{"pypi", "requests", "1+deb12u1"}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var img Image
			for _, p := range test.packages {
				img.Packages = append(img.Packages, Installed{Package: Package{Type: p.kind, Name: p.name, Version: p.version}})
			}
			d, ok := img.InferDistribution()
			if !ok {
				d = Distribution{}
			}
			if got := d.String(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Where an Alpine layer has no release file, its list of repositories tells the
// release, if it names but one.
func TestInferFromRepositories(t *testing.T) {
	const installed = "C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n\n"
	for _, test := range []struct{ name, list, release, want string }{
		{"none", "", "", ""},
		{"one", "http://dl-cdn.alpinelinux.org/alpine/v3.20/main\nhttps://mirror.example/alpine/v3.20/community\n", "", "alpine:v3.20"},
		{"edge", "https://dl-cdn.alpinelinux.org/alpine/edge/main/\n", "", "alpine:edge"},
		{"besides packages of edge", "https://a/alpine/v3.19/main\n@edge https://a/alpine/edge/testing\n", "", "alpine:v3.19"},
		{"comments", "# https://a/alpine/v3.18/main\nhttps://a/alpine/v3.19/main\r\n", "", "alpine:v3.19"},
		{"two", "https://a/alpine/v3.19/main\nhttps://a/alpine/v3.20/main\n", "", ""},
		{"the newest, whichever it is", "https://a/alpine/latest-stable/main\n", "", ""},
		{"of something else", "https://packages.wolfi.dev/os\n/media/cdrom/apks\n", "", ""},
		{"nonsense", "\x00\xffhttps://a/v3/main\n" + strings.Repeat("a", 100_000), "", ""},
		{"a release file comes first", "https://a/alpine/v3.19/main\n", "3.20.3\n", "alpine:v3.20"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := &Layer{Digest: "sha256:1"}
			for p, text := range map[string]string{apkInstalled: installed, apkRepositories: test.list, "etc/alpine-release": test.release} {
				for _, d := range []Detector{NewApk(), NewRelease()} {
					if text == "" || !d.Wants(p) {
						continue
					}
					f, _, err := d.Detect(p, contentOf(strings.NewReader(text)))
					if err != nil {
						t.Fatal(err)
					}
					l.Files = append(l.Files, f)
				}
			}
			img := Coalesce([]*Layer{l})
			d := img.Distribution
			if d.ID == "" {
				d, _ = img.InferDistribution()
			}
			if got := d.String(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
