package broker

import (
	"context"
	"encoding/json"
	"strconv"
)

// Users returns who is connected to any node, by name: at most limit of those
// after the name after.
func (b *Broker) Users(ctx context.Context, after string, limit int) Page[UserInfo] {
	all, missing := b.directory.gather(ctx, registryQuery{What: "users", After: after, Limit: limit + 1})
	return page(mergeUsers(all), limit, missing, func(u UserInfo) string { return u.Name })
}

// Present returns who is subscribed to just this destination, on any node: users
// with their sessions there, by name.
func (b *Broker) Present(ctx context.Context, destination string) Page[UserInfo] {
	all, missing := b.directory.gather(ctx, registryQuery{What: "presence", Name: destination})
	users := mergeUsers(all)
	return page(users, len(users), missing, func(u UserInfo) string { return u.Name })
}

// User returns the sessions of one user on all nodes, and which nodes did not answer.
func (b *Broker) User(ctx context.Context, name string) (sessions []SessionInfo, missing []string) {
	all, missing := b.directory.gather(ctx, registryQuery{What: "user", Name: name})
	for _, a := range all {
		sessions = append(sessions, a.Sessions...)
	}
	return sessions, missing
}

// Destinations returns what is subscribed to on any node, by name: at most limit
// of those after the name after.
func (b *Broker) Destinations(ctx context.Context, after string, limit int) Page[DestinationInfo] {
	all, missing := b.directory.gather(ctx, registryQuery{What: "destinations", After: after, Limit: limit + 1})
	byName := make(map[string]*DestinationInfo)
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
	return page(byName, limit, missing, func(d DestinationInfo) string { return d.Destination })
}

// Disconnect ends the sessions of a user on all nodes, or where session is not "" that
// one of them: each gets an ERROR with the reason. It returns how many they were, and
// the nodes that did not answer. It does not keep the user from coming back: that
// is for the maker of tokens. It is safe for concurrent use.
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
	answers, missing := b.cluster.Request(ctx, disconnectSubject, query)
	for _, answer := range answers {
		theirs, err := strconv.Atoi(string(answer.Body))
		if err != nil || theirs < 0 {
			missing = append(missing, answer.Node)
			continue
		}
		n += theirs
	}
	return n, missing
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
	if err := b.cluster.HandleRequest(disconnectSubject, b.directory.answerDisconnect); err != nil {
		return err
	}
	if err := b.cluster.HandleRequest(unsubscribeSubject, b.answerUnsubscribe); err != nil {
		return err
	}
	if err := b.cluster.HandleRequest(takeoverSubject, b.takeovers.answerTakeover); err != nil {
		return err
	}
	return b.presence.join()
}
