package broker

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// A client whose connection is lost silently comes back while the broker still takes
// the former connection for alive. If the two shared a durable subscription meanwhile,
// each would have a part, and the newer part would come first. So a consumer that joins
// gets nothing before it is known of each other session whether it is there: it is asked,
// and one that does not answer is ended, which puts back what it held.

const (
	// takeoverWait is how long a WebSocket has to answer a ping.
	takeoverWait = 5 * time.Second
	// takeoverMoment is how long a SUBSCRIBE waits for it.
	takeoverMoment = 200 * time.Millisecond
	// takeoverLook is how often it is looked whether a session has answered.
	takeoverLook = 20 * time.Millisecond
	// takeoverSubject is on which a node has the others ask their sessions.
	takeoverSubject = "takeover"
	// maxTakeover bounds how long sessions of other nodes are waited for.
	maxTakeover = time.Minute
)

// takeoverUnderWay is the answer of a node that does not know yet.
const takeoverUnderWay = "wait"

// takeoverQuery is what a node asks the others, until none of them has to wait.
type takeoverQuery struct {
	Queue string `json:"queue"`
	ID    string `json:"id"` // the same each time
}

// takeOver has a consumer of a durable subscription, which was paused before it joined, go
// on once the sessions that it shares it with are known to be there. It waits where that
// takes a moment only, so that what follows the RECEIPT comes as if no other node had been asked.
func (t *takeovers) takeOver(q *queue, sub *subscription) {
	former := q.doubt(sub.session)
	if former == nil && t.cluster == nil {
		q.goOn(sub.consumer)
		return
	}
	settled := make(chan struct{})
	t.background.Go(func() {
		defer close(settled)
		t.takeOverFromNodes(takeoverQuery{q.source.key(), t.nextID()})
		q.settleDoubt(former)
		q.goOn(sub.consumer)
	})
	select {
	case <-settled:
	case <-time.After(takeoverMoment):
	}
}

// takeOverFromNodes returns when the other nodes know of their sessions.
func (t *takeovers) takeOverFromNodes(ask takeoverQuery) {
	query, err := json.Marshal(ask)
	if t.cluster == nil || err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, maxTakeover)
	defer cancel()
	for {
		waiting := false
		replies, _ := t.cluster.Request(ctx, takeoverSubject, query)
		for _, reply := range replies {
			waiting = waiting || string(reply.Body) == takeoverUnderWay
		}
		if !waiting {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * takeoverLook):
		}
	}
}

// answerTakeover asks the sessions of this node for a consumer of another one, and says
// whether they are still being asked.
func (t *takeovers) answerTakeover(query []byte) []byte {
	var ask takeoverQuery
	if json.Unmarshal(query, &ask) != nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if underWay := t.underWay[ask.ID]; underWay {
		return []byte(takeoverUnderWay)
	}
	q := t.queues.find(ask.Queue)
	if _, known := t.underWay[ask.ID]; known || q == nil || t.ctx.Err() != nil {
		return nil
	}
	former := q.doubt(nil)
	if former == nil {
		return nil
	}
	if t.underWay == nil {
		t.underWay = make(map[string]bool)
	}
	t.underWay[ask.ID] = true
	t.background.Go(func() {
		q.settleDoubt(former)
		t.mu.Lock()
		t.underWay[ask.ID] = false
		t.mu.Unlock()
		time.AfterFunc(maxTakeover, func() { t.forget(ask.ID) })
	})
	return []byte(takeoverUnderWay)
}

// takeovers are those that other nodes ask for.
type takeovers struct {
	*Broker

	mu       sync.Mutex      // guards the following
	underWay map[string]bool // by the query's id; false: settled
}

func (t *takeovers) forget(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.underWay, id)
}

// doubted is a session that is being asked.
type doubted struct {
	session *Session
	all     []*consumer
	asked   int64 // when, by the broker's clock
	wait    int64 // for how long
}

// doubt asks all sessions but one that consume the queue whether they are there. Until
// settleDoubt they get nothing.
func (q *queue) doubt(but *Session) (former map[*Session]*doubted) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, sub := range q.subs {
		s, c := sub.session, sub.consumer
		wait := s.answersWithin()
		if s == but || c.closed || wait == 0 {
			continue
		}
		if former == nil {
			former = make(map[*Session]*doubted)
		}
		if former[s] == nil {
			former[s] = &doubted{session: s, asked: q.broker.clock.now(), wait: wait}
		}
		c.pauses++
		former[s].all = append(former[s].all, c)
	}
	return former
}

// settleDoubt waits for the answers, and ends the sessions that have none.
func (q *queue) settleDoubt(former map[*Session]*doubted) {
	for _, d := range former {
		if ping := d.session.framing.Ping(); ping != nil {
			d.session.outbox.push(ping)
		}
	}
	for _, d := range former {
		if !d.awaitAnswer(q.broker.ctx) {
			d.session.endWith(errorf(CodeHeartBeatMissing, "a later connection has the durable subscription to %s, and nothing came from this one", q.name))
			d.session.release() // before others go on
		}
		for _, c := range d.all {
			q.goOn(c)
		}
	}
	q.awaitReturned(q.broker.ctx) // what the store has not, another node would get too late
}

// answersWithin is how long a session that is there may take to say so, or 0 where
// nothing says so.
func (s *Session) answersWithin() int64 {
	if s.framing.Ping() != nil {
		return int64(takeoverWait)
	}
	return int64(float64(s.beatReceive.Load()) * s.broker.settings().heartBeat.Grace)
}

// awaitAnswer reports whether something came from the session since it was asked.
func (d *doubted) awaitAnswer(ctx context.Context) bool {
	look := time.NewTicker(takeoverLook)
	defer look.Stop()
	for {
		s := d.session
		switch {
		case state(s.state.Load()) == stateEnding:
			return false
		case s.lastRead.Load() > d.asked:
			return true
		case s.broker.clock.now()-max(d.asked, s.broker.resumedAt.Load()) > d.wait:
			return false
		}
		select {
		case <-ctx.Done():
			return true
		case <-look.C:
		}
	}
}

// goOn ends one pause of a consumer.
func (q *queue) goOn(c *consumer) {
	q.mu.Lock()
	c.pauses--
	q.returnedCredit = q.capacity // count again
	q.dispatchLocked()
	q.pullAndUnlock()
}
