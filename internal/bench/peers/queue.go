package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
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
	all := newConsumed(n)
	failed := make(chan error, queueConsumers)
	var consumers []*stompClient
	for range queueConsumers {
		c, err := b.dial(s)
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.Close() }()
		consumer := c.(*stompClient)
		consumers = append(consumers, consumer)
		headers := "id:sub-0\ndestination:/queue/bench\nack:client-individual\n"
		if b.name == "RabbitMQ" {
			headers += "prefetch-count:256\n" // without it all come at once
		}
		if err := consumer.subscribeWith(headers); err != nil {
			return nil, err
		}
		go func() { failed <- consumer.consume(all) }()
	}
	c, err := b.dial(s)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	cpu, start := b.process.cpu(), time.Now()
	published, complete := make(chan error, 1), all.complete
	go func() { published <- c.(*stompClient).publishReceipted(n, "/queue/bench") }()
	for waits := 2; waits > 0; waits-- {
		select {
		case err := <-published:
			if err != nil {
				return nil, err
			}
			published = nil
		case <-complete:
			complete = nil
		case err := <-failed:
			return nil, err
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d messages were consumed: %w", all.count.Load(), n, ctx.Err())
		}
	}
	took, used := time.Since(start), b.process.cpu()-cpu
	// A second copy of the last message would come now.
	wait(ctx, afterLast)
	all.closing.Store(true)
	for _, c := range consumers {
		_ = c.conn.SetReadDeadline(time.Now())
	}
	if err := awaitAll(ctx, failed, queueConsumers); err != nil {
		return nil, err
	}
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

// afterLast is how long consumers read on after the last message.
const afterLast = time.Second

// consumed are the messages that some consumer has seen.
type consumed struct {
	seen     []atomic.Bool
	count    atomic.Int64
	complete chan struct{} // closed when all were seen
	closing  atomic.Bool   // reads are made to end
}

func newConsumed(n int) *consumed {
	return &consumed{seen: make([]atomic.Bool, n), complete: make(chan struct{})}
}

// take notes a message.
func (a *consumed) take(number int) (last bool, err error) {
	if number >= len(a.seen) {
		return false, fmt.Errorf("message %d was not sent", number)
	}
	if a.seen[number].Swap(true) {
		return false, fmt.Errorf("message %d came twice", number)
	}
	return a.count.Add(1) == int64(len(a.seen)), nil
}

// consume acknowledges what comes, until its reads are made to end. No message may come
// twice.
func (c *stompClient) consume(all *consumed) error {
	_ = c.conn.SetReadDeadline(time.Now().Add(loadTime))
	var ack []byte
	for {
		p, err := c.webSocket.read()
		if err != nil {
			if all.closing.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return err
		}
		if len(c.rest) > 0 {
			c.rest = append(c.rest, p...)
			p = c.rest
		}
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
			_, id, _ := bytes.Cut(frame, []byte("\nack:"))
			id, _, _ = bytes.Cut(id, []byte("\n"))
			_, body, _ := bytes.Cut(frame, []byte("\n\n"))
			last, err := all.take(digits(body))
			if err != nil {
				return err
			}
			ack = append(append(append(ack[:0], "ACK\nid:"...), id...), "\n\n\x00"...)
			if err := c.write(opText, ack); err != nil {
				return err
			}
			if last {
				close(all.complete)
			}
		}
	}
}
