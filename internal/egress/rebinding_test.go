package egress_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pratique/pratique/internal/egress"
)

// nameServer is a resolver whose answers come from addresses, by name without
// the last dot: a real DNS server on UDP, as far as A records go (RFC 1035).
func nameServer(t *testing.T, addresses func(name string) []string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		query := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(answer(query[:n], addresses), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func answer(query []byte, addresses func(name string) []string) []byte {
	var labels []string
	at := 12
	for query[at] != 0 {
		labels = append(labels, string(query[at+1:at+1+int(query[at])]))
		at += 1 + int(query[at])
	}
	kind := binary.BigEndian.Uint16(query[at+1:])
	question := query[12 : at+5]
	var records []byte
	count := uint16(0)
	for _, text := range addresses(strings.Join(labels, ".")) {
		a := netip.MustParseAddr(text)
		if a.Is4() != (kind == 1) || kind != 1 && kind != 28 {
			continue
		}
		count++
		records = append(records, 0xc0, 12)
		records = binary.BigEndian.AppendUint16(records, kind)
		records = append(records, 0, 1, 0, 0, 0, 0)
		records = binary.BigEndian.AppendUint16(records, uint16(len(a.AsSlice())))
		records = append(records, a.AsSlice()...)
	}
	reply := append([]byte{}, query[:2]...)
	code := byte(0x80)
	if len(addresses(strings.Join(labels, "."))) == 0 {
		code |= 3 // no such name
	}
	reply = append(reply, 0x81, code, 0, 1)
	reply = binary.BigEndian.AppendUint16(reply, count)
	reply = append(reply, 0, 0, 0, 0)
	return append(append(reply, question...), records...)
}

func TestRebinding(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var target atomic.Value
	target.Store("127.0.0.1")
	resolver := nameServer(t, func(name string) []string {
		if name == "rebinding.example" {
			return []string{target.Load().(string)}
		}
		return nil
	})
	location := "http://rebinding.example:" + u.Port() + "/"
	c := client(t, egress.Options{Resolver: resolver})
	if _, err := fetch(t.Context(), c, location, nil); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"169.254.169.254", "0.0.0.0", "::", "::ffff:169.254.169.254", "fe80::1", "64:ff9b::a9fe:a9fe"} {
		target.Store(address)
		c.Close() // the connection from before would be used again
		if _, err := fetch(t.Context(), c, location, nil); !errors.Is(err, egress.ErrForbiddenAddress) {
			t.Errorf("%s: got %v", address, err)
		}
	}
}

func TestRebindingOnRedirect(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://metadata.example/latest", http.StatusFound)
	})
	resolver := nameServer(t, func(name string) []string {
		if name == "metadata.example" {
			return []string{"169.254.169.254"}
		}
		return nil
	})
	_, err := fetch(t.Context(), client(t, egress.Options{Resolver: resolver}), s.URL, nil)
	if !errors.Is(err, egress.ErrForbiddenAddress) || !strings.Contains(err.Error(), "http://metadata.example/latest: forbidden address: 169.254.169.254 is a link-local address") {
		t.Errorf("got %v", err)
	}
}

func TestHostsOpenPrivateNetworks(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	resolver := nameServer(t, func(string) []string { return []string{"127.0.0.1"} })
	c := client(t, egress.Options{Resolver: resolver, Networks: []netip.Prefix{}, Hosts: []string{"registry.example"}})
	if _, err := fetch(t.Context(), c, "http://registry.example:"+u.Port(), nil); err != nil {
		t.Error(err)
	}
	if _, err := fetch(t.Context(), c, "http://other.example:"+u.Port(), nil); !errors.Is(err, egress.ErrForbiddenAddress) {
		t.Errorf("got %v", err)
	}
}
