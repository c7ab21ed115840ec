package main

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"
)

// publishing has publishers send, with a pause after each message, until it is stopped.
// Stop returns once the last message of each is confirmed.
func publishing(ctx context.Context, pause time.Duration, all ...*publisher) (stop func()) {
	loading, enough := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, p := range all {
		running.Go(func() {
			for loading.Err() == nil {
				p.publish(ctx)
				time.Sleep(pause)
			}
		})
	}
	return func() {
		enough()
		running.Wait()
	}
}

// load is a history topic with followers, and a queue, that are sent to.
type load struct {
	followers    []*follower
	following    *sync.WaitGroup
	topic, queue *publisher
	stop         func()
}

// startLoad returns once all followers have received something.
func startLoad(ctx context.Context, t *testing.T, c *cluster, pause time.Duration) *load {
	t.Helper()
	l := &load{
		followers: make([]*follower, 6),
		topic:     &publisher{nodes: c.node, destination: "/topic/kept.load"},
		queue:     &publisher{nodes: c.node, destination: "/queue/load", first: 1},
	}
	for i := range l.followers {
		l.followers[i] = &follower{nodes: c.node, topic: []string{"/topic/kept.load", "/topic/kept.**"}[i/3], webSocket: i%2 == 0}
	}
	l.following = follow(ctx, t, l.followers, l.topic.publish)
	l.stop = publishing(ctx, pause, l.topic, l.queue)
	return l
}

func (l *load) stopSending(t *testing.T) {
	t.Helper()
	l.stop()
	t.Logf("%d messages to the topic (%d tried again), %d to the queue (%d tried again)", l.topic.next, l.topic.retries, l.queue.next, l.queue.retries)
}

// numbers are the bodies of the first n messages.
func numbers(n int) map[string]bool {
	all := make(map[string]bool, n)
	for i := range n {
		all[strconv.Itoa(i)] = true
	}
	return all
}
