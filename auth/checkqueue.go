package auth

import "slices"

// maxChecks is how many passcodes wait.
const maxChecks = 128

// checkQueue holds the passcodes that wait to be checked. Peers are served round-robin, so that
// one that shows many waits for its own, and others do not. Its users lock it.
type checkQueue struct {
	peers turns[*peerChecks]
	size  int
}

type peerChecks struct {
	peer   string
	checks turns[*check]
}

// push adds a check. Where the queue is full, the oldest of the peer with most is thrown
// out for it, and returned.
func (q *checkQueue) push(c *check) (victim *check) {
	if q.size == maxChecks {
		largest := slices.MaxFunc(q.peers.items, func(a, b *peerChecks) int { return len(a.checks.items) - len(b.checks.items) })
		victim = largest.checks.items[0]
		q.remove(victim)
	}
	q.size++
	for _, p := range q.peers.items {
		if p.peer == c.peer {
			p.checks.items = append(p.checks.items, c)
			return victim
		}
	}
	q.peers.items = append(q.peers.items, &peerChecks{peer: c.peer, checks: turns[*check]{items: []*check{c}}})
	return victim
}

// take returns whose turn it is, or nil.
func (q *checkQueue) take() *check {
	if q.size == 0 {
		return nil
	}
	q.size--
	p := q.peers.take()
	c := p.checks.take()
	if len(p.checks.items) > 0 {
		// Not at the end, as it would be taken for the newest.
		q.peers.items = slices.Insert(q.peers.items, len(q.peers.items)/2, p)
	}
	return c
}

// remove takes out a check that is in the queue.
func (q *checkQueue) remove(c *check) {
	for i, p := range q.peers.items {
		if at := slices.Index(p.checks.items, c); at >= 0 {
			q.size--
			p.checks.items = slices.Delete(p.checks.items, at, at+1)
			if len(p.checks.items) == 0 {
				q.peers.items = slices.Delete(q.peers.items, i, i+1)
			}
			return
		}
	}
}

// turns gives its oldest and its newest item by turns. Those who came before a flood are
// served while it lasts, and those who come after it do not wait until it is over.
type turns[T any] struct {
	items  []T
	oldest bool // is next
}

func (t *turns[T]) take() T {
	i := len(t.items) - 1
	if t.oldest {
		i = 0
	}
	t.oldest = !t.oldest
	item := t.items[i]
	t.items = slices.Delete(t.items, i, i+1)
	return item
}
