package app

import (
	"fmt"
	"strconv"

	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/setting"
)

// The names of settings that are changed while the server runs.
const (
	settingBaseURL    = "base_url"
	settingTrashDays  = "trash_days"
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
		Name: settingTrashDays, Title: "Registry.TrashDays", Default: "7", Check: checkTrashDays,
		Help: "For how many days deleted tags, images and repositories can be restored, in registries that do not say so themselves. 0 deletes them at once.",
	}, {
		Name: settingCachedDays, Title: "Connectors.CachedDays", Default: "0", Check: checkDays,
		Help: "For how many days images that came by a connector stay after they were last pulled. 0: for ever.",
	}}
}

func checkTrashDays(text string) error {
	if n, err := strconv.Atoi(text); err != nil || n < 0 || n > registry.MaxTrashDays || strconv.Itoa(n) != text {
		return fmt.Errorf("want a number of days from 0 to %d", registry.MaxTrashDays)
	}
	return nil
}

// trashDays reads a value that was checked.
func trashDays(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}
