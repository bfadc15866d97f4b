package secdb

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIdentifiers(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"CVE-2019-14697", []string{"CVE-2019-14697"}},
		{" CVE-2019-14697 ", []string{"CVE-2019-14697"}},
		{"CVE-2017-17044 XSA-246", []string{"CVE-2017-17044"}},
		{"GNUTLS-SA-2020-03-31 CVE-2020-11501", []string{"CVE-2020-11501"}},
		{"CVE-2018-3620 CVE-2018-3646 XSA-273", []string{"CVE-2018-3620", "CVE-2018-3646"}},
		{"CVE-2026-45076, GHSA-6qf2-7x63-mm6v", []string{"CVE-2026-45076"}},
		{"CVE-2026-47215 / GHSA-wqcr-7rf3-f64m", []string{"CVE-2026-47215"}},
		{"CVE-2017-2616 (+ regression fix)", []string{"CVE-2017-2616"}},
		{"CVE-2018-16301 (was fixed in CVE-2000-0001)", []string{"CVE-2018-16301"}},
		{"CVE_2019-2426", []string{"CVE-2019-2426"}},
		{"CVE 2025-48379", []string{"CVE-2025-48379"}},
		{"cve-2019-11474", []string{"CVE-2019-11474"}},
		{"CVE-2017-17434-2", []string{"CVE-2017-17434"}},
		{"CVE-2021-35940.patch", []string{"CVE-2021-35940"}},
		{"CVE N/A ZBX-11023", []string{"ZBX-11023"}},
		{"CVE-????-????? XSA-312", []string{"XSA-312"}},
		{"CVE-2020-????? XSA-312", []string{"XSA-312"}},
		{"CVE-2025-XXXXX VSV00016", []string{"VSV00016"}},
		{"CVE-46838", []string{"CVE-46838"}},
		{"GHSA-77vh-xpmg-72qh", []string{"GHSA-77vh-xpmg-72qh"}},
		{"ghsa-77VH-xpmg-72qh", []string{"GHSA-77vh-xpmg-72qh"}},
		{"ELEMENTSEC-2024-1520, GHSA-rgv2-84w7-5j9p", []string{"GHSA-rgv2-84w7-5j9p"}},
		{"CGA-2222-3333-ghjm", []string{"CGA-2222-3333-ghjm"}},
		{"cga-QWXR-ghjm-ppqr", []string{"CGA-qwxr-ghjm-ppqr"}},
		{"CGA-2222-3333-ghjm GHSA-77vh-xpmg-72qh", []string{"GHSA-77vh-xpmg-72qh"}},
		{"XSA-207", []string{"XSA-207"}},
		{"DW202402-001", []string{"DW202402-001"}},
		{"wnpa-sec-2017-18", []string{"wnpa-sec-2017-18"}},
		{"GNUTLS-SA-2020-03-31", []string{"GNUTLS-SA-2020-03-31"}},
		{"ALPINE-13661", []string{"ALPINE-13661"}},
		{"", nil},
		{"unknown", nil},
		{"CVE-????-?????", nil},
		{"(CVE-2000-0001)", nil},
		{"1.2.3", nil},
		{"CVE-20000-0001x", nil},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, identifiers(test.text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestMend(t *testing.T) {
	for fixed, want := range map[string]string{
		"1.1.18-r4": "1.1.18-r4", "10.0.11-0": "10.0.11-r0", "1.34.0_r0": "1.34.0-r0", "10.2.26.r0": "10.2.26-r0", "1.7.5.-r1": "1.7.5-r1",
		"57-1-r2": "57-1-r2", "2021-03-27-r5": "2021-03-27-r5", "": "", "x": "x", "1.2_rc1-r0": "1.2_rc1-r0", "1.2_rc1-3": "1.2_rc1-r3",
	} {
		if got := mend(fixed); got != want {
			t.Errorf("mend(%q) = %q, want %q", fixed, got, want)
		}
	}
}
