package broker

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	drainTick = 10 * time.Millisecond
	// drainPace is how many sessions a tick ends at least, however long the window.
	drainPace = 2
)

// Shutdown ends all sessions, spread over [Options.DrainWindow]: each after what is
// queued for it was written, and what it held of queues goes to others. It returns
// when all connections are closed or ctx is done, then with its error. No session
// can be opened any more.
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

func (s *Session) endForRestart() {
	s.ended.set(&endedByShutdown)
	s.end(nil, CloseRestart, string(CodeShutdown)+": the server is shutting down; connect again")
}
