package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

// watch looks after what may take a while to answer, until the relay ends.
func (r *Relay) watch() {
	found := r.queues.memory.find()
	r.link.every(checkEvery, func(now time.Time) {
		if !r.link.conn.IsConnected() {
			return
		}
		found = found || r.queues.memory.find()
		r.health.watchRoutes()
		r.health.check(r.link.ctx)
		if !r.link.state().storesNothing() {
			r.histories.check(r.link.ctx)
		}
		if r.inventories != nil {
			r.inventories.check(now)
		}
	})
}

// sweep removes what queues left behind, until the relay ends.
func (r *Relay) sweep() {
	r.link.every(sweepEvery, func(now time.Time) {
		ctx, cancel := context.WithTimeout(r.link.ctx, sweepEvery)
		defer cancel()
		if err := r.queues.sweepConsumers(ctx, now); err != nil {
			r.link.log.Debug("consumers that queues left behind could not be looked for; it is tried again", "error", err)
		}
		if err := r.former.sweep(ctx, now); err != nil {
			r.link.log.Debug("the other places of queues could not be looked at; it is tried again", "error", err)
		}
	})
}

// janitor does what is due now and then, none of which waits: nodes that are gone are
// forgotten, writes and requests without an answer fail, and consumers that were lost are
// looked for.
func (r *Relay) janitor() {
	r.link.every(reopenWait, func(now time.Time) {
		r.requests.fail(now.Add(-requestTimeout), fmt.Errorf("%w: no answer within %s", driver.ErrUnavailable, requestTimeout))
		r.acks.fail(now.Add(-ackTimeout), fmt.Errorf("%w: no answer within %s", driver.ErrUnavailable, ackTimeout))
		r.acks.failUnled(now)
		if r.link.conn.IsConnected() {
			r.members.dropSilent(now)
			r.readers.recover(now)
		}
	})
}
