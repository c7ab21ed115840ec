package broker

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/histogram"
)

// Stats are counts since the start of the broker, and some current values.
type Stats struct {
	Sessions      int64  // open now
	Subscriptions int64  // open now
	Connected     int64  // sessions that were authenticated
	Received      int64  // SEND frames taken
	Delivered     int64  // messages pushed to subscriptions
	Dropped       int64  // messages dropped for slow consumers
	Relayed       int64  // messages that came from other nodes
	RelayErrors   int64  // messages that could not be handed to other nodes
	Stored        int64  // queue messages that the store confirmed
	Refused       int64  // queue messages that were not stored
	Acked         int64  // queue messages removed
	Nacked        int64  // queue messages given back by NACK
	Stale         int64  // ACK, NACK and UNSUBSCRIBE frames for what was gone already
	Dead          int64  // queue messages moved to dead letters
	Expired       int64  // queue messages thrown away after their time
	Requests      int64  // to app servers
	Failed        int64  // requests that failed
	Revoked       int64  // subscriptions whose permission was taken away
	Rejected      int64  // SENDs that an interceptor rejected or dropped
	Kept          int64  // messages that a history confirmed
	Replays       int64  // subscriptions that asked for the past
	Replayed      int64  // messages of the past delivered
	Incomplete    int64  // times that something of the past was missing
	Queues        int64  // queues with subscriptions on this node, now
	BansRead      bool   // the node knows who is banned; until then it lets no client in
	NotReady      string // why the node lets no client in now, or empty
	Errors        map[Code]int64
	// Unauthenticated are requests over HTTP whose credentials were not accepted.
	Unauthenticated map[Endpoint]map[Code]int64
	Limited         map[string]int64 // times that a limit was reached, by its name
	Memory          map[string]int64 // bytes that peers have the node keep, by kind
	Transports      []TransportStats // by name

	PublishLatency histogram.Snapshot // from SEND to the write to a subscriber, of some messages
	StoreLatency   histogram.Snapshot // until the store confirmed messages, or refused them
}

// Endpoint is what requests over HTTP are for that show credentials.
type Endpoint string

// The endpoints of [CountUnauthenticated].
const (
	EndpointAPI     Endpoint = "api"
	EndpointEvents  Endpoint = "events"
	EndpointMetrics Endpoint = "metrics" // the listener of metrics
	EndpointAdmin   Endpoint = "admin"   // the listener of operators, except for the API
)

type counters struct {
	sessions, subscriptions, connected, received, delivered, dropped, relayed, relayErrors,
	stored, refused, acked, nacked, stale, dead, expired, kept, replays, replayed, incomplete, requests, requestsFailed, rejected, revoked atomic.Int64

	publishLatency, storeLatency histogram.Histogram

	mu         sync.Mutex // guards the following
	errors     map[Code]int64
	limits     map[string]int64
	refusals   map[Endpoint]map[Code]int64
	transports map[string]*transportStats
}

// limitsOfCodes are the limits that errors are about which do not name one.
var limitsOfCodes = map[Code]string{
	CodeTooManySessions: "connections", CodeTooManySubs: "subscriptions",
	CodeMessageRate: "message_rate", CodeConnectTimeout: "connect_timeout", CodeIdle: "idle_timeout", CodeFrameTimeout: "frame_timeout", CodeSlowConsumer: "outbox",
	frames.CodeBodySize: "body", frames.CodeHeaderCount: "headers", frames.CodeHeaderLine: "header_line",
}

// countError counts an error, and the limit that it is about.
func (c *counters) countError(e *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.errors == nil {
		c.errors = make(map[Code]int64)
	}
	c.errors[e.Code]++
	c.countLimitLocked(e)
}

// countRefused counts the limit that an error is about, of one that ends no session.
func (c *counters) countRefused(e *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.countLimitLocked(e)
}

func (c *counters) countLimitLocked(e *Error) {
	limit := e.reached()
	if limit == "" || e.counted {
		return
	}
	if c.limits == nil {
		c.limits = make(map[string]int64)
	}
	c.limits[limit]++
}

// countRefusal counts a request over HTTP that was not authenticated.
func (c *counters) countRefusal(endpoint Endpoint, code Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusals == nil {
		c.refusals = make(map[Endpoint]map[Code]int64)
	}
	if c.refusals[endpoint] == nil {
		c.refusals[endpoint] = make(map[Code]int64)
	}
	c.refusals[endpoint][code]++
}

// unauthenticated returns what countRefusal has counted.
func (c *counters) unauthenticated() map[Endpoint]map[Code]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[Endpoint]map[Code]int64, len(c.refusals))
	for endpoint, codes := range c.refusals {
		all[endpoint] = maps.Clone(codes)
	}
	return all
}

// limited returns how often limits were reached: those of addresses and users, and those
// of one connection.
func (c *counters) limited(u *usage, m *memory) map[string]int64 {
	counts := u.counts()
	m.addCounts(counts)
	c.mu.Lock()
	defer c.mu.Unlock()
	for limit, n := range c.limits {
		counts[limit] += n
	}
	return counts
}
