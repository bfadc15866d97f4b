package main

import (
	"fmt"

	"github.com/pratique/pratique/test/sample"
)

// packages are those of a Debian base at an age: the greater, the newer.
func packages(age int) []sample.DebianPackage {
	pick := func(versions ...string) string { return versions[min(age, len(versions)-1)] }
	return []sample.DebianPackage{
		{Name: "base-files", Version: "12.4+deb12u5"},
		{Name: "bash", Version: "5.2.15-2+b2", Source: "bash"},
		{Name: "coreutils", Version: "9.1-1"},
		{Name: "libc6", Version: pick("2.36-9+deb12u1", "2.36-9+deb12u1", "2.36-9+deb12u3", "2.36-9+deb12u8"), Source: "glibc"},
		{Name: "libc-bin", Version: pick("2.36-9+deb12u1", "2.36-9+deb12u1", "2.36-9+deb12u3", "2.36-9+deb12u8"), Source: "glibc"},
		{Name: "libexpat1", Version: pick("2.5.0-1", "2.5.0-1", "2.5.0-1", "2.5.0-1+deb12u1"), Source: "expat"},
		{Name: "libgnutls30", Version: pick("3.7.9-2", "3.7.9-2", "3.7.9-2+deb12u2"), Source: "gnutls28"},
		{Name: "libnghttp2-14", Version: pick("1.52.0-1", "1.52.0-1", "1.52.0-1+deb12u1"), Source: "nghttp2"},
		{Name: "libssl3", Version: pick("3.0.9-1", "3.0.11-1~deb12u2", "3.0.11-1~deb12u2", "3.0.15-1~deb12u1"), Source: "openssl"},
		{Name: "openssl", Version: pick("3.0.9-1", "3.0.11-1~deb12u2", "3.0.11-1~deb12u2", "3.0.15-1~deb12u1")},
		{Name: "libsystemd0", Version: "252.12-1~deb12u1", Source: "systemd"},
		{Name: "passwd", Version: "1:4.13+dfsg1-1+b1", Source: "shadow"},
		{Name: "perl-base", Version: "5.36.0-7", Source: "perl"},
		{Name: "tar", Version: "1.34+dfsg-1.2"},
		{Name: "zlib1g", Version: "1:1.2.13.dfsg-1", Source: "zlib"},
	}
}

// curl is what an own layer installs.
func curl(edition int) []sample.DebianPackage {
	version := []string{"7.88.1-10", "7.88.1-10", "7.88.1-10+deb12u4", "7.88.1-10+deb12u8"}[min(edition, 3)]
	return []sample.DebianPackage{{Name: "curl", Version: version}, {Name: "libcurl4", Version: version, Source: "curl"}}
}

// wheels are the Python packages of an edition: name and version.
func wheels(edition int) [][2]string {
	pick := func(versions ...string) string { return versions[min(edition-1, len(versions)-1)] }
	return [][2]string{
		{"certifi", pick("2022.12.7", "2023.7.22")}, {"idna", pick("3.4", "3.4", "3.7")}, {"Jinja2", pick("3.1.2", "3.1.2", "3.1.4")},
		{"MarkupSafe", "2.1.3"}, {"pillow", pick("9.5.0", "10.0.0", "10.1.0")}, {"PyYAML", pick("5.3.1", "6.0.1")},
		{"requests", pick("2.30.0", "2.31.0", "2.31.0")}, {"urllib3", pick("1.26.16", "1.26.16", "2.0.7")},
	}
}

// image is an edition of the sample image, base first. Edition 0 is the base alone.
func image(edition int) ([]sample.Layer, error) {
	base := packages(edition)
	if edition == 1 {
		base = packages(0) // built on edition 0
	}
	lower, err := sample.DebianBase("12", "bookworm", base...)
	if err != nil || edition == 0 {
		return []sample.Layer{lower}, err
	}
	middle, err := sample.NewLayer("RUN /bin/sh -c apt-get update && apt-get install -y --no-install-recommends curl ca-certificates && rm -rf /var/lib/apt/lists/* # buildkit",
		sample.File{Path: "var/lib/dpkg/status", Content: sample.Status(append(base, curl(edition)...)...)})
	if err != nil {
		return nil, err
	}
	var files []sample.File
	for _, w := range wheels(edition) {
		files = append(files, sample.File{Path: fmt.Sprintf("usr/local/lib/python3.11/site-packages/%s-%s.dist-info/METADATA", w[0], w[1]),
			Content: fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", w[0], w[1])})
	}
	upper, err := sample.NewLayer("RUN /bin/sh -c pip install --no-cache-dir -r requirements.txt # buildkit", files...)
	if err != nil {
		return nil, err
	}
	own, err := sample.NewLayer("COPY . /srv/app # buildkit", sample.File{Path: "srv/app/main.py", Content: fmt.Sprintf("print('edition %d')\n", edition)})
	return []sample.Layer{lower, middle, upper, own}, err
}
