package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

const queueConsumers, queueWindow = 4, 256

// queue sends messages with a receipt each to a durable queue, with a window of them open,
// and has consumers acknowledge each by itself.
func (b *bench) queue(ctx context.Context) (figures, error) {
	s, ok := b.protocol.(stomp)
	if !ok {
		return nil, errors.New("queues are measured over STOMP")
	}
	s.prefix = "/queue/"
	n := 100_000
	if b.slow >= 20 {
		n = 20_000
	}
	seen := make([]atomic.Bool, n)
	var consumed atomic.Int64
	done := make(chan error, queueConsumers+1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range queueConsumers {
		c, err := b.dial(s)
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.Close() }()
		consumer := c.(*stompClient)
		headers := "id:sub-0\ndestination:/queue/bench\nack:client-individual\n"
		if b.name == "RabbitMQ" {
			headers += "prefetch-count:256\n" // without it all come at once
		}
		if err := consumer.subscribeWith(headers); err != nil {
			return nil, err
		}
		go func() { done <- consumer.consume(seen, &consumed) }()
	}
	c, err := b.dial(s)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	cpu, start := b.process.cpu(), time.Now()
	go func() { done <- c.(*stompClient).publishReceipted(n, "/queue/bench") }()
	for range queueConsumers + 1 {
		select {
		case err := <-done:
			if err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d messages were consumed: %w", consumed.Load(), n, ctx.Err())
		}
	}
	took, used := time.Since(start), b.process.cpu()-cpu
	return figures{"queue per s": float64(n) / took.Seconds(), "queue CPU s/M": used.Seconds() / float64(n) * 1e6}, nil
}

func (c *stompClient) publishReceipted(n int, destination string) error {
	window := make(chan struct{}, queueWindow)
	failed := make(chan error, 1)
	go func() {
		for got := 0; got < n; {
			err := c.frames(func(f []byte) error {
				if !bytes.HasPrefix(f, []byte("RECEIPT")) {
					return fmt.Errorf("the server says %q", f)
				}
				got++
				<-window
				return nil
			})
			if err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	var body []byte
	for i := range n {
		select {
		case window <- struct{}{}:
		case err := <-failed:
			return err
		}
		body = appendBody(body, i)
		c.buf = append(append(c.buf[:0], "SEND\npersistent:true\ndestination:"...), destination...)
		c.buf = strconv.AppendInt(append(c.buf, "\nreceipt:"...), int64(i), 10)
		c.buf = append(append(append(c.buf, "\n\n"...), body...), 0)
		if err := c.write(opText, c.buf); err != nil {
			return err
		}
	}
	return <-failed
}

// consume acknowledges what comes, until all messages were seen by some consumer.
func (c *stompClient) consume(seen []atomic.Bool, consumed *atomic.Int64) error {
	var acks []byte
	for consumed.Load() < int64(len(seen)) {
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
		p, err := c.webSocket.read()
		if err != nil {
			if consumed.Load() >= int64(len(seen)) {
				return nil
			}
			var timeout interface{ Timeout() bool }
			if errors.As(err, &timeout) && timeout.Timeout() {
				continue
			}
			return err
		}
		if len(c.rest) > 0 {
			c.rest = append(c.rest, p...)
			p = c.rest
		}
		acks = acks[:0]
		for {
			p = bytes.TrimLeft(p, "\r\n")
			frame, rest, whole := bytes.Cut(p, []byte{0})
			if !whole {
				c.keep(p)
				break
			}
			p = rest
			if !bytes.HasPrefix(frame, []byte("MESSAGE")) {
				return fmt.Errorf("the server says %q", frame)
			}
			_, ack, _ := bytes.Cut(frame, []byte("\nack:"))
			ack, _, _ = bytes.Cut(ack, []byte("\n"))
			_, body, _ := bytes.Cut(frame, []byte("\n\n"))
			number := digits(body)
			if number >= len(seen) || seen[number].Swap(true) {
				return errors.New("a message came twice")
			}
			acks = append(append(append(acks, "ACK\nid:"...), ack...), "\n\n\x00"...)
			if err := c.write(opText, acks); err != nil {
				return err
			}
			acks = acks[:0]
			consumed.Add(1)
		}
	}
	return nil
}
