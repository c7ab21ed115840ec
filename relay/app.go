package relay

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker"
)

const (
	// appGroup is the queue group of app servers. Native services that share it take
	// turns with those of STOMP; others get each request beside them.
	appGroup = "stompbox"
	// headerTaken says, in an answer of a node, that the request was taken, or not:
	// its own answer comes another way.
	headerTaken = "stompbox-taken"
	// mostTries is how many nodes are asked that have no room, or the wrong pattern.
	mostTries = 3
	// takeTimeout is how long a service may take that answers by itself.
	takeTimeout = 30 * time.Second
)

// asking are the requests whose taking, or answer, is on its way.
type asking struct {
	inbox string // with a dot at its end

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]*appRequest
}

type appRequest struct {
	message *broker.Message
	done    func(*broker.Message, error)
	since   time.Time
	tries   int
}

// beginApp makes what requests need of the connection.
func (r *Relay) beginApp() error {
	r.asking.inbox, r.asking.waiting = nats.NewInbox()+".", make(map[uint64]*appRequest)
	sub, err := r.conn.Subscribe(r.asking.inbox+"*", r.appAnswered)
	if err != nil {
		return err
	}
	return sub.SetPendingLimits(-1, -1) // what waits for answers bounds it
}

// Serve takes part in answering requests. See [broker.AppRelay].
func (r *Relay) Serve(pattern string, take func(*broker.Message) bool) (func(), error) {
	var subs []*nats.Subscription
	stop := sync.OnceFunc(func() {
		for _, sub := range subs {
			_ = sub.Drain() // what is on its way is still answered
		}
	})
	for _, subject := range PatternSubjects(r.prefix, pattern) {
		sub, err := r.conn.QueueSubscribe(subject, appGroup, func(msg *nats.Msg) {
			m, ok := decode(r.prefix, msg, r.nextID)
			taken := ok && take(m)
			if msg.Reply == "" {
				return
			}
			_ = r.conn.PublishMsg(&nats.Msg{Subject: msg.Reply, Header: nats.Header{headerTaken: []string{strconv.FormatBool(taken)}}})
		})
		if err == nil {
			subs = append(subs, sub)
			err = sub.SetPendingLimits(pendingMessages, pendingBytes)
		}
		if err != nil {
			stop()
			return nil, unavailable(err)
		}
	}
	return stop, nil
}

// Request hands a request to one app server elsewhere. See [broker.AppRelay].
func (r *Relay) Request(m *broker.Message, done func(*broker.Message, error)) {
	if r.server != nil && r.server.private {
		done(nil, broker.ErrNoAppServer) // nobody but this node can reach the server
		return
	}
	r.sendRequest(&appRequest{message: m, done: done})
}

func (r *Relay) sendRequest(q *appRequest) {
	a := &r.asking
	q.since = time.Now()
	q.tries++
	a.mu.Lock()
	id := a.next
	a.next++
	a.waiting[id] = q
	a.mu.Unlock()
	msg := encode(r.prefix, q.message)
	msg.Reply = a.inbox + strconv.FormatUint(id, 36)
	if err := r.conn.PublishMsg(msg); err != nil {
		r.settleRequest(id, nil, unavailable(err))
	}
}

func (r *Relay) takeRequest(id uint64) *appRequest {
	r.asking.mu.Lock()
	defer r.asking.mu.Unlock()
	q := r.asking.waiting[id]
	delete(r.asking.waiting, id)
	return q
}

func (r *Relay) settleRequest(id uint64, answer *broker.Message, err error) {
	if q := r.takeRequest(id); q != nil {
		q.done(answer, err)
	}
}

// appAnswered takes the word of a node, or the answer of a native service.
func (r *Relay) appAnswered(msg *nats.Msg) {
	id, err := strconv.ParseUint(strings.TrimPrefix(msg.Subject, r.asking.inbox), 36, 64)
	if err != nil {
		return
	}
	q := r.takeRequest(id)
	if q == nil {
		return // too late
	}
	taken := msg.Header.Get(headerTaken)
	switch {
	case msg.Header.Get("Status") == "503":
		q.done(nil, broker.ErrNoAppServer)
	case taken == "true":
		q.done(nil, nil)
	case taken != "" && q.tries < mostTries:
		r.sendRequest(q) // another one may
	case taken != "":
		q.done(nil, broker.ErrNoAppServer)
	default:
		msg.Subject = Subject(r.prefix, q.message.Key)
		if answer, ok := decode(r.prefix, msg, r.nextID); ok {
			q.done(answer, nil)
		} else {
			q.done(nil, fmt.Errorf("%w: its answer cannot be read", broker.ErrUnavailable))
		}
	}
}

// failRequests settles those that were sent before, with an error.
func (r *Relay) failRequests(before time.Time, err error) {
	r.asking.mu.Lock()
	var late []uint64
	for id, q := range r.asking.waiting {
		if q.since.Before(before) {
			late = append(late, id)
		}
	}
	r.asking.mu.Unlock()
	for _, id := range late {
		r.settleRequest(id, nil, err)
	}
}
