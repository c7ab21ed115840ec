package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

// janitor does what is due now and then: nodes that are gone are forgotten, writes without an answer fail, and
// consumers that were lost are found again.
func (r *Relay) janitor() {
	found := r.findMemory()
	r.every(reopenWait, func(now time.Time) {
		r.failRequests(now.Add(-takeTimeout), fmt.Errorf("%w: no answer within %s", driver.ErrUnavailable, takeTimeout))
		r.acks.fail(now.Add(-ackTimeout), fmt.Errorf("%w: no answer within %s", driver.ErrUnavailable, ackTimeout))
		if r.conn.IsConnected() {
			found = found || r.findMemory()
			r.dropSilent(now)
			r.recoverReaders(now)
		}
	})
}

func (r *Relay) recoverReaders(now time.Time) {
	ctx, cancel := context.WithTimeout(r.ctx, setupTimeout)
	defer cancel()
	for _, q := range r.allReaders() {
		q.recover(ctx, now)
	}
}

func (r *Relay) allReaders() []*reader {
	r.readersMu.Lock()
	defer r.readersMu.Unlock()
	all := make([]*reader, 0, len(r.readers))
	for q := range r.readers {
		all = append(all, q)
	}
	return all
}

// disconnected fails what waits for an answer: it does not come any more.
func (r *Relay) disconnected() {
	lost := fmt.Errorf("%w: the connection to NATS was lost", driver.ErrUnavailable)
	r.acks.fail(time.Now(), lost)
	r.failRequests(time.Now(), lost)
	r.forgetStreams()
	for _, q := range r.allReaders() {
		q.lose()
	}
}
