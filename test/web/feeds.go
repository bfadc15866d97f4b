package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// flaw is a vulnerability of a source package of Debian 12.
type flaw struct {
	stage            int // since which it is published
	id, source       string
	fixed, urgency   string
	epss, percentile float64
	exploited        string // the day on which it came on the list
	description      string
}

// flaws are real ones, told in our own words; what they score is about right.
var flaws = []flaw{
	{1, "CVE-2023-45853", "zlib", "", "unimportant", 0.004, 0.61, "", "MiniZip in zlib overflows a number, and then the heap, by a long name, comment or extra field of a zip file."},
	{1, "CVE-2023-5678", "openssl", "3.0.13-1~deb12u1", "low", 0.002, 0.45, "", "Making or checking DH keys with an excessively large Q takes very long."},
	{1, "CVE-2023-5363", "openssl", "3.0.11-1~deb12u2", "medium", 0.006, 0.68, "", "Keys or initialisation vectors of a length that is set late may be cut, which can lose confidentiality."},
	{1, "CVE-2023-4911", "glibc", "2.36-9+deb12u3", "high", 0.61, 0.981, "2023-11-21", "The dynamic loader overflows a buffer on GLIBC_TUNABLES, so that a local user becomes root."},
	{1, "CVE-2023-46218", "curl", "7.88.1-10+deb12u5", "medium", 0.009, 0.75, "", "A malicious HTTP server can set super cookies that go to more origins than allowed."},
	{1, "CVE-2023-29383", "shadow", "", "low", 0.0005, 0.16, "", "Control characters can be put into fields of /etc/passwd with chfn."},
	{1, "CVE-2023-31484", "perl", "", "low", 0.011, 0.77, "", "CPAN.pm does not check certificates when it downloads distributions over HTTPS."},
	{1, "CVE-2022-48303", "tar", "1.34+dfsg-1.2+deb12u1", "low", 0.001, 0.31, "", "A V7 archive with certain whitespace makes tar read beyond a buffer by a byte."},
	{2, "CVE-2023-44487", "nghttp2", "1.52.0-1+deb12u1", "high", 0.944, 0.999, "2023-10-10", "HTTP/2 lets a client open and reset streams at once, at little cost to itself, until the server has no resources left."},
	{2, "CVE-2023-38545", "curl", "7.88.1-10+deb12u4", "high", 0.26, 0.962, "", "A long host name overflows the heap in the SOCKS5 proxy handshake."},
	{2, "CVE-2023-5981", "gnutls28", "3.7.9-2+deb12u1", "medium", 0.007, 0.71, "", "The time of answers to malformed RSA-PSK ciphertexts differs from that to correct ones."},
	{2, "CVE-2023-7008", "systemd", "252.21-1~deb12u1", "low", 0.003, 0.55, "", "systemd-resolved may accept records of DNSSEC-signed domains although they have no signature."},
	{3, "CVE-2024-2961", "glibc", "2.36-9+deb12u6", "high", 0.927, 0.997, "", "iconv() overflows its output by up to four bytes when it converts to ISO-2022-CN-EXT."},
	{3, "CVE-2024-5535", "openssl", "3.0.14-1~deb12u1", "medium", 0.043, 0.884, "", "SSL_select_next_proto with an empty list of protocols reads beyond a buffer."},
	{3, "CVE-2023-52425", "expat", "2.5.0-1+deb12u1", "medium", 0.008, 0.74, "", "Large tokens that come in many pieces are parsed again and again, which takes resources."},
	{3, "CVE-2024-2398", "curl", "7.88.1-10+deb12u6", "medium", 0.019, 0.82, "", "HTTP/2 server push with too many headers leaks memory."},
}

// wheel is a vulnerability of a Python package.
type wheel struct {
	stage                  int
	id, alias, name, fixed string
	vector                 string
	epss, percentile       float64
	summary, details, weak string
	introduced, refer      string
}

var wheelFlaws = []wheel{
	{1, "GHSA-8q59-q68h-6hv4", "CVE-2020-14343", "pyyaml", "5.4", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 0.078, 0.917, "Improper input validation in PyYAML", "Code runs when untrusted YAML goes through full_load or with the FullLoader.", "CWE-20", "0", "https://github.com/yaml/pyyaml/issues/420"},
	{1, "GHSA-xqr8-7jwr-rhp7", "CVE-2023-37920", "certifi", "2023.7.22", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N", 0.0007, 0.22, "Removal of e-Tugra root certificate", "Certifi trusts roots of a company whose systems were found insecure.", "CWE-345", "2015.4.28", "https://github.com/certifi/python-certifi/security/advisories/GHSA-xqr8-7jwr-rhp7"},
	{1, "GHSA-h5c8-rqwp-cp95", "CVE-2024-22195", "jinja2", "3.1.3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 0.003, 0.52, "Cross-site scripting through the xmlattr filter", "Keys with spaces let attributes be injected.", "CWE-79", "0", "https://github.com/pallets/jinja/security/advisories/GHSA-h5c8-rqwp-cp95"},
	{1, "GHSA-v845-jxx5-vc9f", "CVE-2023-43804", "urllib3", "1.26.17", "CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:N", 0.005, 0.64, "Cookie header is not stripped on cross-origin redirects", "A cookie that was set by hand goes along to another origin.", "CWE-200", "0", "https://github.com/urllib3/urllib3/security/advisories/GHSA-v845-jxx5-vc9f"},
	{2, "GHSA-3f63-hfp8-52jq", "CVE-2023-50447", "pillow", "10.2.0", "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:H/A:H", 0.012, 0.79, "Arbitrary code execution in Pillow", "ImageMath.eval runs code through the environment that it is given.", "CWE-94", "0", "https://devhub.checkmarx.com/cve-details/CVE-2023-50447/"},
	{3, "GHSA-9wx4-h78v-vm56", "CVE-2024-35195", "requests", "2.32.0", "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:H/I:H/A:N", 0.0006, 0.19, "Requests session keeps verify=False", "After one request without verification a session does not verify the same host again.", "CWE-670", "0", "https://github.com/psf/requests/security/advisories/GHSA-9wx4-h78v-vm56"},
	{3, "GHSA-q2x7-8rv6-6q7h", "CVE-2024-56326", "jinja2", "3.1.5", "CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 0.002, 0.4, "Sandbox breakout through an indirect reference to format", "A template's author can call str.format through a filter, and so leave the sandbox.", "CWE-693", "0", "https://github.com/pallets/jinja/security/advisories/GHSA-q2x7-8rv6-6q7h"},
	{3, "GHSA-jjg7-2v4v-x38h", "CVE-2024-3651", "idna", "3.7", "CVSS:3.1/AV:L/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 0.001, 0.33, "Denial of service by specially crafted inputs to idna.encode", "It takes time that grows with the square of the input's length.", "CWE-400", "0", "https://github.com/kjd/idna/security/advisories/GHSA-jjg7-2v4v-x38h"},
}

// writeFeeds writes what the publishers have at a stage.
func writeFeeds(dir string, stage int) error {
	debian := make(map[string]map[string]any)
	var scores, exploited []string
	score := func(id string, epss, percentile float64) {
		scores = append(scores, fmt.Sprintf("%s,%.5f,%.5f", id, epss, percentile))
	}
	catalog := []map[string]any{}
	for _, f := range flaws {
		if f.stage > stage {
			continue
		}
		if debian[f.source] == nil {
			debian[f.source] = make(map[string]any)
		}
		release := map[string]string{"status": "open", "urgency": f.urgency}
		if f.fixed != "" {
			release["status"], release["fixed_version"] = "resolved", f.fixed
		}
		debian[f.source][f.id] = map[string]any{"description": f.description, "releases": map[string]any{"bookworm": release}}
		score(f.id, f.epss, f.percentile)
		if f.exploited != "" {
			exploited = append(exploited, f.id)
			catalog = append(catalog, map[string]any{"cveID": f.id, "dateAdded": f.exploited, "shortDescription": f.description, "requiredAction": "Update.", "dueDate": "2023-12-12"})
		}
	}
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for _, w := range wheelFlaws {
		if w.stage > stage {
			continue
		}
		score(w.alias, w.epss, w.percentile)
		kind := "CVSS_V3"
		if strings.HasPrefix(w.vector, "CVSS:4") {
			kind = "CVSS_V4"
		}
		record, err := z.Create(w.id + ".json")
		if err != nil {
			return err
		}
		if err := json.NewEncoder(record).Encode(map[string]any{
			"schema_version": "1.6.0", "id": w.id, "aliases": []string{w.alias}, "summary": w.summary, "details": w.details,
			"modified": fmt.Sprintf("2026-0%d-01T00:00:00Z", stage), "published": "2024-01-11T15:20:48Z",
			"severity": []map[string]string{{"type": kind, "score": w.vector}}, "database_specific": map[string]any{"cwe_ids": []string{w.weak}},
			"references": []map[string]string{{"type": "ADVISORY", "url": w.refer}, {"type": "WEB", "url": "https://nvd.nist.gov/vuln/detail/" + w.alias}},
			"affected": []map[string]any{{
				"package": map[string]string{"ecosystem": "PyPI", "name": w.name},
				"ranges":  []map[string]any{{"type": "ECOSYSTEM", "events": []map[string]string{{"introduced": w.introduced}, {"fixed": w.fixed}}}},
			}},
		}); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	tracker, err := json.Marshal(debian)
	if err != nil {
		return err
	}
	kev, err := json.Marshal(map[string]any{"title": "Catalogue", "catalogVersion": fmt.Sprintf("2026.11.0%d", stage), "count": len(exploited), "vulnerabilities": catalog})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"security-tracker.debian.org/tracker/data/json":                               tracker,
		"osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip":                     archive.Bytes(),
		"www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json": kev,
		"epss.empiricalsecurity.com/epss_scores-current.csv.gz":                       []byte(fmt.Sprintf("#model_version:v2026.06.15,score_date:2026-11-1%dT00:00:00+0000\ncve,epss,percentile\n%s\n", stage, strings.Join(scores, "\n"))),
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
