package source_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/sourcetest"
)

func TestCreateSaysWhatIsWrong(t *testing.T) {
	h := newHarbour(t)
	ctx := t.Context()
	if _, err := h.Create(ctx, source.Draft{Name: "a", Extension: "clair-v1", URL: "http://clair"}); !errors.Is(err, source.ErrDisabled) {
		t.Errorf("of a disabled extension: %v", err)
	}
	if _, err := h.SetExtension(ctx, "clair-v1", true); err != nil {
		t.Fatal(err)
	}
	good := source.Draft{Name: "clair", Extension: "clair-v1", URL: "http://clair.example.com:6060/path/"}
	for _, test := range []struct {
		name, field string
		change      func(*source.Draft)
	}{
		{"no name", "name", func(d *source.Draft) { d.Name = "" }},
		{"a name that is a path", "name", func(d *source.Draft) { d.Name = "a/b" }},
		{"the built-in's name", "name", func(d *source.Draft) { d.Name = source.BuiltIn }},
		{"an unknown extension", "extension", func(d *source.Draft) { d.Extension = "clair-v9" }},
		{"the built-in extension", "extension", func(d *source.Draft) { d.Extension = source.BuiltIn }},
		{"no URL", "url", func(d *source.Draft) { d.URL = "" }},
		{"a file", "url", func(d *source.Draft) { d.URL = "file:///etc/passwd" }},
		{"ftp", "url", func(d *source.Draft) { d.URL = "ftp://clair" }},
		{"a host alone", "url", func(d *source.Draft) { d.URL = "clair:6060" }},
		{"link-local", "url", func(d *source.Draft) { d.URL = "http://169.254.169.254/" }},
		{"link-local in IPv6", "url", func(d *source.Draft) { d.URL = "http://[fe80::1]:6060" }},
		{"link-local, mapped", "url", func(d *source.Draft) { d.URL = "http://[::ffff:a9fe:a9fe]/" }},
		{"a cloud's metadata", "url", func(d *source.Draft) { d.URL = "http://[fd00:ec2::254]/" }},
		{"unspecified", "url", func(d *source.Draft) { d.URL = "http://0.0.0.0:6060" }},
		{"credentials", "url", func(d *source.Draft) { d.URL = "http://a:b@clair" }},
		{"a query", "url", func(d *source.Draft) { d.URL = "http://clair/?a=b" }},
		{"a line break", "authorization_header", func(d *source.Draft) { d.Authorization = "Bearer x\r\nX-Other: y" }},
		{"a line feed", "authorization_header", func(d *source.Draft) { d.Authorization = "Bearer x\n" }},
		{"a null character", "authorization_header", func(d *source.Draft) { d.Authorization = "Bearer\x00" }},
		{"too long a header", "authorization_header", func(d *source.Draft) { d.Authorization = strings.Repeat("x", 9000) }},
		{"no certificate", "ca_certificates", func(d *source.Draft) { d.CA = "hello" }},
		{"a key", "ca_certificates", func(d *source.Draft) { d.CA = "-----BEGIN PRIVATE KEY-----\nYQ==\n-----END PRIVATE KEY-----\n" }},
		{"too short a time-out", "timeout_seconds", func(d *source.Draft) { d.Timeout = time.Second }},
		{"too much at once", "concurrency", func(d *source.Draft) { d.Concurrency = 1000 }},
	} {
		d := good
		test.change(&d)
		_, err := h.Create(ctx, d)
		var field *source.FieldError
		if !errors.As(err, &field) || field.Field != test.field {
			t.Errorf("%s: got %v, want one on %s", test.name, err, test.field)
		}
		if err != nil && d.Authorization != "" && strings.Contains(err.Error(), "Bearer") {
			t.Errorf("%s: the header is shown: %v", test.name, err)
		}
	}
	if all, err := h.Sources(ctx); err != nil || len(all) > 0 {
		t.Errorf("something was made: %+v, %v", all, err)
	}
	o, err := h.Create(ctx, good)
	if err != nil || o.URL != "http://clair.example.com:6060/path" || o.Timeout != source.DefaultTimeout || o.Concurrency != source.DefaultConcurrency {
		t.Errorf("got %+v, %v", o, err)
	}
}

// TestNamesThatLeadAstray: a name can stand for an address that must not be
// called, which is found out when it is called.
func TestNamesThatLeadAstray(t *testing.T) {
	h := newHarbour(t)
	if _, err := net.DefaultResolver.LookupHost(t.Context(), "localhost"); err != nil {
		t.Skipf("localhost has no address: %v", err)
	}
	s := httptest.NewServer(http.RedirectHandler("http://169.254.169.254/latest/meta-data/", http.StatusFound))
	defer s.Close()
	h.attach(t, "clair-v1", s.URL)
	var failure *source.Failure
	if _, err := h.Test(t.Context(), "scanner"); !errors.As(err, &failure) || failure.Code != source.BadAnswer || !strings.Contains(failure.Reason, "302") {
		t.Errorf("a redirect to metadata: %v", err)
	}
}

func TestChange(t *testing.T) {
	h := newHarbour(t)
	ctx := t.Context()
	service := standIns()["clair-v1"](t)
	o := h.attach(t, "clair-v1", service.URL)
	if bytes.Contains(o.Sealed, []byte("the-api-key")) {
		t.Error("the header is kept in the clear")
	}
	elsewhere, more := "http://thief.example.com", 4
	if _, err := h.Change(ctx, "scanner", 99, source.Change{Concurrency: &more}); !errors.Is(err, source.ErrChanged) {
		t.Errorf("of another version: %v", err)
	}
	var field *source.FieldError
	if _, err := h.Change(ctx, "scanner", 0, source.Change{URL: &elsewhere}); !errors.As(err, &field) || field.Field != "authorization_header" {
		t.Errorf("a URL elsewhere gets the header: %v", err)
	}
	changed, err := h.Change(ctx, "scanner", o.Version, source.Change{Concurrency: &more})
	if err != nil || changed.Concurrency != 4 || changed.Version != o.Version+1 || !cmp.Equal(changed.Sealed, o.Sealed) {
		t.Errorf("got %+v, %v", changed, err)
	}
	// What failed before is tried again at once.
	service.Fail(sourcetest.Fault{At: "/v1/layers", Status: 422})
	h.work(t)
	if scan := h.scan(t); scan.State != source.Quarantined {
		t.Fatalf("got %+v", scan)
	}
	none := ""
	if _, err := h.Change(ctx, "scanner", 0, source.Change{Authorization: &none}); err != nil {
		t.Fatal(err)
	}
	h.work(t)
	if scan := h.scan(t); scan.State != source.Waiting || !strings.Contains(scan.Error, "none is set") {
		t.Errorf("without a header: %+v", scan)
	}
	if _, err := h.Change(ctx, source.BuiltIn, 0, source.Change{}); !errors.Is(err, source.ErrBuiltIn) {
		t.Errorf("the built-in analyser: %v", err)
	}
	if err := h.Delete(ctx, source.BuiltIn, 0); !errors.Is(err, source.ErrBuiltIn) {
		t.Errorf("the built-in analyser: %v", err)
	}
}

func TestExtensions(t *testing.T) {
	h := newHarbour(t)
	ctx := t.Context()
	want := func(step string, names ...string) {
		t.Helper()
		all, err := h.Extensions(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range all {
			if e.Enabled {
				got = append(got, e.Name)
			}
		}
		if diff := cmp.Diff(names, got); diff != "" || len(all) != 4 {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	want("first", "built-in")
	if _, err := h.SetExtension(ctx, "scanner-adapter", true); err != nil {
		t.Fatal(err)
	}
	want("enabled", "built-in", "scanner-adapter")
	if _, err := h.SetExtension(ctx, "built-in", false); !errors.Is(err, source.ErrBuiltIn) {
		t.Errorf("disable the built-in analyser: %v", err)
	}
	if _, err := h.SetExtension(ctx, "x", true); !errors.Is(err, source.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	if _, err := h.SetExtension(ctx, "scanner-adapter", false); err != nil {
		t.Fatal(err)
	}
	want("disabled", "built-in")
}

// TestTest: what is wrong with a connection is said in plain words.
func TestTest(t *testing.T) {
	plain := func(t *testing.T, h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	tls := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Namespaces":null}`))
	}))
	tls.Config.ErrorLog = nil
	t.Cleanup(tls.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw}))
	refusing := plain(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	page := plain(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello</html>")) })
	name := strings.Replace(tls.URL, "127.0.0.1", "localhost", 1)
	v1, v4, scanner := standIns()["clair-v1"](t).URL, standIns()["clair-v4"](t).URL, standIns()["scanner-adapter"](t).URL
	for _, test := range []struct {
		name, kind, url, code, want string
		change                      func(*source.Draft)
	}{
		{"a Clair 2", "clair-v1", v1, "", "Clair with the v1 API", nil},
		{"a Clair 4", "clair-v4", v4, "", "Clair with the v4 API, index state 5ca1ab1e", nil},
		{"a scanner", "scanner-adapter", scanner, "", "Stand-in 1.0 by Tests", nil},
		{"the wrong kind of Clair", "clair-v4", v1, source.BadAnswer, "is not a Clair with the v4 API: it answers 404", nil},
		{"the other way round", "clair-v1", v4, source.BadAnswer, "is not a Clair with the v1 API", nil},
		{"no scanner", "scanner-adapter", v4, source.BadAnswer, "is not a scanner adapter", nil},
		{"a web page", "clair-v4", page, source.BadAnswer, "is not a Clair", nil},
		{"nobody listens", "clair-v1", "http://127.0.0.1:1", source.Unreachable, "nothing listens at 127.0.0.1:1 (connection refused)", nil},
		{"no such name", "clair-v1", "http://clair.invalid:6060", source.Unreachable, "the name in clair.invalid:6060 cannot be resolved", nil},
		{"a wrong key", "clair-v1", v1, source.Unauthorized, "is not one that it accepts", func(d *source.Draft) { d.Authorization = "Bearer wrong" }},
		{"no key", "clair-v1", refusing, source.Unauthorized, "none is set", func(d *source.Draft) { d.Authorization = "" }},
		{"an unknown authority", "clair-v1", tls.URL, source.BadTLS, "signed by an unknown authority", nil},
		{"its authority", "clair-v1", tls.URL, "", "no vulnerability data yet", func(d *source.Draft) { d.CA = ca }},
		{"another name", "clair-v1", name, source.BadTLS, "is for another name", func(d *source.Draft) { d.CA = ca }},
		{"no check", "clair-v1", name, "", "Clair with the v1 API", func(d *source.Draft) { d.SkipVerify = true }},
		{"https where there is none", "clair-v1", strings.Replace(v1, "http:", "https:", 1), source.BadTLS, "does not speak TLS", nil},
		{"http where there is TLS", "scanner-adapter", strings.Replace(tls.URL, "https:", "http:", 1), source.BadTLS, "write https://", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHarbour(t)
			if _, err := h.SetExtension(t.Context(), test.kind, true); err != nil {
				t.Fatal(err)
			}
			d := source.Draft{Name: "s", Extension: test.kind, URL: test.url, Authorization: header}
			if test.change != nil {
				test.change(&d)
			}
			if _, err := h.Create(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			says, err := h.Test(t.Context(), "s")
			var failure *source.Failure
			switch {
			case test.code == "" && err == nil && strings.Contains(says, test.want):
			case test.code != "" && errors.As(err, &failure) && failure.Code == test.code && strings.Contains(failure.Reason, test.want):
			default:
				t.Errorf("got %q, %v (%+v), want %s %q", says, err, failure, test.code, test.want)
			}
		})
	}
}

func TestDisagreements(t *testing.T) {
	pkg := inventory.Package{Name: "musl", Version: "1"}
	f := match.Finding{VulnerabilityID: 1, Vulnerability: "CVE-1", Severity: advisory.High, Fixed: "2", Package: pkg, Sources: []string{"built-in", "clair"},
		Witnesses: []match.Witness{{Source: "clair", Vulnerability: "RHSA-1", Severity: advisory.Low, Fixed: "3"}}}
	agreed := f
	agreed.VulnerabilityID, agreed.Witnesses = 2, []match.Witness{{Source: "clair", Severity: advisory.Unknown, Fixed: "2"}}
	elsewhere := f
	elsewhere.Evidence.Path = "/other"
	got := source.Disagreements([]match.Finding{f, elsewhere, agreed}, []string{"built-in", "clair"})
	want := []source.Disagreement{{VulnerabilityID: 1, Vulnerability: "CVE-1", Severity: advisory.High, Package: pkg, On: []string{"severity", "fixed_version"}, Words: []source.Word{
		{Witness: match.Witness{Source: "built-in", Vulnerability: "CVE-1", Severity: advisory.High, Fixed: "2"}, Reports: true},
		{Witness: f.Witnesses[0], Reports: true}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("two (-want +got):\n%s", diff)
	}
	three := source.Disagreements([]match.Finding{agreed}, []string{"built-in", "clair", "trivy"})
	if len(three) != 1 || !cmp.Equal(three[0].On, []string{"reported"}) || three[0].Words[2].Reports {
		t.Errorf("three: %+v", three)
	}
	if one := source.Disagreements([]match.Finding{f}, []string{"clair"}); one != nil {
		t.Errorf("one: %+v", one)
	}
}

func TestCover(t *testing.T) {
	known := image.Coverage{Verdict: image.Known}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name    string
		builtIn bool
		scans   []source.Scan
		want    image.Coverage
	}{
		{"the built-in analyser alone", true, nil, known},
		{"all answered", true, []source.Scan{{Source: "clair", State: source.Answered, AnsweredAt: at}}, known},
		{"asked again", true, []source.Scan{{Source: "clair", State: source.Running, AnsweredAt: at}}, known},
		{"one did not", true, []source.Scan{{Source: "clair", State: source.Waiting, Error: "refused"}}, image.Coverage{Verdict: image.Partial, Reasons: []string{"clair has not answered yet: refused"}}},
		{"one does no longer", true, []source.Scan{{Source: "clair", State: source.Quarantined, Error: "refused", AnsweredAt: at}},
			image.Coverage{Verdict: image.Partial, Reasons: []string{"clair last answered at 2026-01-01T00:00:00Z: refused"}}},
		{"nobody", false, nil, image.Coverage{Verdict: image.Unjudged, Reasons: []string{"no vulnerability source is attached"}}},
		{"the others alone", false, []source.Scan{{Source: "clair", State: source.Answered, AnsweredAt: at}}, known},
		{"the others not yet", false, []source.Scan{{Source: "clair", State: source.Queued}}, image.Coverage{Verdict: image.Unjudged, Reasons: []string{"clair has not answered yet"}}},
	} {
		if diff := cmp.Diff(test.want, source.Cover(known, test.builtIn, test.scans)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
