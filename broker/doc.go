// Package broker is the core of stompbox: sessions that speak STOMP, the router
// from destinations to subscriptions, and the outboxes that write.
//
// A gateway opens a [Session] for each connection and feeds it octets; the
// session pushes what has to be written to its outbox, which writes to the
// connection through the gateway's [Transport]. Messages for other nodes go to
// a [Relay], and what queues keep to the [QueueStore] that a Relay may be too. The package knows neither NATS nor HTTP nor WebSocket.
//
// Where a SEND goes: Session.Receive (session.go), send.go, intercept.go; to a topic or user
// then topic.go, router.go, fanout.go and outbox.go; to a queue enqueue.go and
// confirm.go, and from the store queue.go and deliver.go.
package broker
