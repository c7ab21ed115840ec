package relay

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
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

// appRequest is a request whose taking, or answer, is on its way.
type appRequest struct {
	message *driver.Message
	done    func(*driver.Message, error)
	tries   int
}

// Serve takes part in answering requests. See [driver.RequestRouter].
func (r *Relay) Serve(pattern string, take func(*driver.Message) bool) (func(), error) {
	if err := checkKey(pattern); err != nil {
		return nil, err
	}
	var subs []*nats.Subscription
	stop := sync.OnceFunc(func() {
		for _, sub := range subs {
			_ = sub.Drain() // what is on its way is still answered
		}
	})
	for _, subject := range PatternSubjects(r.prefix, pattern) {
		sub, err := r.conn.QueueSubscribe(subject, appGroup, func(msg *nats.Msg) {
			m, ok := decode(r.prefix, msg, r.nextID)
			if ok && isNative(msg) {
				r.takeNative(msg, m, take)
				return
			}
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

// Request hands a request to one app server elsewhere. See [driver.RequestRouter].
func (r *Relay) Request(m *driver.Message, done func(*driver.Message, error)) {
	if err := checkKey(m.Key); err != nil {
		done(nil, err)
		return
	}
	if r.server != nil && r.server.private {
		done(nil, driver.ErrNoAppServer) // nobody but this node can reach the server
		return
	}
	r.sendRequest(&appRequest{message: m, done: done})
}

func (r *Relay) sendRequest(q *appRequest) {
	q.tries++
	msg := encode(r.prefix, q.message)
	if survives(q.message.Key) {
		msg.Header[headerKey] = []string{q.message.Key} // else nodes of a former version take it for a native program's
	}
	var id uint64
	msg.Reply, id = r.asking.expect(q)
	if err := r.conn.PublishMsg(msg); err != nil {
		if q, ok := r.asking.take(id); ok {
			q.done(nil, unavailable(err))
		}
	}
}

// appAnswered takes the word of a node, or the answer of a native service.
func (r *Relay) appAnswered(id uint64, msg *nats.Msg) {
	q, ok := r.asking.take(id)
	if !ok {
		return // too late
	}
	taken := msg.Header.Get(headerTaken)
	switch {
	case statusOf(msg) == "503":
		q.done(nil, driver.ErrNoAppServer)
	case taken == "true":
		q.done(nil, nil)
	case taken != "" && q.tries < mostTries:
		r.sendRequest(q) // another one may
	case taken != "":
		q.done(nil, driver.ErrNoAppServer)
	default:
		msg.Subject = Subject(r.prefix, q.message.Key)
		if answer, ok := decode(r.prefix, msg, r.nextID); ok {
			q.done(answer, nil)
		} else {
			q.done(nil, fmt.Errorf("%w: its answer cannot be read", driver.ErrUnavailable))
		}
	}
}

// failRequests settles those that were sent before, with an error.
func (r *Relay) failRequests(before time.Time, err error) {
	for _, q := range r.asking.takeOld(before) {
		q.done(nil, err)
	}
}
