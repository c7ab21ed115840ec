package relay

import (
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

const (
	replyPrefix = "/reply/"
	// maxExternal is how many requests of external programs wait for their answers on
	// a node.
	maxExternal = 10_000
)

// externalRequests are the requests of programs that speak NATS and were given to app
// servers here: what is sent to their reply destinations goes to the inboxes they came
// with.
type externalRequests struct {
	link *link

	mu      sync.Mutex                  // guards the following
	waiting map[string]*externalRequest // by reply destination
}

type externalRequest struct {
	inbox string
	sub   *nats.Subscription // has the answers of other nodes
	late  *time.Timer
}

func newExternalRequests(l *link) *externalRequests {
	return &externalRequests{link: l, waiting: make(map[string]*externalRequest)}
}

// isExternal reports whether a request comes from a program that is no node, and waits
// for an answer.
func isExternal(msg *nats.Msg) bool { return msg.Reply != "" && originOf(msg.Header) == fromNative }

// offer gives a program's request to an app server of this node.
func (e *externalRequests) offer(msg *nats.Msg, m *driver.Message, offer func(*driver.Message) error) {
	reply, err := e.expect(msg.Reply)
	if err != nil {
		e.refuse(msg.Reply, "too many requests wait for an answer")
		return
	}
	m.Headers = m.Headers.Without(driver.HeaderReplyTo).With(driver.HeaderReplyTo, reply)
	if offer(m) != nil {
		e.take(reply)
		e.refuse(msg.Reply, "the app servers of "+m.Key+" have more requests than they can take")
	}
}

// expect makes a destination that cannot be guessed, for one answer.
func (e *externalRequests) expect(inbox string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting) >= maxExternal {
		return "", driver.ErrUnavailable
	}
	reply := replyPrefix + rand.Text()
	sub, err := e.link.conn.Subscribe(Subject(e.link.prefix, reply), func(msg *nats.Msg) {
		if m, ok := e.link.decode(msg); ok {
			e.answer(m)
		}
	})
	if err != nil {
		return "", err
	}
	e.waiting[reply] = &externalRequest{inbox: inbox, sub: sub, late: time.AfterFunc(requestTimeout, func() { e.take(reply) })}
	return reply, nil
}

// take drops a request, and returns where its answer was to go, or "".
func (e *externalRequests) take(reply string) string {
	e.mu.Lock()
	request := e.waiting[reply]
	delete(e.waiting, reply)
	e.mu.Unlock()
	if request == nil {
		return ""
	}
	request.late.Stop()
	_ = request.sub.Unsubscribe()
	return request.inbox
}

// close drops all requests.
func (e *externalRequests) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, request := range e.waiting {
		request.late.Stop()
	}
	clear(e.waiting)
}

// answer sends an answer to the program that waits for it, and reports whether one
// does.
func (e *externalRequests) answer(m *driver.Message) bool {
	if !strings.HasPrefix(m.Key, replyPrefix) {
		return false
	}
	inbox := e.take(m.Key)
	if inbox == "" {
		return false
	}
	msg := encode(e.link.prefix, m)
	msg.Subject = inbox
	_ = e.link.writer.push(msg) // the program gives up by itself
	return true
}

func (e *externalRequests) refuse(inbox, why string) {
	_ = e.link.conn.PublishMsg(&nats.Msg{Subject: inbox, Header: nats.Header{
		driver.HeaderError: []string{driver.CodeAppBusy}, driver.HeaderCode: []string{driver.CodeAppBusy}, frames.MessageHeader: []string{why},
	}, Data: []byte(why)})
}
