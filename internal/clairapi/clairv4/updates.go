package clairv4

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/pratique/pratique/internal/clairapi"
)

type updateOperation struct {
	Ref         string    `json:"ref"`
	Updater     string    `json:"updater"`
	Fingerprint string    `json:"fingerprint"`
	Date        time.Time `json:"date"`
	Kind        string    `json:"kind"`
}

type updateDiff struct {
	Prev    *updateOperation `json:"prev"`
	Cur     *updateOperation `json:"cur"`
	Added   []*vulnerability `json:"added"`
	Removed []*vulnerability `json:"removed"`
}

// keptUpdates is how many readings of each document are told of.
const keptUpdates = 10

// enrichmentFeeds speak of vulnerabilities as such.
var enrichmentFeeds = map[string]bool{"nvd": true, "kev": true, "epss": true}

func describeUpdate(u clairapi.Update) updateOperation {
	sum := sha256.Sum256([]byte(u.Ref))
	o := updateOperation{Ref: u.Ref, Updater: updaterName(u.Feed, u.Part), Fingerprint: hex.EncodeToString(sum[:8]), Date: u.Date, Kind: "vulnerability"}
	if enrichmentFeeds[u.Feed] {
		o.Kind = "enrichment"
	}
	return o
}

// getUpdateOperations lists the readings of feeds, by updater, the latest first.
func (a *API) getUpdateOperations(r *http.Request) (answer, error) {
	kind := r.URL.Query().Get("kind")
	switch kind {
	case "":
		kind = "vulnerability"
	case "vulnerability", "enrichment":
	default:
		return answer{}, failed(http.StatusBadRequest, "unknown kind: %q", kind)
	}
	per := keptUpdates
	if latest, _ := strconv.ParseBool(r.URL.Query().Get("latest")); latest {
		per = 1
	}
	updates, err := a.store.Updates(r.Context(), per)
	if err != nil {
		return answer{}, err
	}
	byUpdater := make(map[string][]updateOperation)
	header := http.Header{"Content-Type": {"application/json"}}
	for _, u := range updates {
		o := describeUpdate(u)
		if o.Kind != kind {
			continue
		}
		if header.Get("Etag") == "" {
			header.Set("Etag", `"`+o.Ref+`"`)
		}
		byUpdater[o.Updater] = append(byUpdater[o.Updater], o)
	}
	if tag := header.Get("Etag"); tag != "" && unmodified(r, tag) {
		return answer{status: http.StatusNotModified, header: http.Header{"Etag": {tag}}}, nil
	}
	return answer{status: http.StatusOK, header: header, body: byUpdater}, nil
}

// deleteUpdateOperation forgets a reading, known or not. What it brought stays.
func (a *API) deleteUpdateOperation(r *http.Request) (answer, error) {
	ref, err := uuid.Parse(r.PathValue("ref"))
	if err != nil {
		return answer{}, failed(http.StatusBadRequest, "could not deserialize manifest: %v", err)
	}
	if err := a.store.DeleteUpdate(r.Context(), ref.String()); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK}, nil
}

// getUpdateDiff tells what changed between two readings of a document. Of
// vulnerabilities it names those of packages that are stored here: others affect
// no manifest, which is what the difference is asked for.
func (a *API) getUpdateDiff(r *http.Request) (answer, error) {
	query := r.URL.Query()
	ref := func(name string) (string, error) {
		id, err := uuid.Parse(query.Get(name))
		if err != nil {
			return "", failed(http.StatusBadRequest, "could not parse %q query param into uuid", name)
		}
		if id == uuid.Nil {
			return "", nil
		}
		return id.String(), nil
	}
	var prev, cur string
	var err error
	if query.Get("prev") != "" {
		if prev, err = ref("prev"); err != nil {
			return answer{}, err
		}
	}
	if query.Get("cur") == "" {
		return answer{}, failed(http.StatusBadRequest, `"cur" query param is required`)
	}
	if cur, err = ref("cur"); err != nil {
		return answer{}, err
	}
	changes, err := a.store.UpdateChanges(r.Context(), prev, cur)
	if errors.Is(err, clairapi.ErrNotFound) {
		return answer{}, failed(http.StatusInternalServerError, "could not get update operations: one is unknown, or they are of different updaters")
	}
	if err != nil {
		return answer{}, err
	}
	updates, err := a.store.Updates(r.Context(), 1000)
	if err != nil {
		return answer{}, err
	}
	diff := updateDiff{Added: []*vulnerability{}, Removed: []*vulnerability{}}
	for _, u := range updates {
		switch o := describeUpdate(u); u.Ref {
		case cur:
			diff.Cur = &o
		case prev:
			diff.Prev = &o
		}
	}
	added, removed := make(map[string]*vulnerability), make(map[string]*vulnerability)
	var order []string
	for _, c := range changes {
		if c.Before != nil {
			v := describeChange(c, false)
			if added[v.ID] != nil { // it came and went, or changed twice
				delete(added, v.ID)
			} else {
				removed[v.ID] = v
				order = append(order, v.ID)
			}
		}
		if c.After != nil {
			v := describeChange(c, true)
			added[v.ID] = v
			order = append(order, v.ID)
		}
	}
	for _, id := range order {
		if v := added[id]; v != nil {
			diff.Added = append(diff.Added, v)
			delete(added, id)
		}
		if v := removed[id]; v != nil {
			diff.Removed = append(diff.Removed, v)
			delete(removed, id)
		}
	}
	return answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: diff}, nil
}

// describeChange writes one side of a change. Its id is another for another fix
// or severity: a client tells by ids what is the same.
func describeChange(c clairapi.Change, after bool) *vulnerability {
	t := c.Threat
	s := c.Before
	if after {
		s = c.After
	}
	name := t.Statement.Package
	t.Statement = *s
	t.Statement.Package = name
	if s.Severity > 0 {
		t.Severity = s.Severity
	}
	v := describeThreat(t, c.Package)
	if d := describeKey(c.Package.Distribution); d != nil {
		v.Distribution = d
	}
	v.ID += "-" + strconv.Itoa(int(t.Severity)) + "-" + s.Fixed
	return v
}
