package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stompbox/stompbox/frames"
)

// lookIntoQueues reads what is left in queues once all consumers are gone, which they had
// and did not acknowledge, and the dead letters. To read may make dead letters.
func (r *run) lookIntoQueues(ctx context.Context) error {
	for round := 1; ; round++ {
		// The server that counts gets an acknowledgement a moment after it was confirmed.
		sleep(ctx, countTime)
		queues, err := r.queues(ctx)
		if err != nil {
			return err
		}
		if r.ledger.left = queues; len(queues) == 0 || round > maxRounds {
			return nil
		}
		for name, n := range queues {
			if err := r.readRest(ctx, name, n); err != nil {
				return err
			}
		}
	}
}

const (
	// maxRounds is how often what is left is read, until nothing is.
	maxRounds = 3
	countTime = time.Second
)

// queues returns how many messages the queues have.
func (r *run) queues(ctx context.Context) (map[string]int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.cluster.nodes[0].http+"/api/queues", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+r.tokens["reader"])
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	var all []struct {
		Name     string `json:"name"`
		Messages int    `json:"messages"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&all); err != nil {
		return nil, fmt.Errorf("GET /api/queues: %s: %w", answer.Status, err)
	}
	queues := make(map[string]int)
	for _, q := range all {
		if q.Messages > 0 {
			queues[q.Name] = q.Messages
		}
	}
	return queues, nil
}

// readRest reads what a queue has. What does not come stays in it, and is noticed there.
func (r *run) readRest(ctx context.Context, queue string, n int) error {
	kind := consumer
	if strings.HasPrefix(queue, deadLettersOf("")) {
		kind = deadLetter
	}
	c := r.client("the last consumer of "+queue, "reader")
	reader := r.ledger.newReader(c.name, kind, queue)
	l := c.elsewhere(ctx)
	if l == nil {
		return ctx.Err()
	}
	defer l.close()
	r.ledger.connected(reader, l.node)
	end := time.AfterFunc(restTime, l.close)
	defer end.Stop()
	if err := l.send(frames.SUBSCRIBE, "id", "s", "destination", queue, "ack", "client-individual", "prefetch-count", "100"); err != nil {
		return err
	}
	for n > 0 {
		f, err := l.next()
		if err == nil && f.Command == frames.ERROR {
			err = errorFrame(f)
		}
		if err != nil {
			r.say("%d messages of %s did not come: %v", n, queue, err)
			return nil
		}
		if f.Command != frames.MESSAGE {
			continue
		}
		r.ledger.deliver(reader, string(f.Body), f.Get("message-id"), f.Get("redelivered") == "true", false)
		if err := l.send(frames.ACK, "id", f.Get("ack"), "receipt", strconv.Itoa(n)); err != nil {
			return err
		}
		n--
	}
	return l.receipt("1", nil)
}

// restTime is how long reading the rest of a queue may take.
const restTime = 30 * time.Second

// summary says what was done.
func (l *ledger) summary() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var confirmed, tries, deliveries, redelivered, answered, failed, whole, connections int
	for _, m := range l.order {
		tries += len(m.tries)
		if m.confirmed > 0 {
			confirmed++
		}
		deliveries += len(m.deliveries)
		for _, d := range m.deliveries {
			if d.redelivered {
				redelivered++
			}
		}
	}
	for _, r := range l.requests {
		for _, outcome := range r.outcomes {
			if outcome == answer {
				answered++
			} else {
				failed++
			}
		}
	}
	for _, tx := range l.transactions {
		if tx.confirmed {
			whole++
		}
	}
	for _, r := range l.readers {
		connections += len(r.connections)
	}
	kinds := make(map[string]int)
	for _, f := range l.faults {
		kinds[f.kind]++
	}
	return fmt.Sprintf("%d messages of %d were confirmed, in %d tries; %d deliveries, %d of them again; %d of %d transactions committed; %d requests, %d answered, %d failed; readers connected %d times\nfaults: %d %v\n",
		confirmed, len(l.order), tries, deliveries, redelivered, whole, len(l.transactions), len(l.requests), answered, failed, connections, len(l.faults), kinds)
}
