package version_test

import (
	"testing"

	"github.com/pratique/pratique/internal/version"
)

func FuzzCompare(f *testing.F) {
	for _, seed := range [][3]string{
		{"1.0-1", "1.0~rc1-1", "1:0"}, {"1.2.3_rc1-r0", "1.2.3-r1", "1.2.3a"}, {"", "~", "-"}, {"1.05", "1.5", "1.0"}, {"1_p1", "1~ab", "1-r"},
		{"1.0^git1-1.el9", "1.0", "2:1.0-1"}, {"1.0.0-rc.1", "v1.0.0-alpha+b", "1.0.0-01"}, {"1.22rc1", "go1.22.1", "v0.0.0-20230801123456-0123456789ab"},
		{"1!1.0a1.post2.dev3+l.1", "1.0-1", "v1.0c"}, {"1.0.Final", "1--alpha", "1.0.beta-2"}, {"1.ga.2-sp", "1.foo", "0-0.0-x1"}, {"1.0.a.0.b", "1-2", "1.0.0"},
		{"1.0.0.1-Beta.2", "1 . 0--5", "1.0-99999999999"}, {"1.2.x-dev", "2010-01-02.3-p1", "v1.0RC1-dev@beta"}, {"1.0.0--1", "1.0.0-0x1f+2", "1.0.0+a"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		for _, scheme := range schemes {
			ab, errAB := version.Compare(scheme, a, b)
			ba, errBA := version.Compare(scheme, b, a)
			if ab != -ba || (errAB == nil) != (errBA == nil) {
				t.Errorf("%s: %q %q: %d, %v, but the other way round %d, %v", scheme, a, b, ab, errAB, ba, errBA)
			}
			if self, _ := version.Compare(scheme, a, a); self != 0 {
				t.Errorf("%s: %q is not equal to itself", scheme, a)
			}
			bc, errBC := version.Compare(scheme, b, c)
			ac, _ := version.Compare(scheme, a, c)
			keyed := checkKeys(t, scheme, a, b)
			keyed = checkKeys(t, scheme, b, c) && keyed
			keyed = checkKeys(t, scheme, a, c) && keyed
			// Where there is no key, Maven's order runs in circles.
			if (keyed || scheme != version.Maven) && errAB == nil && errBC == nil && ab <= 0 && bc <= 0 && ac > 0 {
				t.Errorf("%s: %q <= %q <= %q, but %q > %q", scheme, a, b, c, a, c)
			}
		}
	})
}
