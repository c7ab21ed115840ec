package broker

import (
	"encoding/json"
	"sync"
	"sync/atomic"

	"github.com/stompbox/stompbox/broker/driver"
)

const (
	// maxUncounted bounds of how many messages of a queue it is known that deliveries of
	// them do not count. Beyond it starts over, and what did not count before counts.
	maxUncounted = 50_000
	// maxIdleUncounted bounds the same for all queues together that are not consumed.
	maxIdleUncounted = 200_000
	// uncountedSubject is on which nodes tell each other, and uncountedBatch of how many
	// messages at a time.
	uncountedSubject = "uncounted"
	uncountedBatch   = 1000
)

// uncounted knows how many deliveries of a message the store has counted and no client
// failed with: the store gave up on one while it was out of reach and the client still
// has it, the message went back before it was handed to a client, or its client ended
// before it came to work on it.
type uncounted struct {
	size atomic.Int64 // of counts, for those who need not take the lock

	mu     sync.Mutex // guards the following
	counts map[string]int
}

func (u *uncounted) add(messageID string, n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.counts == nil || len(u.counts) >= maxUncounted {
		u.counts = make(map[string]int)
	}
	u.counts[messageID] += n
	u.size.Store(int64(len(u.counts)))
}

func (u *uncounted) of(messageID string) int {
	if u.size.Load() == 0 {
		return 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.counts[messageID]
}

// forget drops a message that is gone.
func (u *uncounted) forget(messageID string) {
	if u.size.Load() == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.counts, messageID)
	u.size.Store(int64(len(u.counts)))
}

// replace has other counts in place of these, and returns them.
func (u *uncounted) replace(counts map[string]int) (before map[string]int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	before, u.counts = u.counts, counts
	u.size.Store(int64(len(counts)))
	return before
}

// idleUncounted keeps the counts of queues that are not consumed, by their keys. It is
// under the lock of queues.
type idleUncounted struct {
	byQueue map[string]map[string]int
	size    int
}

func (i *idleUncounted) put(key string, counts map[string]int) {
	if len(counts) == 0 {
		return
	}
	if i.byQueue == nil {
		i.byQueue = make(map[string]map[string]int)
	}
	for id, n := range i.take(key) {
		if _, known := counts[id]; known || len(counts) < maxUncounted {
			counts[id] += n
		}
	}
	for other := range i.byQueue {
		if i.size+len(counts) <= maxIdleUncounted {
			break
		}
		i.take(other)
	}
	i.byQueue[key] = counts
	i.size += len(counts)
}

func (i *idleUncounted) take(key string) map[string]int {
	counts := i.byQueue[key]
	delete(i.byQueue, key)
	i.size -= len(counts)
	return counts
}

// untouched are deliveries of messages that their client did not come to work on.
type untouched struct {
	Queue    string   `json:"queue"`
	Messages []string `json:"messages"`
}

// noteUntouched has deliveries not count that an ended session did not come to work on, on
// this node and the others.
func (q *queue) noteUntouched(held []*delivery) {
	if q.source.maxDeliveries() == 0 {
		return
	}
	note := untouched{Queue: q.source.key()}
	for _, d := range held {
		if d.untouched {
			q.uncounted.add(d.Message.ID, 1)
			note.Messages = append(note.Messages, d.Message.ID)
		}
	}
	note.broadcast(q.broker.cluster)
}

func (u untouched) broadcast(cluster driver.Cluster) {
	if cluster == nil {
		return
	}
	for all := u.Messages; len(all) > 0; {
		u.Messages = all[:min(len(all), uncountedBatch)]
		all = all[len(u.Messages):]
		if body, err := json.Marshal(u); err == nil {
			_ = cluster.Broadcast(uncountedSubject, body)
		}
	}
}

// notHandedOut has deliveries not count that go back before a client had them, on this node
// and the others.
func (q *queue) notHandedOut(all ...*delivery) {
	if len(all) == 0 || q.source.maxDeliveries() == 0 {
		return
	}
	note := untouched{Queue: q.source.key()}
	for _, d := range all {
		note.Messages = append(note.Messages, d.Message.ID)
	}
	q.broker.queues.noteUntouched(note)
	note.broadcast(q.broker.cluster)
}

// onUntouched takes what another node says.
func (q *queues) onUntouched(_ string, body []byte) {
	var note untouched
	if json.Unmarshal(body, &note) == nil && len(note.Messages) <= uncountedBatch {
		q.noteUntouched(note)
	}
}

func (q *queues) noteUntouched(note untouched) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if open := q.open[note.Queue]; open != nil {
		for _, id := range note.Messages {
			open.uncounted.add(id, 1)
		}
		return
	}
	counts := q.idle.take(note.Queue)
	if counts == nil || len(counts) >= maxUncounted {
		counts = make(map[string]int)
	}
	for _, id := range note.Messages {
		counts[id]++
	}
	q.idle.put(note.Queue, counts)
}
