package api_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/audit"
)

// TestExportAuditLog exports more changes than are read at once, in both formats.
func TestExportAuditLog(t *testing.T) {
	h := newHarbour(t)
	const most = 1500
	for n := range most {
		e := audit.Entry{Actor: "=cmd", Action: "thing.change", Object: fmt.Sprintf("thing %d, \"quoted\"", n), Detail: json.RawMessage(`{"n":` + fmt.Sprint(n) + `}`)}
		if err := h.store.AppendAudit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	r := h.send(t, "GET", "/audit-log/export?action=thing.&order=asc", nil, admin)
	records, err := csv.NewReader(strings.NewReader(string(r.body))).ReadAll()
	if r.status != http.StatusOK || err != nil || len(records) != 1+most {
		t.Fatalf("%d with %d records, %v", r.status, len(records), err)
	}
	if got := strings.Join(records[2][2:], "|"); got != `'=cmd|thing.change|thing 1, "quoted"|{"n":1}` {
		t.Errorf("the second is %s", got)
	}
	r = h.send(t, "GET", "/audit-log/export?format=jsonl&q=THING+14", nil, admin)
	lines := strings.Split(strings.TrimSpace(string(r.body)), "\n")
	var first struct {
		Object string         `json:"object"`
		Detail map[string]int `json:"detail"`
	}
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || len(lines) != 111 || first.Detail["n"] != 1499 || r.header.Get("Content-Type") != "application/jsonl" {
		t.Errorf("%d lines of %s, the first %+v, %v", len(lines), r.header.Get("Content-Type"), first, err)
	}
	for who, want := range map[string]int{user: http.StatusForbidden, "": http.StatusUnauthorized} {
		if r := h.send(t, "GET", "/audit-log/export", nil, who); r.status != want {
			t.Errorf("%q got %d, want %d", who, r.status, want)
		}
	}
	if r := h.send(t, "GET", "/audit-log/export?format=xml", nil, admin); r.status != http.StatusUnprocessableEntity {
		t.Errorf("an unknown format: %d", r.status)
	}
}
