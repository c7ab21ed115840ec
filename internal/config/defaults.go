package config

import (
	"maps"
	"strings"

	"golang.org/x/crypto/acme/autocert"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/relay"
)

// ownDefaults are the values of keys that are the program's own.
var ownDefaults = map[string]any{
	"data_dir":              "stompbox-data",
	"http.listen":           "127.0.0.1:8080",
	"stomp.listen":          "",
	"acme.directory":        autocert.DefaultACMEDirectory,
	"acme.listeners":        []string{"http"},
	"stomp.client_tls.name": string(auth.NameCN),
	"cluster.name":          "stompbox",
	"auth.jwt.leeway":       "5s",
	"auth.jwt.roles_claim":  "roles",

	"limits.node_memory_share":     0.5,
	"limits.address_failed_logins": 1000,
	"limits.user_failed_logins":    1000,

	"metrics.queues": 20,

	"log.level":     "info",
	"log.format":    "text",
	"drain.window":  "5s",
	"drain.timeout": "10s",
}

// defaults are the values of keys that are not set. Those of options come from the
// packages that have them.
func defaults() map[string]any {
	b := broker.Options{}.WithDefaults()
	queues, histories := relay.QueueSettings{}.WithDefaults(), relay.HistorySettings{}.WithDefaults()
	events, sockJS := gateway.EventsOptions{}.WithDefaults(), gateway.SockJSOptions{}.WithDefaults()
	l := b.Limits
	values := map[string]any{
		"events.heartbeat":               events.HeartBeat,
		"events.max_lifetime":            events.MaxLifetime,
		"events.retry":                   events.Retry,
		"sockjs.heartbeat":               sockJS.HeartBeat,
		"sockjs.disconnect_delay":        sockJS.DisconnectDelay,
		"sockjs.transports":              sockJS.Transports,
		"sockjs.bind_address":            !sockJS.AnyAddress,
		"sockjs.body_timeout":            sockJS.BodyTimeout,
		"sockjs.max_pending":             sockJS.MaxPending,
		"sockjs.max_bodies":              Size(sockJS.MaxBodies),
		"nats.prefix":                    relay.DefaultPrefix,
		"data.sync":                      strings.TrimSuffix(relay.DefaultSyncInterval.String(), "0s"),
		"queues.prefetch":                b.Queues.Prefetch,
		"queues.max_prefetch":            b.Queues.MaxPrefetch,
		"queues.max_deliveries":          b.Queues.MaxDeliveries,
		"queues.unconfirmed":             b.Queues.MaxUnconfirmed,
		"queues.transient":               broker.SpringQueues,
		"queues.ack_wait":                queues.AckWait,
		"queues.dedup_window":            queues.DedupWindow,
		"queues.replicas":                queues.Replicas,
		"history.replicas":               histories.Replicas,
		"history.durable_idle":           histories.DurableIdle,
		"app.timeout":                    b.AppTimeout,
		"auth.jwt.jwks_refresh":          auth.JWKSOptions{}.WithDefaults().Refresh,
		"auth.jwt.principal_claim":       auth.DefaultPrincipalClaim,
		"auth.jwt.permissions_claim":     auth.DefaultPermissionsClaim,
		"limits.headers":                 l.Frame.MaxHeaders,
		"limits.header_line":             Size(l.Frame.MaxHeaderLine),
		"limits.body":                    Size(l.Frame.MaxBody),
		"limits.destination":             Size(l.MaxDestination),
		"limits.subscriptions":           l.MaxSubscriptions,
		"limits.pattern_words":           l.MaxPatternWords,
		"limits.pattern_wildcards":       l.MaxWildcards,
		"limits.transactions":            l.MaxTransactions,
		"limits.transaction_frames":      l.MaxTransactionFrames,
		"limits.transaction_bytes":       Size(l.MaxTransactionBytes),
		"limits.address_connections":     b.Quotas.AddressConnections,
		"limits.address_connect_rate":    b.Quotas.AddressConnectRate,
		"limits.user_connections":        b.Quotas.UserConnections,
		"limits.user_subscriptions":      b.Quotas.UserSubscriptions,
		"limits.dedup_id":                Size(l.MaxDedupID),
		"limits.user_waiting_bytes":      Size(b.Quotas.Waiting.User),
		"limits.node_waiting_bytes":      Size(b.Quotas.Waiting.Node),
		"limits.user_transaction_bytes":  Size(b.Quotas.Transactions.User),
		"limits.node_transaction_bytes":  Size(b.Quotas.Transactions.Node),
		"limits.subscription_bytes":      Size(b.Quotas.Subscriptions.Connection),
		"limits.user_subscription_bytes": Size(b.Quotas.Subscriptions.User),
		"limits.node_subscription_bytes": Size(b.Quotas.Subscriptions.Node),
		"limits.unacked_bytes":           Size(b.Quotas.Unacked.Connection),
		"limits.user_unacked_bytes":      Size(b.Quotas.Unacked.User),
		"limits.node_unacked_bytes":      Size(b.Quotas.Unacked.Node),
		"limits.user_incoming_bytes":     Size(b.Quotas.Incoming.User),
		"limits.node_incoming_bytes":     Size(b.Quotas.Incoming.Node),
		"limits.user_dedup_bytes":        Size(b.Quotas.Dedup.User),
		"limits.node_dedup_bytes":        Size(b.Quotas.Dedup.Node),
		"limits.user_memory_queue_bytes": Size(b.Quotas.MemoryQueues.User),
		"limits.node_memory_queue_bytes": Size(b.Quotas.MemoryQueues.Node),
		"limits.user_queue_bytes":        Size(b.Quotas.Queues.User),
		"limits.node_queue_bytes":        Size(b.Quotas.Queues.Node),
		"limits.user_history_bytes":      Size(b.Quotas.Histories.User),
		"limits.node_history_bytes":      Size(b.Quotas.Histories.Node),
		"limits.user_outbox_bytes":       Size(b.Quotas.Outboxes.User),
		"limits.node_outbox_bytes":       Size(b.Quotas.Outboxes.Node),
		"limits.user_memory_bytes":       Size(b.Quotas.Memory.User),
		"limits.user_subscribe_rate":     b.Quotas.UserSubscribeRate,
		"limits.user_request_rate":       b.Quotas.UserRequestRate,
		"limits.address_request_rate":    b.Quotas.AddressRequestRate,
		"limits.user_durables":           b.Quotas.UserDurables,
		"limits.connect_timeout":         l.ConnectTimeout,
		"limits.idle_timeout":            l.IdleTimeout,
		"limits.frame_timeout":           l.FrameTimeout,
		"limits.write_timeout":           l.WriteTimeout,
		"heartbeat.send":                 b.HeartBeat.Send,
		"heartbeat.receive":              b.HeartBeat.Receive,
		"heartbeat.grace":                b.HeartBeat.Grace,
		"outbox.max_bytes":               Size(b.Outbox.MaxBytes),
		"outbox.max_frames":              b.Outbox.MaxFrames,
		"outbox.policy":                  string(b.Outbox.Policy),
	}
	maps.Copy(values, ownDefaults)
	return values
}
