package broker

import (
	"cmp"
	"net"
	"slices"
	"time"

	"github.com/stompbox/stompbox/broker/admin"
)

// summary describes the session without its subscriptions. It may be called by any goroutine.
func (s *Session) summary() admin.SessionInfo {
	i := admin.SessionInfo{
		ID: s.id, User: s.user, Node: s.broker.name, Remote: s.transport.RemoteAddr(), Transport: s.transport.Name(), Version: s.version().String(),
		Connected: s.broker.clock.at(s.openedAt), ReceivedBytes: s.received.Load(), SentBytes: s.outbox.written.Load(), Subscriptions: []admin.SubscriptionInfo{},
	}
	if p := s.shown.Load(); p != nil {
		i.Token = p.TokenID
	}
	if since := s.outbox.writing.Load(); since != 0 {
		i.Writing = time.Duration(max(s.broker.clock.now()-since, 0)).Seconds()
	}
	s.outbox.mu.Lock()
	i.QueuedFrames, i.QueuedBytes = s.outbox.frames, int64(s.outbox.bytes)
	s.outbox.mu.Unlock()
	return i
}

// traffic is that of one session.
func (s *Session) trafficInfo() *admin.Traffic {
	i := s.summary()
	address := i.Remote
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	t := &admin.Traffic{
		Addresses: []string{address}, ReceivedBytes: i.ReceivedBytes, SentBytes: i.SentBytes,
		QueuedFrames: i.QueuedFrames, QueuedBytes: i.QueuedBytes, Writing: i.Writing,
	}
	s.mu.Lock()
	t.Subscriptions = s.subs.len()
	s.mu.Unlock()
	return t
}

// trafficOf is what users of this node cause: by name, or in the order that is asked for.
func (b directory) trafficOf(q registryQuery) []admin.UserInfo {
	byName := make(map[string]*admin.UserInfo)
	var listed map[string]int // nil: all are looked at
	if q.Order == "" && q.Limit > 0 {
		first := newFirstNames(q.After, q.Limit)
		b.eachConnected(func(s *Session) {
			if first.wants(s.user) {
				first.add(s.user, 1)
			}
		})
		first.sorted()
		listed = first.counts
	}
	b.eachConnected(func(s *Session) {
		if listed != nil && listed[s.user] == 0 {
			return
		}
		u := byName[s.user]
		if u == nil {
			u = &admin.UserInfo{Name: s.user, Nodes: []string{b.name}, Traffic: &admin.Traffic{Addresses: []string{}}}
			byName[s.user] = u
		}
		u.Sessions++
		u.Add(s.trafficInfo())
	})
	return firstUsers(byName, q.Order, q.Limit)
}

// firstUsers orders users, and cuts the list where limit is not 0.
func firstUsers(byName map[string]*admin.UserInfo, order admin.Order, limit int) []admin.UserInfo {
	all := make([]admin.UserInfo, 0, len(byName))
	for _, u := range byName {
		all = append(all, *u)
	}
	slices.SortFunc(all, func(a, b admin.UserInfo) int {
		return cmp.Or(compareTraffic(order, a.Traffic, b.Traffic), cmp.Compare(a.Name, b.Name))
	})
	return all[:cutAt(len(all), limit)]
}

func cutAt(n, limit int) int {
	if limit > 0 {
		return min(n, limit)
	}
	return n
}

// compareTraffic is negative where a comes first.
func compareTraffic(order admin.Order, a, b *admin.Traffic) int {
	switch {
	case a == nil || b == nil:
		return 0
	case order == admin.BySlowness:
		return cmp.Or(cmp.Compare(b.QueuedBytes, a.QueuedBytes), cmp.Compare(b.Writing, a.Writing), cmp.Compare(b.QueuedFrames, a.QueuedFrames))
	case order == admin.ByBytes:
		return cmp.Compare(b.SentBytes+b.ReceivedBytes, a.SentBytes+a.ReceivedBytes)
	}
	return 0
}

// maxSessionsListed is how many sessions of one node a list of all sessions takes: the
// first ones in its order.
const maxSessionsListed = 10_000

func (b directory) sessionsOf(q registryQuery) []admin.SessionInfo {
	var all []admin.SessionInfo
	b.eachConnected(func(s *Session) { all = append(all, s.summary()) })
	sortSessions(all, q.Order)
	return all[:cutAt(len(all), maxSessionsListed)]
}

// subscribersOf are sessions that are subscribed to exactly the destination of the query, with
// these subscriptions alone.
func (b directory) subscribersOf(q registryQuery) []admin.SessionInfo {
	var all []admin.SessionInfo
	b.eachConnected(func(s *Session) {
		if subs := s.subscriptionsTo(q.Name); len(subs) > 0 {
			i := s.summary()
			i.Subscriptions = subs
			all = append(all, i)
		}
	})
	sortSessions(all, q.Order)
	return all[:cutAt(len(all), maxSessionsListed)]
}

func sortSessions(all []admin.SessionInfo, order admin.Order) {
	traffic := func(s *admin.SessionInfo) *admin.Traffic {
		return &admin.Traffic{QueuedBytes: s.QueuedBytes, Writing: s.Writing, QueuedFrames: s.QueuedFrames, SentBytes: s.SentBytes, ReceivedBytes: s.ReceivedBytes}
	}
	slices.SortFunc(all, func(a, b admin.SessionInfo) int {
		return cmp.Or(compareTraffic(order, traffic(&a), traffic(&b)), cmp.Compare(a.User, b.User), a.Connected.Compare(b.Connected), cmp.Compare(a.ID, b.ID))
	})
}

func (b directory) nodeInfo() admin.NodeInfo {
	s := b.Stats()
	n := admin.NodeInfo{
		Name: b.name, ID: b.node, Server: b.server, Started: b.clock.at(int64(time.Second)), Draining: b.Draining(), NotReady: s.NotReady,
		Sessions: s.Sessions, Subscriptions: s.Subscriptions, Received: s.Received, Delivered: s.Delivered, Dropped: s.Dropped,
	}
	for _, t := range s.Transports {
		n.ReceivedBytes += t.Received
		n.SentBytes += t.Sent
	}
	return n
}
