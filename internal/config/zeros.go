package config

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/webhook"
)

// minSync is the shortest time between two syncs of the store.
const minSync = 100 * time.Millisecond

var defaultPrefetch = broker.Options{}.WithDefaults().Queues.Prefetch

// zeroIsMeant are the keys with a default that may be 0: there is no such limit, or nothing of
// the kind.
var zeroIsMeant = []string{
	"limits.pattern_words", "limits.pattern_wildcards", "limits.dedup_id",
	"limits.address_connections", "limits.address_connect_rate", "limits.address_request_rate", "limits.address_failed_logins",
	"limits.user_connections", "limits.user_subscriptions", "limits.user_subscribe_rate", "limits.user_request_rate", "limits.user_durables", "limits.user_failed_logins",
	"limits.subscription_bytes", "limits.unacked_bytes",
	"limits.user_waiting_bytes", "limits.node_waiting_bytes", "limits.user_transaction_bytes", "limits.node_transaction_bytes",
	"limits.user_subscription_bytes", "limits.node_subscription_bytes", "limits.user_unacked_bytes", "limits.node_unacked_bytes",
	"limits.user_incoming_bytes", "limits.node_incoming_bytes", "limits.user_dedup_bytes", "limits.node_dedup_bytes",
	"limits.user_memory_queue_bytes", "limits.node_memory_queue_bytes", "limits.user_queue_bytes", "limits.node_queue_bytes",
	"limits.user_memory_bytes", "limits.node_memory_share", "limits.user_history_bytes", "limits.node_history_bytes", "limits.user_outbox_bytes", "limits.node_outbox_bytes",
	"events.max_lifetime", "queues.max_deliveries", "heartbeat.send", "heartbeat.receive", "auth.jwt.leeway", "metrics.queues", "drain.window", "drain.timeout",
}

// checkZeros refuses a 0 that would be taken for the default.
func checkZeros(c *Config, problem func(string, ...any)) {
	for key, value := range defaults() {
		v := fieldOf(c, key)
		if !isNumber(v) || !v.IsZero() || slices.Contains(zeroIsMeant, key) {
			continue
		}
		if reflect.ValueOf(value).IsZero() {
			continue
		}
		problem("%s cannot be 0; leave it out for the default of %v", key, schemaDefault(value))
	}
	for i, w := range c.App.Webhooks {
		for name, zero := range map[string]bool{"timeout": w.Timeout == 0, "deadline": w.Deadline == 0, "in_flight": w.InFlight == 0} {
			if zero {
				problem("app.webhooks, entry %d.%s cannot be 0; leave it out for the default", i+1, name)
			}
		}
	}
}

func isNumber(v reflect.Value) bool {
	return v.Kind() == reflect.Int || v.Kind() == reflect.Int64 || v.Kind() == reflect.Float64
}

// fillEntries gives the entries of lists what they leave out: a queue policy the value of all
// queues, and a webhook the default. So a 0 that is there is meant.
func fillEntries(c *Config, where *Locations) {
	unset := func(list string, i int, key string) bool {
		_, set := where.lines[fmt.Sprintf("%s[%d].%s", list, i, key)]
		return !set
	}
	for i := range c.Queues.Policies {
		p := &c.Queues.Policies[i]
		fill(&p.MaxDeliveries, c.Queues.MaxDeliveries, unset("queues.policies", i, "max_deliveries"))
		fill(&p.MaxMessages, c.Queues.MaxMessages, unset("queues.policies", i, "max_messages"))
		fill(&p.MaxBytes, c.Queues.MaxBytes, unset("queues.policies", i, "max_bytes"))
		fill(&p.MaxAge, c.Queues.MaxAge, unset("queues.policies", i, "max_age"))
	}
	d := webhook.Options{}.WithDefaults()
	for i := range c.App.Webhooks {
		w := &c.App.Webhooks[i]
		fill(&w.Timeout, d.Timeout, unset("app.webhooks", i, "timeout"))
		fill(&w.Deadline, d.Deadline, unset("app.webhooks", i, "deadline"))
		fill(&w.InFlight, d.MaxInFlight, unset("app.webhooks", i, "in_flight"))
	}
}

func fill[T comparable](to *T, value T, unset bool) {
	if unset {
		*to = value
	}
}
