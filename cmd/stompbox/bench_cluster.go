package main

import (
	"context"
	"errors"
	"fmt"
)

// benchCluster returns what a delivery costs two nodes together, as the ratio to
// what it costs one node alone. NATS is in a third process, and counted apart.
func benchCluster(ctx context.Context, alone *benchServer, o benchOptions) (string, float64, error) {
	if o.connections < 2 {
		return "", 0, errors.New("--connections: two nodes need 2 or more")
	}
	_, one, err := benchFanout(ctx, alone, o)
	if err != nil {
		return "", 0, err
	}
	address, err := freeAddress()
	if err != nil {
		return "", 0, err
	}
	nats, err := alone.another(ctx, "--nats-listen", address)
	if err != nil {
		return "", 0, err
	}
	defer nats.stop()
	var nodes [2]*benchServer
	var subscribers []*benchClient
	defer func() { closeAll(subscribers) }()
	for i := range nodes {
		if nodes[i], err = alone.another(ctx, "--nats", "nats://"+address); err != nil {
			return "", 0, err
		}
		defer nodes[i].stop()
		half, err := nodes[i].subscribers(ctx, (o.connections+1-i)/2) // the first has the odd one
		if err != nil {
			return "", 0, err
		}
		subscribers = append(subscribers, half...)
	}
	publisher, err := nodes[0].dial(ctx)
	if err != nil {
		return "", 0, err
	}
	defer publisher.close()
	_, cpu, err := fanOut(ctx, o, publisher, subscribers, nodes[0], nodes[1], nats)
	if err != nil {
		return "", 0, err
	}
	two, hub := o.perMillion(cpu[0]+cpu[1]), o.perMillion(cpu[2])
	return fmt.Sprintf("cluster: %d subscribers, %d messages of %d B, %d in flight: one node %.2f CPU s per million deliveries, two nodes %.2f and NATS %.2f: ratio %.2f without NATS",
		o.connections, o.messages, o.size, o.inFlight, one, two, hub, two/one), two / one, nil
}
