package broker

import "github.com/stompbox/stompbox/broker/driver"

// QueueOptions returns what the configuration says of a queue.
func (b *Broker) QueueOptions(queue string) driver.QueueOptions {
	return b.defaults.policy(queue).options()
}
