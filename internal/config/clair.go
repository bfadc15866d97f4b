package config

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

// Clair is what the listener of the Clair and scanner APIs does. The public
// internet is always open to downloads; link-local, metadata and reserved
// addresses never are.
type Clair struct {
	ClairMode             string        `name:"clair-mode" env:"PRATIQUE_CLAIR_MODE" default:"combo" oneof:"combo,indexer,matcher,notifier" placeholder:"MODE" help:"Which services of Clair 4 are served: combo for all, indexer, matcher or notifier."`
	ClairAllowNetworks    []string      `name:"clair-allow-networks" env:"PRATIQUE_CLAIR_ALLOW_NETWORKS" default:"local" placeholder:"NETWORK,..." check:"networks" help:"Networks besides the public internet that clients of the Clair API may have layers fetched from: CIDR blocks, local for loopback and the private networks, or none."`
	ClairAllowHosts       []string      `name:"clair-allow-hosts" env:"PRATIQUE_CLAIR_ALLOW_HOSTS" placeholder:"HOST,..." check:"hosts" help:"Hosts that layers may be fetched from wherever they are."`
	ClairLayerFolder      string        `name:"clair-layer-folder" env:"PRATIQUE_CLAIR_LAYER_FOLDER" placeholder:"DIR" help:"Folder of layers that clients of the Clair API may name as files. Empty is none: otherwise whoever reaches the API can read them."`
	ClairDownloadSize     Bytes         `name:"clair-download-size" env:"PRATIQUE_CLAIR_DOWNLOAD_SIZE" default:"16GiB" placeholder:"SIZE" check:"positive" help:"How large a layer may be that a client has fetched."`
	ClairDownloadTime     time.Duration `name:"clair-download-time" env:"PRATIQUE_CLAIR_DOWNLOAD_TIME" default:"1h" placeholder:"DURATION" check:"positive" help:"How long fetching a layer may take."`
	ClairDownloadRate     int           `name:"clair-download-rate" env:"PRATIQUE_CLAIR_DOWNLOAD_RATE" default:"20" placeholder:"N" check:"count" help:"How many layers a second each client may have fetched, with five times as many at once; 0 is no bound. Layers that are known are not fetched."`
	ClairRequestRate      int           `name:"clair-request-rate" env:"PRATIQUE_CLAIR_REQUEST_RATE" default:"0" placeholder:"N" check:"count" help:"How many requests a second each client may make, with five times as many at once; 0 is no bound."`
	ClairIndexConcurrency int           `name:"clair-index-concurrency" env:"PRATIQUE_CLAIR_INDEX_CONCURRENCY" default:"0" placeholder:"N" check:"count" help:"How many requests for index reports of Clair 4 may be under way at a time; 0 is no bound but that of what waits for layers."`
	ClairCacheAge         time.Duration `name:"clair-cache-age" env:"PRATIQUE_CLAIR_CACHE_AGE" default:"0s" placeholder:"DURATION" help:"How long clients are told to keep a vulnerability report."`
	ClairCVSS2            bool          `name:"clair-derive-cvss2" env:"PRATIQUE_CLAIR_DERIVE_CVSS2" default:"true" negatable:"" help:"Give clients of Clair 2, which know no other, a CVSS v2 score that is derived from a later version where there is none."`
	ClairPSK              string        `name:"clair-psk" env:"PRATIQUE_CLAIR_PSK" placeholder:"KEY" check:"base64" secret:"" help:"Pre-shared key, in base64, that clients of the Clair API sign their tokens with, as in Clair's auth.psk. Empty asks for none. Better use clair-psk-file."`
	ClairPSKFile          string        `name:"clair-psk-file" env:"PRATIQUE_CLAIR_PSK_FILE" placeholder:"FILE" check:"psk-file" help:"File with the pre-shared key, in base64."`
	ClairPSKIssuers       []string      `name:"clair-psk-issuers" env:"PRATIQUE_CLAIR_PSK_ISSUERS" placeholder:"NAME,..." help:"Issuers whose tokens are taken, such as quay and clairctl."`
	ClairKeys             bool          `name:"clair-require-key" env:"PRATIQUE_CLAIR_REQUIRE_KEY" default:"false" negatable:"" help:"Ask clients of the Clair and scanner APIs for an API key of this server, or a user's name and password. Beside a pre-shared key either will do."`
	ClairNotifyURL        string        `name:"clair-notify-url" env:"PRATIQUE_CLAIR_NOTIFY_URL" placeholder:"URL" check:"http-url" help:"Where notifications of Clair 4 are posted, as in Clair's notifier.webhook.target. Empty makes none."`
	ClairNotifyCallback   string        `name:"clair-notify-callback" env:"PRATIQUE_CLAIR_NOTIFY_CALLBACK" placeholder:"URL" check:"http-url" help:"The address by which the receiver reaches notifications, ending in /notifier/api/v1/notification/. Empty is made of base-url's host and the Clair API's port."`
	ClairNotifyHeaders    []string      `name:"clair-notify-headers" env:"PRATIQUE_CLAIR_NOTIFY_HEADERS" placeholder:"NAME=VALUE,..." check:"headers" secret:"" help:"Header fields that are sent with notifications of Clair 4."`
	ClairNotifyAll        bool          `name:"clair-notify-all" env:"PRATIQUE_CLAIR_NOTIFY_ALL" default:"false" negatable:"" help:"Tell of every change of a manifest, not only of the most severe one of an update (notifier.disable_summary)."`
	ClairV1NotifyURL      string        `name:"clair-v1-notify-url" env:"PRATIQUE_CLAIR_V1_NOTIFY_URL" placeholder:"URL" check:"http-url" help:"Where notifications of Clair 2 are posted, as in its notifier.http.endpoint. Empty makes none."`
}

// Networks lists what ClairAllowNetworks opens, with local for the word local.
// It is never nil, so that an empty list stays one.
func (c Clair) Networks(local []netip.Prefix) ([]netip.Prefix, error) {
	list := []netip.Prefix{}
	for _, word := range c.ClairAllowNetworks {
		switch word {
		case Local:
			list = append(list, local...)
		case None:
		default:
			network, err := netip.ParsePrefix(word)
			if err != nil {
				return nil, fmt.Errorf("network %q: %w", word, err)
			}
			list = append(list, network.Masked())
		}
	}
	return list, nil
}

// PSK is the pre-shared key, decoded; nil where none is set.
func (c Clair) PSK() ([]byte, error) {
	text := c.ClairPSK
	if c.ClairPSKFile != "" {
		content, err := os.ReadFile(c.ClairPSKFile)
		if err != nil {
			return nil, err
		}
		if text = strings.TrimSpace(string(content)); text == "" {
			return nil, fmt.Errorf("%s: the file is empty", c.ClairPSKFile)
		}
	}
	if text == "" {
		return nil, nil
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) == 0 {
		return nil, fmt.Errorf("the pre-shared key is no base64")
	}
	return key, nil
}

// NotifyHeader is the header that notifications are sent with.
func (c Clair) NotifyHeader() http.Header {
	header := make(http.Header)
	for _, field := range c.ClairNotifyHeaders {
		name, value, _ := strings.Cut(field, "=")
		header.Add(name, value)
	}
	return header
}
