package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/stompbox/stompbox/broker/admin"
)

// registryQuery is what one node asks the others.
type registryQuery struct {
	What  string      `json:"what"` // users, user, sessions, subscribers, nodes, destinations, presence, held
	Order admin.Order `json:"order,omitempty"`
	Name  string      `json:"name,omitempty"`
	After string      `json:"after,omitempty"`
	Limit int         `json:"limit,omitempty"`
}

type registryAnswer struct {
	Nodes        []admin.NodeInfo        `json:"nodes,omitempty"`
	Users        []admin.UserInfo        `json:"users,omitempty"`
	Sessions     []admin.SessionInfo     `json:"sessions,omitempty"`
	Destinations []admin.DestinationInfo `json:"destinations,omitempty"`
	Held         map[string]int          `json:"held,omitempty"`
}

// mergeUsers adds up what the nodes say of each user.
func mergeUsers(all []registryAnswer) map[string]*admin.UserInfo {
	byName := make(map[string]*admin.UserInfo)
	for _, a := range all {
		for _, u := range a.Users {
			if user := byName[u.Name]; user != nil {
				user.Sessions += u.Sessions
				user.Nodes = append(user.Nodes, u.Nodes...)
				user.Add(u.Traffic)
			} else {
				byName[u.Name] = &u
			}
		}
	}
	return byName
}

// page sorts what was gathered and cuts it.
func page[T any](byName map[string]*T, limit int, missing []string, name func(T) string) admin.Page[T] {
	p := admin.Page[T]{Items: make([]T, 0, len(byName)), Missing: missing}
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
			missing = append(missing, answer.Called())
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
	case "subscribers":
		a.Sessions = b.subscribersOf(q)
	case "nodes":
		a.Nodes = []admin.NodeInfo{b.nodeInfo()}
	case "user":
		b.eachConnected(func(s *Session) {
			if s.user == q.Name {
				a.Sessions = append(a.Sessions, s.info())
			}
		})
	case "destinations":
		a.Destinations = b.destinationsOf(q.After, q.Limit)
	case "presence":
		a.Users = b.usersOf(b.router.usersAt(q.Name))
	case "held":
		a.Held = b.heldOf()
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

func (b directory) usersOf(counts map[string]int) []admin.UserInfo {
	all := make([]admin.UserInfo, 0, len(counts))
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, admin.UserInfo{Name: name, Sessions: counts[name], Nodes: []string{b.name}})
	}
	return all
}

func (b directory) destinationsOf(after string, limit int) (all []admin.DestinationInfo) {
	first := newFirstNames(after, limit)
	b.router.each(func(g *group) {
		if name := g.pattern.String(); first.wants(name) {
			first.add(name, len(g.all()))
		}
	})
	for _, q := range b.queues.all() {
		if first.wants(q.name) {
			first.add(q.name, q.consumers())
		}
	}
	for _, name := range first.sorted() {
		all = append(all, admin.DestinationInfo{Destination: name, Subscriptions: first.counts[name], Nodes: []string{b.name}})
	}
	return all
}

// heldOf counts the messages of stored queues that consumers of this node hold.
func (b directory) heldOf() map[string]int {
	held := make(map[string]int)
	for _, q := range b.queues.all() {
		if _, ok := q.source.(*storedQueue); !ok {
			continue
		}
		if n := q.held(); n > 0 {
			held[q.name] = n
		}
	}
	return held
}

// info describes the session. It may be called by any goroutine.
func (s *Session) info() admin.SessionInfo {
	i := s.summary()
	i.Subscriptions = s.subscriptionsTo("")
	return i
}

// subscriptionsTo returns the subscriptions to exactly this destination, or all for "".
func (s *Session) subscriptionsTo(destination string) []admin.SubscriptionInfo {
	found := []admin.SubscriptionInfo{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs.all() {
		if destination == "" || sub.destination == destination {
			found = append(found, admin.SubscriptionInfo{ID: sub.id, Destination: sub.destination, Ack: sub.ack.String()})
		}
	}
	slices.SortFunc(found, func(a, b admin.SubscriptionInfo) int { return cmp.Compare(a.ID, b.ID) })
	return found
}

// registrySubject is what nodes ask each other about sessions.
const registrySubject = "registry"
