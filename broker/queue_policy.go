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

// QueueDefaults are the options of queues, and the policies for some of them.
type QueueDefaults struct {
	// Prefetch is how many unacknowledged messages a subscription holds by default, and
	// MaxPrefetch the maximum that it may request. Defaults 1000 and 10000.
	Prefetch, MaxPrefetch int
	// MaxUnconfirmed is how many SENDs of a session may wait for the store before the broker
	// stops reading from it. Default 1024.
	MaxUnconfirmed int
	// QueuePolicy applies to queues that no entry of Policies matches.
	QueuePolicy
	// Policies are tried in order; the first match is used.
	Policies []QueuePolicy
	// Transient matches the queues that live in memory while they have subscriptions. Nil means
	// [SpringQueues].
	Transient []*regexp.Regexp
}

// QueuePolicy has the options of the queues that it matches. A zero field takes its value from
// QueueDefaults, or its default.
type QueuePolicy struct {
	// Match is a pattern of destinations.
	Match destination.Pattern
	// MaxMessages and MaxBytes bound a queue; a SEND above them is refused. Default none.
	MaxMessages, MaxBytes int64
	// MaxAge is the age at which messages are discarded. Default never.
	MaxAge time.Duration
	// MaxDeliveries is the number of deliveries without an acknowledgement after which a message
	// moves to the dead-letter queue. Default 5. Negative: never.
	MaxDeliveries int
}

// SpringQueues match the queues that Spring makes for one session of a user, whose id is a UUID.
// With SockJS the client chooses the id, often eight letters, as in -useraccounts. Such a queue is
// recognized by a header that Spring adds; see [QueueDefaults.transient].
var SpringQueues = []string{
	`-user[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`,
}

// headerSpringOrigin is what Spring adds to the frames whose destination it has made of
// one of a user: /user/queue/x, which it has made /queue/x-user<session>.
const headerSpringOrigin = "simpOrigDestination"

// springSession is what Spring adds to such a destination. An id of SockJS has eight letters from
// sockjs-client, and 32 from Spring's own client; Spring takes any without dots and slashes.
var springSession = regexp.MustCompile(`^-user[^./]+$`)

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
