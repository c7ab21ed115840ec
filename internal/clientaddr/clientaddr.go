// Package clientaddr finds the address of a client behind proxies, which quotas and
// logs are about. It believes the proxies that the operator trusts, and nothing else:
// any client can send the headers that proxies do.
package clientaddr

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
)

// Proxies are the networks whose word on a client's address is taken.
type Proxies []netip.Prefix

// ParseProxies reads addresses and networks, such as 10.0.0.0/8 or ::1.
func ParseProxies(texts []string) (Proxies, error) {
	var all Proxies
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			var ip netip.Addr
			if ip, err = netip.ParseAddr(text); err != nil {
				return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", text)
			}
			p = netip.PrefixFrom(ip, ip.BitLen())
		}
		all = append(all, unmap(p).Masked())
	}
	return all, nil
}

// mappedBits is how many bits of an IPv6 address that stands for one of IPv4 say so.
const mappedBits = 96

// unmap returns the network of IPv4 that one of IPv6 such as ::ffff:10.0.0.0/104 stands for.
func unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= mappedBits {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
	}
	return p
}

// Trusts reports whether an address is a proxy's.
func (p Proxies) Trusts(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	for _, network := range p {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

// maxHops bounds how many entries of the headers are looked at.
const maxHops = 32

// Handler gives requests that come through trusted proxies the address of their client
// as RemoteAddr, from X-Forwarded-For or, where there is none, Forwarded (RFC 7239). Nearly
// all proxies set the former and pass on a Forwarded that the client made up. The last
// address that is not a proxy's counts, since what stands before it can be made up by the
// client. Where the proxy ended TLS, the request's URL has the scheme https.
func (p Proxies) Handler(next http.Handler) http.Handler {
	if len(p) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && p.Trusts(peer.Addr()) {
			if client, ok := p.client(r.Header); ok {
				r.RemoteAddr = client
			}
			if secure(r.Header) {
				r.URL.Scheme = "https" // as for a client's request to a proxy
			}
		}
		next.ServeHTTP(w, r)
	})
}

// client returns the address that the headers give, as host:port.
func (p Proxies) client(h http.Header) (string, bool) {
	hops := split(h["X-Forwarded-For"])
	if hops == nil {
		for _, e := range forwarded(h["Forwarded"]) {
			hops = append(hops, e.client)
		}
	}
	found := ""
	for i := len(hops) - 1; i >= max(len(hops)-maxHops, 0); i-- {
		at, ok := parseHop(hops[i])
		if !ok {
			break // what a proxy does not know, such as "unknown", hides all before it
		}
		found = at.String()
		if !p.Trusts(at.Addr()) {
			break
		}
	}
	return found, found != ""
}

// secure reports whether the last proxy was reached over TLS. Traefik says wss of a WebSocket.
func secure(h http.Header) bool {
	proto := ""
	if all := split(h["X-Forwarded-Proto"]); len(all) > 0 {
		proto = all[len(all)-1]
	} else if elements := forwarded(h["Forwarded"]); len(elements) > 0 {
		proto = elements[len(elements)-1].proto
	}
	return strings.EqualFold(proto, "https") || strings.EqualFold(proto, "wss")
}

func split(lines []string) (hops []string) {
	for _, line := range lines {
		for hop := range strings.SplitSeq(line, ",") {
			hops = append(hops, strings.TrimSpace(hop))
		}
	}
	return hops
}

// parseHop reads an address with or without a port, in brackets or not. A zone, which can be any
// text, means nothing outside the proxy.
func parseHop(hop string) (netip.AddrPort, bool) {
	if at, err := netip.ParseAddrPort(hop); err == nil {
		return netip.AddrPortFrom(at.Addr().WithZone(""), at.Port()), true
	}
	ip, err := netip.ParseAddr(strings.Trim(hop, "[]"))
	return netip.AddrPortFrom(ip.WithZone(""), 0), err == nil
}

// Network returns what the addresses of one client have in common: of IPv6 the /64 network, in
// which hosts change their addresses. What is no address is returned as it is.
func Network(remote string) string {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	address := a.Addr().Unmap()
	if network, err := address.WithZone("").Prefix(64); err == nil && address.Is6() {
		return network.Addr().String()
	}
	return address.String()
}

// List are Proxies that can be replaced while connections come in.
type List struct{ current atomic.Pointer[Proxies] }

// NewList begins with p.
func NewList(p Proxies) *List {
	l := new(List)
	l.Set(p)
	return l
}

// Set replaces the proxies.
func (l *List) Set(p Proxies) { l.current.Store(&p) }

func (l *List) get() Proxies { return *l.current.Load() }

// Trusts reports whether a remote address is a proxy's.
func (l *List) Trusts(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	return err == nil && l.get().Trusts(at.Addr())
}

// Handler is [Proxies.Handler].
func (l *List) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.get().Handler(next).ServeHTTP(w, r) })
}
