package config

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/stompbox/stompbox/gateway"
)

// Listener is a setting that opens a port.
type Listener struct{ Key, Address string }

// Listeners are those that a configuration opens.
func Listeners(c *Config) []Listener {
	all := []Listener{
		{"http.listen", c.HTTP.Listen}, {"stomp.listen", c.STOMP.Listen}, {"metrics.listen", c.Metrics.Listen}, {"admin.listen", c.Admin.Listen},
		{"acme.http_listen", c.ACME.HTTPListen}, {"nats.listen", c.NATS.Listen}, {"cluster.listen", c.Cluster.Listen},
	}
	return slices.DeleteFunc(all, func(l Listener) bool { return l.Address == "" || l.Key == "acme.http_listen" && !c.ACME.On() })
}

// checkListeners refuses addresses that cannot be listened at, or that are taken by another
// setting, and listeners that would let anyone in.
func checkListeners(c *Config, problem func(string, ...any)) {
	if c.HTTP.Listen == "" && c.STOMP.Listen == "" {
		problem("http.listen and stomp.listen are both empty, so no client could connect")
	}
	all := Listeners(c)
	for i, l := range all {
		host, port, err := net.SplitHostPort(l.Address)
		switch {
		case err != nil:
			problem("%s %q is not host:port, such as 127.0.0.1:8080", l.Key, l.Address)
			continue
		case !isPort(l.Key, port):
			problem("%s %q: %q is no port", l.Key, l.Address, port)
			continue
		case strings.TrimSpace(host) != host:
			problem("%s %q has a space in it", l.Key, l.Address)
			continue
		case c.Dev && !gateway.IsLoopback(host):
			problem("%s %q is beyond loopback, which --dev does not allow: it accepts guest/guest; use 127.0.0.1, or configure keys and leave --dev out", l.Key, l.Address)
		case l.Key == "nats.listen" && !gateway.IsLoopback(host) && (c.NATS.User == "" || c.NATS.Password == "" && c.NATS.PasswordFile == ""):
			problem("nats.listen %q is beyond loopback; set nats.user and nats.password too", l.Address)
		case l.Key == "cluster.listen" && !gateway.IsLoopback(host) && (c.Cluster.User == "" || c.Cluster.Password == "" && c.Cluster.PasswordFile == ""):
			problem("cluster.listen %q is beyond loopback; set cluster.user and cluster.password too, the same on all nodes", l.Address)
		}
		for _, other := range all[:i] {
			if samePort(l.Address, other.Address) {
				problem("%s %q and %s %q are the same port; give each its own", l.Key, l.Address, other.Key, other.Address)
			}
		}
	}
}

// samePort reports whether one process cannot listen at both addresses.
func samePort(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil {
		return false
	}
	numberA, errA := net.LookupPort("tcp", portA)
	numberB, errB := net.LookupPort("tcp", portB)
	return errA == nil && errB == nil && numberA == numberB && numberA != 0 && sameHost(hostA, hostB)
}

// sameHost reports whether two hosts of listeners have an address in common. Names other than
// localhost are compared as they are written.
func sameHost(a, b string) bool {
	if isAnyHost(a) || isAnyHost(b) || strings.EqualFold(a, b) {
		return true
	}
	if strings.EqualFold(a, "localhost") || strings.EqualFold(b, "localhost") {
		return gateway.IsLoopback(a) && gateway.IsLoopback(b)
	}
	ipA, ipB := net.ParseIP(a), net.ParseIP(b)
	return ipA != nil && ipA.Equal(ipB)
}

// isAnyHost reports whether a listener has all addresses of the machine.
func isAnyHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// isPort reports whether a listener can have a port. That of NATS has to be a number, and
// one that others know.
func isPort(key, port string) bool {
	if key == "nats.listen" || key == "cluster.listen" {
		return isKnownPort(port)
	}
	_, err := net.LookupPort("tcp", port)
	return port != "" && err == nil
}

// isKnownPort reports whether a port is a number that others can connect to.
func isKnownPort(port string) bool {
	n, err := strconv.Atoi(port)
	return err == nil && n > 0 && n < 1<<16
}
