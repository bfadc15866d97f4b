package app

import (
	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/setting"
)

// The names of settings that are changed while the server runs.
const (
	settingBaseURL    = "base_url"
	settingCachedDays = "cached_days"
)

// startSettings are shown only.
func startSettings(c config.Serve) []api.StartSetting {
	values := c.Values()
	list := make([]api.StartSetting, len(values))
	for i, v := range values {
		list[i] = api.StartSetting{Name: v.Name, Section: v.Section, Help: v.Help, Value: v.Value, Default: v.Default, Secret: v.Secret}
	}
	return list
}

func knownSettings(c config.Serve) []setting.Known {
	return []setting.Known{{
		Name: settingBaseURL, Title: "Web.BaseUrl", Given: c.BaseURL, Check: config.CheckBaseURL,
		Help: "The address by which people, clients and vulnerability sources reach this server, as in https://registry.example.com. External vulnerability sources fetch layers from there.",
	}, {
		Name: settingCachedDays, Title: "Connectors.CachedDays", Default: "0", Check: checkDays,
		Help: "For how many days images that came by a connector stay after they were last pulled. 0: for ever.",
	}}
}
