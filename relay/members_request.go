package relay

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
)

// headerMore says that the rest of an answer follows.
const headerMore = "stompbox-more"

// partBytes is how large a part of an answer is: any server takes that.
const partBytes = 256 << 10

// Broadcast hands bytes to the other nodes. See [driver.Cluster].
func (m *members) Broadcast(subject string, body []byte) error {
	return m.link.writer.push(versioned(m.subject("tell."+subject+"."+m.link.id), body))
}

// OnBroadcast has handle called with what other nodes broadcast. See [driver.Cluster].
func (m *members) OnBroadcast(subject string, handle func(node string, body []byte)) error {
	prefix := m.subject("tell." + subject + ".")
	_, err := m.link.conn.Subscribe(prefix+"*", func(msg *nats.Msg) {
		if !m.link.tooNew(msg.Header, msg.Subject) {
			handle(strings.TrimPrefix(msg.Subject, prefix), msg.Data)
		}
	})
	return err
}

// HandleRequest has handle reply to requests of other nodes. See [driver.Cluster].
func (m *members) HandleRequest(subject string, handle func(query []byte) []byte) error {
	_, err := m.link.conn.Subscribe(m.subject("ask."+subject), func(msg *nats.Msg) {
		if m.link.tooNew(msg.Header, msg.Subject) {
			return // the node that asked sees that the answer is missing
		}
		m.link.background.Go(func() { m.reply(msg.Reply, handle(msg.Data)) })
	})
	return err
}

func (m *members) reply(inbox string, body []byte) {
	for more := true; more; {
		part := body[:min(len(body), partBytes)]
		body = body[len(part):]
		msg := versioned(inbox+"."+m.link.id, part)
		if more = len(body) > 0; more {
			msg.Header[headerMore] = []string{"true"}
		}
		if m.link.conn.PublishMsg(msg) != nil {
			return // the node that asked sees that the answer is missing
		}
	}
}

// Request asks all other nodes. See [driver.Cluster].
func (m *members) Request(ctx context.Context, subject string, query []byte) ([]driver.NodeReply, []string) {
	// The names of now: one that does not answer may be lost before the wait is over.
	names := m.all()
	if len(names) == 0 {
		return nil, nil
	}
	waiting := maps.Clone(names)
	var answers []driver.NodeReply
	_ = m.gather(ctx, m.subject("ask."+subject), query, func(id string, body []byte) bool {
		answers = append(answers, driver.NodeReply{Node: id, Name: names[id], Body: body})
		delete(waiting, id)
		return len(waiting) > 0
	})
	var missing []string
	for _, name := range waiting {
		missing = append(missing, name)
	}
	slices.Sort(missing)
	return answers, missing
}

// gather publishes a question and takes the nodes' answers, until answer reports
// that there are enough.
func (m *members) gather(ctx context.Context, subject string, query []byte, answer func(id string, body []byte) (more bool)) error {
	inbox := nats.NewInbox()
	sub, err := m.link.conn.SubscribeSync(inbox + ".*")
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	question := versioned(subject, query)
	question.Reply = inbox
	if err := m.link.conn.PublishMsg(question); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	parts := make(map[string][]byte)
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) {
			continue // those who are expected may come yet
		}
		if err != nil {
			return err
		}
		if m.link.tooNew(msg.Header, subject) {
			continue
		}
		id := strings.TrimPrefix(msg.Subject, inbox+".")
		parts[id] = append(parts[id], msg.Data...)
		if len(msg.Header[headerMore]) == 0 && !answer(id, parts[id]) {
			return nil
		}
	}
}

// WatchNodes has watch called when nodes come and go. See [driver.Cluster].
func (m *members) WatchNodes(watch func(node string, here bool)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watch = watch
}
