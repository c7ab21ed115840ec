package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/frames"
)

const benchQueueName = "/queue/bench"

// benchQueue returns server CPU seconds per million messages, in and out: each is
// sent with a receipt, stored, delivered, and acknowledged.
func benchQueue(ctx context.Context, s *benchServer, o benchOptions) (string, float64, error) {
	publisher, err := s.dial(ctx)
	if err != nil {
		return "", 0, err
	}
	defer publisher.close()
	var consumers []*benchClient
	defer func() { closeAll(consumers) }()
	for range o.connections {
		c, err := s.dial(ctx)
		if err != nil {
			return "", 0, err
		}
		consumers = append(consumers, c)
		if err := c.subscribe(benchQueueName, "ack", "client-individual"); err != nil {
			return "", 0, err
		}
	}
	seen := make([]atomic.Bool, o.messages)
	var consumed atomic.Int64
	done := make(chan error, o.connections+1)
	all := make(chan struct{})
	cpu, start := s.cpu(), time.Now()
	for _, c := range consumers {
		go func() { done <- c.consume(seen, &consumed, all) }()
	}
	published := time.Duration(0)
	go func() {
		err := publisher.publishReceipted(o, benchQueueName)
		published = time.Since(start)
		done <- err
	}()
	for range o.connections + 1 {
		select {
		case err := <-done:
			if err != nil {
				return "", 0, err
			}
		case <-ctx.Done():
			return "", 0, fmt.Errorf("%d of %d messages were consumed: %w", consumed.Load(), o.messages, ctx.Err())
		}
	}
	took, used := time.Since(start), s.cpu()-cpu
	if err := nothingLeft(publisher, consumers, o); err != nil {
		return "", 0, err
	}
	figure := used.Seconds() / float64(o.messages) * 1e6
	return fmt.Sprintf("queue: %d messages of %d B, receipts in a window of %d, %d consumers: %.0f msg/s in, %.0f msg/s in and out, %.1f server CPU s per million, none lost",
		o.messages, o.size, o.inFlight, o.connections, float64(o.messages)/published.Seconds(), float64(o.messages)/took.Seconds(), figure), figure, nil
}

// nothingLeft has all consumers leave. Nothing more may have come. Then one message more has to be
// the only one in the queue.
func nothingLeft(publisher *benchClient, consumers []*benchClient, o benchOptions) error {
	if err := allConnected(consumers); err != nil {
		return fmt.Errorf("after the last message: %w", err)
	}
	if err := publisher.publishTo(benchQueueName, o.messages, o.size); err != nil {
		return err
	}
	if err := consumers[0].send(frames.New(frames.SUBSCRIBE, "id", "sub-0", "destination", benchQueueName)); err != nil {
		return err
	}
	return consumers[0].readOne(o.messages)
}

// publishReceipted sends all messages to a destination, each with a receipt, with a
// window of them open.
func (c *benchClient) publishReceipted(o benchOptions, destination string) error {
	window := make(chan struct{}, o.inFlight)
	failed := make(chan error, 1)
	go func() {
		c.enlarge(32 << 10)
		for i := range o.messages {
			if err := c.readReceipt(i); err != nil {
				failed <- err
				return
			}
			<-window
		}
		failed <- nil
	}()
	head := []byte("SEND\ndestination:" + destination + "\nreceipt:")
	for i := range o.messages {
		select {
		case window <- struct{}{}:
		case err := <-failed:
			return err
		}
		c.fillBody(i, o.size)
		c.buf = append(c.buf[:0], head...)
		c.buf = fmt.Appendf(c.buf, "%d\n\n%s\x00", i, c.body)
		if err := c.write(c.buf); err != nil {
			return err
		}
	}
	return <-failed
}

func (c *benchClient) readReceipt(i int) error {
	_ = c.ws.NetConn().SetReadDeadline(time.Time{})
	for {
		payload, err := c.next()
		if err != nil {
			return fmt.Errorf("receipt %d: %w", i, err)
		}
		if len(payload) <= 1 {
			continue // a heart-beat
		}
		_, id, ok := bytes.Cut(payload, []byte("receipt-id:"))
		if !ok {
			return fmt.Errorf("the broker says %q", payload)
		}
		id, _, _ = bytes.Cut(id, []byte("\n"))
		if string(id) != fmt.Sprint(i) {
			return fmt.Errorf("receipt %s came in place of %d", id, i)
		}
		return nil
	}
}

// consume acknowledges what comes, until all messages were seen by some consumer.
func (c *benchClient) consume(seen []atomic.Bool, consumed *atomic.Int64, all chan struct{}) error {
	c.enlarge(64 << 10)
	_ = c.ws.NetConn().SetReadDeadline(time.Time{})
	stop, stopped := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-stopped }()
	go func() {
		defer close(stopped)
		select {
		case <-all:
			_ = c.ws.NetConn().SetReadDeadline(time.Now())
		case <-stop:
		}
	}()
	var acks []byte
	for {
		payload, err := c.next()
		if err != nil {
			if consumed.Load() >= int64(len(seen)) {
				return nil
			}
			return err
		}
		if !bytes.HasPrefix(payload, []byte(frames.MESSAGE)) {
			if len(payload) > 1 {
				return fmt.Errorf("the broker says %q", payload)
			}
			continue
		}
		number := numberOf(payload)
		acks = append(append(append(acks, "ACK\nid:"...), headerOf(payload, "ack")...), "\n\n\x00"...)
		if c.r.Buffered() == 0 || len(acks) > 8<<10 {
			if err := c.write(acks); err != nil {
				return err
			}
			acks = acks[:0]
		}
		if number >= len(seen) || seen[number].Swap(true) {
			return errors.New("a message came twice")
		}
		if consumed.Add(1) == int64(len(seen)) {
			if len(acks) > 0 {
				if err := c.write(acks); err != nil {
					return err
				}
			}
			close(all)
			return nil
		}
	}
}
