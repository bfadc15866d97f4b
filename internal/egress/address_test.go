package egress

import (
	"errors"
	"net/netip"
	"testing"
)

func TestPolicy(t *testing.T) {
	none := []netip.Prefix{}
	everything := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	tests := []struct {
		name     string
		networks []netip.Prefix
		hosts    []string
		host     string
		address  string
		allowed  bool
	}{
		{name: "public", address: "93.184.216.34", allowed: true},
		{name: "public, nothing listed", networks: none, address: "93.184.216.34", allowed: true},
		{name: "public IPv6", networks: none, address: "2606:2800:220:1::1", allowed: true},
		{name: "loopback by default", address: "127.0.0.1", allowed: true},
		{name: "loopback IPv6 by default", address: "::1", allowed: true},
		{name: "private by default", address: "10.1.2.3", allowed: true},
		{name: "private IPv6 by default", address: "fd12::1", allowed: true},
		{name: "mapped private by default", address: "::ffff:10.1.2.3", allowed: true},
		{name: "loopback where nothing is listed", networks: none, address: "127.0.0.1"},
		{name: "mapped loopback where nothing is listed", networks: none, address: "::ffff:127.0.0.1"},
		{name: "NAT64 loopback where nothing is listed", networks: none, address: "64:ff9b::127.0.0.1"},
		{name: "6to4 private where nothing is listed", networks: none, address: "2002:0a01:0203::1"},
		{name: "NAT64 public", networks: none, address: "64:ff9b::93.184.216.34", allowed: true},
		{name: "private by host", networks: none, hosts: []string{"Registry.Example."}, host: "registry.example", address: "10.1.2.3", allowed: true},
		{name: "other host", networks: none, hosts: []string{"registry.example"}, host: "evil.example", address: "10.1.2.3"},
		{name: "documentation network", address: "192.0.2.1"},
		{name: "documentation network, listed", networks: everything, address: "192.0.2.1", allowed: true},
		{name: "site-local", address: "fec0::1"},
		{name: "unassigned IPv6", address: "4000::1"},
		{name: "unspecified", networks: everything, address: "0.0.0.0"},
		{name: "this network", networks: everything, address: "0.1.2.3"},
		{name: "unspecified IPv6", networks: everything, address: "::"},
		{name: "mapped unspecified", networks: everything, address: "::ffff:0.0.0.0"},
		{name: "metadata", networks: everything, address: "169.254.169.254"},
		{name: "metadata by host", hosts: []string{"meta.example"}, host: "meta.example", address: "169.254.169.254"},
		{name: "mapped metadata", networks: everything, address: "::ffff:169.254.169.254"},
		{name: "NAT64 metadata", networks: everything, address: "64:ff9b::169.254.169.254"},
		{name: "local NAT64 metadata", networks: everything, address: "64:ff9b:1::169.254.169.254"},
		{name: "6to4 metadata", networks: everything, address: "2002:a9fe:a9fe::1"},
		{name: "compatible metadata", networks: everything, address: "::169.254.169.254"},
		{name: "translated metadata", networks: everything, address: "::ffff:0:169.254.169.254"},
		{name: "ISATAP metadata", networks: everything, address: "2001:db8::200:5efe:a9fe:a9fe"},
		{name: "Teredo", networks: everything, address: "2001:0:a9fe:a9fe::1"},
		{name: "link-local IPv6", networks: everything, address: "fe80::1"},
		{name: "zone", networks: everything, address: "fe80::1%eth0"},
		{name: "AWS IPv6 metadata", address: "fd00:ec2::254"},
		{name: "Google IPv6 metadata", address: "fd20:ce::254"},
		{name: "Alibaba metadata", address: "100.100.100.200"},
		{name: "Azure wire server", address: "168.63.129.16"},
		{name: "Oracle metadata", address: "192.0.0.192"},
		{name: "multicast", networks: everything, address: "224.0.0.1"},
		{name: "multicast IPv6", networks: everything, address: "ff02::1"},
		{name: "broadcast", networks: everything, address: "255.255.255.255"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := newPolicy(test.networks, test.hosts).check(test.host, netip.MustParseAddr(test.address))
			if (err == nil) != test.allowed {
				t.Errorf("%s: got %v, want allowed = %v", test.address, err, test.allowed)
			}
			if err != nil && !errors.Is(err, ErrForbiddenAddress) {
				t.Errorf("%s: %v is no ErrForbiddenAddress", test.address, err)
			}
		})
	}
}

func FuzzPolicyNeverReachesLinkLocal(f *testing.F) {
	for _, seed := range []string{"169.254.169.254", "::ffff:169.254.1.1", "64:ff9b::a9fe:1", "2002:a9fe:1::", "fe80::1", "::", "127.0.0.1"} {
		f.Add(netip.MustParseAddr(seed).AsSlice())
	}
	all := newPolicy([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}, nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		plain := a.Unmap()
		bad := plain.IsLinkLocalUnicast() || plain.IsMulticast() || plain.IsUnspecified()
		if err := all.check("", a); bad && err == nil {
			t.Errorf("%s is allowed", a)
		}
	})
}
