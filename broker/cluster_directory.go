package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"
)

// UserInfo is a user who is connected.
type UserInfo struct {
	Name     string   `json:"name"`
	Sessions int      `json:"sessions"`
	Nodes    []string `json:"nodes"`
	*Traffic
}

// SessionInfo is one session of a user.
type SessionInfo struct {
	ID            string             `json:"id"`
	User          string             `json:"user"`
	Node          string             `json:"node"`
	Remote        string             `json:"remote"`
	Transport     string             `json:"transport"`
	Version       string             `json:"version"`
	Connected     time.Time          `json:"connected"`
	Token         string             `json:"token,omitempty"` // the jti claim of its token
	ReceivedBytes int64              `json:"received_bytes"`
	SentBytes     int64              `json:"sent_bytes"`
	QueuedFrames  int                `json:"queued_frames"` // that the client has not read
	QueuedBytes   int64              `json:"queued_bytes"`
	Writing       float64            `json:"writing_seconds"` // how long the write under way takes already
	Subscriptions []SubscriptionInfo `json:"subscriptions"`
}

// SubscriptionInfo is one subscription of a session.
type SubscriptionInfo struct {
	ID          string `json:"id"`
	Destination string `json:"destination"`
	Ack         string `json:"ack"`
}

// DestinationInfo is a destination or pattern that has subscriptions.
// Those of users have the user in them.
type DestinationInfo struct {
	Destination   string   `json:"destination"`
	Subscriptions int      `json:"subscriptions"`
	Nodes         []string `json:"nodes"`
}

// Page is a part of a list, in order.
type Page[T any] struct {
	Items []T
	// Next is where to go on after, or "" at the end.
	Next string
	// Missing are nodes that did not answer.
	Missing []string
}

// registryQuery is what one node asks the others.
type registryQuery struct {
	What  string `json:"what"` // users, user, sessions, nodes, destinations, presence
	Order Order  `json:"order,omitempty"`
	Name  string `json:"name,omitempty"`
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

type registryAnswer struct {
	Nodes        []NodeInfo        `json:"nodes,omitempty"`
	Users        []UserInfo        `json:"users,omitempty"`
	Sessions     []SessionInfo     `json:"sessions,omitempty"`
	Destinations []DestinationInfo `json:"destinations,omitempty"`
}

// mergeUsers adds up what the nodes say of each user.
func mergeUsers(all []registryAnswer) map[string]*UserInfo {
	byName := make(map[string]*UserInfo)
	for _, a := range all {
		for _, u := range a.Users {
			if user := byName[u.Name]; user != nil {
				user.Sessions += u.Sessions
				user.Nodes = append(user.Nodes, u.Nodes...)
				user.add(u.Traffic)
			} else {
				byName[u.Name] = &u
			}
		}
	}
	return byName
}

// page sorts what was gathered and cuts it.
func page[T any](byName map[string]*T, limit int, missing []string, name func(T) string) Page[T] {
	p := Page[T]{Items: make([]T, 0, len(byName)), Missing: missing}
	for _, item := range byName {
		p.Items = append(p.Items, *item)
	}
	slices.SortFunc(p.Items, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	if len(p.Items) > limit {
		p.Items = p.Items[:limit]
		p.Next = name(p.Items[limit-1])
	}
	return p
}

// directory says who is connected and what is subscribed to, here and on the other
// nodes, and ends sessions.
type directory struct{ *Broker }

// gather asks all nodes at once.
func (b directory) gather(ctx context.Context, q registryQuery) (all []registryAnswer, missing []string) {
	all = append(all, b.registryOf(q))
	if b.cluster == nil {
		return all, nil
	}
	query, err := json.Marshal(q)
	if err != nil {
		return all, nil
	}
	answers, missing := b.cluster.Request(ctx, registrySubject, query)
	for _, answer := range answers {
		var a registryAnswer
		if err := json.Unmarshal(answer.Body, &a); err != nil {
			missing = append(missing, answer.Node)
			continue
		}
		all = append(all, a)
	}
	return all, missing
}

func (b directory) answerRegistry(query []byte) []byte {
	var q registryQuery
	if json.Unmarshal(query, &q) != nil {
		return nil
	}
	body, err := json.Marshal(b.registryOf(q))
	if err != nil {
		return nil
	}
	return body
}

// registryOf is what this node alone knows.
func (b directory) registryOf(q registryQuery) (a registryAnswer) {
	switch q.What {
	case "users":
		a.Users = b.trafficOf(q)
	case "sessions":
		a.Sessions = b.sessionsOf(q)
	case "nodes":
		a.Nodes = []NodeInfo{b.nodeInfo()}
	case "user":
		b.eachConnected(func(s *Session) {
			if s.user == q.Name {
				a.Sessions = append(a.Sessions, s.info())
			}
		})
	case "destinations":
		a.Destinations = b.destinationsOf(q.After, q.Limit)
	case "presence":
		a.Users = b.usersOf(b.router.usersAt(q.Name), 0)
	}
	return a
}

func (b directory) eachConnected(visit func(*Session)) {
	b.registry.each(func(s *Session) {
		if state(s.state.Load()) == stateConnected {
			visit(s)
		}
	})
}

func (b directory) usersOf(counts map[string]int, limit int) []UserInfo {
	all := make([]UserInfo, 0, len(counts))
	for _, name := range firstNames(counts, limit) {
		all = append(all, UserInfo{Name: name, Sessions: counts[name], Nodes: []string{b.name}})
	}
	return all
}

func (b directory) destinationsOf(after string, limit int) (all []DestinationInfo) {
	counts := make(map[string]int)
	b.router.each(func(g *group) {
		if name := g.pattern.String(); name > after {
			counts[name] += len(g.all())
		}
	})
	for _, q := range b.queues.all() {
		if q.name > after {
			counts[q.name] += q.consumers()
		}
	}
	for _, name := range firstNames(counts, limit) {
		all = append(all, DestinationInfo{Destination: name, Subscriptions: counts[name], Nodes: []string{b.name}})
	}
	return all
}

// firstNames returns the keys in order, at most limit of them where that is not 0.
func firstNames(counts map[string]int, limit int) []string {
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.Sort(names)
	if limit > 0 && len(names) > limit {
		names = names[:limit]
	}
	return names
}

// info describes the session. It may be called by any goroutine.
func (s *Session) info() SessionInfo {
	i := s.summary()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs {
		i.Subscriptions = append(i.Subscriptions, SubscriptionInfo{ID: sub.id, Destination: sub.destination, Ack: sub.ack.String()})
	}
	slices.SortFunc(i.Subscriptions, func(a, b SubscriptionInfo) int { return cmp.Compare(a.ID, b.ID) })
	return i
}

// registrySubject is what nodes ask each other about sessions.
const registrySubject = "registry"
