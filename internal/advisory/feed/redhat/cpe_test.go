package redhat

import (
	"slices"
	"testing"
)

func TestEcosystem(t *testing.T) {
	tests := []struct{ cpe, want string }{
		{"cpe:/o:redhat:enterprise_linux:9", "rhel:9"},
		{"cpe:/o:redhat:enterprise_linux:9::baseos", "rhel:9"},
		{"cpe:/a:redhat:enterprise_linux:8::appstream", "rhel:8"},
		{"cpe:/a:redhat:enterprise_linux:8::highavailability", "rhel:8"},
		{"cpe:/o:redhat:enterprise_linux:7::server", "rhel:7"},
		{"cpe:/o:redhat:enterprise_linux:10.1", "rhel:10"},
		{"cpe:2.3:o:redhat:enterprise_linux:9:*:baseos:*:*:*:*:*", "rhel:9"},
		{" CPE:/O:RedHat:Enterprise_Linux:9 ", "rhel:9"},
		{"cpe:/a:redhat:rhel_extras:7", "rhel:7"},
		{"cpe:/a:redhat:rhel_extras_rt:7", "rhel:7"},
		{"cpe:/a:redhat:rhel_extras_sap:7", "cpe:/a:redhat:rhel_extras_sap:7"},
		{"cpe:/a:redhat:rhel_eus:9.2::appstream", "cpe:/o:redhat:rhel_eus:9.2"},
		{"cpe:/o:redhat:rhel_eus:9.2::baseos", "cpe:/o:redhat:rhel_eus:9.2"},
		{"cpe:/a:redhat:rhel_eus:9.2", "cpe:/o:redhat:rhel_eus:9.2"},
		{"cpe:/a:redhat:rhel_eus_long_life:8.4::appstream", "cpe:/o:redhat:rhel_eus_long_life:8.4"},
		{"cpe:/o:redhat:enterprise_linux_eus:10.0", "cpe:/o:redhat:enterprise_linux_eus:10.0"},
		{"cpe:/o:redhat:rhel_els:7", "cpe:/o:redhat:rhel_els:7"},
		{"cpe:/a:redhat:enterprise_linux_ai:3", "cpe:/a:redhat:enterprise_linux_ai:3"},
		{"cpe:/a:redhat:openshift:4.12::el8", "cpe:/a:redhat:openshift:4.12::el8"},
		{"cpe:2.3:a:redhat:openshift:4.12:*:el8:*:*:*:*:*", "cpe:/a:redhat:openshift:4.12::el8"},
		{"cpe:/a:redhat:ocp_tools", "cpe:/a:redhat:ocp_tools"},
		{"cpe:/o:redhat:enterprise_linux", "cpe:/o:redhat:enterprise_linux"},
		{"cpe:/o:centos:enterprise_linux:9", "cpe:/o:centos:enterprise_linux:9"},
		{"", ""}, {"rhel:9", ""}, {"cpe:/", ""}, {"cpe:/o", ""}, {"cpe:/o:redhat", ""}, {"cpe:/ox:redhat:enterprise_linux:9", ""},
		{"cpe:/o:redhat:enterprise_linux:9\x00", ""},
	}
	for _, test := range tests {
		got := ""
		if c, ok := parseCPE(test.cpe); ok {
			got = c.ecosystem()
		}
		if got != test.want {
			t.Errorf("%q: got %q, want %q", test.cpe, got, test.want)
		}
	}
}

func TestEcosystemsOfRepositories(t *testing.T) {
	m := Repositories{
		"rhel-9-for-x86_64-baseos-rpms":                    {"cpe:/o:redhat:enterprise_linux:9::baseos"},
		"rhel-9-for-x86_64-appstream-rpms":                 {"cpe:/a:redhat:enterprise_linux:9::appstream"},
		"rhel-9-for-x86_64-baseos-eus-rpms__9_DOT_2":       {"cpe:/o:redhat:rhel_eus:9.2::baseos"},
		"rhocp-4.16-for-rhel-9-x86_64-rpms":                {"cpe:/a:redhat:openshift:4.16::el9"},
		"openshift-developer-tools-and-services-for-rhel9": {"cpe:/a:redhat:ocp_tools"},
	}
	openshift := []string{
		"cpe:/a:redhat:openshift", "cpe:/a:redhat:openshift:4", "cpe:/a:redhat:openshift:4.16", "cpe:/a:redhat:openshift:4.16::el9",
		"cpe:/a:redhat:openshift:4::el9", "cpe:/a:redhat:openshift:::el9",
	}
	tests := []struct {
		name          string
		ids           []string
		own, fallback []string
	}{
		{"mainstream", []string{"rhel-9-for-x86_64-baseos-rpms", "rhel-9-for-x86_64-appstream-rpms"}, []string{"rhel:9"}, nil},
		{"an extended stream", []string{"rhel-9-for-x86_64-baseos-eus-rpms__9_DOT_2"}, []string{"cpe:/o:redhat:rhel_eus:9.2"}, []string{"rhel:9"}},
		{"an extended stream beside the mainstream", []string{"rhel-9-for-x86_64-baseos-eus-rpms__9_DOT_2", "rhel-9-for-x86_64-baseos-rpms"}, []string{"cpe:/o:redhat:rhel_eus:9.2", "rhel:9"}, nil},
		{"a product", []string{"rhocp-4.16-for-rhel-9-x86_64-rpms"}, openshift, nil},
		{"a product without a version", []string{"openshift-developer-tools-and-services-for-rhel9"}, []string{"cpe:/a:redhat:ocp_tools"}, nil},
		{"a product on an extended stream", []string{"rhocp-4.16-for-rhel-9-x86_64-rpms", "rhel-9-for-x86_64-baseos-eus-rpms__9_DOT_2"}, append(slices.Clone(openshift), "cpe:/o:redhat:rhel_eus:9.2"), []string{"rhel:9"}},
		{"one that nobody knows", []string{"epel"}, nil, nil},
		{"none", nil, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			own, fallback := m.Ecosystems(test.ids...)
			slices.Sort(test.own)
			if !slices.Equal(own, test.own) || !slices.Equal(fallback, test.fallback) {
				t.Errorf("got %q, %q\nwant %q, %q", own, fallback, test.own, test.fallback)
			}
		})
	}
}

// TestNamesMeet: whatever a repository's product is, what is stated on it, or on
// less than it, is among what is looked for.
func TestNamesMeet(t *testing.T) {
	for _, test := range []struct{ repository, stated string }{
		{"cpe:/a:redhat:openshift:4.16::el9", "cpe:/a:redhat:openshift:4.16::el9"},
		{"cpe:/a:redhat:openshift:4.16::el9", "cpe:/a:redhat:openshift:4.16"},
		{"cpe:/a:redhat:openshift:4.16::el9", "cpe:/a:redhat:openshift:4"},
		{"cpe:/a:redhat:rhel_eus:9.2::appstream", "cpe:/o:redhat:rhel_eus:9.2::baseos"},
		{"cpe:/a:redhat:rhel_software_collections:3::el7", "cpe:/a:redhat:rhel_software_collections:3"},
		{"cpe:/a:redhat:jboss_enterprise_application_platform:7.4::el8", "cpe:/a:redhat:jboss_enterprise_application_platform:7"},
		{"cpe:/o:redhat:enterprise_linux:10.1", "cpe:/o:redhat:enterprise_linux:10"},
	} {
		r, ok := parseCPE(test.repository)
		s, ok2 := parseCPE(test.stated)
		if !ok || !ok2 || !slices.Contains(r.applicable(), s.ecosystem()) {
			t.Errorf("%s: %q is not among %q", test.repository, s.ecosystem(), r.applicable())
		}
	}
}

func FuzzParseCPE(f *testing.F) {
	for _, seed := range []string{"cpe:/o:redhat:enterprise_linux:9::baseos", "cpe:2.3:a:redhat:openshift:4.12:*:el8:*:*:*:*:*", "cpe:/a:redhat:rhel_eus:....", "cpe:/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := parseCPE(text)
		if !ok {
			return
		}
		if again, ok := parseCPE(c.String()); !ok || again != c {
			t.Errorf("%q is %+v, and its name %q %+v", text, c, c, again)
		}
		if !slices.Contains(c.applicable(), c.ecosystem()) {
			t.Errorf("%q: %q is not among %q", text, c.ecosystem(), c.applicable())
		}
	})
}
