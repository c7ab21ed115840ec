package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker/driver"
)

// Stats returns the current counts. It is safe for concurrent use.
func (b *Broker) Stats() Stats {
	c := &b.counters
	c.mu.Lock()
	errors := maps.Clone(c.errors)
	c.mu.Unlock()
	return Stats{
		Sessions: c.sessions.Load(), Subscriptions: c.subscriptions.Load(), Connected: c.connected.Load(),
		Received: c.received.Load(), Delivered: c.delivered.Load(), Dropped: c.dropped.Load(),
		Limited: c.limited(b.usage, &b.memory), Memory: b.memory.bytes(), Transports: c.transportStats(),
		PublishLatency: c.publishLatency.Snapshot(), StoreLatency: c.storeLatency.Snapshot(),
		Relayed: c.relayed.Load(), RelayErrors: c.relayErrors.Load(), Errors: errors, Unauthenticated: c.unauthenticated(),
		Stored: c.stored.Load(), Refused: c.refused.Load(), Acked: c.acked.Load(), Nacked: c.nacked.Load(), Stale: c.stale.Load(),
		Requests: c.requests.Load(), Failed: c.requestsFailed.Load(), Rejected: c.rejected.Load(), Revoked: c.revoked.Load(), Kept: c.kept.Load(), Replays: c.replays.Load(), Replayed: c.replayed.Load(), Incomplete: c.incomplete.Load(),
		Dead: c.dead.Load(), Expired: c.expired.Load(), Queues: int64(len(b.queues.all())), BansRead: b.bans.areRead(), NotReady: whyNotReady(b),
	}
}

// whyNotReady says why a node lets no client in now, or is empty.
func whyNotReady(b *Broker) string {
	if b.Draining() {
		return "draining"
	}
	if r := b.driver.Readiness; r != nil {
		if why := r.NotReady(); why != "" {
			return why
		}
	}
	if !b.bans.areRead() {
		return ErrBansUnread.Error()
	}
	return ""
}

// Alive returns an error if the broker hangs: if the locks that every connect and every publish
// takes are not free before ctx is done, or if no sweep has ended for two minutes. It does not
// check the driver, because a restart repairs no network link. After [Broker.Shutdown] it returns
// nil. It allocates little and may be called every second.
//
// A supervisor that gets the error should restart the process.
func (b *Broker) Alive(ctx context.Context) error {
	select {
	case <-b.upkeep.startProbe():
	case <-ctx.Done():
		return fmt.Errorf("the broker hangs: the locks of sessions and subscriptions are not free: %w", context.Cause(ctx))
	}
	return b.upkeep.sweepError()
}

// Reconfigure applies new limits, quotas, heart-beats, outboxes, queues, AppTimeout and
// DrainWindow. It ignores all other fields of o, even required ones. Sessions keep what they have
// open, even above a new limit. New heart-beats and outboxes apply to new sessions. The size
// limits of queues, and which queues are transient, must not change. It is safe for concurrent
// use.
func (b *Broker) Reconfigure(o Options) error {
	o = o.WithDefaults()
	o.Authenticator, o.Driver = b.auth, b.driver
	if err := o.check(); err != nil {
		return err
	}
	if !o.Queues.keepsPlaces(&b.settings().queues) {
		return errors.New("broker: queues.max_messages, queues.max_bytes and queues.transient cannot be changed while the broker runs")
	}
	b.current.Store(newSettings(&o))
	b.usage.quotas.Store(&o.Quotas)
	b.memory.setLimits(&o.Quotas)
	// Sessions that are open have agreed on heart-beats that may be shorter.
	if every := int64(b.upkeep.sweepInterval()); every < b.sweepEvery.Load() {
		b.sweepEvery.Store(every)
	}
	return nil
}

// settings are those in force. What belongs together is read from one call.
func (b *Broker) settings() *settings { return b.current.Load() }

// Reauthorize applies changed permissions to open sessions. For each session, renew returns its
// current principal. If renew returns an error, the session ends with an ERROR. A subscription
// that is no longer permitted ends, and the session gets a MESSAGE on /user/queue/errors; a
// stream of events ends as a whole. A session that is handling a frame is checked after that
// frame. Call Reauthorize after the Authenticator has changed. It is safe for concurrent use.
func (b *Broker) Reauthorize(renew func(*auth.Principal) (*auth.Principal, error)) Renewal {
	f := renewFunc(renew)
	b.renewal.Store(&f) // for streams that are being opened
	var total, late Renewal
	var mu sync.Mutex // guards late and busy
	busy := 0
	done := make(chan struct{}, 1)
	b.registry.each(func(s *Session) {
		if s.handling.TryLock() {
			total.add(s.renewAndUnlock(f))
			return
		}
		mu.Lock()
		busy++
		mu.Unlock()
		go func() {
			s.handling.Lock()
			r := s.renewAndUnlock(f)
			mu.Lock()
			defer mu.Unlock()
			late.add(r)
			if busy--; busy == 0 {
				select {
				case done <- struct{}{}:
				default:
				}
			}
		}()
	})
	patience := time.NewTimer(busyPatience)
	defer patience.Stop()
	for {
		mu.Lock()
		left := busy
		sum := total
		sum.add(late)
		mu.Unlock()
		if sum.Busy = left; left == 0 {
			return sum
		}
		select {
		case <-done:
		case <-patience.C:
			return sum
		}
	}
}

// QueueOptions returns the options of a queue, from the policies.
func (b *Broker) QueueOptions(queue string) driver.QueueOptions {
	return b.settings().queues.policy(queue).options()
}

// HeldMessages returns how many messages of stored queues consumers hold, on all nodes, by queue,
// and the nodes that did not answer. A store may count what was given back as held until it is
// delivered again. It is safe for concurrent use.
func (b *Broker) HeldMessages(ctx context.Context) (held map[string]int, missing []string) {
	answers, missing := b.directory.gather(ctx, registryQuery{What: "held"})
	held = make(map[string]int)
	for _, a := range answers {
		for name, n := range a.Held {
			held[name] += n
		}
	}
	return held, missing
}

// PeekQueue returns messages of a queue without delivering them, oldest first. For a transient
// queue it returns those that wait in the memory of any node. The error wraps driver.ErrNoQueue
// if the queue has neither messages nor consumers. It needs a driver with QueueAdmin. It is safe
// for concurrent use.
func (b *Broker) PeekQueue(ctx context.Context, queue string, p driver.Peek) (driver.Peeked, error) {
	seen, err := b.driver.QueueAdmin.PeekQueue(ctx, queue, p)
	if err != nil || p.After != "" || len(seen.Messages) > 0 {
		return seen, err
	}
	query := transientPeek{queue, p.Limit, p.MaxBytes}
	waiting := b.peeks.peekTransient(query)
	found := waiting.Open
	for _, theirs := range b.peeks.peekOthers(ctx, query) {
		found = found || theirs.Open
		waiting.Messages = append(waiting.Messages, theirs.Messages...)
	}
	if found {
		seen.Messages = query.bound(waiting.Messages)
		return seen, nil
	}
	_, err = b.driver.QueueAdmin.Queue(ctx, queue)
	return seen, err
}

// Shutdown ends all sessions, spread over [Options.DrainWindow]. Each session ends after its
// queued messages are written, and the queue messages that it holds go to other consumers.
// Shutdown returns nil when all connections are closed, or the error of ctx. No session can be
// opened afterwards.
func (b *Broker) Shutdown(ctx context.Context) error {
	b.draining.Store(true)
	err := b.drain(ctx)
	b.handlers.finish(ctx)
	b.cancel()
	b.handlers.running.Wait()
	b.sweeper.Wait()
	b.background.Wait()
	return err
}

func (b *Broker) drain(ctx context.Context) error {
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	end := time.Now().Add(b.settings().drainWindow)
	var order []*Session
	b.registry.each(func(s *Session) { order = append(order, s) })
	// Those who came together do not have to go together.
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for {
		left := int(time.Until(end)/drainTick) + 1
		n := len(order)
		if left > 1 {
			n = min(n, max(len(order)/left, drainPace))
		}
		for _, s := range order[:n] {
			s.endForRestart()
		}
		if order = order[n:]; len(order) == 0 {
			// Sessions that were being opened when it began are caught here.
			b.registry.each((*Session).endForRestart)
			if b.registry.empty() {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			b.registry.each(func(s *Session) { _ = s.transport.Close() })
			return ctx.Err()
		case <-tick.C:
		}
	}
}
