package config

import (
	"net"
	"os"
	"strings"
)

// isOwnPeer reports whether an entry of cluster.peers is sure to be the node itself, which listens
// at an address. No name is looked up, since it may stand for several nodes.
func isOwnPeer(peer, listen string) bool {
	host, port, err := net.SplitHostPort(peer)
	if err != nil {
		return false
	}
	own, ownPort, err := net.SplitHostPort(listen)
	if err != nil || port != ownPort {
		return false
	}
	if strings.EqualFold(host, own) {
		return true
	}
	ip, everywhere := addressOf(host), own == "" || net.ParseIP(own).IsUnspecified()
	switch at := addressOf(own); {
	case ip == nil: // a name
		name, err := os.Hostname()
		return everywhere && err == nil && strings.EqualFold(host, name)
	case everywhere:
		return ip.IsLoopback() || ip.IsUnspecified() || isLocal(ip)
	case strings.EqualFold(host, "localhost") || strings.EqualFold(own, "localhost") || ip.IsUnspecified():
		return at.IsLoopback() && (ip.IsLoopback() || ip.IsUnspecified())
	default:
		return ip.Equal(at)
	}
}

// addressOf is an IP address, also that of localhost, or nil for another name.
func addressOf(host string) net.IP {
	if strings.EqualFold(host, "localhost") {
		return net.IPv4(127, 0, 0, 1)
	}
	return net.ParseIP(host)
}

// isLocal reports whether an address is one of this machine.
func isLocal(ip net.IP) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, address := range all {
		if network, ok := address.(*net.IPNet); ok && network.IP.Equal(ip) {
			return true
		}
	}
	return false
}
