package broker

import (
	"cmp"
	"net"
	"slices"
	"time"
)

// Order is how a list of users or sessions is ordered, the first ones being those that are
// looked for.
type Order string

// The orders of lists.
const (
	// BySlowness has those first whose clients do not read what waits for them.
	BySlowness Order = "slowest"
	// ByBytes has those first that caused the most traffic.
	ByBytes Order = "bytes"
)

// maxAddresses bounds the addresses of a user that are listed.
const maxAddresses = 10

// Traffic is what all sessions of a user cause together.
type Traffic struct {
	Subscriptions int      `json:"subscriptions"`
	Addresses     []string `json:"addresses"` // at most 10
	ReceivedBytes int64    `json:"received_bytes"`
	SentBytes     int64    `json:"sent_bytes"`
	QueuedFrames  int      `json:"queued_frames"` // that the clients have not read
	QueuedBytes   int64    `json:"queued_bytes"`
	Writing       float64  `json:"writing_seconds"` // how long the longest write under way takes already
}

// add adds the traffic on another node, or of another session.
func (t *Traffic) add(other *Traffic) {
	if t == nil || other == nil {
		return
	}
	t.Subscriptions += other.Subscriptions
	t.ReceivedBytes += other.ReceivedBytes
	t.SentBytes += other.SentBytes
	t.QueuedFrames += other.QueuedFrames
	t.QueuedBytes += other.QueuedBytes
	t.Writing = max(t.Writing, other.Writing)
	for _, address := range other.Addresses {
		if len(t.Addresses) < maxAddresses && !slices.Contains(t.Addresses, address) {
			t.Addresses = append(t.Addresses, address)
		}
	}
}

// summary describes the session without its subscriptions. It may be called by any goroutine.
func (s *Session) summary() SessionInfo {
	i := SessionInfo{
		ID: s.id, User: s.user, Node: s.broker.name, Remote: s.transport.RemoteAddr(), Transport: s.transport.Name(), Version: s.version().String(),
		Connected: s.broker.clock.at(s.openedAt), ReceivedBytes: s.received.Load(), SentBytes: s.outbox.written.Load(), Subscriptions: []SubscriptionInfo{},
	}
	if token := s.tokenID.Load(); token != nil {
		i.Token = *token
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
func (s *Session) trafficInfo() *Traffic {
	i := s.summary()
	address := i.Remote
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	t := &Traffic{
		Addresses: []string{address}, ReceivedBytes: i.ReceivedBytes, SentBytes: i.SentBytes,
		QueuedFrames: i.QueuedFrames, QueuedBytes: i.QueuedBytes, Writing: i.Writing,
	}
	s.mu.Lock()
	t.Subscriptions = len(s.subs)
	s.mu.Unlock()
	return t
}

// trafficOf is what users of this node cause: by name, or in the order that is asked for.
func (b directory) trafficOf(q registryQuery) []UserInfo {
	byName := make(map[string]*UserInfo)
	b.eachConnected(func(s *Session) {
		if q.Order == "" && s.user <= q.After {
			return
		}
		u := byName[s.user]
		if u == nil {
			u = &UserInfo{Name: s.user, Nodes: []string{b.name}, Traffic: &Traffic{Addresses: []string{}}}
			byName[s.user] = u
		}
		u.Sessions++
		u.add(s.trafficInfo())
	})
	return firstUsers(byName, q.Order, q.Limit)
}

// firstUsers orders users, and cuts the list where limit is not 0.
func firstUsers(byName map[string]*UserInfo, order Order, limit int) []UserInfo {
	all := make([]UserInfo, 0, len(byName))
	for _, u := range byName {
		all = append(all, *u)
	}
	slices.SortFunc(all, func(a, b UserInfo) int {
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
func compareTraffic(order Order, a, b *Traffic) int {
	switch {
	case a == nil || b == nil:
		return 0
	case order == BySlowness:
		return cmp.Or(cmp.Compare(b.QueuedBytes, a.QueuedBytes), cmp.Compare(b.Writing, a.Writing), cmp.Compare(b.QueuedFrames, a.QueuedFrames))
	case order == ByBytes:
		return cmp.Compare(b.SentBytes+b.ReceivedBytes, a.SentBytes+a.ReceivedBytes)
	}
	return 0
}

// maxSessionsListed is how many sessions of one node a list of all sessions takes: the
// first ones in its order.
const maxSessionsListed = 10_000

func (b directory) sessionsOf(q registryQuery) []SessionInfo {
	var all []SessionInfo
	b.eachConnected(func(s *Session) { all = append(all, s.summary()) })
	sortSessions(all, q.Order)
	return all[:cutAt(len(all), maxSessionsListed)]
}

func sortSessions(all []SessionInfo, order Order) {
	traffic := func(s *SessionInfo) *Traffic {
		return &Traffic{QueuedBytes: s.QueuedBytes, Writing: s.Writing, QueuedFrames: s.QueuedFrames, SentBytes: s.SentBytes, ReceivedBytes: s.ReceivedBytes}
	}
	slices.SortFunc(all, func(a, b SessionInfo) int {
		return cmp.Or(compareTraffic(order, traffic(&a), traffic(&b)), cmp.Compare(a.User, b.User), a.Connected.Compare(b.Connected), cmp.Compare(a.ID, b.ID))
	})
}

// NodeInfo is what a node does.
type NodeInfo struct {
	Name          string    `json:"name"`
	ID            string    `json:"id"`
	Server        string    `json:"server"` // the program and its version
	Started       time.Time `json:"started"`
	Draining      bool      `json:"draining"`
	Sessions      int64     `json:"sessions"`
	Subscriptions int64     `json:"subscriptions"`
	Received      int64     `json:"messages_received"` // since it began, as the next ones
	Delivered     int64     `json:"messages_delivered"`
	Dropped       int64     `json:"messages_dropped"`
	ReceivedBytes int64     `json:"received_bytes"`
	SentBytes     int64     `json:"sent_bytes"`
}

func (b directory) nodeInfo() NodeInfo {
	s := b.Stats()
	n := NodeInfo{
		Name: b.name, ID: b.node, Server: b.server, Started: b.clock.at(int64(time.Second)), Draining: b.Draining(),
		Sessions: s.Sessions, Subscriptions: s.Subscriptions, Received: s.Received, Delivered: s.Delivered, Dropped: s.Dropped,
	}
	for _, t := range s.Transports {
		n.ReceivedBytes += t.Received
		n.SentBytes += t.Sent
	}
	return n
}
