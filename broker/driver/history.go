package driver

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/stompbox/stompbox/destination"
)

// HistoryPolicy has the messages of topics and user destinations kept, so that
// subscribers get what they missed.
type HistoryPolicy struct {
	// Name names the policy's store. It must stay the same, or what was kept is
	// out of reach. Letters, digits and hyphens.
	Name string
	// Match is a pattern of topics, such as /topic/chat.**, or of routing keys of
	// users, such as /user/*/queue/notifications.
	Match destination.Pattern
	// MaxMessages bounds each destination; MaxAge and MaxBytes bound all of them
	// together. Beyond, the oldest are dropped. Zero: no such limit.
	MaxMessages int64
	MaxAge      time.Duration
	MaxBytes    int64
}

// HistoryStore keeps messages for replay. [QueueStore.Store] with
// [StoreOptions.History] adds to a history. What was added comes back through
// [Bus.Subscribe] on every node, this one included, in the order of its position
// and each message once. It is safe for concurrent use.
type HistoryStore interface {
	// Policies are what is kept. The first one that matches a routing key counts.
	// They do not change.
	Policies() []HistoryPolicy
	// Replay calls deliver with the messages of a history that match the pattern,
	// in order, up to the last one that the history has now, and returns how far
	// that was. It ends early with deliver's error. Gap is set on a message before
	// which others are missing.
	Replay(ctx context.Context, r ReplayRequest, deliver func(*Message) error) (ReplayResult, error)
	// OpenDurable consumes what a history gets for a pattern from the first call
	// for its name on, also while there is no consumer.
	OpenDurable(ctx context.Context, d DurableSubscription, deliver func(Delivery)) (QueueReader, error)
	// RemoveDurable forgets a durable subscription.
	RemoveDurable(ctx context.Context, d DurableSubscription) error
}

// ReplayRequest says what of a history is wanted.
type ReplayRequest struct {
	History string // the policy's name
	Pattern destination.Pattern
	// After is the last position that is known; what came later is replayed.
	After StreamPosition
	// Unnamed says that After is of an id which does not name what it is of. It is known
	// where a message of the pattern still has that position, and else nothing is.
	Unnamed bool
	// Last is how many of the newest messages are replayed where After is zero. With
	// 0 there are none, and only UpTo is asked for.
	Last int
}

// ReplayResult says how far a replay went.
type ReplayResult struct {
	// UpTo is a position up to which all was delivered that is kept.
	UpTo StreamPosition
	// Incomplete says that something is missing which would have come last.
	Incomplete bool
}

// DurableSubscription is a subscription that the store remembers.
type DurableSubscription struct {
	History string
	// Name is unique among all users and destinations.
	Name string
	// FormerName is what it was called before destinations were part of the name. One
	// of that name goes on where it is for the same pattern.
	FormerName string
	Pattern    destination.Pattern
}

// CheckHistoryPolicies returns what is wrong with policies, or nil.
func CheckHistoryPolicies(h []HistoryPolicy) error {
	names := make(map[string]bool)
	for _, p := range h {
		if p.Name == "" || strings.Trim(strings.ToLower(p.Name), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return fmt.Errorf("history policy %q: the name has to be of letters, digits and hyphens", p.Name)
		}
		if names[p.Name] {
			return fmt.Errorf("there are two history policies %q", p.Name)
		}
		names[p.Name] = true
		if text := p.Match.String(); !strings.HasPrefix(text, "/topic/") && !strings.HasPrefix(text, "/user/") {
			return fmt.Errorf("history policy %q: %q is neither of topics nor of users", p.Name, text)
		}
	}
	return nil
}
