package admission

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// request is a review of a request's members.
func request(members string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1",` + members + `}}`
}

const pod = `"spec":{"initContainers":[{"image":"a"}],"containers":[{"name":"x","image":"b"},{"image":"a"}],"ephemeralContainers":[{"image":"c"}],"volumes":[{"name":"v","image":{"reference":"d"}},{"emptyDir":{}}]}`

func TestParse(t *testing.T) {
	of := func(kind, object string) string {
		group, name, found := strings.Cut(kind, "/")
		if !found {
			group, name = "", kind
		}
		return request(`"operation":"CREATE","namespace":"default","kind":{"group":"` + group + `","version":"v1","kind":"` + name + `"},"object":{"metadata":{"name":"web"},` + object + `}`)
	}
	all := []string{"a", "b", "c", "d"}
	for _, test := range []struct {
		name, body string
		images     []string
		about      string
	}{
		{"pod", of("Pod", pod), all, "Pod default/web"},
		{"deployment", of("apps/Deployment", `"spec":{"template":{`+pod+`}}`), all, "Deployment default/web"},
		{"stateful set", of("apps/StatefulSet", `"spec":{"template":{`+pod+`}}`), all, ""},
		{"daemon set", of("apps/DaemonSet", `"spec":{"template":{`+pod+`}}`), all, ""},
		{"replica set", of("apps/ReplicaSet", `"spec":{"template":{`+pod+`}}`), all, ""},
		{"replication controller", of("ReplicationController", `"spec":{"template":{`+pod+`}}`), all, ""},
		{"job", of("batch/Job", `"spec":{"template":{`+pod+`}}`), all, ""},
		{"cron job", of("batch/CronJob", `"spec":{"jobTemplate":{"spec":{"template":{`+pod+`}}}}`), all, ""},
		{"pod template", of("PodTemplate", `"template":{`+pod+`}`), all, ""},
		{"another's workload", of("argoproj.io/Rollout", `"spec":{"template":{`+pod+`}}`), all, ""},
		{"something else", of("ConfigMap", `"data":{"spec":"x"}`), nil, ""},
		{"something else with a member of that name", of("example.com/Shelf", `"spec":{"containers":{"image":"a"}}`), nil, ""},
		{"no name yet", request(`"operation":"CREATE","namespace":"default","kind":{"kind":"Pod"},"object":{"metadata":{"generateName":"web-"},` + pod + `}`), all, "Pod default/web-*"},
		{"no image named", of("Pod", `"spec":{"containers":[{"name":"x"}]}`), []string{""}, ""},
		{"deleted", request(`"operation":"DELETE","kind":{"kind":"Pod"},"object":null,"oldObject":{` + pod + `}`), nil, ""},
		{"connected to", request(`"operation":"CONNECT","kind":{"kind":"PodExecOptions"},"object":{"container":"x"}`), nil, ""},
		{"scaled", request(`"operation":"UPDATE","subResource":"scale","kind":{"group":"autoscaling","kind":"Scale"},"object":{"spec":{"replicas":1}}`), nil, ""},
		{"its status", request(`"operation":"UPDATE","subResource":"status","kind":{"kind":"Pod"},"object":{` + pod + `}`), nil, ""},
		{"an ephemeral container", request(`"operation":"UPDATE","subResource":"ephemeralcontainers","kind":{"kind":"Pod"},"object":{"spec":{"ephemeralContainers":[{"image":"z"}]}}`), []string{"z"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := parse([]byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, image := range r.Images {
				got = append(got, image.Reference)
				if image.Running {
					t.Errorf("%s runs already", image.Reference)
				}
			}
			if !slices.Equal(got, test.images) || r.UID != "u-1" || test.about != "" && r.About != test.about {
				t.Errorf("got %q of %q, want %q of %q", got, r.About, test.images, test.about)
			}
		})
	}
}

func TestParseKnowsWhatRunsAlready(t *testing.T) {
	r, err := parse([]byte(request(`"operation":"UPDATE","dryRun":true,"userInfo":{"username":"jane"},"kind":{"kind":"Pod"},
		"object":{"spec":{"containers":[{"image":"old"},{"image":"new"}]}},"oldObject":{"spec":{"containers":[{"image":"old"}]}}`)))
	want := []wanted{{"old", true}, {"new", false}}
	if err != nil || !slices.Equal(r.Images, want) || !r.DryRun || r.User != "jane" {
		t.Errorf("got %+v, %v", r, err)
	}
}

// malformed are reviews that are refused, with what is said of them.
var malformed = map[string]string{
	``:     "EOF",
	`[]`:   "array",
	`null`: "apiVersion",
	`{}`:   "apiVersion",
	`{"apiVersion":"admission.k8s.io/v1beta1"}`:                     "v1beta1",
	`{"apiVersion":"admission.k8s.io/v1","kind":"Review"}`:          "kind",
	`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`: "request",
	request(`"kind":7`):                                              "kind",
	request(`"operation":"CREATE"`) + `{}`:                           "after top-level value",
	request(`"operation":"a","operation":"b"`):                       "duplicate",
	request(`"operation":"CREATE","kind":{"kind":"Pod"},"object":7`): "object",
	request(`"operation":"CREATE","kind":{"kind":"Pod"},"object":{"spec":{"containers":{"image":"a"}}}`):                  "containers",
	request(`"operation":"CREATE","kind":{"kind":"Pod"},"object":{"spec":{"containers":[{"image":"a","image":"b"}]}}`):    "duplicate",
	request(`"operation":"CREATE","kind":{"group":"apps","kind":"Deployment"},"object":{"spec":{"template":7}}`):          "template",
	`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":""}}`:                                  "uid",
	`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"` + strings.Repeat("u", 2000) + `"}}`: "uid",
	strings.Repeat(`{"request":`, 20_000): "depth",
}

func TestParseRefuses(t *testing.T) {
	for body, says := range malformed {
		_, err := parse([]byte(body))
		if !errors.Is(err, errMalformed) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.80s: got %v, want %s", body, err, says)
		}
	}
	var many []string
	for i := range maxImages + 1 {
		many = append(many, fmt.Sprintf(`{"image":"i%d"}`, i))
	}
	if _, err := parse([]byte(request(`"operation":"CREATE","kind":{"kind":"Pod"},"object":{"spec":{"containers":[` + strings.Join(many, ",") + `]}}`))); !errors.Is(err, errMalformed) {
		t.Errorf("many images: got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for body := range malformed {
		if len(body) < 1000 {
			f.Add([]byte(body))
		}
	}
	f.Add([]byte(request(`"operation":"CREATE","namespace":"n","kind":{"group":"batch","kind":"CronJob"},"object":{"spec":{"jobTemplate":{"spec":{"template":{` + pod + `}}}}}`)))
	f.Add([]byte(request(`"operation":"UPDATE","kind":{"kind":"Pod"},"object":{` + pod + `},"oldObject":{"spec":7},"dryRun":true`)))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parse(body)
		if err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatalf("%v", err)
			}
			return
		}
		if r.UID == "" || len(r.UID) > maxName || len(r.Images) > maxImages {
			t.Fatalf("got %+v", r)
		}
		var texts []string
		for _, image := range r.Images {
			texts = append(texts, image.Reference)
		}
		if _, err := encode(r.UID, texts, texts); err != nil {
			t.Fatalf("%q: %v", texts, err)
		}
	})
}
