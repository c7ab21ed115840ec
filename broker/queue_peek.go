package broker

import (
	"context"
	"encoding/json"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
)

// peekSubject is on which nodes ask each other what waits in a transient queue.
const peekSubject = "peek"

// transientPeek asks what waits in a transient queue.
type transientPeek struct {
	Queue    string `json:"queue"`
	Limit    int    `json:"limit"`
	MaxBytes int    `json:"max_bytes"`
}

// transientPeeked is what waits in it on one node.
type transientPeeked struct {
	Open     bool              `json:"open"`
	Messages []*driver.Message `json:"messages"`
}

// bound keeps as many messages as were asked for.
func (p transientPeek) bound(all []*driver.Message) []*driver.Message {
	size := 0
	for i, m := range all {
		size += len(m.Body)
		if i >= p.Limit || i > 0 && size > p.MaxBytes {
			return all[:i]
		}
	}
	return all
}

// peeks looks at transient queues, here and on the other nodes.
type peeks struct{ *Broker }

func (b peeks) peekTransient(p transientPeek) transientPeeked {
	q := b.queues.findTransient(p.Queue)
	if q == nil {
		return transientPeeked{}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]*driver.Message, 0, min(len(q.ready), p.Limit))
	for _, d := range q.ready[:min(len(q.ready), p.Limit)] {
		all = append(all, d.Message)
	}
	return transientPeeked{Open: true, Messages: p.bound(all)}
}

// peekOthers asks the other nodes. Those that do not answer have nothing to show.
func (b peeks) peekOthers(ctx context.Context, p transientPeek) (all []transientPeeked) {
	if b.cluster == nil {
		return nil
	}
	query, err := json.Marshal(p)
	if err != nil {
		return nil // it always can be
	}
	replies, _ := b.cluster.Request(ctx, peekSubject, query)
	for _, reply := range replies {
		var theirs transientPeeked
		if json.Unmarshal(reply.Body, &theirs) == nil {
			all = append(all, theirs)
		}
	}
	return all
}

// answerPeek shows another node what waits in a transient queue of this one.
func (b peeks) answerPeek(query []byte) []byte {
	var p transientPeek
	if json.Unmarshal(query, &p) != nil {
		return nil
	}
	answer, _ := json.Marshal(b.peekTransient(p)) // it always can be
	return answer
}

// MessageHeaders are the headers that every MESSAGE of m has.
func MessageHeaders(m *driver.Message) frames.Headers {
	bare := *m
	bare.Body = nil
	raw := frames.AppendHeader(frames.AppendCommand(nil, frames.MESSAGE), frames.MessageID, m.ID, frames.V12)
	raw = appendTail(raw, &bare, frames.V12)
	d := frames.NewDecoder(&frames.Limits{MaxHeaders: len(raw), MaxHeaderLine: len(raw), MaxBody: 1})
	d.SetVersion(frames.V12)
	d.Feed(raw)
	var f frames.Frame
	if ok, err := d.Next(&f); !ok || err != nil {
		return nil
	}
	return f.Headers.Without(frames.ContentLength)
}
