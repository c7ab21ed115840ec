package broker

import (
	"context"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/broker/trace"
)

// topics delivers messages of topics and users.
type topics struct{ *Broker }

// publish delivers a message to the subscriptions of this node and hands it to
// the other nodes. It serves topics and user destinations alike: the key says
// which subscriptions it is for. Flushes is that of the read that it comes from, or nil.
func (b topics) publish(m *driver.Message, flushes *flushList) {
	route := b.step("route", trace.Internal, m)
	deliver := route.below("deliver", trace.Consumer)
	f := newFanout(m)
	if flushes != nil {
		f.flushes = flushes
	}
	f.sample(b.clock.now)
	b.router.find(m.Key, f.group)
	deliver.count("deliveries", f.count)
	deliver.end(nil)
	b.finish(f)
	handOver := route.below("nats publish", trace.Client)
	err := b.bus.Publish(m)
	handOver.end(err)
	route.end(nil)
	if err != nil {
		// Local delivery goes on without the others: at most once is what
		// these destinations promise.
		if b.counters.relayErrors.Add(1) == 1 {
			b.log.Warn("a message could not be handed to other nodes; stompbox_relay_errors_total counts the next ones", "destination", m.Key, "error", err)
		}
	}
}

// arrived delivers a message of another node to the group whose interest
// brought it here. Each interest brings its own copy, so only that group has it.
func (b topics) arrived(g *group, m *driver.Message) {
	if !g.pattern.Match(m.Key) {
		return // the interest was wider than the pattern
	}
	b.counters.relayed.Add(1)
	deliver := b.step("deliver", trace.Consumer, m)
	f := newFanout(m)
	f.sample(func() int64 { return b.publishedAt(m) })
	f.group(g)
	deliver.count("deliveries", f.count)
	deliver.end(nil)
	b.finish(f)
}

// publishedAt is the clock time at which the broker took a message, as far as the clocks
// of the nodes agree.
func (b topics) publishedAt(m *driver.Message) int64 {
	return max(b.clock.now()-int64(max(time.Since(time.UnixMilli(m.Timestamp)), 0)), 1)
}

// finish counts what a fanout delivered, and gives it back.
func (b topics) finish(f *fanout) {
	b.counters.delivered.Add(int64(f.count))
	f.release()
}

// flushTimeout bounds how long a SUBSCRIBE waits for its interest to be known.
const flushTimeout = 5 * time.Second

// flush waits until the other nodes know of all interests, and reports whether that
// was confirmed. The destination is for the log.
func (b topics) flush(destination string) bool {
	ctx, cancel := context.WithTimeout(b.ctx, flushTimeout)
	defer cancel()
	err := b.bus.Flush(ctx)
	if err != nil {
		b.log.Warn("an interest was not confirmed; messages of other nodes may be missed until the relay is back", "destination", destination, "error", err)
	}
	return err == nil
}
