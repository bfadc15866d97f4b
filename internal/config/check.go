package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/adhocore/gronx"
)

// verify says what is wrong with a value. It does not show secrets.
func (s Setting) verify(v reflect.Value) error {
	if s.choice != nil && !slices.Contains(s.choice, v.String()) {
		return fmt.Errorf("want %s, got %q", strings.Join(s.choice, " or "), v.String())
	}
	if s.kind == listType {
		return s.verifyList(v.Interface().([]string))
	}
	if s.check == "positive" {
		if v.Int() <= 0 {
			return fmt.Errorf("want more than zero, got %v", v.Interface())
		}
		return nil
	}
	if s.check == "count" && v.Int() < 0 {
		return fmt.Errorf("want zero or more, got %v", v.Interface())
	}
	if s.kind.Kind() != reflect.String {
		return nil
	}
	text := v.String()
	switch {
	case s.check == "filled" && text == "":
		return errors.New("it must not be empty")
	case s.check == "address":
		return checkAddress(text)
	case s.check == "address-or-off" && text != Off:
		return checkAddress(text)
	case s.check == "schedule" && text != Off:
		return checkSchedule(text)
	case text == "":
		return nil
	case s.check == "database":
		return checkDatabase(text)
	case s.check == "blobs":
		if dir, ok := strings.CutPrefix(text, "file:"); !ok || dir == "" {
			return fmt.Errorf("want file:DIR, got %q", text)
		}
	case s.check == "base-url":
		return CheckBaseURL(text)
	case s.check == "mirror" && strings.Contains(text, "://"):
		_, err := checkHTTP(text)
		return err
	case s.check == "http-url":
		_, err := checkHTTP(text)
		return err
	case s.check == "base64":
		_, err := Clair{ClairPSK: text}.PSK()
		return err
	case s.check == "psk-file":
		_, err := Clair{ClairPSKFile: text}.PSK()
		return err
	case s.check == "password-file":
		_, err := Admin{AdminPasswordFile: text}.Password()
		return err
	}
	return nil
}

func (s Setting) verifyList(list []string) error {
	for i, word := range list {
		if slices.Contains(list[:i], word) {
			return fmt.Errorf("%q is there twice", word)
		}
		switch {
		case word == "":
			return errors.New("a member of the list is empty")
		case s.check == "names" && strings.ContainsFunc(word, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
		}):
			return fmt.Errorf("want names of small letters, digits and dashes, got %q", word)
		case s.check == "redirects":
			from, to, ok := strings.Cut(word, "=")
			if !ok {
				return fmt.Errorf("want URL=URL, got %q", word)
			}
			for _, address := range []string{from, to} {
				if _, err := checkHTTP(address); err != nil {
					return err
				}
			}
		case s.check == "headers" && !headerField.MatchString(word):
			return errors.New("want NAME=VALUE, without control characters") // it may be a secret
		case s.check == "hosts" && strings.ContainsAny(word, "/ @"):
			return fmt.Errorf("want a host name or an address, got %q", word)
		case s.check == "hosts" && strings.Contains(word, ":") && !isAddress(word):
			return fmt.Errorf("want a host without its port, got %q", word)
		case s.check == "networks" && word == None && len(list) > 1:
			return errors.New("none stands alone")
		case s.check == "networks" && word != None && word != Local:
			if _, err := netip.ParsePrefix(word); err != nil {
				return fmt.Errorf("want a network such as 10.1.0.0/16, local or none, got %q", word)
			}
		}
	}
	return nil
}

var headerField = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+=[^\\x00-\\x08\\x0a-\\x1f\\x7f]*$")

func isAddress(word string) bool {
	_, err := netip.ParseAddr(strings.Trim(word, "[]"))
	return err == nil
}

func checkAddress(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return fmt.Errorf("want HOST:PORT or :PORT, got %q", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("want a port from 0 to 65535, got %q", text)
	} else if strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("want a port without leading zeros, got %q", text)
	}
	return nil
}

func checkSchedule(text string) error {
	// The library also takes seconds and years; crontab(5) has five fields.
	if n := len(strings.Fields(text)); n != 5 && !strings.HasPrefix(text, "@") || !gronx.IsValid(text) {
		return fmt.Errorf("want a cron expression of five fields such as \"17 */6 * * *\", or off, got %q", text)
	}
	return nil
}

func checkDatabase(text string) error {
	if path, ok := strings.CutPrefix(text, "sqlite:"); ok {
		if path == "" {
			return errors.New("want a path after sqlite:, as in sqlite:/srv/pratique.db")
		}
		return nil
	}
	if !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
		return errors.New("want sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME")
	}
	if _, err := url.Parse(text); err != nil {
		return fmt.Errorf("not a URL: %w", withoutURL(err))
	}
	return nil
}

// withoutURL is the error of url.Parse without the URL, which may hold a password.
func withoutURL(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

func checkHTTP(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("not a URL: %w", withoutURL(err))
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("want a URL that starts with https:// or http://, got %q", u.Redacted())
	case u.Hostname() == "":
		return nil, fmt.Errorf("the URL names no host: %q", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("want a URL without ? and #, got %q", u.Redacted())
	}
	return u, nil
}

// CheckBaseURL returns what is wrong with an address by which the server is reached.
func CheckBaseURL(text string) error {
	u, err := checkHTTP(text)
	switch {
	case err != nil:
		return err
	case u.User != nil:
		return fmt.Errorf("want a URL without a password, got %q", u.Redacted())
	case u.Path != "" && u.Path != "/":
		return fmt.Errorf("want a URL without a path, for registry clients look for /v2/ at the root of the host, got %q", text)
	}
	return nil
}

// together finds values that are right alone and wrong with another.
func together(values map[string]placed) []error {
	var wrong []error
	for _, name := range []string{"admin-password", "clair-psk"} {
		secret, file := values[name], values[name+"-file"]
		if secret.value.IsValid() && secret.value.String() != "" && file.value.IsValid() && file.value.String() != "" {
			wrong = append(wrong, fmt.Errorf("%s and %s: only one of the two can be set", secret.origin, file.origin))
		}
	}
	listeners := []string{"listen", "clair-listen", "health-listen"}
	for i, name := range listeners {
		for _, other := range listeners[:i] {
			a, b := values[other], values[name]
			if a.value.IsValid() && b.value.IsValid() && sameSocket(a.value.String(), b.value.String()) {
				wrong = append(wrong, fmt.Errorf("%s and %s: both want %s", a.origin, b.origin, b.value))
			}
		}
	}
	return wrong
}

// sameSocket reports addresses that cannot both be listened on, as far as their text tells.
func sameSocket(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || hostA == "" || hostB == ""
}
