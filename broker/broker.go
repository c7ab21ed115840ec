package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/broker/trace"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/fairslots"
	"github.com/stompbox/stompbox/internal/fairturns"
	"github.com/stompbox/stompbox/internal/logattr"
)

// Broker routes messages between the sessions of this node and, through its driver, of other
// nodes. All its methods are safe for concurrent use.
type Broker struct {
	auth          Authenticator
	driver        driver.Driver
	bus           driver.Bus
	current       atomic.Pointer[settings]
	tracer        trace.Tracer // nil: nothing is traced
	log           *slog.Logger
	server        string
	store         driver.QueueStore   // nil: no queues
	history       driver.HistoryStore // nil: no histories
	histories     histories
	cluster       driver.Cluster // nil: this node is alone
	presence      *presence
	requestRouter driver.RequestRouter // nil: app servers of this node alone
	handlers      handlers
	// What follows are its parts without state of their own, by what they are about.
	topics    topics
	publisher publisher
	admission admission
	stores    stores
	app       appRouter
	directory directory
	peeks     peeks
	upkeep    upkeep

	pendingRequests pendingRequests
	interceptors    interceptorChain

	node      string // begins the ids that this node makes
	name      string // what people call it
	clock     *clock
	pacing    *pacing
	ids       atomic.Uint64
	router    *router
	usage     *usage
	registry  registry
	queues    queues
	takeovers takeovers
	counters  counters
	liveness  liveness
	strangers *strangers
	lines     logattr.Peers // about sessions, by user
	bans      *bans
	memory    memory
	turns     *fairturns.Turns // of large requests over HTTP
	dedup     *dedupWindow
	durables  *durables
	names     *storedNames // of queues on disk
	kept      *storedNames // of destinations of histories
	replaying *replaySlots
	// incomingPatience is how long a connection is not read for what others hold.
	incomingPatience time.Duration

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
		driver: o.Driver, bus: o.Driver.Bus, tracer: o.Tracer,
		log: o.Logger, server: o.Server, node: rand.Text()[:10], clock: newClock(), pacing: newPacing(),
	}
	b.topics, b.publisher, b.admission, b.stores = topics{b}, publisher{b}, admission{b}, stores{b}
	b.app, b.directory, b.peeks, b.upkeep = appRouter{b}, directory{b}, peeks{b}, upkeep{b}
	b.takeovers.Broker = b
	b.current.Store(newSettings(&o))
	b.bans = newBans()
	b.auth = bannedAuthenticator{o.Authenticator, b.bans}
	b.store, b.history, b.requestRouter, b.cluster = o.Driver.Queues, o.Driver.Histories, o.Driver.Requests, o.Driver.Cluster
	if b.store != nil {
		b.ackWait = b.store.AckWait()
	}
	if b.history != nil {
		b.histories = b.history.Policies()
	}
	b.handlers.slots = fairslots.New(maxHandlers)
	b.interceptors = newInterceptorChain(o.Interceptors)
	if b.name = o.Name; b.name == "" {
		b.name = b.node
	}
	b.router = newRouter(b.bus, b.topics.arrived)
	b.strangers = new(strangers)
	b.usage = newUsage(o.Quotas, b.clock)
	b.memory, b.turns = newMemory(&o.Quotas), newTurns()
	b.pendingRequests.budget = b.memory.waiting
	b.incomingPatience = incomingPatience
	b.replaying = newReplaySlots()
	if b.history != nil {
		b.durables = newDurables(b.clock, b.history.DurableIdle())
	}
	if b.store != nil {
		b.dedup = newDedupWindow(b.memory.dedup, b.clock, b.store.DedupWindow())
		b.names = newQueueNames(o.Driver.QueueCounter, b.memory.queues, b.clock)
		b.kept = newHistoryNames(o.Driver.HistoryCounter, b.memory.histories, b.clock)
		b.store = &namedQueueStore{b.store, b.names, b.kept}
		b.store = &memoryQueueStore{QueueStore: b.store, memory: o.Driver.QueueMemory, budget: b.memory.memoryQueues, clock: b.clock}
	}
	b.presence = newPresence(b, o.Presence)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if err := errors.Join(b.joinCluster(), banExchange{b}.join()); err != nil {
		b.cancel()
		return nil, err
	}
	b.sweepEvery.Store(int64(b.upkeep.sweepInterval()))
	b.liveness.swept.Store(b.clock.now())
	b.sweeper.Go(b.upkeep.sweep)
	return b, nil
}

// Authenticator returns the Authenticator of the Options, for gateways.
func (b *Broker) Authenticator() Authenticator { return b.auth }

// Driver returns the backend, for programs that manage queues or keep records.
func (b *Broker) Driver() driver.Driver { return b.driver }

// Limits returns the limits in force, with defaults filled in.
func (b *Broker) Limits() Limits { return b.settings().limits }

// Quotas returns the quotas in force, defaults filled in.
func (b *Broker) Quotas() Quotas { return *b.usage.quotas.Load() }

// CountUnauthenticated counts a request over HTTP whose credentials were not accepted, in
// [Stats.Unauthenticated]. Sessions count in [Stats.Errors].
func CountUnauthenticated(b *Broker, endpoint Endpoint, code Code) {
	b.counters.countRefusal(endpoint, code)
}

// CountLimit counts that a limit of [Stats.Limited] was reached outside of a session.
func (b *Broker) CountLimit(name string) { b.usage.count(name) }

// Node returns the random id of this broker, with which its message ids begin.
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

// Open begins a session on a connection. The caller then reads the connection and calls Receive
// with what arrives, and Detach when it has ended. It returns an *Error if the broker accepts no
// more sessions.
func (b *Broker) Open(t Transport) (*Session, error) {
	if b.draining.Load() {
		return nil, shuttingDown("the server is shutting down; connect again")
	}
	current := b.settings()
	if n := b.counters.sessions.Add(1); current.limits.MaxConnections > 0 && n > int64(current.limits.MaxConnections) {
		b.counters.sessions.Add(-1)
		e := errorf(CodeTooManySessions, "the server has its limit of %d connections", current.limits.MaxConnections)
		e.retryAfter = retryAfter
		b.counters.countError(e)
		b.admission.logConnectionLimit(current.limits.MaxConnections, t)
		return nil, e
	}
	address := addressOf(t.RemoteAddr())
	if err := b.usage.open(address); err != nil {
		b.counters.sessions.Add(-1)
		b.counters.countError(err)
		b.strangers.notOpened(b.log, t, err)
		return nil, err
	}
	s := &Session{broker: b, transport: t, framing: t.Framing(), number: b.ids.Add(1), openedAt: b.clock.now(), address: address}
	s.id = b.node + "-" + strconv.FormatUint(s.number, 36)
	_, s.stream = s.framing.(EventFraming)
	s.decoder.Init(&current.limits.Frame)
	s.lastRead.Store(s.openedAt)
	s.incomingBytes = account{budget: b.memory.incoming, user: anonymousAt + address.String(), free: freeEarlyBytes}
	s.receipts.session = s
	s.outbox.transport, s.outbox.options, s.outbox.clock = t, &current.outbox, b.clock
	s.outbox.marksGaps = true
	s.outbox.dropped, s.outbox.latency, s.outbox.pacing = &b.counters.dropped, &b.counters.publishLatency, b.pacing
	s.traffic = b.counters.transport(t.Name())
	s.outbox.traffic = s.traffic
	s.traffic.sessions[0].Add(1)
	s.outbox.startFlush = s.outbox.flush
	if now, ok := t.(ImmediateTransport); ok {
		s.outbox.immediate = now.WritesNow()
	}
	s.outbox.onFull, s.outbox.waiting.session = s.tooSlow, s
	s.outbox.onError = s.writeFailed
	s.outbox.onWritten = s.written
	s.outbox.lastWrite.Store(s.openedAt)
	b.registry.add(s)
	return s, nil
}

// OpenStream begins a session that only receives, on a connection whose Framing is an
// [EventFraming]. If a destination is invalid or not permitted, it returns an *Error and closes
// the transport. The caller must call Detach when the connection has ended. When OpenStream
// returns, all nodes know of the interest in all destinations.
func (b *Broker) OpenStream(t Transport, p *auth.Principal, o StreamOptions) (*Session, error) {
	s, err := b.Open(t)
	if err != nil {
		return nil, err
	}
	name := p.Name
	usage, refused := b.usage.join(name)
	if refused != nil {
		refused.user = name
		b.strangers.notOpened(b.log, t, refused)
		s.Detach(nil)
		return nil, refused
	}
	s.handling.Lock() // others may ask about its principal from here on
	if renew := b.renewal.Load(); renew != nil {
		if p, err = (*renew)(p); err != nil {
			s.handling.Unlock()
			b.usage.leave(name, usage)
			s.Detach(nil)
			return nil, unauthenticated(err)
		}
	}
	s.setUser(name, usage)
	s.setPrincipal(p)
	s.setVersion(frames.V12)
	s.beatSend.Store(int64(min(o.HeartBeat, maxBeat)))
	s.beaten = s.openedAt
	if lifetime := int64(min(o.MaxLifetime, maxDuration)); lifetime > 0 {
		s.endsAt.Store(s.openedAt + spread(lifetime))
	}
	if len(o.Destinations) > 1 || o.HeartBeatEvents {
		s.outbox.eventIDs = &eventIDs{framing: t.Framing().(EventFraming), beats: o.HeartBeatEvents, places: make([]eventPlace, len(o.Destinations))}
	}
	s.state.Store(int32(stateConnected))
	s.handling.Unlock()
	if err := b.bans.check(p, time.Now()); err != nil { // made meanwhile
		s.Detach(nil)
		return nil, protocolError(unauthenticated(err))
	}
	b.counters.connected.Add(1)
	s.logConnected(frames.V12)
	for i, last := range splitEventIDs(o.LastEventID, len(o.Destinations)) {
		s.handling.Lock()
		err := s.subscribeStream(i, o.Destinations[i], last)
		s.handling.Unlock()
		if err != nil {
			e := protocolError(err)
			s.logRefused(o.Destinations[i], e)
			b.counters.countRefused(e)
			s.Detach(nil)
			return nil, e
		}
	}
	if send := s.beatSend.Load(); o.HeartBeatEvents && send > 0 {
		s.outbox.push(s.outbox.beatEvent(send)) // so that a page knows its place from the beginning
	}
	return s, nil
}

// Handle registers h for requests to a pattern of /app destinations, from clients of this node
// and of others, until the broker is shut down. Handlers take precedence over app servers. If
// several match, the first one is used. It is safe for concurrent use.
func (b *Broker) Handle(pattern string, h Handler) error {
	p, err := destination.ParsePattern(pattern)
	if err != nil {
		return fmt.Errorf("broker: handler for %q: %w", pattern, err)
	}
	if kind, err := b.admission.classify(pattern); err != nil || kind != destination.App {
		return fmt.Errorf("broker: handler for %q: handlers are for %s destinations", pattern, destination.AppPrefix)
	}
	added := &handler{broker: b, pattern: p, handle: h}
	b.handlers.mu.Lock()
	b.handlers.all = append(b.handlers.all, added)
	b.handlers.mu.Unlock()
	if b.requestRouter == nil {
		return nil
	}
	stop, err := b.requestRouter.Serve(pattern, added.take)
	if err != nil {
		return fmt.Errorf("broker: handler for %q: %w", pattern, err)
	}
	b.handlers.mu.Lock()
	b.handlers.stops = append(b.handlers.stops, stop)
	b.handlers.mu.Unlock()
	b.topics.flush(pattern)
	return nil
}

// Send sends messages for a principal without a session, as one transaction. First it checks all
// messages, with interceptors and the limits of transactions. Then it stores the messages for
// queues and histories together, and sends all others in their order. It returns when the
// messages are stored and app servers have accepted the requests.
//
// A *SendError or an *Error means that nothing was sent. The exception is an Error with
// CodeUnavailable or CodeNotStored, after which the outcome is unknown; with a dedup-id it is
// safe to store the messages again. The slice has an *Error at the index of each request to /app
// that no app server accepted. It is nil if there is none.
//
// Send trusts the principal: the embedding program creates it with the permissions that it needs.
// It is safe for concurrent use.
func (b *Broker) Send(ctx context.Context, p *auth.Principal, all ...Publication) ([]error, error) {
	ops, err := b.publisher.newOperations(origin{principal: p}, all)
	if err != nil {
		b.counters.countRefused(protocolError(err))
		return nil, err
	}
	if b.draining.Load() {
		return nil, shuttingDown("the server is shutting down; send it to another node")
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := b.publisher.executeStores(ctx, ops); err != nil {
		return nil, protocolError(err)
	}
	outcomes := make([]chan error, len(ops))
	for i, op := range ops {
		if op.topic != nil {
			b.topics.publish(op.topic, nil)
			continue
		}
		if op.store != nil || (op.run == nil && op.runAsync == nil) {
			continue // stored, or dropped by an interceptor
		}
		outcome := make(chan error, 1)
		outcomes[i] = outcome
		if op.run != nil {
			outcome <- op.run()
		} else {
			op.runAsync(func(err error) { outcome <- err })
		}
	}
	return b.publisher.awaitAll(ctx, outcomes), nil
}

// CheckDestination returns an error if a name is not a valid destination, or is too long.
func (b *Broker) CheckDestination(name string) error {
	if _, err := b.admission.classify(name); err != nil {
		return err
	}
	return nil
}
