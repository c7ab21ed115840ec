package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/broker/trace"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
)

// Authenticator says who a client is. [auth.Authenticator] is one. It must be safe for concurrent
// use. If an error wraps auth.ErrUnauthenticated, the client gets only that text.
type Authenticator interface {
	Authenticate(ctx context.Context, c auth.Credentials) (*auth.Principal, error)
	// Refresh returns the principal of a fresh token of the same subject.
	Refresh(ctx context.Context, old *auth.Principal, token string) (*auth.Principal, error)
}

// Limits bound what one connection may use. The zero value of a field means its
// default; a negative value means no limit where that is possible.
type Limits struct {
	Frame frames.Limits
	// MaxDestination is the maximum length of a destination in bytes. Default 512.
	MaxDestination int
	// MaxSubscriptions is the maximum number of subscriptions of a connection. Default 1000.
	MaxSubscriptions int
	// MaxPatternWords and MaxWildcards bound a pattern that a client subscribes to. Its kind
	// counts as a word. Defaults 32 and 8.
	MaxPatternWords, MaxWildcards int
	// MaxTransactions is the maximum number of open transactions of a connection. Default 16.
	MaxTransactions int
	// MaxTransactionFrames and MaxTransactionBytes bound one transaction.
	// Defaults 1000 and 8 MiB.
	MaxTransactionFrames, MaxTransactionBytes int
	// MaxDedupID is the maximum length of a dedup-id in bytes. Default 512.
	MaxDedupID int
	// MaxUnacked is how many unacknowledged topic messages of a subscription are
	// remembered. Default 10000.
	MaxUnacked int
	// MessageRate is the maximum number of SEND frames a second, with a burst of the same size.
	// Default none.
	MessageRate int
	// MaxConnections bounds the sessions of this node. Default none.
	MaxConnections int
	// ConnectTimeout is how long a client may take to send CONNECT. Default 10 s.
	ConnectTimeout time.Duration
	// IdleTimeout ends a connection without heart-beats if nothing arrives for this long, not
	// even an answer to a ping. Default 2 minutes.
	IdleTimeout time.Duration
	// FrameTimeout ends a connection if a frame has begun and less than 1 KiB of it arrives for
	// this long. Default 30 s.
	FrameTimeout time.Duration
	// WriteTimeout ends a connection if the peer accepts no byte for this long while data is
	// being written. A slow reader that accepts some bytes stays connected. Default 20 s.
	WriteTimeout time.Duration
}

// HeartBeat configures the heart-beats that the broker offers.
type HeartBeat struct {
	// Send and Receive are the broker's side of the negotiation. Default 10 s.
	// Negative means none.
	Send, Receive time.Duration
	// Grace is how many intervals a client may be late. Default 2.5: browsers
	// throttle the timers of background tabs.
	Grace float64
}

// Policy says what happens to a consumer whose outbox is full.
type Policy string

// The slow-consumer policies.
const (
	// PolicyDisconnect drops the queued messages, tries to send an ERROR and closes the
	// connection.
	PolicyDisconnect Policy = "disconnect"
	// PolicyDropOldest drops the oldest queued messages.
	PolicyDropOldest Policy = "drop-oldest"
	// PolicyConflate keeps the newest queued message per destination.
	PolicyConflate Policy = "conflate"
)

// Check returns an error if the policy is unknown.
func (p Policy) Check() error {
	switch p {
	case PolicyDisconnect, PolicyDropOldest, PolicyConflate:
		return nil
	}
	return fmt.Errorf("unknown slow-consumer policy %q; use %s, %s or %s", p, PolicyDisconnect, PolicyDropOldest, PolicyConflate)
}

// OutboxOptions bound what is queued for one connection.
type OutboxOptions struct {
	// MaxBytes and MaxFrames bound what is queued and being written. Defaults
	// 8 MiB and 16384. The bytes are shared between subscribers.
	MaxBytes, MaxFrames int
	// Policy says what happens above these limits. Default PolicyDisconnect.
	Policy Policy
}

// Options configure a Broker.
type Options struct {
	// Authenticator is required.
	Authenticator Authenticator
	// Driver is the backend. [driver.Driver.Bus] is required, all other fields are optional.
	Driver driver.Driver
	// Limits, Quotas, HeartBeat and Outbox have defaults.
	Limits    Limits
	Quotas    Quotas
	HeartBeat HeartBeat
	Outbox    OutboxOptions
	// Queues has defaults. It is used if the Driver has Queues.
	Queues QueueDefaults
	// Presence lists the topics that publish join and leave events. Default none.
	Presence []destination.Pattern
	// AppTimeout is how long a request to /app may take before it fails. Default 30 s.
	AppTimeout time.Duration
	// Interceptors see each SEND and SUBSCRIBE before it is executed. They run in this order,
	// followed by the permissions.
	Interceptors []Interceptor
	// DrainWindow is the time over which Shutdown spreads the end of the sessions, so that their
	// clients do not all reconnect to other nodes at once. Few sessions take less. Default 0.
	DrainWindow time.Duration
	// Tracer records spans for messages. Default none, which costs nothing.
	Tracer trace.Tracer
	// Logger is for the broker's log. Default slog.Default.
	Logger *slog.Logger
	// Name is the name of this node for people. Default [Broker.Node].
	Name string
	// Server is the server header of CONNECTED. Default "stompbox".
	Server string
}

const (
	// maxDuration bounds all times of options. A longer one would wrap around where it
	// is added to another.
	maxDuration = 100 * 365 * 24 * time.Hour
	// maxBeat is the longest interval of heart-beats, and maxGrace the most of them that
	// a client may be late.
	maxBeat  = 24 * time.Hour
	maxGrace = 1000
)

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// WithDefaults returns o with the defaults in place of zeros.
func (o Options) WithDefaults() Options {
	l := &o.Limits
	l.Frame = l.Frame.WithDefaults()
	setDefault(&l.MaxDestination, 512)
	setDefault(&l.MaxSubscriptions, 1000)
	setDefault(&l.MaxPatternWords, 32)
	setDefault(&l.MaxWildcards, 8)
	setDefault(&l.MaxTransactions, 16)
	setDefault(&l.MaxTransactionFrames, 1000)
	setDefault(&l.MaxTransactionBytes, 8<<20)
	setDefault(&l.MaxDedupID, 512)
	setDefault(&l.MaxUnacked, 10000)
	setDefault(&l.ConnectTimeout, 10*time.Second)
	setDefault(&l.IdleTimeout, 2*time.Minute)
	setDefault(&l.FrameTimeout, 30*time.Second)
	setDefault(&l.WriteTimeout, 20*time.Second)
	setDefault(&o.HeartBeat.Send, 10*time.Second)
	setDefault(&o.HeartBeat.Receive, 10*time.Second)
	setDefault(&o.HeartBeat.Grace, 2.5)
	o.Queues = o.Queues.WithDefaults()
	o.Quotas = o.Quotas.WithDefaults()
	setDefault(&o.Outbox.MaxBytes, 8<<20)
	setDefault(&o.Outbox.MaxFrames, 16384)
	setDefault(&o.Outbox.Policy, PolicyDisconnect)
	setDefault(&o.Server, "stompbox")
	setDefault(&o.AppTimeout, 30*time.Second)
	setDefault(&o.Logger, slog.Default())
	return o
}

// check refuses options that cannot work, and bounds those that only are too large.
func (o *Options) check() error {
	if o.Authenticator == nil {
		return errors.New("broker: Options.Authenticator is required; without one no client could connect")
	}
	if err := o.Driver.Check(); err != nil {
		return fmt.Errorf("broker: Options.Driver: %w", err)
	}
	if err := o.Outbox.Policy.Check(); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if g := o.HeartBeat.Grace; !(g >= 1 && g <= maxGrace) { // which NaN is not
		return fmt.Errorf("broker: HeartBeat.Grace %v is not 1 to %d intervals", g, maxGrace)
	}
	o.HeartBeat.Send = min(max(o.HeartBeat.Send, 0), maxBeat)
	o.HeartBeat.Receive = min(max(o.HeartBeat.Receive, 0), maxBeat)
	l := &o.Limits
	for _, d := range []*time.Duration{&l.ConnectTimeout, &l.IdleTimeout, &l.FrameTimeout, &l.WriteTimeout, &o.DrainWindow, &o.AppTimeout} {
		*d = min(*d, maxDuration)
	}
	return nil
}
