package relay

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startGrace is how long the servers of a cluster may take to find each other. Until then it is
// normal that one that is not there yet cannot be reached.
const startGrace = 30 * time.Second

const (
	// unreachedReport is what the server says of the first attempt to reach another one, and
	// then of each 3600th.
	unreachedReport = "Error trying to connect to route (attempt %v): %v"
	// unroutedReport is what it says while it has reached none, and the next ones until
	// the servers have chosen a leader and this one has what that one has.
	unroutedReport   = "Waiting for routing to be established..."
	recoveringReport = "JetStream is still recovering meta layer"
	unledReport      = "JetStream has not established contact with a meta leader"
	behindReport     = "JetStream is not current with the meta leader"
)

// startReports are what a server said at its start about others that are not there yet.
type startReports struct {
	mu    sync.Mutex // guards the following
	until time.Time  // zero where the server is alone
	held  map[string]bool
}

// begin is called when a server of a cluster starts.
func (r *startReports) begin(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until, r.held = now.Add(startGrace), make(map[string]bool)
}

// holdAtStart reports whether a line is normal now. A server that cannot be reached is
// reported later, where it is still missing then.
func (n *natsLogger) holdAtStart(format, text string, now time.Time) bool {
	switch {
	case format == unreachedReport:
	case text == unroutedReport, text == recoveringReport, text == unledReport, text == behindReport:
	default:
		return false
	}
	r := &n.atStart
	r.mu.Lock()
	defer r.mu.Unlock()
	if !now.Before(r.until) {
		return false
	}
	if format == unreachedReport && len(r.held) < maxSaid {
		r.held[text] = true
	}
	return true
}

// missing returns what was said of servers that could not be reached at the start, once, after
// the start, and if any is missing: this one should have as many routes as it has peers.
func (r *startReports) missing(now time.Time, peers, routes int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.held) == 0 || now.Before(r.until) {
		return nil
	}
	held := slices.Sorted(maps.Keys(r.held))
	r.until, r.held = time.Time{}, nil
	if routes >= max(peers, len(held)) {
		return nil
	}
	return held
}

// reportMissing says which other servers were not reached since the start.
func (s *Server) reportMissing(now time.Time) {
	all, err := s.running().Routez(&server.RoutezOptions{})
	if err != nil {
		return
	}
	routes := make(map[string]bool)
	for _, route := range all.Routes {
		routes[route.RemoteID] = true
	}
	if reports := s.log.atStart.missing(now, len(s.options.Routes)-1, len(routes)); reports != nil {
		s.log.log.Warn("not all servers of cluster.peers were reached since the start", "reports", reports, "reached", len(routes))
	}
}
