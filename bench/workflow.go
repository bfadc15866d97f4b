package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/store"
)

// listTarget is what each list, figure and preview may take.
const listTarget = 100 * time.Millisecond

// workflow measures lists, figures and previews over REST, with 100,000 images that
// have 1,000,000 findings, on each engine.
func workflow(ctx context.Context, o options) error {
	t := newTable("Lists, figures and previews over REST", "engine", "what", "median", "slowest of 20", "target", "of what size")
	for _, open := range o.engines() {
		d, err := open(o)
		if err != nil {
			fmt.Fprintln(os.Stderr, "not measured:", err)
			continue
		}
		if err := errors.Join(workflowOn(ctx, o, d, t), d.close()); err != nil {
			return fmt.Errorf("%s: %w", d.engine, err)
		}
	}
	return nil
}

func workflowOn(ctx context.Context, o options, d *database, t table) error {
	images := max(1000, int(o.size*100_000))
	s, err := store.Open(ctx, d.url, store.Options{})
	if err != nil {
		return err
	}
	if err := assess.New(s, assess.Options{}).Seed(ctx); err != nil {
		return errors.Join(err, s.Close())
	}
	if err := s.Close(); err != nil {
		return err
	}
	if err := workflowFleet(ctx, d, images); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	if s, err = store.Open(ctx, d.url, store.Options{}); err != nil {
		return err
	}
	began := time.Now()
	if _, _, err := countAll(ctx, s, math.MaxInt); err != nil {
		return errors.Join(err, s.Close())
	}
	counted := time.Since(began)
	if err := s.Close(); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	var findings, vulnerabilities int
	if err := d.sql.QueryRowContext(ctx, `select (select count(*) from found), (select count(*) from affected)`).Scan(&findings, &vulnerabilities); err != nil {
		return err
	}
	size, err := d.size(ctx)
	if err != nil {
		return err
	}
	t.row(d.engine, "all of it counted anew, in the background", "", fmt.Sprintf("%.1f s", counted.Seconds()), "",
		fmt.Sprintf("%d images, %d findings of %d vulnerabilities, %s", images, findings, vulnerabilities, megabytes(size)))
	data := filepath.Join(o.dir, "workflow-"+d.engine)
	p, err := servePratique(ctx, o, "workflow-"+d.engine, data, "--database", d.url)
	if err != nil {
		return err
	}
	return errors.Join(asked(ctx, d, p, t), p.stop())
}

// asked measures what people ask for all day.
func asked(ctx context.Context, d *database, p *process, t table) error {
	key, err := apiKey(ctx, p.url)
	if err != nil {
		return err
	}
	p.token = key
	first, err := page(ctx, p, "/vulnerabilities?page_size=500")
	if err != nil {
		return err
	}
	type item struct {
		Name   string `json:"name"`
		Images int    `json:"image_count"`
	}
	var popular, rare item
	var names []string
	for _, raw := range first.Items {
		var v item
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		names = append(names, v.Name)
		if v.Images > popular.Images {
			popular = v
		}
		if rare.Name == "" || v.Images < rare.Images {
			rare = v
		}
	}
	if most, err := page(ctx, p, "/vulnerabilities?sort=images&page_size=1"); err != nil {
		return err
	} else if err := json.Unmarshal(most.Items[0], &popular); err != nil {
		return err
	}
	deep := "&page_token=" + first.Next
	assessment := func(name string, scope string) string {
		return fmt.Sprintf(`{"vulnerability":%q,"type":"Block","comment":"bench","scope":%s}`, name, scope)
	}
	many, err := json.Marshal(names[:100])
	if err != nil {
		return err
	}
	image := "sha256:" + fmt.Sprintf("%064d", 7)
	for _, a := range []struct{ what, path, body string }{
		{"vulnerabilities", "/vulnerabilities", ""},
		{"… the sixth page of 100", "/vulnerabilities?page_size=100" + deep, ""},
		{"… by CVSS, from the least", "/vulnerabilities?sort=cvss&order=asc", ""},
		{"… by EPSS", "/vulnerabilities?sort=epss", ""},
		{"… the newest", "/vulnerabilities?sort=first_seen", ""},
		{"… by images", "/vulnerabilities?sort=images", ""},
		{"… by name, from the end", "/vulnerabilities?sort=name&order=desc", ""},
		{"… severe, CVSS from 7, EPSS from 0.5, with a fix", "/vulnerabilities?severity=critical,high&cvss_from=7&epss_from=0.5&fix_available=true", ""},
		{"… exploited", "/vulnerabilities?exploited=true", ""},
		{"… a part of the name", "/vulnerabilities?q=1999", ""},
		{"… a name that there is not", "/vulnerabilities?q=nothing", ""},
		{"… unassessed", "/vulnerabilities?state=unassessed", ""},
		{"… unassessed, by images", "/vulnerabilities?state=unassessed&sort=images", ""},
		{"… of an assessment type", "/vulnerabilities?state=Block", ""},
		{"… of an assessment type, in a large registry", "/vulnerabilities?registry=fleet&state=Block", ""},
		{"… of one that nothing there has", "/vulnerabilities?registry=scanned&state=Block", ""},
		{"… expired", "/vulnerabilities?state=expired", ""},
		{"… in a large registry", "/vulnerabilities?registry=fleet", ""},
		{"… in a small registry", "/vulnerabilities?registry=scanned", ""},
		{"… in a repository", "/vulnerabilities?repository=fleet/team/app-3", ""},
		{"… in a repository, unassessed", "/vulnerabilities?repository=fleet/team/app-3&state=unassessed", ""},
		{"… in a package", "/vulnerabilities?package=package-77", ""},
		{"… of an external source", "/vulnerabilities?source=scanner", ""},
		{"… of an external source, unassessed, in a registry", "/vulnerabilities?source=scanner&registry=scanned&state=unassessed", ""},
		{"… seen since yesterday", "/vulnerabilities?first_seen_since=" + time.Now().Add(-25*time.Hour).UTC().Format(time.RFC3339), ""},
		{fmt.Sprintf("one vulnerability, in %d images", popular.Images), "/vulnerabilities/" + popular.Name, ""},
		{"its images", "/vulnerabilities/" + popular.Name + "/images", ""},
		{fmt.Sprintf("the images of one in %d", rare.Images), "/vulnerabilities/" + rare.Name + "/images", ""},
		{"the dashboard's figures", "/stats", ""},
		{"… trend of 30 days", "/stats/trend", ""},
		{"… trend of a year", "/stats/trend?days=366", ""},
		{"… images at risk", "/stats/images-at-risk", ""},
		{"registries", "/registries", ""},
		{"repositories", "/registries/fleet/repositories", ""},
		{"tags", "/registries/fleet/repositories/team%2Fapp-3/tags", ""},
		{"the findings of an image", "/images/" + image + "/findings", ""},
		{"the verdict on an image", "/images/" + image, ""},
		{"assessments", "/assessments", ""},
		{"… live ones, by expiry", "/assessments?live=true&sort=expires_at", ""},
		{"… by vulnerability", "/assessments?sort=vulnerability", ""},
		{"changes", "/audit-log", ""},
		{"… of a user, the oldest first", "/audit-log?actor=user-7&order=asc", ""},
		{"… a text that is nowhere", "/audit-log?q=nothing", ""},
		{"jobs", "/jobs", ""},
		{"… failed, the oldest first", "/jobs?state=failed&order=asc", ""},
		{"kinds of jobs", "/job-kinds", ""},
		{"scans of a source", "/vulnerability-sources/scanner/scans", ""},
		{"preview: assess a rare vulnerability", "/assessments/preview", assessment(rare.Name, `{"kind":"everywhere"}`)},
		{fmt.Sprintf("preview: assess one in %d images", popular.Images), "/assessments/preview", assessment(popular.Name, `{"kind":"everywhere"}`)},
		{"preview: assess it in a repository", "/assessments/preview", assessment(popular.Name, `{"kind":"repository","value":"fleet/team/app-3"}`)},
		{"preview: assess 100 at once", "/assessments/preview", fmt.Sprintf(`{"vulnerabilities":%s,"type":"Block","comment":"bench","scope":{"kind":"everywhere"}}`, many)},
		{"preview: a policy of a small registry", "/policy/preview", `{"registry":"scanned","policy":{"block_unassessed_from":"critical"}}`},
		{"preview: a policy of a large registry", "/policy/preview", `{"registry":"fleet","policy":{"block_unassessed_from":"critical"}}`},
	} {
		var took []time.Duration
		var status int
		var said bytes.Buffer
		for range 21 { // the first one is not counted
			method, kind := http.MethodGet, ""
			var body io.Reader
			if a.body != "" {
				method, kind, body = http.MethodPost, "application/json", strings.NewReader(a.body)
			}
			said.Reset()
			began := time.Now()
			if status, _, err = p.do(ctx, method, p.url+"/api/v1"+a.path, body, int64(len(a.body)), kind, &said); err != nil {
				return err
			}
			took = append(took, time.Since(began))
			if status != http.StatusOK || len(took) == 3 && took[2] > 2*time.Second {
				break
			}
		}
		note := megabytes(int64(said.Len()))
		if status != http.StatusOK {
			note = fmt.Sprintf("HTTP %d %s", status, tail(said.Bytes()))
		}
		if len(took) > 1 {
			took = took[1:]
		}
		slices.Sort(took)
		ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }
		worst := ms(took[len(took)-1])
		if took[len(took)/2] > listTarget {
			worst += " **missed**"
		}
		t.row(d.engine, a.what, ms(took[len(took)/2]), worst, ms(listTarget), note)
	}
	return nil
}

type answered struct {
	Items []json.RawMessage `json:"items"`
	Next  string            `json:"next_page_token"`
}

func page(ctx context.Context, p *process, path string) (a answered, err error) {
	var said bytes.Buffer
	status, _, err := p.do(ctx, http.MethodGet, p.url+"/api/v1"+path, nil, 0, "", &said)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", path, status, tail(said.Bytes()))
	}
	if err == nil {
		err = json.Unmarshal(said.Bytes(), &a)
	}
	if err == nil && len(a.Items) == 0 {
		err = fmt.Errorf("%s: nothing is listed", path)
	}
	return a, err
}

// apiKey makes a key, since passwords are slow to check by intent.
func apiKey(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/api-keys", strings.NewReader(`{"name":"bench"}`))
	if err != nil {
		return "", err
	}
	req.SetBasicAuth("admin", "bench-password")
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var made struct {
		Key string `json:"key"`
	}
	if err := json.NewDecoder(res.Body).Decode(&made); err != nil || made.Key == "" {
		return "", fmt.Errorf("no key: %s, %w", res.Status, err)
	}
	return made.Key, nil
}
