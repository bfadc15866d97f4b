package clairv1

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/clairapi"
)

// maxLayers is the most layers of one page of a notification.
const maxLayers = 1000

type notificationBody struct {
	Name     string    `json:"Name,omitempty"`
	Created  string    `json:"Created,omitempty"`
	Notified string    `json:"Notified,omitempty"`
	Deleted  string    `json:"Deleted,omitempty"`
	Limit    int       `json:"Limit,omitempty"`
	Page     string    `json:"Page,omitempty"`
	NextPage string    `json:"NextPage,omitempty"`
	Old      *sideBody `json:"Old,omitempty"`
	New      *sideBody `json:"New,omitempty"`
}

type sideBody struct {
	Vulnerability *vulnerabilityBody `json:"Vulnerability,omitempty"`
	Ordered       []orderedLayer     `json:"OrderedLayersIntroducingVulnerability,omitempty"`
	Layers        []string           `json:"LayersIntroducingVulnerability,omitempty"`
}

type orderedLayer struct {
	Index     int    `json:"Index"`
	LayerName string `json:"LayerName"`
}

// seconds is a time as Clair writes it; "" for the zero time.
func seconds(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.Unix(), 10)
}

// getNotification returns a notification with a page of the layers that bring an
// affected package, before and after. One token pages both sides.
func (a *API) getNotification(r *http.Request) (answer, error) {
	name, query := r.PathValue("notification"), r.URL.Query()
	if !query.Has("limit") {
		return answer{}, badRequest(messageNoLimit)
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < -1 {
		return answer{}, badRequest(fmt.Sprintf("invalid limit format: %q is no number from -1", query.Get("limit")))
	}
	if !clairapi.ValidName(name) {
		return answer{}, clairapi.ErrNotFound
	}
	token := query.Get("page")
	offset, err := readOffset(name, token)
	if err != nil {
		return answer{}, err
	}
	n, err := a.store.V1Notification(r.Context(), name)
	if err != nil {
		return answer{}, err
	}
	if token == "" {
		token = writeOffset(name, offset)
	}
	body := notificationBody{Name: name, Created: seconds(n.Created), Notified: seconds(n.Notified), Deleted: seconds(n.Deleted), Limit: limit, Page: token}
	shown := max(min(limit, maxLayers), 0)
	more := false
	side := func(s *clairapi.Side) (*sideBody, error) {
		if s == nil {
			return nil, nil
		}
		v := describeWritten(n.Told.Namespace, n.Told.Name, s.Written)
		if v.Link == "" {
			v.Link = link(n.Told.Namespace, n.Told.Name)
		}
		v.FixedIn = fixes(n.Told.Namespace, s.Written)
		out := &sideBody{Vulnerability: &v}
		if limit < 0 {
			return out, nil
		}
		layers, err := a.store.LayersIntroducing(r.Context(), s.Packages, offset, shown+1)
		if err != nil {
			return nil, err
		}
		if len(layers) > shown {
			layers, more = layers[:shown], true
		}
		for i, l := range layers {
			out.Ordered = append(out.Ordered, orderedLayer{offset + i + 1, l})
		}
		out.Layers = layers
		return out, nil
	}
	if body.Old, err = side(n.Told.Old); err != nil {
		return answer{}, err
	}
	if body.New, err = side(n.Told.New); err != nil {
		return answer{}, err
	}
	if more {
		body.NextPage = writeOffset(name, offset+shown)
	}
	return answer{http.StatusOK, notificationEnvelope{body}}, nil
}

// deleteNotification marks a notification as read: it is not sent any more.
func (a *API) deleteNotification(r *http.Request) (answer, error) {
	name := r.PathValue("notification")
	if !clairapi.ValidName(name) {
		return answer{}, clairapi.ErrNotFound
	}
	if err := a.store.MarkV1Notification(r.Context(), name); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK}, nil
}

func writeOffset(name string, offset int) string {
	return base64.RawURLEncoding.EncodeToString([]byte(name + "\x00" + strconv.Itoa(offset)))
}

func readOffset(name, token string) (int, error) {
	if token == "" {
		return 0, nil
	}
	content, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return 0, badRequest(messageBadPage)
	}
	of, text, ok := strings.Cut(string(content), "\x00")
	offset, err := strconv.Atoi(text)
	if !ok || err != nil || of != name || offset < 0 || offset > 1<<40 {
		return 0, badRequest(messageBadPage)
	}
	return offset, nil
}
