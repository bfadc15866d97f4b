package assess_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
)

func TestPolicyIsReadAsItIsWritten(t *testing.T) {
	critical := advisory.Critical
	for _, test := range []struct {
		name string
		text string
		want assess.Policy
	}{
		{"a new registry's", `{}`, assess.Policy{}},
		{"no text", ``, assess.Policy{}},
		{"the design's", `{"block": ["Block"], "block_unassessed_from": "critical", "grace_hours": 4}`,
			assess.Policy{Block: []string{"Block"}, BlockUnassessedFrom: &critical, GraceHours: 4}},
		{"never", `{"block": [], "block_unassessed_from": null}`, assess.Policy{Block: []string{}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := assess.ParsePolicy(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("policy (-want +got):\n%s", diff)
			}
			again, err := assess.ParsePolicy(got.String())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, again); diff != "" {
				t.Errorf("read again (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDamagedPolicyIsAnError(t *testing.T) {
	for _, text := range []string{`{`, `[]`, `{"block": "Block"}`, `{"block_unassessed_from": "grave"}`, `{"blocks": []}`} {
		if p, err := assess.ParsePolicy(text); err == nil {
			t.Errorf("%s: got %v, want an error", text, p)
		}
	}
}

func TestPolicyCheck(t *testing.T) {
	types := assess.DefaultTypes()
	for _, test := range []struct {
		name   string
		policy assess.Policy
		field  string
	}{
		{"default", assess.Policy{}, ""},
		{"none", assess.Policy{Block: []string{}}, ""},
		{"known types", assess.Policy{Block: []string{"Block", "Caution"}}, ""},
		{"unknown type", assess.Policy{Block: []string{"Block", "block"}}, "policy.block[1]"},
		{"negative grace", assess.Policy{GraceHours: -1}, "policy.grace_hours"},
		{"endless grace", assess.Policy{GraceHours: assess.MaxGraceHours + 1}, "policy.grace_hours"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.policy.Check(types)
			var field *assess.FieldError
			switch {
			case test.field == "" && err != nil:
				t.Errorf("got %v, want nil", err)
			case test.field != "" && (!errors.As(err, &field) || field.Field != test.field):
				t.Errorf("got %v, want an error of %s", err, test.field)
			}
		})
	}
}

func TestPolicyBlocking(t *testing.T) {
	types := assess.DefaultTypes()
	for _, test := range []struct {
		name  string
		block []string
		want  []string
	}{
		{"default", nil, []string{"Block"}},
		{"none", []string{}, []string{}},
		{"named", []string{"Caution"}, []string{"Caution"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, assess.Policy{Block: test.block}.Blocking(types)); diff != "" {
				t.Errorf("blocking (-want +got):\n%s", diff)
			}
		})
	}
}
