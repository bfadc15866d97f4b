package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pratique/pratique/internal/setting"
)

// Settings keeps what is set while the program runs; *setting.Service does.
type Settings interface {
	List(ctx context.Context) (list []setting.Setting, tag string, err error)
	Change(ctx context.Context, values map[string]string, tag, by string) error
}

// Setting is one of the program's.
type Setting struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Section string `json:"section"`
	Help    string `json:"help"`
	Value   string `json:"value" doc:"What counts. Empty for a secret."`
	Default string `json:"default"`
	Secret  bool   `json:"secret"`
	// Editable ones are changed here; the others at the start of the server.
	Editable  bool       `json:"editable" doc:"Whether it can be changed here. Others are given at the start of the server: by a flag, the environment or the file."`
	ChangedAt *time.Time `json:"changed_at,omitempty"`
	ChangedBy string     `json:"changed_by,omitempty"`
}

// SettingList is all settings, with the tag of those that are changed here.
type SettingList struct {
	List[Setting]
	ETag string `json:"etag" doc:"Give it as If-Match to change what you saw; it is the header ETag, too."`
}

// StartSetting is a setting of the server's start. The value of a secret is not given.
type StartSetting struct {
	Name, Section, Help, Value, Default string
	Secret                              bool
}

func (a *API) settings() {
	const tag = "settings"
	register(a, operation{id: "list-settings", method: http.MethodGet, path: "/settings", tag: tag, summary: "List the settings",
		doc: "First those that are changed here, then those of the server's start; always one page.", administrators: true}, a.listSettings)
	register(a, operation{id: "change-settings", method: http.MethodPatch, path: "/settings", tag: tag, summary: "Change settings",
		doc: "All of them or none. An empty value brings the default back.", administrators: true}, a.changeSettings)
}

func (a *API) listSettings(ctx context.Context, _ *struct{}) (*tagged[SettingList], error) {
	list, tag, err := a.Settings.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &tagged[SettingList]{quoted(tag), SettingList{List[Setting]{Items: []Setting{}}, quoted(tag)}}
	shown := make(map[string]bool)
	for _, s := range list {
		shown[strings.ReplaceAll(s.Name, "_", "-")] = true
		item := Setting{Name: s.Name, Title: s.Title, Section: "Advanced", Help: s.Help, Value: s.Value, Default: s.Default,
			Editable: !s.Fixed(), ChangedBy: s.ChangedBy}
		if !s.ChangedAt.IsZero() {
			at := s.ChangedAt.UTC()
			item.ChangedAt = &at
		}
		out.Body.Items = append(out.Body.Items, item)
	}
	for _, s := range a.startSettings {
		if !shown[s.Name] {
			out.Body.Items = append(out.Body.Items, Setting{Name: s.Name, Title: "--" + s.Name, Section: s.Section, Help: s.Help,
				Value: s.Value, Default: s.Default, Secret: s.Secret})
		}
	}
	return out, nil
}

func (a *API) changeSettings(ctx context.Context, in *struct {
	IfMatch
	Body map[string]string
}) (*tagged[SettingList], error) {
	if len(in.Body) == 0 {
		return nil, huma.Error422UnprocessableEntity("name a setting and its value")
	}
	tag, err := in.tag()
	if err != nil {
		return nil, err
	}
	if err := a.Settings.Change(ctx, in.Body, tag, principal(ctx).Name); err != nil {
		return nil, err
	}
	a.changed()
	if err := a.audit(ctx, "settings.change", strings.Join(slices.Sorted(maps.Keys(in.Body)), ", "), in.Body); err != nil {
		return nil, err
	}
	return a.listSettings(ctx, nil)
}
