package broker

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/stompbox/stompbox/frames"
)

// TransportStats are counts of all connections of one kind.
type TransportStats struct {
	Name     string           // of the transport, such as websocket
	Sessions map[string]int64 // open now, by STOMP version; "none" have not connected
	Received int64            // bytes of STOMP
	Sent     int64            // bytes of frames as they travel, before TLS
}

// transportStats are the counts of a [TransportStats], which all sessions of a transport
// share.
type transportStats struct {
	sessions       [len(versionNames)]atomic.Int64
	received, sent atomic.Int64
}

// versionNames are the labels of sessions by their version.
var versionNames = [...]string{"none", "1.0", "1.1", "1.2"}

// versionIndex is the place of a version in versionNames.
func versionIndex(v frames.Version) int {
	if v == 0 {
		return 0
	}
	return int(v-frames.V10) + 1
}

// transport returns the counts of a kind of connection.
func (c *counters) transport(name string) *transportStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.transports[name]
	if t == nil {
		if c.transports == nil {
			c.transports = make(map[string]*transportStats)
		}
		t = new(transportStats)
		c.transports[name] = t
	}
	return t
}

func (c *counters) transportStats() []TransportStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]TransportStats, 0, len(c.transports))
	for name, t := range c.transports {
		s := TransportStats{Name: name, Sessions: make(map[string]int64), Received: t.received.Load(), Sent: t.sent.Load()}
		for i := range t.sessions {
			s.Sessions[versionNames[i]] = t.sessions[i].Load()
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b TransportStats) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
