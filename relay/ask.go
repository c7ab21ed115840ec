package relay

import (
	"context"
	"errors"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/stompbox/stompbox/broker/driver"
)

// headerMore says that the rest of an answer follows.
const headerMore = "stompbox-more"

// partBytes is how large a part of an answer is: any server takes that.
const partBytes = 256 << 10

// Broadcast hands octets to the other nodes. See [driver.Cluster].
func (r *Relay) Broadcast(subject string, body []byte) error {
	return r.outgoing.push(&nats.Msg{Subject: r.nodeSubject("tell." + subject + "." + r.id), Data: body})
}

// OnBroadcast hears what other nodes tell.
func (r *Relay) OnBroadcast(subject string, handle func(node string, body []byte)) error {
	prefix := r.nodeSubject("tell." + subject + ".")
	_, err := r.conn.Subscribe(prefix+"*", func(msg *nats.Msg) {
		handle(strings.TrimPrefix(msg.Subject, prefix), msg.Data)
	})
	return err
}

// HandleRequest answers what other nodes ask.
func (r *Relay) HandleRequest(subject string, handle func(query []byte) []byte) error {
	_, err := r.conn.Subscribe(r.nodeSubject("ask."+subject), func(msg *nats.Msg) {
		r.background.Go(func() { r.reply(msg.Reply, handle(msg.Data)) })
	})
	return err
}

func (r *Relay) reply(inbox string, body []byte) {
	for more := true; more; {
		part := body[:min(len(body), partBytes)]
		body = body[len(part):]
		msg := &nats.Msg{Subject: inbox + "." + r.id, Data: part}
		if more = len(body) > 0; more {
			msg.Header = nats.Header{headerMore: []string{"true"}}
		}
		if r.conn.PublishMsg(msg) != nil {
			return // who asked sees that the answer is missing
		}
	}
}

// RequestNodes asks all other nodes. See [driver.Cluster].
func (r *Relay) RequestNodes(ctx context.Context, subject string, query []byte) ([]driver.NodeReply, []string) {
	waiting := r.nodes.all()
	if len(waiting) == 0 {
		return nil, nil
	}
	var answers []driver.NodeReply
	_ = r.gather(ctx, r.nodeSubject("ask."+subject), query, func(id string, body []byte) bool {
		answers = append(answers, driver.NodeReply{Node: id, Body: body})
		delete(waiting, id)
		return len(waiting) > 0
	})
	var missing []string
	for id := range waiting {
		missing = append(missing, r.nodes.nameOf(id))
	}
	return answers, missing
}

// gather publishes a question and takes the nodes' answers, until answer reports
// that there are enough.
func (r *Relay) gather(ctx context.Context, subject string, query []byte, answer func(id string, body []byte) (more bool)) error {
	inbox := nats.NewInbox()
	sub, err := r.conn.SubscribeSync(inbox + ".*")
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := r.conn.PublishRequest(subject, inbox, query); err != nil {
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
		id := strings.TrimPrefix(msg.Subject, inbox+".")
		parts[id] = append(parts[id], msg.Data...)
		if len(msg.Header[headerMore]) == 0 && !answer(id, parts[id]) {
			return nil
		}
	}
}

// WatchNodes hears of nodes that come and go. See [driver.Cluster].
func (r *Relay) WatchNodes(watch func(node string, here bool)) {
	r.nodes.mu.Lock()
	defer r.nodes.mu.Unlock()
	r.nodes.watch = watch
}
