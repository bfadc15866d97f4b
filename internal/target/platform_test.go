package target

import "testing"

func TestParsePlatform(t *testing.T) {
	for _, text := range []string{"", "linux", "/", "linux/", "linux/arm64/v8/x", "linux//v8"} {
		if p, err := ParsePlatform(text); err == nil {
			t.Errorf("%q: got %v", text, p)
		}
	}
	if p, err := ParsePlatform("linux/arm/v7"); err != nil || p != (Platform{"linux", "arm", "v7"}) || p.String() != "linux/arm/v7" {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestFit(t *testing.T) {
	for _, test := range []struct {
		want, got string
		fits      bool
	}{
		{"linux/amd64", "linux/amd64", true},
		{"linux/x86_64", "Linux/AMD64", true},
		{"linux/amd64", "linux/arm64", false},
		{"linux/amd64", "windows/amd64", false},
		{"linux/arm64", "linux/arm64/v8", true},
		{"linux/arm64/v8", "linux/arm64", true},
		{"linux/aarch64", "linux/arm64", true},
		{"linux/arm", "linux/arm/v7", true},
		{"linux/arm", "linux/arm/v6", true},
		{"linux/arm", "linux/arm/7", true},
		{"linux/arm", "linux/arm/v8", false},
		{"linux/arm/v7", "linux/arm/v6", false},
		{"linux/armhf", "linux/arm/v7", true},
		{"linux/amd64", "linux/amd64/v2", true},
		{"linux/amd64/v3", "linux/amd64/v2", false},
		{"linux/i386", "linux/386", true},
	} {
		want, err := ParsePlatform(test.want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParsePlatform(test.got)
		if err != nil {
			t.Fatal(err)
		}
		if _, fits := want.fit(got); fits != test.fits {
			t.Errorf("%s for %s: %v", test.got, test.want, fits)
		}
	}
	arm, exact := Platform{"linux", "arm", ""}, Platform{"linux", "arm", "v7"}
	older, _ := arm.fit(Platform{"linux", "arm", "v6"})
	oldest, _ := arm.fit(Platform{"linux", "arm", "v5"})
	if best, _ := arm.fit(exact); best >= older || older >= oldest {
		t.Errorf("v7 is %d, v6 %d, v5 %d", best, older, oldest)
	}
}
