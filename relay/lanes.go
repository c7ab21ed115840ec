package relay

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	laneCount = 16
	// laneMessages is what may wait in a lane between NATS and the router. Beyond,
	// messages are dropped; those of histories are fetched again.
	laneMessages = 16384
)

// lanes carry the messages of all interests, so that an interest costs no goroutine
// of its own: each connection may have one, for its user. An interest stays in its
// lane, which keeps its messages in order.
type lanes struct {
	seed  maphash.Seed
	chans [laneCount]chan *nats.Msg
	subs  sync.Map // *nats.Subscription to *interest
}

func newLanes() *lanes {
	l := &lanes{seed: maphash.MakeSeed()}
	for i := range l.chans {
		l.chans[i] = make(chan *nats.Msg, laneMessages)
	}
	return l
}

func (l *lanes) subscribe(conn *nats.Conn, subject string, i *interest) (*nats.Subscription, error) {
	sub, err := conn.ChanSubscribe(subject, l.chans[maphash.String(l.seed, i.pattern.String())%laneCount])
	if err == nil {
		l.subs.Store(sub, i)
	}
	return sub, err
}

func (l *lanes) unsubscribe(sub *nats.Subscription) {
	_ = sub.Unsubscribe()
	l.subs.Delete(sub)
}

// run delivers what comes in one lane until ctx is done.
func (l *lanes) run(ctx context.Context, lane int) {
	for {
		select {
		case <-ctx.Done():
			return
		case msg := <-l.chans[lane]:
			if i := l.interestOf(ctx, msg.Sub); i != nil {
				i.arrived(msg)
			}
		}
	}
}

// interestOf returns whose message it is, or nil when the interest has ended. The
// first message can be here before subscribe has noted whose it is.
func (l *lanes) interestOf(ctx context.Context, sub *nats.Subscription) *interest {
	for {
		if i, ok := l.subs.Load(sub); ok {
			return i.(*interest)
		}
		if !sub.IsValid() || ctx.Err() != nil {
			return nil
		}
		time.Sleep(50 * time.Microsecond)
	}
}
