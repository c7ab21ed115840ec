package relay

import (
	"fmt"
	"sync"
	"time"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	streamLeaderElected   = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."
	consumerLeaderElected = "$JS.EVENT.ADVISORY.CONSUMER.LEADER_ELECTED."
	// electionGrace is how long the answers of a leader may still be on their way when
	// it has a successor. What it had not stored by then is gone with it.
	electionGrace = time.Second
)

var errNewLeader = fmt.Errorf("%w: another leader was chosen before the answer came", driver.ErrUnavailable)

// elections remembers when streams and consumers last had a leader chosen, until it has
// been looked what waits for the one before. It is safe for concurrent use.
type elections struct {
	mu sync.Mutex // guards the following
	at map[string]time.Time
}

func (e *elections) note(who string, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.at == nil {
		e.at = make(map[string]time.Time)
	}
	e.at[who] = now
}

// due returns the elections whose grace is over, once.
func (e *elections) due(now time.Time) map[string]time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	var due map[string]time.Time
	for who, at := range e.at {
		if now.Sub(at) < electionGrace {
			continue
		}
		if due == nil {
			due = make(map[string]time.Time)
		}
		due[who] = at
		delete(e.at, who)
	}
	return due
}
