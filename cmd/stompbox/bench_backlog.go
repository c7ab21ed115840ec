package main

import (
	"context"
	"fmt"
	"time"
)

// backlogMessages is how long the queue is.
const backlogMessages = 1_000_000

// benchBacklog returns how much slower a topic's fan-out is next to a queue of a
// million messages, as the ratio of CPU per delivery.
func benchBacklog(ctx context.Context, s *benchServer, o benchOptions) (string, float64, error) {
	_, before, err := benchFanout(ctx, s, o)
	if err != nil {
		return "", 0, err
	}
	if err := pause(ctx, time.Second); err != nil {
		return "", 0, err
	}
	rss := s.rss()
	publisher, err := s.dial(ctx)
	if err != nil {
		return "", 0, err
	}
	defer publisher.close()
	load := o
	load.messages, load.inFlight = backlogMessages, 256
	if err := publisher.publishReceipted(load, benchQueueName); err != nil {
		return "", 0, err
	}
	loaded := s.rss()
	_, after, err := benchFanout(ctx, s, o)
	if err != nil {
		return "", 0, err
	}
	ratio := after / before
	return fmt.Sprintf("backlog: %d messages of %d B in a queue: %d MiB more RSS (%d MiB after the fan-out), fan-out %.2f CPU s per million before and %.2f with them: ratio %.2f",
		backlogMessages, o.size, (loaded-rss)>>20, (s.rss()-rss)>>20, before, after, ratio), ratio, nil
}
