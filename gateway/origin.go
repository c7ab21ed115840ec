package gateway

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"
)

const (
	// LoopbackOrigins in a list of allowed origins allows every port of this machine.
	LoopbackOrigins = "loopback"
	// anyOrigin in a list of allowed origins stands for all of them.
	anyOrigin = "*"
	// opaqueOrigin is that of sandboxed frames and of pages without a server, and
	// fileOrigin that of local pages in some browsers.
	opaqueOrigin = "null"
	fileOrigin   = "file://"
)

// allowedOrigins are a list that can be replaced while requests come in.
type allowedOrigins struct{ current atomic.Pointer[[]string] }

func (a *allowedOrigins) set(list []string) { a.current.Store(&list) }

func (a *allowedOrigins) list() []string { return *a.current.Load() }

// CheckOrigins returns an error if a list of allowed origins has an entry that no browser would
// send.
func CheckOrigins(allowed []string) error {
	for _, entry := range allowed {
		switch entry {
		case anyOrigin, LoopbackOrigins, opaqueOrigin, fileOrigin:
			continue
		}
		u, err := url.Parse(entry)
		switch {
		case err != nil || u.Scheme == "" || u.Host == "":
			return fmt.Errorf("%q is no origin of a page; write it as browsers send it, such as https://app.example, or use *, null, file:// or loopback", entry)
		case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
			return fmt.Errorf("%q can never match: an origin ends after the host and port, as in %s://%s", entry, u.Scheme, u.Host)
		case strings.Contains(u.Host, "*"):
			return fmt.Errorf("%q can never match: only a single * stands for all origins; name each of them", entry)
		}
		if why := neverSent(u); why != "" {
			return fmt.Errorf("%q can never match: %s", entry, why)
		}
	}
	return nil
}

// neverSent says why no browser sends an origin, or "" if a browser may. Browsers write hosts
// and ports in one way, whatever a page's URL has.
func neverSent(u *url.URL) string {
	switch u.Scheme {
	case "http", "https":
	case "ws", "wss", "stomp", "tcp":
		return "it is the page that has an origin, whose scheme is http or https"
	default: // of an app
		return ""
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "its port is none of 1 to 65535"
		}
	}
	return hostNeverSent(u.Hostname(), strings.HasPrefix(u.Host, "["))
}

func hostNeverSent(host string, inBrackets bool) string {
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "":
		return "it has no host"
	case inBrackets && (err != nil || ip.Zone() != ""):
		return "its host is no IPv6 address"
	case inBrackets:
		return ""
	case endsInNumber(host) && (err != nil || !ip.Is4()):
		return "browsers write an IPv4 address as four decimal numbers"
	}
	for i := range len(host) {
		if host[i] >= utf8.RuneSelf {
			return "browsers write a name in ASCII, such as xn--bcher-kva.example"
		}
		if strings.IndexByte(" %\"<>\\^`{|}", host[i]) >= 0 {
			return fmt.Sprintf("no host has a %q in its name", host[i])
		}
	}
	return ""
}

// endsInNumber reports whether browsers take a host for an IPv4 address (WHATWG URL, 3.5).
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// originAllowed reports whether a browser page of the request's Origin may
// connect. Requests without an Origin are not a browser's, and are allowed: a
// session needs credentials that no browser adds by itself.
func originAllowed(r *http.Request, allowed []string) bool {
	if len(r.Header["Origin"]) > 1 {
		return false // a browser sends one
	}
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(allowed, anyOrigin) {
		return true
	}
	if origin == opaqueOrigin || origin == fileOrigin {
		return slices.Contains(allowed, origin)
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	if sameOrigin(u, r) {
		return true
	}
	for _, entry := range allowed {
		if entry == LoopbackOrigins && IsLoopback(u.Hostname()) || matchOrigin(entry, u) {
			return true
		}
	}
	return false
}

// matchOrigin reports whether an entry of a list is an origin. The default port of a
// scheme may be written or not.
func matchOrigin(entry string, origin *url.URL) bool {
	e, err := url.Parse(entry)
	return err == nil && e.Host != "" && strings.EqualFold(e.Scheme, origin.Scheme) &&
		sameHost(e.Hostname(), origin.Hostname()) && portOf(e) == portOf(origin)
}

// sameHost reports whether two names or addresses are one. An IPv6 address can be written in
// several ways.
func sameHost(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	first, err := netip.ParseAddr(a)
	if err != nil {
		return false
	}
	second, err := netip.ParseAddr(b)
	return err == nil && first == second
}

// portOf is the port of a URL, or the default of its scheme.
func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return defaultPorts[strings.ToLower(u.Scheme)]
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}

// sameOrigin reports whether a page is of the host that the request is for. A page over
// plain http is not of a server over https: anyone on its network may have written it. A
// page over https may be of a server over http, where something in front ends TLS.
func sameOrigin(page *url.URL, r *http.Request) bool {
	secure := r.TLS != nil || r.URL.Scheme == "https"
	if page.Scheme != "https" && (secure || page.Scheme != "http") {
		return false
	}
	host, port := r.Host, ""
	if h, p, err := net.SplitHostPort(r.Host); err == nil {
		host, port = h, p
	}
	if port == "" {
		port = defaultPorts[page.Scheme]
	}
	return sameHost(strings.Trim(host, "[]"), page.Hostname()) && port == portOf(page)
}

// originNamed is originAllowed without "*" and what any page can be: for what browsers
// send by themselves, any page is not to be one that was named.
func originNamed(r *http.Request, allowed []string) bool {
	return originAllowed(r, slices.DeleteFunc(slices.Clone(allowed), func(entry string) bool {
		return entry == anyOrigin || entry == opaqueOrigin || entry == fileOrigin
	}))
}

// IsLoopback reports whether a host name or address refers to this machine.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// originLog reports pages that were refused, so that an operator sees which entry is
// missing. It is bounded, since any page can be refused as often as it likes.
type originLog struct {
	log   *slog.Logger
	some  rate.Sometimes
	count atomic.Int64
}

func newOriginLog(log *slog.Logger) *originLog {
	if log == nil {
		log = slog.Default()
	}
	return &originLog{log: log, some: rate.Sometimes{First: 10, Interval: time.Second}}
}

func (o *originLog) refused(r *http.Request) {
	o.count.Add(1)
	o.some.Do(func() {
		origin := withoutUser(r.Header.Get("Origin"))
		o.log.Warn("a page was refused; if it is yours, add its origin to http.allowed_origins", "origin", origin[:min(len(origin), 200)], "host", withoutUser(r.Host), "remote", r.RemoteAddr)
	})
}

// withoutUser returns an origin or a host without a name and password before it. No browser
// sends them.
func withoutUser(text string) string { return text[strings.LastIndexByte(text, '@')+1:] }
