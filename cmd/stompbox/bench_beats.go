package main

import (
	"sync"
	"time"
)

const (
	benchBeat = 10 * time.Second // the heart-beat of all clients, both ways
	beatParts = 50               // how many times in an interval some of them send theirs
)

// beater sends the heart-beats of clients, spread over their interval.
type beater struct {
	mu    sync.Mutex
	parts [beatParts]map[*benchClient]struct{}
	next  int           // the part of the next client
	quit  chan struct{} // not nil while it runs
}

// add has a client send heart-beats until it is removed.
func (b *beater) add(c *benchClient) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.quit == nil {
		b.quit = make(chan struct{})
		go b.run(b.quit)
	}
	if b.parts[b.next] == nil {
		b.parts[b.next] = make(map[*benchClient]struct{})
	}
	c.beatPart = b.next
	b.parts[b.next][c] = struct{}{}
	b.next = (b.next + 1) % beatParts
}

func (b *beater) remove(c *benchClient) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.parts[c.beatPart], c)
}

func (b *beater) run(quit chan struct{}) {
	tick := time.NewTicker(benchBeat / beatParts)
	defer tick.Stop()
	var due []*benchClient
	for part := 0; ; part = (part + 1) % beatParts {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		due = due[:0]
		b.mu.Lock()
		for c := range b.parts[part] {
			due = append(due, c)
		}
		b.mu.Unlock()
		for _, c := range due {
			c.beat()
		}
	}
}

func (b *beater) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.quit != nil {
		close(b.quit)
		b.quit = nil
	}
}
