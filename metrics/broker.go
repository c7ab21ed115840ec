package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stompbox/stompbox/broker"
)

type brokerCollector struct{ broker *broker.Broker }

// Broker returns the metrics of b.
func Broker(b *broker.Broker) prometheus.Collector { return brokerCollector{b} }

var (
	sessionsDesc      = desc("sessions", "Connections that are open.")
	subscriptionsDesc = desc("subscriptions", "Subscriptions that are open.")
	errorsDesc        = desc("session_errors_total", "Sessions that ended with an ERROR frame, by code.", "code")
	credentialsDesc   = desc("requests_unauthenticated_total", "Requests over HTTP whose credentials were missing or not accepted, by endpoint (api, events, metrics, admin) and code.", "endpoint", "code")
	limitedDesc       = desc("limits_reached_total", "Times that a limit was reached, of a connection, an address or a user, by the limit.", "limit")
	transportDesc     = desc("transport_sessions", "Open connections, by transport and STOMP version. The version is none until CONNECT.", "transport", "version")
	receivedBytesDesc = desc("received_bytes_total", "Bytes of STOMP that clients sent, by transport.", "transport")
	sentBytesDesc     = desc("sent_bytes_total", "Bytes of frames that were written to clients, before TLS, by transport.", "transport")
	publishDesc       = desc("publish_duration_seconds", "Time from the arrival of a message of a topic or user to its write to the socket of a subscriber, of one message in 64.")
	storeDesc         = desc("store_duration_seconds", "Time until JetStream confirmed messages of queues and histories, or refused them.")
	memoryDesc        = desc("memory_bytes", "Bytes that clients have this node keep, about, by kind: see docs/limits.md.", "kind")
	bansReadDesc      = desc("bans_read", "1 once this node knows who is banned. Until then it lets no client in.")
	connectedDesc     = desc("sessions_connected_total", "Sessions that were authenticated.")
	receivedDesc      = desc("messages_received_total", "SEND frames that were accepted.")
	deliveredDesc     = desc("messages_delivered_total", "Messages queued for subscriptions.")
	droppedDesc       = desc("messages_dropped_total", "Messages dropped because a consumer was too slow.")
	relayedDesc       = desc("messages_relayed_total", "Messages that arrived from other nodes.")
	queuesDesc        = desc("queues", "Queues with subscriptions on this node.")
	storedDesc        = desc("queue_messages_stored_total", "Queue messages whose storage was confirmed.")
	refusedDesc       = desc("queue_messages_refused_total", "Queue messages that could not be stored; their senders got an ERROR.")
	ackedDesc         = desc("queue_messages_acked_total", "Queue messages that were acknowledged.")
	nackedDesc        = desc("queue_messages_nacked_total", "Queue messages that consumers refused with NACK.")
	staleDesc         = desc("stale_frames_total", "ACK, NACK and UNSUBSCRIBE frames for what was gone already; they were confirmed.")
	deadDesc          = desc("queue_messages_dead_total", "Queue messages that moved to a dead-letter queue.")
	expiredDesc       = desc("queue_messages_expired_total", "Queue messages that no consumer took in time.")
	requestsDesc      = desc("app_requests_total", "Requests to app servers.")
	failedDesc        = desc("app_requests_failed_total", "Requests that failed, with an error to their senders.")
	rejectedDesc      = desc("messages_rejected_total", "SENDs that an interceptor of the embedding program rejected or dropped.")
	revokedDesc       = desc("subscriptions_revoked_total", "Subscriptions that ended because their permission was taken away.")
	keptDesc          = desc("history_messages_stored_total", "Messages whose storage in a history was confirmed.")
	replaysDesc       = desc("replays_total", "Subscriptions that asked for a replay.")
	replayedDesc      = desc("messages_replayed_total", "Messages of histories that were replayed.")
	incompleteDesc    = desc("replays_incomplete_total", "Replayed messages that had replay:incomplete, as others before them were missing.")
	relayErrorsDesc   = desc("relay_errors_total", "Messages that could not be handed to other nodes.")
)

// oneIf is a state as a gauge has it.
func oneIf(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

func (c brokerCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c brokerCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.broker.Stats()
	gauge := func(d *prometheus.Desc, n int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n))
	}
	count := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge(sessionsDesc, s.Sessions)
	gauge(subscriptionsDesc, s.Subscriptions)
	gauge(bansReadDesc, oneIf(s.BansRead))
	count(connectedDesc, s.Connected)
	count(receivedDesc, s.Received)
	count(deliveredDesc, s.Delivered)
	count(droppedDesc, s.Dropped)
	count(relayedDesc, s.Relayed)
	count(relayErrorsDesc, s.RelayErrors)
	count(requestsDesc, s.Requests)
	count(failedDesc, s.Failed)
	count(rejectedDesc, s.Rejected)
	count(revokedDesc, s.Revoked)
	count(keptDesc, s.Kept)
	count(replaysDesc, s.Replays)
	count(replayedDesc, s.Replayed)
	count(incompleteDesc, s.Incomplete)
	gauge(queuesDesc, s.Queues)
	count(storedDesc, s.Stored)
	count(refusedDesc, s.Refused)
	count(ackedDesc, s.Acked)
	count(nackedDesc, s.Nacked)
	count(staleDesc, s.Stale)
	count(deadDesc, s.Dead)
	count(expiredDesc, s.Expired)
	durations(ch, publishDesc, s.PublishLatency)
	durations(ch, storeDesc, s.StoreLatency)
	for _, t := range s.Transports {
		for version, n := range t.Sessions {
			ch <- prometheus.MustNewConstMetric(transportDesc, prometheus.GaugeValue, float64(n), t.Name, version)
		}
		count(receivedBytesDesc, t.Received, t.Name)
		count(sentBytesDesc, t.Sent, t.Name)
	}
	for code, n := range s.Errors {
		count(errorsDesc, n, string(code))
	}
	for endpoint, codes := range s.Unauthenticated {
		for code, n := range codes {
			count(credentialsDesc, n, string(endpoint), string(code))
		}
	}
	for kind, n := range s.Memory {
		ch <- prometheus.MustNewConstMetric(memoryDesc, prometheus.GaugeValue, float64(n), kind)
	}
	for limit, n := range s.Limited {
		count(limitedDesc, n, limit)
	}
}
