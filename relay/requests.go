package relay

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// appGroup is the queue group of app servers. Requests go round-robin to all that share it,
	// native services and those of STOMP; other native services get each request too.
	appGroup = "stompbox"
	// headerTaken says, in an answer of a node, that the request was accepted, or not:
	// its own answer comes another way.
	headerTaken = "stompbox-taken"
	// headerBusy says that it was not accepted because there was no room for it.
	headerBusy = "stompbox-busy"
	// maxTries is how many nodes a request is offered to that have no room, or the wrong pattern.
	maxTries = 3
	// requestTimeout is how long a service may take that answers by itself.
	requestTimeout = 30 * time.Second
)

// appRequest is a request whose taking, or answer, is on its way.
type appRequest struct {
	message *driver.Message
	done    func(*driver.Message, error)
	tries   int
	busy    bool // a node had no room
}

// requests is a [driver.RequestRouter] on a queue group of NATS.
type requests struct {
	link     *link
	pending  pendingReplies[*appRequest]
	external *externalRequests
}

func newRequests(l *link) *requests {
	return &requests{link: l, external: newExternalRequests(l)}
}

func (r *requests) begin() error { return r.pending.begin(r.link.conn, r.answered) }

// Serve joins those that answer requests. See [driver.RequestRouter].
func (r *requests) Serve(pattern string, offer func(*driver.Message) error) (func(), error) {
	if err := checkKey(pattern); err != nil {
		return nil, err
	}
	var subs []*nats.Subscription
	stop := sync.OnceFunc(func() {
		for _, sub := range subs {
			_ = sub.Drain() // what is on its way is still answered
		}
	})
	for _, subject := range PatternSubjects(r.link.prefix, pattern) {
		sub, err := r.link.conn.QueueSubscribe(subject, appGroup, func(msg *nats.Msg) {
			m, ok := r.link.decode(msg)
			if ok && isExternal(msg) {
				r.external.offer(msg, m, offer)
				return
			}
			err := driver.ErrNoAppServer
			if ok {
				err = offer(m)
			}
			if msg.Reply == "" {
				return
			}
			header := nats.Header{headerVersion: versionWritten, headerTaken: []string{strconv.FormatBool(err == nil)}}
			if err != nil && !errors.Is(err, driver.ErrNoAppServer) {
				header[headerBusy] = []string{"true"}
			}
			_ = r.link.conn.PublishMsg(&nats.Msg{Subject: msg.Reply, Header: header})
		})
		if err == nil {
			subs = append(subs, sub)
			err = sub.SetPendingLimits(pendingMessages, pendingBytes)
		}
		if err != nil {
			stop()
			return nil, unreachable(err)
		}
	}
	return stop, nil
}

// Request hands a request to one app server elsewhere. See [driver.RequestRouter].
func (r *requests) Request(m *driver.Message, done func(*driver.Message, error)) {
	if err := checkKey(m.Key); err != nil {
		done(nil, err)
		return
	}
	if r.link.private() {
		done(nil, driver.ErrNoAppServer) // no other process can reach the server
		return
	}
	r.send(&appRequest{message: m, done: done})
}

func (r *requests) send(q *appRequest) {
	q.tries++
	msg := encode(r.link.prefix, q.message)
	if survives(q.message.Key) {
		msg.Header[headerKey] = []string{q.message.Key} // else nodes of a former version take it for a program's
	}
	var id uint64
	msg.Reply, id = r.pending.expect(q)
	if err := r.link.conn.PublishMsg(msg); err != nil {
		if q, ok := r.pending.take(id); ok {
			q.done(nil, unreachable(err))
		}
	}
}

// answered takes what a node says, or the answer of a program that serves natively.
func (r *requests) answered(id uint64, msg *nats.Msg) {
	q, ok := r.pending.take(id)
	if !ok {
		return // too late
	}
	taken := msg.Header.Get(headerTaken)
	q.busy = q.busy || msg.Header.Get(headerBusy) == "true"
	switch {
	case statusOf(msg) == "503" && q.busy:
		q.done(nil, driver.ErrQueueFull)
	case statusOf(msg) == "503":
		q.done(nil, driver.ErrNoAppServer)
	case taken == "true":
		q.done(nil, nil)
	case taken != "" && q.tries < maxTries:
		r.send(q) // another app server may take it
	case taken != "" && q.busy:
		q.done(nil, driver.ErrQueueFull)
	case taken != "":
		q.done(nil, driver.ErrNoAppServer)
	default:
		msg.Subject = Subject(r.link.prefix, q.message.Key)
		if answer, ok := r.link.decode(msg); ok {
			q.done(answer, nil)
		} else {
			q.done(nil, fmt.Errorf("%w: its answer cannot be read", driver.ErrUnavailable))
		}
	}
}

func (r *requests) disconnected() { r.fail(time.Now(), errDisconnected) }

// fail settles those that were sent before, with an error.
func (r *requests) fail(before time.Time, err error) {
	for _, q := range r.pending.takeOld(before) {
		q.done(nil, err)
	}
}
