package config

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/relay"
)

// syncAlways is the value of data.sync that has each write reach the disk.
const syncAlways = "always"

// QueueSettings are what the relay has to know of queues.
func (c *Config) QueueSettings() relay.QueueSettings {
	return relay.QueueSettings{Replicas: c.Queues.Replicas, AckWait: c.Queues.AckWait, DedupWindow: c.Queues.DedupWindow}
}

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

// defaults builds what the broker has to know of queues.
func (q Queues) defaults() (broker.QueueDefaults, error) {
	d := broker.QueueDefaults{
		Prefetch: q.Prefetch, MaxPrefetch: q.MaxPrefetch, MaxUnconfirmed: q.Unconfirmed,
		QueuePolicy: broker.QueuePolicy{MaxMessages: q.MaxMessages, MaxBytes: q.MaxBytes, MaxAge: q.MaxAge, MaxDeliveries: off(q.MaxDeliveries)},
		Transient:   []*regexp.Regexp{},
	}
	for _, text := range q.Transient {
		one, err := regexp.Compile(text)
		if err != nil {
			return d, fmt.Errorf("queues.transient %q: %w", text, err)
		}
		d.Transient = append(d.Transient, one)
	}
	for i, p := range q.Policies {
		match, err := destination.ParsePattern(p.Match)
		if err != nil {
			return d, fmt.Errorf("queues.policies, entry %d: match %q: %w", i+1, p.Match, err)
		}
		d.Policies = append(d.Policies, broker.QueuePolicy{Match: match, MaxMessages: p.MaxMessages, MaxBytes: p.MaxBytes, MaxAge: p.MaxAge, MaxDeliveries: p.MaxDeliveries})
	}
	return d, nil
}
