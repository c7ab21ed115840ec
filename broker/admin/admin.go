// Package admin has what operators see of a broker, and what they ask it for: users,
// sessions, nodes, destinations and bans. The texts of JSON are those of the HTTP API.
package admin

import (
	"slices"
	"time"
)

// Ban keeps a user, or one token, out until a time, on all nodes.
type Ban struct {
	// User or Token is who is kept out: a user's name, or the jti claim of a token.
	User  string `json:"user,omitempty"`
	Token string `json:"token,omitempty"`
	// Until is when the ban ends.
	Until time.Time `json:"until"`
	// Reason is what the client reads.
	Reason string `json:"reason,omitempty"`
	// By is who made it.
	By string `json:"by,omitempty"`
	// Made is when it was made. The latest of several for one user counts.
	Made time.Time `json:"made"`
	// Lifted says that it is none any more.
	Lifted bool `json:"lifted,omitempty"`
}

// Key is what a ban is found by.
func (b *Ban) Key() string {
	if b.Token != "" {
		return "token " + b.Token
	}
	return "user " + b.User
}

// BanResult says how far a ban went.
type BanResult struct {
	// Disconnected is how many sessions were ended.
	Disconnected int
	// Missing are nodes that did not answer: they have the ban once they hear of it again,
	// where it is kept.
	Missing []string
	// Kept says that the store has it, so that it holds over restarts. The error is why not.
	Kept    bool
	KeepErr error
}

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

// Add adds the traffic on another node, or of another session.
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

// Unsubscription says which subscriptions of a user are to end: those of a session or an
// id, or to a destination, where they are not "".
type Unsubscription struct {
	User         string `json:"user"`
	Session      string `json:"session,omitempty"`
	Subscription string `json:"subscription,omitempty"`
	Destination  string `json:"destination,omitempty"`
	Reason       string `json:"reason"`
}
