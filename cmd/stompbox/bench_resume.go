package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/bench"
)

// clientsPerRoom is how many clients of benchResume have a topic in common.
const clientsPerRoom = 20

// benchResume returns server CPU milliseconds per client that comes back and is sent what
// it missed, as all do at once after a restart or a break of the network.
func benchResume(ctx context.Context, s *benchServer, o benchOptions) (string, float64, error) {
	file := filepath.Join(s.dir, "history.yaml")
	if err := os.WriteFile(file, []byte(`history: { policies: [ { name: bench, match: "/topic/**" } ] }`), 0o600); err != nil {
		return "", 0, err
	}
	kept, err := s.another(ctx, "-c", file)
	if err != nil {
		return "", 0, err
	}
	defer kept.stop()
	publisher, err := kept.dial(ctx)
	if err != nil {
		return "", 0, err
	}
	defer publisher.close()
	rooms := make([]string, max(1, o.connections/clientsPerRoom))
	for i := range rooms {
		rooms[i] = benchTopic + strconv.Itoa(i)
	}
	room := func(i int) string { return rooms[i%len(rooms)] }
	subscribers, err := kept.subscribersOf(ctx, o.connections, room)
	if err != nil {
		return "", 0, err
	}
	for _, room := range rooms {
		if err := publisher.publishReceipted(benchOptions{messages: 1, inFlight: 1, size: o.size}, room); err != nil {
			return "", 0, err
		}
	}
	seen := make([]string, len(subscribers)) // the last message that each has
	for i, c := range subscribers {
		if seen[i], err = c.readMessageID(); err != nil {
			closeAll(subscribers)
			return "", 0, err
		}
	}
	closeAll(subscribers)
	for _, room := range rooms {
		if err := publisher.publishReceipted(benchOptions{messages: o.messages, inFlight: min(o.messages, 256), size: o.size}, room); err != nil {
			return "", 0, err
		}
	}
	cpu, start := kept.cpu(), time.Now()
	back, err := bench.OpenAll(o.connections, func(i int) (*benchClient, error) {
		c, err := kept.dial(ctx)
		if err != nil {
			return nil, err
		}
		return c, c.send(frames.New(frames.SUBSCRIBE, "id", "sub-0", "destination", room(i), "last-event-id", seen[i]))
	}, (*benchClient).close)
	if err != nil {
		return "", 0, err
	}
	defer closeAll(back)
	for _, c := range back {
		if err := readSequence(c, o.messages, func(int) {}); err != nil {
			return "", 0, err
		}
	}
	used, took := kept.cpu()-cpu, time.Since(start)
	// One message more has to be the next one: none was repeated.
	for _, room := range rooms {
		if err := publisher.publishTo(room, o.messages, o.size); err != nil {
			return "", 0, err
		}
	}
	for _, c := range back {
		if err := c.readOne(o.messages); err != nil {
			return "", 0, err
		}
	}
	figure := float64(used.Microseconds()) / 1e3 / float64(o.connections)
	return fmt.Sprintf("resume: %d WebSockets in %d rooms came back with last-event-id, and had the %d messages that each missed after %.2f s: %.2f ms of server CPU each, none lost, in order",
		o.connections, len(rooms), o.messages, took.Seconds(), figure), figure, nil
}

// readMessageID returns the id of the next message.
func (c *benchClient) readMessageID() (string, error) {
	for {
		_ = c.ws.NetConn().SetReadDeadline(time.Now().Add(30 * time.Second))
		text, err := c.next()
		if err != nil {
			return "", err
		}
		if done, err := checkNumber(text, 0); err != nil {
			return "", err
		} else if done {
			return string(headerOf(text, "message-id")), nil
		}
	}
}
