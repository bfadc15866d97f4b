package upstream

import (
	"errors"
	"testing"
)

func TestAdmits(t *testing.T) {
	for _, test := range []struct {
		name            string
		allowed, denied []string
		repository      string
		want            bool
	}{
		{"all", nil, nil, "library/alpine", true},
		{"one", []string{"library/alpine"}, nil, "library/alpine", true},
		{"another", []string{"library/alpine"}, nil, "library/alpine2", false},
		{"folder", []string{"library/*"}, nil, "library/a/b", true},
		{"denied wins", []string{"*"}, []string{"*/secret*"}, "team/secrets", false},
		{"middle", []string{"a*b*c"}, nil, "axbxc", true},
		{"middle twice the same", []string{"a*a"}, nil, "a", false},
		{"no order", []string{"*b*a*"}, nil, "ab", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := (Connector{Allowed: test.allowed, Denied: test.denied}).Admits(test.repository); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	good := Connector{Name: "hub", URL: "https://registry-1.docker.io/", Timeout: DefaultTimeout, Concurrency: 1}
	if err := good.check(); err != nil || good.URL != "https://registry-1.docker.io" {
		t.Fatalf("%v, %s", err, good.URL)
	}
	for field, change := range map[string]func(*Connector){
		"name":            func(c *Connector) { c.Name = "../x" },
		"url":             func(c *Connector) { c.URL = "https://user:pass@example.com" },
		"username":        func(c *Connector) { c.Sealed = []byte("x") },
		"timeout_seconds": func(c *Connector) { c.Timeout = 0 },
		"concurrency":     func(c *Connector) { c.Concurrency = MaxConcurrency + 1 },
		"tag_seconds":     func(c *Connector) { c.TagAge = -1 },
		"allowed":         func(c *Connector) { c.Allowed = []string{"a\nb"} },
		"ca_certificates": func(c *Connector) { c.CA = "no certificate" },
	} {
		bad := good
		change(&bad)
		var wrong *FieldError
		if err := bad.check(); !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestOnward(t *testing.T) {
	s := &Service{id: "me"}
	for via, want := range map[string]string{"": "me", "a": "a, me", "a, me": "", "me": "", "a,b,c,d,e": ""} {
		if got := s.onward(via); got != want {
			t.Errorf("%q: %q, want %q", via, got, want)
		}
	}
}
