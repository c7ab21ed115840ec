package doctor

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// checkPeers tries to reach the other nodes.
func checkPeers(ctx context.Context, e *examination) []Result {
	var all []Result
	for _, peer := range e.c.Cluster.Peers {
		all = append(all, checkPeer(ctx, e, peer))
	}
	return all
}

func checkPeer(ctx context.Context, e *examination, peer string) Result {
	check := "peer " + peer
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	if !e.Running && isSelf(ctx, e, peer) {
		return ok(check, "this node itself, which does not run")
	}
	began := e.Now()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", peer)
	var dns *net.DNSError
	switch {
	case err == nil:
		defer func() { _ = c.Close() }()
		took := e.Now().Sub(began).Round(time.Microsecond)
		if !greetsAsNode(ctx, c) {
			return warn(check, "correct cluster.peers: it has the cluster.listen addresses of the other nodes", "something answers there, and it is no node")
		}
		return ok(check, "reached in %s", took)
	case errors.As(err, &dns):
		return warn(check, "correct cluster.peers, or DNS", "its name is not known: %v", err)
	}
	return warn(check, "start that node, or open its cluster.listen port in the firewall", "it is not reached: %v", err)
}

// greetsAsNode reports whether a connection begins as that of a NATS server does, with what the
// server is. It does so before TLS.
func greetsAsNode(ctx context.Context, c net.Conn) bool {
	if deadline, set := ctx.Deadline(); set {
		_ = c.SetReadDeadline(deadline)
	}
	greeting := make([]byte, len("INFO "))
	_, err := io.ReadFull(c, greeting)
	return err == nil && string(greeting) == "INFO "
}

// isSelf reports whether a peer is this node's own cluster.listen, which may be in the list.
func isSelf(ctx context.Context, e *examination, peer string) bool {
	_, ownPort, err := net.SplitHostPort(e.c.Cluster.Listen)
	host, port, peerErr := net.SplitHostPort(peer)
	if err != nil || peerErr != nil || port != ownPort {
		return false
	}
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return false
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, address := range addresses {
		for _, o := range own {
			if n, isNet := o.(*net.IPNet); isNet && n.IP.Equal(address.IP) {
				return true
			}
		}
	}
	return false
}
