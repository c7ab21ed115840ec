package broker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stompbox/stompbox/auth"
)

// HistoryPolicy has the messages of topics and user destinations kept, so that
// subscribers get what they missed.
type HistoryPolicy struct {
	// Name names the policy's store. It must stay the same, or what was kept is
	// out of reach. Letters, digits and hyphens.
	Name string
	// Match is a pattern of topics, such as /topic/chat.**, or of routing keys of
	// users, such as /user/*/queue/notifications.
	Match auth.Pattern
	// MaxMessages bounds each destination; MaxAge and MaxBytes bound all of them
	// together. Beyond, the oldest are dropped. Zero: no such limit.
	MaxMessages int64
	MaxAge      time.Duration
	MaxBytes    int64
}

// Position is the place of a message in a history. Its String is the message-id.
type Position struct {
	// Epoch changes when the history is made anew, which then counts from 1 again.
	Epoch string
	Seq   uint64
}

func (p Position) String() string { return p.Epoch + "-" + strconv.FormatUint(p.Seq, 10) }

// ParsePosition reads a message-id of a history. Any other id is a Position of
// an epoch that no history has.
func ParsePosition(id string) Position {
	if at := strings.LastIndexByte(id, '-'); at > 0 {
		if seq, err := strconv.ParseUint(id[at+1:], 10, 64); err == nil {
			return Position{Epoch: strings.Clone(id[:at]), Seq: seq}
		}
	}
	return Position{Epoch: "none"}
}

// HistoryStore is what a [Relay] also implements where it can keep messages for
// replay. [QueueStore.Store] with [StoreOptions.History] adds to a history. What
// was added comes back through [Relay.Subscribe] on every node, this one
// included, in the order of its Position and each message once.
type HistoryStore interface {
	QueueStore
	// Replay calls deliver with the messages of a history that match the pattern,
	// in order, up to the last one that the history has now, and returns how far
	// that was. It ends early with deliver's error. Gap is set on a message before
	// which others are missing.
	Replay(ctx context.Context, r ReplayRequest, deliver func(*Message) error) (Replayed, error)
	// OpenDurable consumes what a history gets for a pattern from the first call
	// for its name on, also while nobody consumes.
	OpenDurable(ctx context.Context, d Durable, deliver func(*Delivery)) (QueueReader, error)
	// RemoveDurable forgets a durable subscription.
	RemoveDurable(ctx context.Context, d Durable) error
}

// ReplayRequest says what of a history is wanted.
type ReplayRequest struct {
	History string // the policy's name
	Pattern auth.Pattern
	// After is the last position that is known; what came later is replayed.
	After Position
	// Last is how many of the newest messages are replayed where After is zero. With
	// 0 there are none, and only UpTo is asked for.
	Last int
}

// Replayed says how far a replay went.
type Replayed struct {
	// UpTo is a position up to which all was delivered that is kept.
	UpTo Position
	// Incomplete says that something is missing which would have come last.
	Incomplete bool
}

// Durable is a subscription that the store remembers.
type Durable struct {
	History string
	// Name is unique among all users.
	Name    string
	Pattern auth.Pattern
}

// histories finds policies. The first that matches a key counts.
type histories []HistoryPolicy

// CheckHistories returns what is wrong with policies, or nil.
func CheckHistories(h []HistoryPolicy) error {
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

// of returns the policy of a routing key, or nil.
func (h histories) of(key string) *HistoryPolicy {
	for i := range h {
		if h[i].Match.Match(key) && !isReserved(key) {
			return &h[i]
		}
	}
	return nil
}

// overlapping returns the policies that keep something of a pattern.
func (h histories) overlapping(p auth.Pattern) (found []*HistoryPolicy) {
	for i := range h {
		if h[i].Match.Overlaps(p) {
			found = append(found, &h[i])
		}
	}
	return found
}

// containing returns the one policy that keeps all of a pattern, or nil.
func (h histories) containing(p auth.Pattern) *HistoryPolicy {
	all := h.overlapping(p)
	if len(all) == 1 && all[0].Match.Contains(p) {
		return all[0]
	}
	if !auth.HasWildcard(p.String()) {
		return h.of(p.String())
	}
	return nil
}

// only returns the policy that keeps something of a pattern where there is just
// one. More than one is an error: a position is of one history.
func (h histories) only(p auth.Pattern) (*HistoryPolicy, *Error) {
	if !auth.HasWildcard(p.String()) {
		return h.of(p.String()), nil
	}
	switch all := h.overlapping(p); len(all) {
	case 0:
		return nil, nil
	case 1:
		return all[0], nil
	default:
		return nil, errorf(CodeBadHeader, "destination %q takes in the histories %s and %s, and a replay is of one; subscribe to a narrower pattern for each", p, all[0].Name, all[1].Name)
	}
}

// reservedPrefix begins the topics that are the broker's own. Wildcards do not
// match them.
const reservedPrefix = "/topic/$"

func isReserved(key string) bool { return strings.HasPrefix(key, reservedPrefix) }
