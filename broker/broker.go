package broker

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

// Broker routes messages between the sessions of this node and, through its
// relay, of others. All its methods are safe for concurrent use.
type Broker struct {
	auth            Authenticator
	driver          driver.Driver
	bus             driver.Bus
	current         atomic.Pointer[settings]
	log             *slog.Logger
	server          string
	store           driver.QueueStore   // nil: no queues
	history         driver.HistoryStore // nil: no histories
	histories       histories
	cluster         driver.Cluster // nil: this node is alone
	presence        *presence
	requestRouter   driver.RequestRouter // nil: app servers of this node alone
	handlers        handlers
	pendingRequests pendingRequests
	interceptors    interceptorChain

	node      string // begins the ids that this node makes
	name      string // what people call it
	clock     *clock
	ids       atomic.Uint64
	router    *router
	usage     *usage
	registry  registry
	queues    queues
	takeovers takeovers
	counters  counters
	liveness  liveness
	strangers *strangers

	ctx      context.Context // ends with the broker
	cancel   context.CancelFunc
	draining atomic.Bool

	ackWait time.Duration // the store's, or 0
	renewal atomic.Pointer[renewFunc]

	sweepEvery atomic.Int64 // a duration
	refusedAt  atomic.Int64 // clock time at which it was logged that there are too many connections, or 0
	nowFailed  atomic.Int64 // clock time at which a history did not say where it is, or 0
	resumedAt  atomic.Int64 // clock time at which the process went on after it was paused
	sweeper    sync.WaitGroup
	background sync.WaitGroup // replays, and moves to dead letters, under way
}

// New returns a running broker. [Broker.Shutdown] ends it.
func New(o Options) (*Broker, error) {
	o = o.WithDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	b := &Broker{
		auth: o.Authenticator, driver: o.Driver, bus: o.Driver.Bus,
		log: o.Logger, server: o.Server, node: rand.Text()[:10], clock: newClock(),
	}
	b.current.Store(newSettings(&o))
	b.store, b.history, b.requestRouter, b.cluster = o.Driver.Queues, o.Driver.Histories, o.Driver.Requests, o.Driver.Cluster
	if b.store != nil {
		b.ackWait = b.store.AckWait()
	}
	if b.history != nil {
		b.histories = b.history.Policies()
	}
	b.handlers.slots = make(chan struct{}, maxHandlers)
	b.interceptors = newInterceptorChain(o.Interceptors)
	if b.name = o.Name; b.name == "" {
		b.name = b.node
	}
	b.router = newRouter(b.bus, b.arrived)
	b.strangers = newStrangers()
	b.usage = newUsage(o.Quotas, b.clock)
	b.presence = newPresence(b, o.Presence)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if err := b.joinCluster(); err != nil {
		b.cancel()
		return nil, err
	}
	b.sweepEvery.Store(int64(b.sweepInterval()))
	b.liveness.swept.Store(b.clock.now())
	b.sweeper.Go(b.sweep)
	return b, nil
}

// Authenticator returns what says who a client is, for those who serve clients.
func (b *Broker) Authenticator() Authenticator { return b.auth }

// Driver returns the backend, for those who manage queues or keep records.
func (b *Broker) Driver() driver.Driver { return b.driver }

// Limits returns the limits in force, defaults filled in.
func (b *Broker) Limits() Limits { return b.settings().limits }

// Node returns the name that this broker gave itself. It begins its message ids.
func (b *Broker) Node() string { return b.node }

// Draining reports whether Shutdown has begun.
func (b *Broker) Draining() bool { return b.draining.Load() }

// nextID returns an id that no other message has, on any node.
func (b *Broker) nextID() string {
	id := make([]byte, 0, 24)
	id = append(id, b.node...)
	id = append(id, '-')
	return string(strconv.AppendUint(id, b.ids.Add(1), 36))
}
