package relay

import (
	"sync"
	"sync/atomic"
	"time"
)

// linkState says what can be done over a link now.
type linkState int32

const (
	// connected: NATS and JetStream answer, or there never was a JetStream.
	connected linkState = iota
	// degraded: JetStream does not answer for the moment. Topics go on. Writes are
	// still handed over, since queues and histories whose leaders are elsewhere may
	// take them.
	degraded
	// unavailable: JetStream has not answered for so long that there is no majority.
	// Nothing is handed to it. Topics go on.
	unavailable
	// partitioned: this node's server has lost all servers that it was joined to. It
	// may still take messages that no majority will have, so nothing is handed to it.
	partitioned
	// disconnected: the connection to NATS is lost, and with it all of the above.
	disconnected
)

func (s linkState) String() string {
	return [...]string{"connected", "degraded", "unavailable", "partitioned", "disconnected"}[s]
}

// storesNothing reports whether JetStream is known not to keep anything.
func (s linkState) storesNothing() bool {
	return s == degraded || s == unavailable || s == partitioned
}

// linkEvent is what moves a link from one state to another.
type linkEvent int

const (
	connectionLost linkEvent = iota
	connectionBack
	jetStreamAnswered
	jetStreamMissed // a check without an answer
	routesLost
	routesBack
)

const (
	// maxMisses is how many checks in a row may fail before a link is degraded: when a
	// node dies, the others choose a new leader within some seconds, and queues and
	// histories whose leaders are elsewhere go on meanwhile.
	maxMisses = 3
	// unavailableMisses is after how many of them in a row it is unavailable: a
	// majority would have chosen a leader by then.
	unavailableMisses = 6
)

// linkStateMachine holds the state of a link. It is safe for concurrent use; reading
// the state takes no lock.
type linkStateMachine struct {
	current atomic.Int32
	// optional says that a server without JetStream is no fault.
	optional bool

	mu       sync.Mutex // held for a transition; guards the following
	misses   int        // checks in a row without an answer
	answered bool       // JetStream has answered before
	since    time.Time  // since when the link is connected, and JetStream has answered
}

func (m *linkStateMachine) state() linkState { return linkState(m.current.Load()) }

// apply makes the transition of an event, and returns the states before and after.
func (m *linkStateMachine) apply(e linkEvent) (from, to linkState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from = m.state()
	to = m.nextLocked(from, e)
	switch {
	case to != connected || !m.answered:
		m.since = time.Time{}
	case m.since.IsZero():
		m.since = time.Now()
	}
	m.current.Store(int32(to))
	return from, to
}

// connectedFor returns how long the link has been connected without a break, and JetStream has
// been there.
func (m *linkStateMachine) connectedFor(now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.since.IsZero() {
		return 0
	}
	return now.Sub(m.since)
}

func (m *linkStateMachine) nextLocked(from linkState, e linkEvent) linkState {
	switch e {
	case jetStreamAnswered:
		m.misses, m.answered = 0, true
	case jetStreamMissed:
		m.misses++
	}
	switch {
	case e == connectionLost:
		return disconnected
	case from == disconnected && e == connectionBack:
		return m.byMissesLocked()
	case from == disconnected:
		return disconnected
	case e == routesLost:
		return partitioned
	case from == partitioned && e == routesBack:
		// JetStream may not have noticed that it was cut off, so it has to answer first.
		return max(degraded, m.byMissesLocked())
	case from == partitioned:
		return partitioned
	case e == jetStreamAnswered:
		return connected
	case e == jetStreamMissed:
		return max(from, m.byMissesLocked())
	}
	return from
}

// byMissesLocked is the state that the last checks speak for.
func (m *linkStateMachine) byMissesLocked() linkState {
	switch {
	case !m.answered && m.optional:
		return connected
	case m.answered && m.misses >= unavailableMisses:
		return unavailable
	case m.misses >= maxMisses, !m.answered && m.misses > 0:
		return degraded
	}
	return connected
}
