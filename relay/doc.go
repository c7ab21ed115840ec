// Package relay carries a broker's messages over NATS: [Dial] and [Embed] give
// a [Relay], which is a driver.Bus and keeps queues on JetStream as a
// driver.QueueStore, over an external or an embedded server.
//
// docs/nats.md describes the subjects and headers, for programs that speak NATS
// themselves.
package relay
