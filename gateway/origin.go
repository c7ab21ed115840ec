package gateway

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// originAllowed reports whether a browser page of the request's Origin may
// connect. Requests without an Origin are not a browser's, and are allowed: a
// session needs credentials that no browser adds by itself.
func originAllowed(r *http.Request, allowed []string) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	if strings.EqualFold(u.Host, r.Host) {
		return true
	}
	for _, pattern := range allowed {
		switch {
		case pattern == "*":
			return true
		case pattern == LoopbackOrigins:
			if IsLoopback(u.Hostname()) {
				return true
			}
		case strings.EqualFold(pattern, origin):
			return true
		}
	}
	return false
}

// originNamed is originAllowed without "*": for what browsers send by themselves, any
// page is not to be one that was named.
func originNamed(r *http.Request, allowed []string) bool {
	return originAllowed(r, slices.DeleteFunc(slices.Clone(allowed), func(origin string) bool { return origin == "*" }))
}

// LoopbackOrigins in a list of allowed origins stands for every port of this machine.
const LoopbackOrigins = "loopback"

// IsLoopback reports whether a host name or address is this machine's own.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}
