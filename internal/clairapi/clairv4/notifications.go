package clairv4

import (
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/pratique/pratique/internal/clairapi"
)

// Sizes of pages of notifications.
const (
	defaultPage = 500
	maxPage     = 5000
)

type notificationPage struct {
	Page          page               `json:"page"`
	Notifications []notificationBody `json:"notifications"`
}

type page struct {
	Size int    `json:"size"`
	Next string `json:"next,omitempty"`
}

type notificationBody struct {
	ID            string               `json:"id"`
	Manifest      string               `json:"manifest"`
	Reason        clairapi.Reason      `json:"reason"`
	Vulnerability vulnerabilitySummary `json:"vulnerability"`
}

// vulnerabilitySummary has the severity under two names: Clair sends "severity",
// and Quay reads "normalized_severity".
type vulnerabilitySummary struct {
	Name               string        `json:"name"`
	Description        string        `json:"description"`
	Package            *packageBody  `json:"package,omitempty"`
	Distribution       *distribution `json:"distribution,omitempty"`
	Repository         *repository   `json:"repo,omitempty"`
	Severity           string        `json:"severity"`
	NormalizedSeverity string        `json:"normalized_severity"`
	FixedInVersion     string        `json:"fixed_in_version"`
	Links              string        `json:"links"`
}

func notificationID(r *http.Request) (string, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return "", failed(http.StatusBadRequest, "could not parse notification id: %v", err)
	}
	return id.String(), nil
}

// getNotification returns a page of what a notification tells. One that is not
// known has nothing to tell, as in Clair.
func (a *API) getNotification(r *http.Request) (answer, error) {
	id, err := notificationID(r)
	if err != nil {
		return answer{}, err
	}
	size := defaultPage
	if text := r.URL.Query().Get("page_size"); text != "" {
		if size, err = strconv.Atoi(text); err != nil || size < 0 {
			return answer{}, failed(http.StatusBadRequest, "could not parse %q query param into integer", "page_size")
		}
		if size == 0 {
			size = defaultPage
		}
		size = min(size, maxPage)
	}
	after := ""
	if text := r.URL.Query().Get("next"); text != "" {
		next, err := uuid.Parse(text)
		if err != nil {
			return answer{}, failed(http.StatusBadRequest, "could not parse %q query param into integer", "next")
		}
		if next != uuid.Nil {
			after = next.String()
		}
	}
	kind, err := negotiate(r, vendorType("notification_page"), "application/json")
	if err != nil {
		return answer{}, err
	}
	notices, err := a.store.Notices(r.Context(), id, after, size+1)
	if err != nil {
		return answer{}, err
	}
	out := notificationPage{Page: page{Size: size}, Notifications: make([]notificationBody, 0, min(len(notices), size))}
	if len(notices) > size {
		notices = notices[:size]
		out.Page.Next = notices[size-1].ID
	}
	for _, n := range notices {
		v := describeThreat(n.Threat, n.Package)
		v.Package.ID, v.Package.Version, v.Package.NormalizedVersion = "", "", "" // as in Clair: it is the vulnerability's
		s := vulnerabilitySummary{
			Name: v.Name, Description: v.Description, Package: v.Package, Repository: v.Repository, Severity: v.NormalizedSeverity,
			NormalizedSeverity: v.NormalizedSeverity, FixedInVersion: v.FixedInVersion, Links: v.Links,
		}
		s.Distribution = describeKey(n.Package.Distribution)
		out.Notifications = append(out.Notifications, notificationBody{ID: n.ID, Manifest: n.Manifest, Reason: n.Reason, Vulnerability: s})
	}
	return answer{status: http.StatusOK, header: http.Header{"Content-Type": {kind}}, body: out}, nil
}

// deleteNotification marks a notification as read, known or not.
func (a *API) deleteNotification(r *http.Request) (answer, error) {
	id, err := notificationID(r)
	if err != nil {
		return answer{}, err
	}
	if err := a.store.DeleteNotification(r.Context(), id); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK}, nil
}
