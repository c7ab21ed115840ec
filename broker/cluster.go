package broker

import "context"

// Cluster is what a [Relay] also implements where it knows of the other nodes.
// It is safe for concurrent use.
type Cluster interface {
	// Tell hands octets to what the other nodes gave Listen for the same subject.
	// They may be lost; those of one node and subject keep their order.
	Tell(subject string, body []byte) error
	// Listen has handle called with what other nodes tell, one at a time.
	Listen(subject string, handle func(node string, body []byte)) error
	// Ask returns what the other nodes answer, and the names of those that are known
	// and did not within ctx or a bound of the relay's own.
	Ask(ctx context.Context, subject string, query []byte) (answers []NodeAnswer, missing []string)
	// Answer has handle answer what other nodes ask. It may be called concurrently.
	Answer(subject string, handle func(query []byte) []byte) error
	// WatchNodes has watch called when another node is first heard of, and when it
	// is gone. It is called once.
	WatchNodes(watch func(node string, here bool))
}

// NodeAnswer is what one node says to a question.
type NodeAnswer struct {
	Node string // an id that stays while the node runs
	Body []byte
}

// registrySubject is what nodes ask each other about sessions.
const registrySubject = "registry"

// joinCluster has this node answer the others, and hear of them.
func (b *Broker) joinCluster() error {
	if b.cluster == nil {
		return nil
	}
	if err := b.cluster.Answer(registrySubject, b.answerRegistry); err != nil {
		return err
	}
	if err := b.cluster.Answer(disconnectSubject, b.answerDisconnect); err != nil {
		return err
	}
	return b.presence.join()
}
