package relay

import (
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

const (
	replyPrefix = "/reply/"
	// mostNative is how many requests of native programs wait for their answers on a
	// node.
	mostNative = 10_000
)

// natives are the requests of native programs that were given to app servers here:
// what is sent to their reply destinations goes to the inboxes they came with.
type natives struct {
	mu      sync.Mutex
	waiting map[string]*native // by reply destination
}

type native struct {
	inbox string
	sub   *nats.Subscription // has the answers of other nodes
	late  *time.Timer
}

// isNative reports whether a request comes from a program that is no node, and waits
// for an answer.
func isNative(msg *nats.Msg) bool { return msg.Reply != "" && originOf(msg.Header) == fromNative }

// takeNative gives a native program's request to an app server of this node.
func (r *Relay) takeNative(msg *nats.Msg, m *driver.Message, take func(*driver.Message) bool) {
	reply, err := r.expectNative(msg.Reply)
	if err != nil {
		r.failNative(msg.Reply, broker.CodeAppBusy, "too many requests wait for an answer")
		return
	}
	m.Headers = m.Headers.Without(broker.HeaderReplyTo).With(broker.HeaderReplyTo, reply)
	if !take(m) {
		r.natives.forget(reply)
		r.failNative(msg.Reply, broker.CodeAppBusy, "the app servers of "+m.Key+" have more requests than they can take")
	}
}

// expectNative makes a destination that nobody can guess, for one answer.
func (r *Relay) expectNative(inbox string) (string, error) {
	n := &r.natives
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) >= mostNative {
		return "", driver.ErrUnavailable
	}
	reply := replyPrefix + rand.Text()
	sub, err := r.conn.Subscribe(Subject(r.prefix, reply), func(msg *nats.Msg) {
		if m, ok := decode(r.prefix, msg, r.nextID); ok {
			r.answerNative(m)
		}
	})
	if err != nil {
		return "", err
	}
	if n.waiting == nil {
		n.waiting = make(map[string]*native)
	}
	n.waiting[reply] = &native{inbox: inbox, sub: sub, late: time.AfterFunc(takeTimeout, func() { n.forget(reply) })}
	return reply, nil
}

// forget drops a request, and returns where its answer was to go, or "".
func (n *natives) forget(reply string) string {
	n.mu.Lock()
	one := n.waiting[reply]
	delete(n.waiting, reply)
	n.mu.Unlock()
	if one == nil {
		return ""
	}
	one.late.Stop()
	_ = one.sub.Unsubscribe()
	return one.inbox
}

// close drops all requests.
func (n *natives) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range n.waiting {
		one.late.Stop()
	}
	n.waiting = nil
}

// answerNative sends an answer to the program that waits for it, and reports whether
// one does.
func (r *Relay) answerNative(m *driver.Message) bool {
	if !strings.HasPrefix(m.Key, replyPrefix) {
		return false
	}
	inbox := r.natives.forget(m.Key)
	if inbox == "" {
		return false
	}
	msg := encode(r.prefix, m)
	msg.Subject = inbox
	_ = r.outgoing.push(msg) // who asked gives up by itself
	return true
}

func (r *Relay) failNative(inbox string, code broker.Code, why string) {
	_ = r.conn.PublishMsg(&nats.Msg{Subject: inbox, Header: nats.Header{
		broker.HeaderError: []string{string(code)}, frames.MessageHeader: []string{why},
	}, Data: []byte(why)})
}
