package server_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTrash: an image that skopeo deletes cannot be pulled, even after the blobs
// were collected it comes back, and its findings are those from before, with the
// times and the assessment.
func TestTrash(t *testing.T) {
	skopeo := installed(t, "skopeo", "")
	eachDatabase(t, func(t *testing.T, database string) {
		s := start(t, t.TempDir(), "--database", database, "--feeds-mirror", muslFeed(t), "--feeds", "alpine")
		updateFeeds(t, s)
		digest, err := s.registry().Push(t.Context(), "main/team/app", "1", muslImage(t))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		run := func(args ...string) (string, error) {
			cmd := exec.CommandContext(t.Context(), skopeo, args...)
			cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "TMPDIR="+dir)
			out, err := cmd.CombinedOutput()
			return string(out), err
		}
		remote := "docker://" + strings.TrimPrefix(s.url, "http://") + "/main/team/app:1"
		credentials := "admin:" + password
		pull := func(to string) (string, error) {
			return run("copy", "--src-tls-verify=false", "--src-creds", credentials, remote, "dir:"+dir+"/"+to)
		}
		call[struct{}](t, s, http.MethodPost, "/assessments", map[string]any{
			"vulnerability": "CVE-2025-26519", "type": "Ignore", "scope": map[string]string{"kind": "repository", "value": "main/team/app"},
		}, http.StatusCreated)
		before := call[list[json.RawMessage]](t, s, http.MethodGet, "/images/"+digest+"/findings", nil, http.StatusOK).Items
		if len(before) != 1 || !strings.Contains(string(before[0]), "Ignore") {
			t.Fatalf("before: %s", before)
		}
		s.clock.Advance(time.Hour)
		restored := func(step string, remove func()) {
			t.Helper()
			remove()
			if out, err := pull("deleted"); err == nil || !strings.Contains(out, "unknown") {
				t.Errorf("%s: pull of what was deleted: %v\n%s", step, err, out)
			}
			s.clock.Advance(26 * time.Hour)
			for _, kind := range []string{"clean-blobs", "clean-analyses", "empty-trash"} {
				runJob(t, s, kind)
			}
			s.clock.Advance(26 * time.Hour)
			for _, kind := range []string{"clean-blobs", "clean-analyses", "empty-trash"} {
				runJob(t, s, kind)
			}
			found := call[list[struct {
				ID        int64  `json:"id"`
				Digest    string `json:"digest"`
				DeletedBy string `json:"deleted_by"`
			}]](t, s, http.MethodGet, "/registries/main/trash?repository=team%2Fapp", nil, http.StatusOK).Items
			if len(found) != 1 || found[0].Digest != digest || found[0].DeletedBy != "admin" {
				t.Fatalf("%s: in the trash: %+v", step, found)
			}
			back := call[struct {
				Tags []string `json:"tags"`
			}](t, s, http.MethodPost, "/registries/main/trash/"+jsonText(t, found[0].ID)+"/restore", nil, http.StatusOK)
			if !cmp.Equal(back.Tags, []string{"1"}) {
				t.Errorf("%s: %+v", step, back)
			}
			if out, err := pull("restored"); err != nil {
				t.Errorf("%s: pull of what was restored: %v\n%s", step, err, out)
			}
			after := call[list[json.RawMessage]](t, s, http.MethodGet, "/images/"+digest+"/findings", nil, http.StatusOK).Items
			if diff := cmp.Diff(jsonText(t, before), jsonText(t, after)); diff != "" {
				t.Errorf("%s: findings (-before +after) %s", step, diff)
			}
		}
		restored("an image", func() {
			if out, err := run("delete", "--tls-verify=false", "--creds", credentials, remote); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
		restored("a repository", func() {
			call[struct{}](t, s, http.MethodDelete, "/registries/main/repositories/team/app", nil, http.StatusNoContent)
		})
	})
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// runJob has a scheduled job done now, and waits for its end.
func runJob(t *testing.T, s *server, name string) {
	t.Helper()
	type job struct {
		ID    int64  `json:"id"`
		State string `json:"state"`
		Error string `json:"error"`
	}
	j := call[job](t, s, http.MethodPost, "/jobs/"+name+"/run", nil, http.StatusAccepted)
	waitFor(t, name, func() bool {
		j = call[job](t, s, http.MethodGet, "/jobs/"+jsonText(t, j.ID), nil, http.StatusOK)
		if j.State == "failed" {
			t.Fatalf("%s: %+v", name, j)
		}
		return j.State == "done"
	})
}
