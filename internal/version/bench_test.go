package version_test

import (
	"testing"

	"github.com/pratique/pratique/internal/version"
)

// usual are versions as advisories and packages have them.
var usual = map[version.Scheme][2]string{
	version.Deb:      {"1:2.38.1-5+deb12u2", "1:2.38.1-5+deb12u3"},
	version.APK:      {"3.0.12_git20230801-r4", "3.0.12_git20230801-r5"},
	version.RPM:      {"1:3.0.7-27.el9_4.1", "1:3.0.7-27.el9_4.2"},
	version.NPM:      {"4.17.20-rc.1", "4.17.20-rc.2"},
	version.Golang:   {"v0.0.0-20230801123456-0123456789ab", "v0.0.0-20230801123456-0123456789ac"},
	version.Cargo:    {"0.10.55-beta.1", "0.10.55"},
	version.PyPI:     {"2.31.0.post1", "2.31.0.post2"},
	version.Maven:    {"2.13.4.RC1-redhat-1", "2.13.4.RC1-redhat-2"},
	version.Gem:      {"6.1.7.rc1", "6.1.7.rc2"},
	version.NuGet:    {"6.0.0-preview.4.21253.7", "6.0.0-Preview.4.21253.8"},
	version.Composer: {"v5.4.31-BETA2", "v5.4.31-beta3"},
	version.Hex:      {"1.7.0-rc.1", "1.7.0-rc.2"},
	version.Pub:      {"1.2.3-dev.1+4", "1.2.3-dev.1+5"},
}

func BenchmarkCompare(b *testing.B) {
	for _, scheme := range schemes {
		pair := usual[scheme]
		b.Run(string(scheme), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = version.Compare(scheme, pair[0], pair[1])
			}
		})
	}
}

func BenchmarkKey(b *testing.B) {
	for _, scheme := range schemes {
		v := usual[scheme][0]
		b.Run(string(scheme), func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				key, err := version.Key(scheme, v)
				if err != nil {
					b.Fatal(err)
				}
				size = len(key)
			}
			b.ReportMetric(float64(size), "bytes/key")
		})
	}
}
