package admission

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The version of reviews that is understood
// (https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/).
const (
	apiVersion = "admission.k8s.io/v1"
	kind       = "AdmissionReview"
)

// Bounds of a review.
const (
	// maxBody is that of the body in bytes: two objects of etcd's 1.5 MiB, with
	// what JSON makes of them.
	maxBody   = 8 << 20
	maxImages = 500
	maxName   = 1024
)

// errMalformed is wrapped by what is said of a review that cannot be read.
var errMalformed = errors.New("not an AdmissionReview of admission.k8s.io/v1")

// review is what a cluster asks.
type review struct {
	UID string
	// About names the object for people: "Pod default/web".
	About string
	// User is who wants it, by the cluster's own name.
	User   string
	DryRun bool
	Images []wanted
}

// wanted is an image that the object names.
type wanted struct {
	Reference string
	// Running says that the object named it before: refusing it now would not
	// stop it, and only keep people from changing something else.
	Running bool
}

// The parts of a review that matter here.
type (
	wire struct {
		APIVersion string       `json:"apiVersion"`
		Kind       string       `json:"kind"`
		Request    *wireRequest `json:"request"`
	}
	wireRequest struct {
		UID  string `json:"uid"`
		Kind struct {
			Group string `json:"group"`
			Kind  string `json:"kind"`
		} `json:"kind"`
		SubResource string `json:"subResource"`
		Name        string `json:"name"`
		Namespace   string `json:"namespace"`
		Operation   string `json:"operation"`
		UserInfo    struct {
			Username string `json:"username"`
		} `json:"userInfo"`
		Object    jsontext.Value `json:"object"`
		OldObject jsontext.Value `json:"oldObject"`
		DryRun    *bool          `json:"dryRun"`
	}
)

// The parts of objects that hold images: a pod, or anything with a template of
// one, as workloads of Kubernetes and of others have it.
type (
	object struct {
		Metadata struct {
			Name         string `json:"name"`
			GenerateName string `json:"generateName"`
		} `json:"metadata"`
		Spec struct {
			podSpec
			Template    podTemplate `json:"template"`
			JobTemplate struct {
				Spec struct {
					Template podTemplate `json:"template"`
				} `json:"spec"`
			} `json:"jobTemplate"`
		} `json:"spec"`
		// Template is a PodTemplate's.
		Template podTemplate `json:"template"`
	}
	podTemplate struct {
		Spec podSpec `json:"spec"`
	}
	podSpec struct {
		Containers          []container `json:"containers"`
		InitContainers      []container `json:"initContainers"`
		EphemeralContainers []container `json:"ephemeralContainers"`
		Volumes             []struct {
			Image struct {
				Reference string `json:"reference"`
			} `json:"image"`
		} `json:"volumes"`
	}
	container struct {
		Image string `json:"image"`
	}
)

// workloads are the kinds of Kubernetes that hold pods: one of these that cannot
// be read must not pass.
var workloads = []string{
	"Pod", "PodTemplate", "ReplicationController", "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "batch/Job", "batch/CronJob",
}

// parse reads a review. The error wraps errMalformed and names the member that
// is wrong.
func parse(body []byte) (review, error) {
	malformed := func(format string, args ...any) (review, error) {
		return review{}, fmt.Errorf("%w: "+format, append([]any{errMalformed}, args...)...)
	}
	var w wire
	if err := json.Unmarshal(body, &w); err != nil {
		return malformed("%w", err)
	}
	switch {
	case w.APIVersion != apiVersion:
		return malformed("apiVersion: %q", clip(w.APIVersion))
	case w.Kind != kind:
		return malformed("kind: %q", clip(w.Kind))
	case w.Request == nil:
		return malformed("request: there is none")
	case w.Request.UID == "" || len(w.Request.UID) > maxName:
		return malformed("request.uid: want 1 to %d bytes", maxName)
	}
	q := w.Request
	r := review{UID: q.UID, User: clip(q.UserInfo.Username), DryRun: q.DryRun != nil && *q.DryRun}
	if q.Operation != "CREATE" && q.Operation != "UPDATE" || !holdsImages(q.SubResource) {
		return r, nil
	}
	full := strings.TrimPrefix(q.Kind.Group+"/"+q.Kind.Kind, "/")
	now, about, err := imagesOf(q.Object)
	if err != nil && slices.Contains(workloads, full) {
		return malformed("request.object: %w", err)
	}
	name := q.Name
	if name == "" {
		name = about
	}
	r.About = clip(strings.TrimSpace(q.Kind.Kind + " " + strings.TrimPrefix(q.Namespace+"/"+name, "/")))
	var before []string
	if q.Operation == "UPDATE" {
		// One that cannot be read names nothing, so that all is looked at.
		before, _, _ = imagesOf(q.OldObject)
	}
	for _, reference := range now {
		r.Images = append(r.Images, wanted{reference, slices.Contains(before, reference)})
	}
	if len(r.Images) > maxImages {
		return malformed("request.object: it names more than %d images", maxImages)
	}
	return r, nil
}

// holdsImages reports whether a subresource is the object with its images: scale
// and status are not.
func holdsImages(subresource string) bool {
	return subresource == "" || subresource == "ephemeralcontainers"
}

// imagesOf lists the images that an object names, each once, and its name.
func imagesOf(raw jsontext.Value) (images []string, name string, err error) {
	if len(raw) == 0 || raw.Kind() == 'n' {
		return nil, "", nil
	}
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, "", err
	}
	seen := make(map[string]bool)
	add := func(reference string) {
		if !seen[reference] {
			seen[reference] = true
			images = append(images, reference)
		}
	}
	for _, spec := range []podSpec{o.Spec.podSpec, o.Spec.Template.Spec, o.Spec.JobTemplate.Spec.Template.Spec, o.Template.Spec} {
		for _, list := range [][]container{spec.InitContainers, spec.Containers, spec.EphemeralContainers} {
			for _, c := range list {
				add(c.Image)
			}
		}
		for _, v := range spec.Volumes {
			if v.Image.Reference != "" {
				add(v.Image.Reference)
			}
		}
	}
	if name = o.Metadata.Name; name == "" && o.Metadata.GenerateName != "" {
		name = o.Metadata.GenerateName + "*"
	}
	return images, name, nil
}

// clip keeps foreign text short.
func clip(text string) string {
	const most = 253
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
