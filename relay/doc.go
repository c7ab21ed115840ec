// Package relay carries a broker's messages over NATS: [Dial] and [Embed] give a
// [Relay] over an external or an embedded server, and [Relay.Driver] gives its parts to
// the broker.
//
// The parts each own their state and lock. From the lowest up, each knows only parts
// below it:
//
//   - link: the connection, its writer, and the state of both (link_state.go)
//   - acks: writes to JetStream that wait for an answer
//   - members: the other nodes, a driver.Cluster
//   - requests: a driver.RequestRouter, with the requests of programs that speak NATS
//   - idempotency: a driver.IdempotencyStore
//   - health: moves the link from state to state by what it asks
//   - bus: interests and the workers that deliver to them, a driver.Bus
//   - readers: consumers of JetStream that this node reads
//   - historyStreams: the streams of histories; historyCursor and historyReplay read them
//   - queueStore: a driver.QueueStore, and queueAdmin over it
//   - historyStore: a driver.HistoryStore; only it knows both the streams and the bus
//
// # Lock order
//
// A lock is taken only while those to its left are held:
//
//	interest.mu, bus.mu
//	interest.mu, history.mu
//	knownStream.mu (its stream is made; memoryQueues is used under it)
//	history.mu (its stream is looked for)
//	queueStreams.mu, readers.mu, reader.mu, members.mu, externalRequests.mu,
//	pendingReplies.mu, writer.mu, linkStateMachine.mu: held for a moment, with no other
//
// Two are held over the network: knownStream.mu and history.mu, by the goroutine that
// makes a stream that others need too. Interest.mu is held while its messages are
// delivered, so what comes after a gap waits until the gap is filled. The callbacks of a
// link, and those of the broker, are called with no lock but interest.mu.
//
// docs/nats.md describes the subjects and headers, for programs that speak NATS
// themselves.
package relay
