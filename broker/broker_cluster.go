package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/stompbox/stompbox/broker/admin"
)

// Users returns the users that are connected to any node, by name: at most limit names after the
// name after.
func (b *Broker) Users(ctx context.Context, after string, limit int) admin.Page[admin.UserInfo] {
	all, missing := b.directory.gather(ctx, registryQuery{What: "users", After: after, Limit: limit + 1})
	return page(mergeUsers(all), limit, missing, func(u admin.UserInfo) string { return u.Name })
}

// Present returns the users that are subscribed to exactly this destination on any node, sorted
// by name, with their sessions there.
func (b *Broker) Present(ctx context.Context, destination string) admin.Page[admin.UserInfo] {
	all, missing := b.directory.gather(ctx, registryQuery{What: "presence", Name: destination})
	users := mergeUsers(all)
	return page(users, len(users), missing, func(u admin.UserInfo) string { return u.Name })
}

// User returns the sessions of one user on all nodes, and the nodes that did not answer.
func (b *Broker) User(ctx context.Context, name string) (sessions []admin.SessionInfo, missing []string) {
	all, missing := b.directory.gather(ctx, registryQuery{What: "user", Name: name})
	for _, a := range all {
		sessions = append(sessions, a.Sessions...)
	}
	return sessions, missing
}

// Destinations returns the destinations that have subscribers on any node, by name: at most limit
// names after the name after.
func (b *Broker) Destinations(ctx context.Context, after string, limit int) admin.Page[admin.DestinationInfo] {
	all, missing := b.directory.gather(ctx, registryQuery{What: "destinations", After: after, Limit: limit + 1})
	byName := make(map[string]*admin.DestinationInfo)
	for _, a := range all {
		for _, d := range a.Destinations {
			if known := byName[d.Destination]; known != nil {
				known.Subscriptions += d.Subscriptions
				known.Nodes = append(known.Nodes, d.Nodes...)
			} else {
				byName[d.Destination] = &d
			}
		}
	}
	return page(byName, limit, missing, func(d admin.DestinationInfo) string { return d.Destination })
}

// Disconnect ends all sessions of a user on all nodes, or only the given session if it is not "".
// Each gets an ERROR with the reason. Disconnect returns the number of ended sessions and the
// nodes that did not answer. The user can connect again; use Ban to prevent that. It is safe for
// concurrent use.
func (b *Broker) Disconnect(ctx context.Context, user, session, reason string) (n int, missing []string) {
	d := disconnection{user, session, reason}
	n = b.directory.disconnect(d)
	if b.cluster == nil {
		return n, nil
	}
	query, err := json.Marshal(d)
	if err != nil {
		return n, nil // strings always can be
	}
	theirs, missing := b.directory.askSum(ctx, disconnectSubject, query)
	return n + theirs, missing
}

// joinCluster has this node answer the others, and learn of them.
func (b *Broker) joinCluster() error {
	if b.cluster == nil {
		return nil
	}
	if err := b.cluster.HandleRequest(registrySubject, b.directory.answerRegistry); err != nil {
		return err
	}
	if err := b.cluster.HandleRequest(peekSubject, b.peeks.answerPeek); err != nil {
		return err
	}
	if err := b.cluster.OnBroadcast(uncountedSubject, b.queues.onUntouched); err != nil {
		return err
	}
	if err := b.cluster.HandleRequest(disconnectSubject, b.directory.answerDisconnect); err != nil {
		return err
	}
	if err := b.cluster.HandleRequest(unsubscribeSubject, b.directory.answerUnsubscribe); err != nil {
		return err
	}
	if err := b.cluster.HandleRequest(takeoverSubject, b.takeovers.answerTakeover); err != nil {
		return err
	}
	b.cluster.WatchNodes(func(node string, here bool) {
		if len(b.presence.patterns) > 0 {
			b.presence.nodeChanged(node, here)
		}
		if here {
			banExchange{b}.askSoon()
		}
	})
	return b.presence.join()
}

// FirstUsers returns the first users of all nodes in the given order, at most limit of those for
// which keep returns true. A node names its first 10,000.
func (b *Broker) FirstUsers(ctx context.Context, order admin.Order, limit int, keep func(user string) bool) ([]admin.UserInfo, []string) {
	all, missing := b.directory.gather(ctx, registryQuery{What: "users", Order: order, Limit: maxSessionsListed})
	byName := mergeUsers(all)
	maps.DeleteFunc(byName, func(name string, _ *admin.UserInfo) bool { return !keep(name) })
	return firstUsers(byName, order, limit), missing
}

// Sessions returns the first sessions of all nodes that the query asks for, of those for whose user
// keep returns true. Nodes of versions that know no destination in the query list none for it.
func (b *Broker) Sessions(ctx context.Context, query admin.SessionQuery, keep func(user string) bool) ([]admin.SessionInfo, []string) {
	question := registryQuery{What: "sessions", Order: query.Order}
	if query.Destination != "" {
		question.What, question.Name = "subscribers", query.Destination
	}
	all, missing := b.directory.gather(ctx, question)
	var sessions []admin.SessionInfo
	for _, a := range all {
		for _, s := range a.Sessions {
			if keep(s.User) {
				sessions = append(sessions, s)
			}
		}
	}
	sortSessions(sessions, query.Order)
	return sessions[:cutAt(len(sessions), query.Limit)], missing
}

// Nodes returns all nodes, sorted by name, and the names of those that did not answer.
func (b *Broker) Nodes(ctx context.Context) (nodes []admin.NodeInfo, missing []string) {
	all, missing := b.directory.gather(ctx, registryQuery{What: "nodes"})
	for _, a := range all {
		nodes = append(nodes, a.Nodes...)
	}
	slices.SortFunc(nodes, func(a, b admin.NodeInfo) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return nodes, missing
}

// Unsubscribe ends subscriptions on all nodes, like UNSUBSCRIBE, and leaves their sessions open.
// Consumers can still acknowledge the messages that they hold. STOMP has no frame for this, so
// each session gets a MESSAGE on /user/queue/errors if it is subscribed to that; a stream of events
// ends as a whole, and counts once. Unsubscribe returns the number of ended subscriptions and the
// nodes that did not answer. It is safe for concurrent use.
func (b *Broker) Unsubscribe(ctx context.Context, u admin.Unsubscription) (n int, missing []string) {
	n = b.directory.endSubscriptions(u)
	query, err := json.Marshal(u)
	if err != nil || b.cluster == nil {
		return n, nil // strings always can be
	}
	theirs, missing := b.directory.askSum(ctx, unsubscribeSubject, query)
	return n + theirs, missing
}

// Bans returns the current bans, ordered by when they end. It is safe for concurrent use.
func (b *Broker) Bans() []admin.Ban {
	return slices.DeleteFunc(b.bans.all(time.Now()), func(ban admin.Ban) bool { return ban.Lifted })
}

// Ban bans a user or a token on all nodes until a given time, and ends their sessions. If a ban is
// in force that ends later, that one stays, unless the new one Replaces it: the result has the one
// in force. The ban survives restarts if the driver has a BanStore. It is safe for concurrent use.
func (b *Broker) Ban(ctx context.Context, ban admin.Ban) (admin.BanResult, error) {
	ban.Made = b.bans.after(ban.Key(), time.Now())
	inForce, ok := b.bans.put(ban, time.Now())
	if !ok {
		return admin.BanResult{}, ErrTooManyBans
	}
	return b.directory.spreadBan(ctx, inForce), nil
}

// Unban lifts the ban of a user or a token on all nodes. It reports whether there was one.
func (b *Broker) Unban(ctx context.Context, ban admin.Ban) (found bool, result admin.BanResult) {
	b.bans.mu.RLock()
	old, found := b.bans.byKey[ban.Key()]
	b.bans.mu.RUnlock()
	if !found || old.Lifted || !time.Now().Before(old.Until) {
		return false, admin.BanResult{}
	}
	old.Made, old.Lifted, old.By = b.bans.after(ban.Key(), time.Now()), true, ban.By
	b.bans.put(old, time.Now())
	return true, b.directory.spreadBan(ctx, old)
}
