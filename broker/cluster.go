package broker

// registrySubject is what nodes ask each other about sessions.
const registrySubject = "registry"

// joinCluster has this node answer the others, and hear of them.
func (b *Broker) joinCluster() error {
	if b.cluster == nil {
		return nil
	}
	if err := b.cluster.HandleRequest(registrySubject, b.answerRegistry); err != nil {
		return err
	}
	if err := b.cluster.HandleRequest(disconnectSubject, b.answerDisconnect); err != nil {
		return err
	}
	return b.presence.join()
}
