package egress

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// LocalNetworks lists loopback and the private networks of RFC 1918, RFC 4193
// and RFC 6598: where a registry beside this server usually is.
func LocalNetworks() []netip.Prefix {
	return prefixes("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
}

// neverCalled lists what no configuration opens, by the IANA special-purpose address
// registries, and the metadata services of cloud providers that sit elsewhere.
var neverCalled = []struct {
	what     string
	networks []netip.Prefix
}{
	{"an unspecified address", prefixes("0.0.0.0/8", "::/128")},
	{"a link-local address", prefixes("169.254.0.0/16", "fe80::/10")},
	{"a multicast address", prefixes("224.0.0.0/4", "ff00::/8")},
	{"a reserved address", prefixes("240.0.0.0/4", "192.0.0.0/24", "100::/64")},
	{"a cloud metadata address", prefixes("100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::/32", "fd20:ce::/32")},
	{"a Teredo address", prefixes("2001::/32")},
}

// special lists what is not public and can be opened by a configuration,
// besides LocalNetworks.
var special = prefixes("192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "192.88.99.0/24",
	"2001:db8::/32", "3fff::/20", "5f00::/16", "fec0::/10", "2001:10::/28", "2001:20::/28")

var public6 = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// whyNever says why an address can never be called, "" where it can be. IPv6
// addresses that stand for an IPv4 address (mapped, compatible, translated,
// NAT64, 6to4) are judged by that.
func whyNever(a netip.Addr) string {
	if a.Zone() != "" {
		return "an address with a zone"
	}
	a = a.Unmap()
	for _, n := range neverCalled {
		if within(a, n.networks) {
			return n.what
		}
	}
	if inner, ok := embedded(a); ok {
		if why := whyNever(inner); why != "" {
			return why + " (" + inner.String() + " in IPv6 form)"
		}
	}
	return ""
}

// embedded is the IPv4 address that an IPv6 address stands for.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() || a.IsLoopback() {
		return netip.Addr{}, false
	}
	b := a.As16()
	tail := netip.AddrFrom4([4]byte(b[12:16]))
	switch {
	case within(a, nat64), within(a, compatible):
		return tail, true
	case b[0] == 0x20 && b[1] == 0x02: // 6to4, RFC 3056
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case b[8]&0xfd == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, RFC 5214
		return tail, true
	}
	return netip.Addr{}, false
}

var (
	// nat64 is RFC 6052 and RFC 8215.
	nat64 = prefixes("64:ff9b::/96", "64:ff9b:1::/48")
	// compatible is RFC 4291, 2.5.5.1, and the translated form of RFC 2765.
	compatible = prefixes("::/96", "::ffff:0:0:0/96")
)

func within(a netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// policy decides which addresses may be called.
type policy struct {
	networks []netip.Prefix
	hosts    []string
}

func newPolicy(networks []netip.Prefix, hosts []string) policy {
	if networks == nil {
		networks = LocalNetworks()
	}
	p := policy{}
	for _, n := range networks {
		p.networks = append(p.networks, n.Masked())
	}
	for _, h := range hosts {
		p.hosts = append(p.hosts, hostKey(h))
	}
	return p
}

// check judges an address that host resolved to.
func (p policy) check(host string, a netip.Addr) error {
	if why := whyNever(a); why != "" {
		return fmt.Errorf("%w: %s is %s", ErrForbiddenAddress, a, why)
	}
	a = a.Unmap()
	if within(a, p.networks) || slices.Contains(p.hosts, hostKey(host)) {
		return nil
	}
	if inner, ok := embedded(a); ok {
		return p.check(host, inner)
	}
	if within(a, LocalNetworks()) || within(a, special) || a.Is6() && !public6.Contains(a) {
		return fmt.Errorf("%w: %s is not public and not among the allowed networks", ErrForbiddenAddress, a)
	}
	return nil
}

func hostKey(host string) string {
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
