package broker

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// QueueDefaults are what queues are like, and which ones differ.
type QueueDefaults struct {
	// Prefetch is how many unacknowledged messages a subscription holds that does
	// not say so itself; MaxPrefetch the most that it may ask for. Defaults 1000
	// and 10000.
	Prefetch, MaxPrefetch int
	// MaxUnconfirmed is how many SENDs of a session may wait for the store before
	// no more are read from it. Default 1024.
	MaxUnconfirmed int
	// QueuePolicy is for the queues that no entry of Policies matches.
	QueuePolicy
	// Policies are tried in order; the first whose Match matches counts.
	Policies []QueuePolicy
	// Transient are the queues that live in memory while they have subscriptions.
	// Nil means [SpringQueues].
	Transient []*regexp.Regexp
}

// QueuePolicy is what the queues that it matches are like. The zero value of a
// field means what QueueDefaults says, or its default.
type QueuePolicy struct {
	// Match is a pattern of destinations.
	Match destination.Pattern
	// MaxMessages and MaxBytes bound a queue; a SEND beyond them is refused.
	// Default none.
	MaxMessages, MaxBytes int64
	// MaxAge is after how long messages are thrown away. Default never.
	MaxAge time.Duration
	// MaxDeliveries is after how many deliveries without an acknowledgement a
	// message moves to the dead letters. Default 5. Negative: never.
	MaxDeliveries int
}

// SpringQueues are expressions for the queues that Spring makes for one session
// of a user: the id is a UUID. Those whose id is SockJS's, eight letters as in
// -useraccounts, are known by what Spring says of them; see [QueueDefaults.transient].
var SpringQueues = []string{
	`-user[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`,
}

// headerSpringOrigin is what Spring adds to the frames whose destination it has made of
// one of a user: /user/queue/x, which it has made /queue/x-user<session>.
const headerSpringOrigin = "simpOrigDestination"

var springSession = regexp.MustCompile(`^-user([a-z0-5]{8}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)

// WithDefaults returns d with the defaults in place of zeros.
func (d QueueDefaults) WithDefaults() QueueDefaults {
	setDefault(&d.Prefetch, 1000)
	setDefault(&d.MaxPrefetch, 10000)
	setDefault(&d.MaxUnconfirmed, 1024)
	setDefault(&d.MaxDeliveries, 5)
	if d.Transient == nil {
		for _, expression := range SpringQueues {
			d.Transient = append(d.Transient, regexp.MustCompile(expression))
		}
	}
	d.Prefetch = min(d.Prefetch, d.MaxPrefetch)
	d.Policies = slices.Clone(d.Policies)
	for i := range d.Policies {
		p := &d.Policies[i]
		setDefault(&p.MaxMessages, d.MaxMessages)
		setDefault(&p.MaxBytes, d.MaxBytes)
		setDefault(&p.MaxAge, d.MaxAge)
		setDefault(&p.MaxDeliveries, d.MaxDeliveries)
	}
	return d
}

// policy returns what the queue is like.
func (d *QueueDefaults) policy(queue string) *QueuePolicy {
	for i := range d.Policies {
		if d.Policies[i].Match.Match(queue) {
			return &d.Policies[i]
		}
	}
	return &d.QueuePolicy
}

// transient reports whether the queue that a frame names lives in memory.
func (d *QueueDefaults) transient(queue string, f *frames.Frame) bool {
	if origin, ok := f.Headers.Lookup(headerSpringOrigin); ok {
		rest, isUsers := strings.CutPrefix(origin, "/user")
		session, isItsOwn := strings.CutPrefix(queue, rest)
		if isUsers && rest != "" && isItsOwn && springSession.MatchString(session) {
			return true
		}
	}
	for _, expression := range d.Transient {
		if expression.MatchString(queue) {
			return true
		}
	}
	return false
}

func (p *QueuePolicy) options() driver.QueueOptions {
	return driver.QueueOptions{MaxMessages: max(p.MaxMessages, 0), MaxBytes: max(p.MaxBytes, 0)}
}

// expires returns when a message stored now may be thrown away: the earlier of
// what its sender says and maxAge, in milliseconds since 1970, or 0.
func expires(requested int64, maxAge time.Duration, now time.Time) int64 {
	if maxAge <= 0 {
		return requested
	}
	aged := now.Add(maxAge).UnixMilli()
	if requested > 0 {
		return min(requested, aged)
	}
	return aged
}
