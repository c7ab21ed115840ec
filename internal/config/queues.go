package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/destination"
)

// syncAlways is the value of data.sync that has each write reach the disk.
const syncAlways = "always"

// Syncing returns what data.sync says.
func (d Data) Syncing() (always bool, every time.Duration, err error) {
	if d.Sync == syncAlways {
		return true, 0, nil
	}
	every, err = time.ParseDuration(d.Sync)
	if err == nil && every <= 0 {
		err = errors.New("it has to be more than 0s")
	}
	return false, every, err
}

// Parse returns what the broker has to know of queues.
func (q Queues) Parse() (broker.QueueDefaults, error) {
	d := broker.QueueDefaults{
		Prefetch: q.Prefetch, MaxPrefetch: q.MaxPrefetch, MaxUnconfirmed: q.Unconfirmed,
		QueuePolicy: broker.QueuePolicy{MaxMessages: q.MaxMessages, MaxBytes: int64(q.MaxBytes), MaxAge: q.MaxAge, MaxDeliveries: Off(q.MaxDeliveries)},
		Transient:   []*regexp.Regexp{},
	}
	var faults []error
	for _, text := range q.Transient {
		expression, err := regexp.Compile(text)
		if err == nil && expression.MatchString("") {
			err = errors.New("it matches every name, so all queues would be in memory")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("queues.transient %q: %w", text, err))
		}
		d.Transient = append(d.Transient, expression)
	}
	for i, p := range q.Policies {
		match, err := destination.ParsePattern(p.Match)
		if err != nil {
			faults = append(faults, fmt.Errorf("queues.policies, entry %d: match %q: %w", i+1, p.Match, err))
		} else if !matchesQueues(p.Match) {
			faults = append(faults, fmt.Errorf("queues.policies, entry %d: match %q matches no queue; begin it with %s", i+1, p.Match, destination.QueuePrefix))
		}
		d.Policies = append(d.Policies, broker.QueuePolicy{Match: match, MaxMessages: Off(p.MaxMessages), MaxBytes: Off(int64(p.MaxBytes)), MaxAge: Off(p.MaxAge), MaxDeliveries: Off(p.MaxDeliveries)})
	}
	return d, errors.Join(faults...)
}

// matchesQueues reports whether a pattern can match the name of a queue.
func matchesQueues(pattern string) bool {
	return strings.HasPrefix(pattern, destination.QueuePrefix) || strings.HasPrefix(pattern, "/*") || pattern == "/>"
}

// Off turns the zero of a configuration, which says none, into the negative that says so
// in options, whose zero means the default.
func Off[T ~int | ~int64](value T) T {
	if value == 0 {
		return -1
	}
	return value
}
