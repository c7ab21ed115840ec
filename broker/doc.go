// Package broker is the core of stompbox: sessions that speak STOMP, the router from
// destinations to subscriptions, queues, and the outboxes that write.
//
// A gateway opens a [Session] for each connection and feeds it bytes; the session pushes
// what has to be written to its outbox, which writes to the connection through the
// gateway's [Transport]. What leaves the node goes through a [driver.Driver]: messages
// for other nodes to its Bus, what queues and histories keep to its stores. The package
// knows neither NATS nor HTTP nor WebSocket.
//
// # Where a SEND goes
//
// session.go reads it, session_send.go checks it, and intercept.go asks the interceptors and the
// permissions. To a topic or user it then goes through topic_publish.go, topic_router.go,
// topic_fanout.go, message_encode.go and outbox.go. To a queue, or a topic with a history, it
// goes to the store by queue_store.go, and session_receipts.go confirms it in its turn; from a
// queue it comes back through queue.go, queue_dispatch.go and session_deliver.go, and from a
// history by topic_publish.go or session_replay.go. To an app server it goes by app_route.go,
// app_handler.go or app_queue.go.
//
// # Lock order
//
// A goroutine that holds a lock takes only locks that stand further down. Those on one
// line are never held together.
//
//	queue.opening
//	queues.mu, queue.mu, presence.mu
//	routerShard.change
//	routerShard.mu, trie.mu
//	group.mu, receiptQueue.mu, Session.mu
//	outbox.mu
//	those of registry, pendingRequests, handlers, usage, counters and liveness
//
// No lock is held over a write to a connection. Who sets outbox.running has its outbox
// written to, alone, until it is unset: a goroutine, one for a group of outboxes, or the
// reader at the end of a read, which holds none of the locks then. The last two do not
// wait (flushList).
//
// queue.opening and routerShard.change are held while a backend is asked to open or to end
// something, which may take until its timeout; no publish and no delivery takes them. What
// the backend promises not to block (Publish, Ack, Requeue, Extend, Broadcast) is called
// under queue.mu and presence.mu.
// A method with the suffix Locked needs the lock of its type; with the suffix AndUnlock it
// also releases it.
package broker
