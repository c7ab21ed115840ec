// Package admin has the types for operators of a broker: users, sessions, nodes, destinations and
// bans. Their JSON is that of the HTTP API.
package admin

import (
	"slices"
	"time"
)

// Ban bans a user or one token on all nodes, until a given time.
type Ban struct {
	// User or Token is what is banned: a user's name, or the jti claim of a token.
	User  string `json:"user,omitempty"`
	Token string `json:"token,omitempty"`
	// Until is when the ban ends.
	Until time.Time `json:"until"`
	// Reason is shown to the client.
	Reason string `json:"reason,omitempty"`
	// By is who made it.
	By string `json:"by,omitempty"`
	// Made is when it was made. Of several bans for one user, the one that ends last is in force,
	// unless a later one Replaces it or it was Lifted.
	Made time.Time `json:"made"`
	// Replaces means that it is in force even if an earlier one ends later.
	Replaces bool `json:"replaces,omitempty"`
	// Lifted means that the ban is no longer in force.
	Lifted bool `json:"lifted,omitempty"`
}

// Key identifies a ban.
func (b *Ban) Key() string {
	if b.Token != "" {
		return "token " + b.Token
	}
	return "user " + b.User
}

// Over reports whether b is in force where both are known.
func (b *Ban) Over(other *Ban) bool {
	newer, older, newest := b, other, true
	if b.Made.Before(other.Made) {
		newer, older, newest = other, b, false
	}
	stays := !newer.Replaces && !newer.Lifted && !older.Lifted && older.Until.After(newer.Until)
	return newest != stays
}

// BanResult is the result of a ban.
type BanResult struct {
	// InForce is the ban that is in force: an earlier one that ends later stays.
	InForce Ban
	// Disconnected is how many sessions were ended.
	Disconnected int
	// Missing are nodes that did not answer. They learn of the ban later, if it is kept.
	Missing []string
	// Kept means that the ban is stored and survives restarts. KeepErr says why not.
	Kept    bool
	KeepErr error
}

// UserInfo is a connected user.
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

// Page is one page of an ordered list.
type Page[T any] struct {
	Items []T
	// Next is where the next page begins, or "" at the end.
	Next string
	// Missing are nodes that did not answer.
	Missing []string
}

// Order is the order of a list of users or sessions.
type Order string

// The orders of lists.
const (
	// BySlowness lists the slowest readers first.
	BySlowness Order = "slowest"
	// ByBytes lists those with the most traffic first.
	ByBytes Order = "bytes"
)

// SessionQuery says which sessions to list.
type SessionQuery struct {
	// Destination asks for sessions that are subscribed to exactly this destination, with these
	// subscriptions. Without it all are listed, without their subscriptions.
	Destination string
	// Order is which ones come first. Default by the name of the user.
	Order Order
	// Limit is how many are listed at most. 0 is no limit.
	Limit int
}

// maxAddresses bounds the addresses of a user that are listed.
const maxAddresses = 10

// Traffic is the total of all sessions of a user.
type Traffic struct {
	Subscriptions int      `json:"subscriptions"`
	Addresses     []string `json:"addresses"` // at most 10
	ReceivedBytes int64    `json:"received_bytes"`
	SentBytes     int64    `json:"sent_bytes"`
	QueuedFrames  int      `json:"queued_frames"` // that the clients have not read
	QueuedBytes   int64    `json:"queued_bytes"`
	Writing       float64  `json:"writing_seconds"` // how long the longest write under way takes already
}

// Add adds the traffic of another node or session.
func (t *Traffic) Add(other *Traffic) {
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

// NodeInfo is the state of a node.
type NodeInfo struct {
	Name          string    `json:"name"`
	ID            string    `json:"id"`
	Server        string    `json:"server"` // the program and its version
	Started       time.Time `json:"started"`
	Draining      bool      `json:"draining"`
	NotReady      string    `json:"not_ready,omitempty"` // why it lets no client in now; empty where it does
	Sessions      int64     `json:"sessions"`
	Subscriptions int64     `json:"subscriptions"`
	Received      int64     `json:"messages_received"` // since it began, as the next ones
	Delivered     int64     `json:"messages_delivered"`
	Dropped       int64     `json:"messages_dropped"`
	ReceivedBytes int64     `json:"received_bytes"`
	SentBytes     int64     `json:"sent_bytes"`
}

// State is what a node does, in a word or two: serving, draining or not ready.
func (n NodeInfo) State() string {
	switch {
	case n.Draining:
		return "draining"
	case n.NotReady != "":
		return "not ready"
	}
	return "serving"
}

// LostNode is a node that went silent in the last hour without saying that it goes.
type LostNode struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"` // when it was last heard
}

// Unsubscription says which subscriptions of a user to end. Fields that are not "" select by
// session, id or destination.
type Unsubscription struct {
	User         string `json:"user"`
	Session      string `json:"session,omitempty"`
	Subscription string `json:"subscription,omitempty"`
	Destination  string `json:"destination,omitempty"`
	Reason       string `json:"reason"`
}
