package relay

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	workerCount = 16
	// workerMessages is what may wait for a worker between NATS and the router. Beyond,
	// messages are dropped; those of histories are fetched again.
	workerMessages = 16384
)

// workers deliver the messages of all interests, so that an interest costs no goroutine
// of its own: each connection may have one, for its user. An interest stays with its
// worker, which keeps its messages in order.
type workers struct {
	seed  maphash.Seed
	chans [workerCount]chan *nats.Msg
	subs  sync.Map // *nats.Subscription to *interest
}

func newWorkers() *workers {
	w := &workers{seed: maphash.MakeSeed()}
	for i := range w.chans {
		w.chans[i] = make(chan *nats.Msg, workerMessages)
	}
	return w
}

// start has the workers deliver until ctx is done.
func (w *workers) start(ctx context.Context, group *sync.WaitGroup) {
	for _, messages := range w.chans {
		group.Go(func() { w.run(ctx, messages) })
	}
}

func (w *workers) subscribe(conn *nats.Conn, subject string, i *interest) (*nats.Subscription, error) {
	sub, err := conn.ChanSubscribe(subject, w.chans[maphash.String(w.seed, i.pattern.String())%workerCount])
	if err == nil {
		w.subs.Store(sub, i)
	}
	return sub, err
}

func (w *workers) unsubscribe(sub *nats.Subscription) {
	_ = sub.Unsubscribe()
	w.subs.Delete(sub)
}

func (w *workers) run(ctx context.Context, messages <-chan *nats.Msg) {
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-messages:
			if i := w.interestOf(ctx, msg.Sub); i != nil {
				i.arrived(msg)
			}
		}
	}
}

// interestOf returns the interest of a subscription, or nil when it has ended. The
// first message can be here before subscribe has stored the interest.
func (w *workers) interestOf(ctx context.Context, sub *nats.Subscription) *interest {
	for {
		if i, ok := w.subs.Load(sub); ok {
			return i.(*interest)
		}
		if !sub.IsValid() || ctx.Err() != nil {
			return nil
		}
		time.Sleep(50 * time.Microsecond)
	}
}
