package driver

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/stompbox/stompbox/destination"
)

// HistoryPolicy keeps the messages of topics and user destinations, so that subscribers get what
// they missed.
type HistoryPolicy struct {
	// Name names the policy's store. If it changes, the kept messages cannot be reached any more.
	// It has letters, digits and hyphens.
	Name string
	// Match is a pattern of topics, such as /topic/chat.**, or of routing keys of
	// users, such as /user/*/queue/notifications.
	Match destination.Pattern
	// MaxMessages bounds each destination; MaxAge and MaxBytes bound all of them together. Above
	// a limit the oldest messages are dropped. Zero means no limit.
	MaxMessages int64
	MaxAge      time.Duration
	MaxBytes    int64
}

// HistoryStore keeps messages for replay. [QueueStore.Store] with [StoreOptions.History] adds to
// a history. An added message comes back through Bus.Subscribe on every node, including this one,
// once, and in the order of positions. It is safe for concurrent use.
type HistoryStore interface {
	// Policies returns the policies. The first one that matches a routing key is used. They do
	// not change.
	Policies() []HistoryPolicy
	// Replay calls deliver with the messages of a history that match the pattern, in order, up to
	// the current last one, and returns how far it got. It ends early with deliver's error. Gap
	// is set on a message if earlier ones are missing.
	Replay(ctx context.Context, r ReplayRequest, deliver func(*Message) error) (ReplayResult, error)
	// OpenDurable consumes the messages that a history gets for a pattern. The subscription
	// begins with the first call for its name, and continues while there is no consumer.
	OpenDurable(ctx context.Context, d DurableSubscription, deliver func(Delivery)) (QueueReader, error)
	// RemoveDurable forgets a durable subscription.
	RemoveDurable(ctx context.Context, d DurableSubscription) error
	// DurableIdle is after how long without use a durable subscription is forgotten. It does not
	// change.
	DurableIdle() time.Duration
}

// HistoryCounter counts what histories keep.
type HistoryCounter interface {
	// CountDestinations returns how many destinations have messages in histories, on all nodes.
	CountDestinations(ctx context.Context) (int64, error)
}

// ReplayRequest says what to replay.
type ReplayRequest struct {
	History string // the policy's name
	Pattern destination.Pattern
	// After is the last known position; later messages are replayed.
	After StreamPosition
	// Unnamed means that After comes from an id without the name of its subscription. It is valid
	// if a message of the pattern still has that position.
	Unnamed bool
	// Last is how many of the newest messages are replayed if After is zero. With 0 none are, and
	// the caller only wants UpTo.
	Last int
}

// ReplayResult says how far a replay got.
type ReplayResult struct {
	// UpTo is a position up to which all kept messages were delivered.
	UpTo StreamPosition
	// Incomplete means that messages are missing at the end.
	Incomplete bool
}

// DurableSubscription is a subscription that the store remembers.
type DurableSubscription struct {
	History string
	// Name is unique among all users and destinations.
	Name string
	// FormerName is the name from versions in which the name did not include the destination. A
	// subscription of that name is continued if it is for the same pattern.
	FormerName string
	Pattern    destination.Pattern
}

// CheckHistoryPolicies returns an error if the policies are invalid.
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
