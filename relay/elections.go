package relay

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
	mu      sync.Mutex // guards the following
	at      map[string]time.Time
	leaders map[string]string // of streams that this node writes to
}

// know notes who leads a stream that is about to be written to. That this one was chosen
// may be heard of later, as of a stream that was just made.
func (e *elections) know(stream string, info *jetstream.StreamInfo) {
	if e == nil || info.Cluster == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.setLeaderLocked(stream, info.Cluster.Leader)
}

func (e *elections) setLeaderLocked(stream, leader string) {
	if e.leaders == nil || len(e.leaders) >= maxKnown {
		e.leaders = make(map[string]string)
	}
	e.leaders[stream] = leader
}

// ofStream is called with the advisory that a stream has a leader.
func (e *elections) ofStream(msg *nats.Msg) {
	var advisory struct {
		Leader string `json:"leader"`
	}
	_ = json.Unmarshal(msg.Data, &advisory) // without a name it is another leader
	stream, now := strings.TrimPrefix(msg.Subject, streamLeaderElected), time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if advisory.Leader != "" && e.leaders[stream] == advisory.Leader {
		return
	}
	e.setLeaderLocked(stream, advisory.Leader)
	e.noteLocked(stream, now)
}

func (e *elections) note(who string, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.noteLocked(who, now)
}

func (e *elections) noteLocked(who string, now time.Time) {
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
