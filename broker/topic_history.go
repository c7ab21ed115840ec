package broker

import (
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// histories finds policies. The first that matches a key counts.
type histories []driver.HistoryPolicy

// policyOf returns the policy of a routing key, or nil.
func (h histories) policyOf(key string) *driver.HistoryPolicy {
	for i := range h {
		if h[i].Match.Match(key) && !destination.IsReserved(key) {
			return &h[i]
		}
	}
	return nil
}

// overlapping returns the policies that keep something of a pattern.
func (h histories) overlapping(p destination.Pattern) (found []*driver.HistoryPolicy) {
	for i := range h {
		if h[i].Match.Overlaps(p) {
			found = append(found, &h[i])
		}
	}
	return found
}

// containing returns the one policy that keeps all of a pattern, or nil.
func (h histories) containing(p destination.Pattern) *driver.HistoryPolicy {
	all := h.overlapping(p)
	if len(all) == 1 && all[0].Match.Contains(p) {
		return all[0]
	}
	if !destination.HasWildcard(p.String()) {
		return h.policyOf(p.String())
	}
	return nil
}

// single returns the policy that keeps something of a pattern where there is just
// one. More than one is an error: a position is of one history.
func (h histories) single(p destination.Pattern) (*driver.HistoryPolicy, error) {
	if !destination.HasWildcard(p.String()) {
		return h.policyOf(p.String()), nil
	}
	switch overlapping := h.overlapping(p); len(overlapping) {
	case 0:
		return nil, nil
	case 1:
		return overlapping[0], nil
	default:
		return nil, errorf(CodeBadHeader, "destination %q takes in the histories %s and %s, and a replay is of one; subscribe to a narrower pattern for each", p, overlapping[0].Name, overlapping[1].Name)
	}
}
